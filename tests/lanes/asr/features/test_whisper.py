"""A frozen Whisper encoder from a local folder, tried with a tiny random one."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import transformers
from asr_fixtures import RATE, features_config, noise, write_speech
from safetensors.torch import load_file, save_file

from thunder.ground.errors import ThunderError
from thunder.lanes.asr.features import job, store, whisper
from thunder.lanes.asr.features.rows import Framed, Rejected, Row

DIMS = 16


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whisper")
    config = transformers.WhisperConfig(
        vocab_size=8, d_model=DIMS, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16,
        decoder_ffn_dim=16, num_mel_bins=80, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        decoder_start_token_id=1,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.WhisperForConditionalGeneration(config).save_pretrained(folder)
    transformers.WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    return folder


@pytest.fixture
def copied(model: Path, tmp_path: Path) -> Path:
    for path in model.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    for name, seconds in (("a", 0.51), ("b", 1.0), ("c", 31.0)):
        soundfile.write(tmp_path / f"{name}.wav", noise(seconds), RATE)
    return tmp_path


def _rows(*names: str) -> list[Row]:
    return [Row(name, line, f"{name}.wav", None) for line, name in enumerate(names, 1)]


def test_frames_are_the_encoders_own_without_its_padding(model: Path, speech: Path) -> None:
    loaded = whisper.load(model)
    assert (loaded.dims, loaded.seconds) == (DIMS, 30.0)
    first, broken, last = whisper.encode(
        loaded, whisper.preparer(speech, loaded, 30.0)(_rows("a", "none", "b"))
    )
    assert isinstance(first, Framed)
    assert isinstance(last, Framed)
    assert first.frames.shape == (26, DIMS)
    assert last.frames.shape == (50, DIMS)
    assert broken == Rejected(_rows("", "none")[1], "none.wav: No such file or directory")

    samples, _ = soundfile.read(speech / "b.wav", dtype="float32")
    made = transformers.WhisperFeatureExtractor.from_pretrained(model)(
        samples, sampling_rate=RATE, return_tensors="pt"
    )
    again = transformers.WhisperModel.from_pretrained(model).encoder.eval()
    with torch.no_grad():
        expected = again(made["input_features"]).last_hidden_state[0, :50]
    assert np.allclose(last.frames, expected.numpy(), atol=2e-3)


def test_the_encoder_learns_nothing_and_drops_nothing(model: Path) -> None:
    loaded = whisper.load(model)
    assert not loaded.encoder.training
    assert not any(weights.requires_grad for weights in loaded.encoder.parameters())


def test_what_is_longer_than_the_window_is_cut(model: Path, speech: Path) -> None:
    loaded = whisper.load(model)
    (outcome,) = whisper.encode(loaded, whisper.preparer(speech, loaded, 60.0)(_rows("c")))
    assert isinstance(outcome, Framed)
    assert outcome.frames.shape == (1500, DIMS)
    assert outcome.duration_s == 31.0
    assert outcome.is_cut


def test_a_row_does_not_depend_on_its_neighbours(model: Path, speech: Path) -> None:
    loaded = whisper.load(model)
    hear = whisper.preparer(speech, loaded, 30.0)
    together = list(whisper.encode(loaded, hear(_rows("a", "b"))))
    (alone,) = whisper.encode(loaded, hear(_rows("b")))
    assert isinstance(alone, Framed)
    assert isinstance(together[1], Framed)
    assert np.array_equal(together[1].frames, alone.frames)


def test_a_limit_beyond_the_window_is_refused(model: Path, tmp_path: Path) -> None:
    write_speech(tmp_path / "data", [0.2])
    paths, source = {"features": str(model)}, {"digest": "a" * 64}
    config = features_config(tmp_path / "data", tmp_path, source=source, paths=paths, seconds=31)
    with pytest.raises(ThunderError, match=r"features.seconds is 31, .* has 30 s at most"):
        job.run(config, tmp_path, lambda event: None)


def test_the_job_keeps_the_true_length_of_every_row(model: Path, tmp_path: Path) -> None:
    write_speech(tmp_path / "data", [0.2, 0.31, 0.05])
    (tmp_path / "run").mkdir()
    config = features_config(
        tmp_path / "data",
        tmp_path,
        source={"digest": "a" * 64},
        paths={"features": str(model)},
    )
    result = job.run(config, tmp_path / "run", lambda event: None)
    opened = store.open_store(tmp_path / "run")
    assert (opened.layout, opened.dims) == ("whisper_50hz", DIMS)
    assert opened.lengths.tolist() == [10, 16, 3]
    assert opened.manifest["encoder"] == {"name": "whisper_1x16_80mel", "digest": "a" * 64}
    assert result["metrics"]["rows"] == 3


def test_missing_encoder_weights_are_refused_by_name(copied: Path) -> None:
    path = copied / "model.safetensors"
    weights = load_file(path)
    name = next(key for key in sorted(weights) if "encoder.layers.0.fc1.weight" in key)
    del weights[name]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ThunderError, match=r"weights of the encoder are missing: .*fc1\.weight"):
        whisper.load(copied)


def test_a_torn_weights_file_is_refused(copied: Path) -> None:
    path = copied / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ThunderError, match="not loadable as a Whisper model") as caught:
        whisper.load(copied)
    assert caught.value.cause == "model"


@pytest.mark.parametrize(
    ("name", "key", "value", "message"),
    [
        ("config.json", "model_type", "wav2vec2", "a 'wav2vec2' model; features.source needs a"),
        ("preprocessor_config.json", "feature_size", 128, "makes 128 × 3000 inputs, .* takes 80 ×"),
    ],
)
def test_a_folder_that_does_not_fit_together_is_refused(
    copied: Path, name: str, key: str, value: object, message: str
) -> None:
    document = json.loads((copied / name).read_text())
    (copied / name).write_text(json.dumps({**document, key: value}))
    with pytest.raises(ThunderError, match=message):
        whisper.load(copied)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ThunderError, match="not a model folder"):
        whisper.load(tmp_path)


def test_an_encoder_is_known_by_its_bound_source(model: Path) -> None:
    assert whisper.name(model) == "whisper_1x16_80mel"
    assert whisper.encoder_digest({"digest": "a" * 64}) == "a" * 64
    one = whisper.encoder_digest({"hub": "openai/whisper-tiny", "commit": "1" * 40})
    assert one != whisper.encoder_digest({"hub": "openai/whisper-tiny", "commit": "2" * 40})
