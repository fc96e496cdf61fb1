"""results.json: what a run was, and how well it recognises; every number follows from its dumps."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from thunder.ground import schema
from thunder.lanes.asr import row_faults
from thunder.lanes.asr.artifacts import DIGESTS, PASSES, RESULTS
from thunder.lanes.asr.data import vocabulary
from thunder.lanes.asr.evaluation import scored_dump
from thunder.lanes.asr.evaluation.scored_dump import Scored
from thunder.lanes.asr.model import definitions
from thunder.lanes.asr.training.learner import peak_rate
from thunder.language import spelling
from thunder.scoring import intervals
from thunder.scoring.score import MAIN, Counts, grouped, part, summary

if TYPE_CHECKING:
    from thunder.lanes.asr.material import Material

SCHEDULER = "linear_warmup_cosine"


def document(
    material: "Material",
    training: Mapping[str, Any],
    policy: Mapping[str, Any],
    scored: Mapping[str, Scored],
    *,
    run_id: str,
    precision: str,
    parameters: int,
    seconds: float,
) -> dict[str, Any]:
    """Return the content of results.json.

    Args:
        training: how training went, as `evaluate.run` takes it.
        scored: `valid` and `test`, and the columns of `adaptation` that there are.
        precision, seconds: of the evaluation.
    """
    main = scored["test"].counts[MAIN]
    results = {
        "run_id": run_id,
        **_settings(material.config),
        **_inputs(material),
        "n_params": parameters,
        "policy_sha256": policy["sha256"],
        **_training(training, precision, seconds),
        "test_cer": summary(main)["cer_micro"],
        "cer_ci95": _interval(scored["test"], material),
        "splits": _splits(material),
        "test": _summaries(scored["test"].counts),
        "valid": _summaries(scored["valid"].counts),
        "text_disjoint": _text_disjoint(scored["test"], material.text_disjoint),
        "adaptation": _adaptation(material.config["mode"], scored),
        "blank_mass": scored_dump.blank_mass(scored["test"]),
        "stable_share": scored_dump.stable_share(scored["test"]),
        "warnings": _warnings(material, scored["test"]),
        "definitions": definitions.definitions(material.config["mode"]),
    }
    schema.check("asr_results", results, RESULTS, cause="crash")
    return results


def metrics(
    results: Mapping[str, Any], training: Mapping[str, Any], form: spelling.Script
) -> dict[str, float | None]:
    """Return the numbers of results.json that a run is looked up by."""
    test, valid, adapted = results["test"], results["valid"], results["adaptation"]
    low, high = results["cer_ci95"] or (None, None)
    numbers = {
        "test_cer_micro": test[MAIN]["cer_micro"],
        "test_cer_low": low,
        "test_cer_high": high,
        "test_cer_macro": test[MAIN]["cer_macro"],
        "test_cer_raw": test["raw"]["cer_micro"],
        "test_wer": test[MAIN]["wer_micro"],
        "test_exact": test[MAIN]["exact"],
        "valid_cer_micro": valid[MAIN]["cer_micro"],
        "valid_loss": results["best_val_loss"],
        "best_epoch": results["best_epoch"],
        "epochs_trained": results["epochs_trained"],
        "parameters": results["n_params"],
        **{
            f"infeasible_{name}": results["splits"][name]["infeasible"]
            for name in results["splits"]
        },
        "nan_batches": results["nan_batches"],
        "train_seconds": training["train_seconds"],
        "utterances_per_second": training["utterances_per_second"],
        "blank_mass": results["blank_mass"],
        "stable_share": results["stable_share"],
    }
    if "toneless" in spelling.variants(form):
        numbers["test_cer_toneless"] = test["toneless"]["cer_micro"]
    for column, suffix in PASSES.items():
        if adapted[column] is not None:
            numbers[f"test_cer{suffix}"] = adapted[column]["cer_micro"]
    return numbers


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    mode, train = definitions.flags(config["mode"]), config["train"]
    return {
        "kind": "asr",
        "script": config["script"],
        "mode": config["mode"],
        "use_trajectory": mode.use_trajectory,
        "use_tar": mode.use_tar,
        "use_ttt": mode.use_ttt,
        "lr": peak_rate(config),
        "batch_size": train["batch_size"],
        "dropout": config["model"]["dropout"],
        "seed": config["seed"],
        "stride": config["model"]["stride"],
        "lengths": config["model"]["lengths"],
        "features_run": config["needs"]["asr_features"],
        "scheduler": SCHEDULER,
        "patience": train["patience"],
        "ranks": train["ranks"],
    }


def _inputs(material: "Material") -> dict[str, Any]:
    return {
        "stand_in": material.stand_in,
        "feature_layout": material.store.layout,
        **{key: material.digests[name] for name, key in DIGESTS.items()},
        "vocab_sha256": material.vocabulary.digest,
        "bridge_version": material.bridge_version,
        "normaliser_version": spelling.SCORED_VERSION,
        "vocabulary_version": vocabulary.VERSION,
    }


def _training(training: Mapping[str, Any], precision: str, seconds: float) -> dict[str, Any]:
    keys = (
        "epochs_trained",
        "best_epoch",
        "best_val_loss",
        "stopped_because",
        "nan_batches",
        "device",
        "precision",
    )
    wall = training["train_seconds"] + seconds
    of_training = {key: training[key] for key in keys}
    return {**of_training, "evaluation_precision": precision, "wall_s": wall}


def _splits(material: "Material") -> dict[str, Any]:
    return {
        name: {
            **material.counts[name],
            "hours": float(utterances.seconds.sum(dtype=np.float64)) / 3600,
        }
        for name, utterances in material.splits.items()
    }


def _summaries(by_variant: Mapping[str, Counts]) -> dict[str, Any]:
    return {variant: summary(counted) for variant, counted in by_variant.items()}


def _text_disjoint(test: Scored, ids: frozenset[str]) -> dict[str, Any]:
    rows = np.array([feat_id in ids for feat_id in test.ids], bool)
    return _summaries({variant: part(one, rows) for variant, one in test.counts.items()})


def _warnings(material: "Material", test: Scored) -> list[str]:
    return [*row_faults.sentences(material.counts), *scored_dump.warnings(test)]


def _adaptation(mode: str, scored: Mapping[str, Scored]) -> dict[str, Any]:
    """Return every column that there is; `on` is the main way of a model with fast weights."""
    by_column = {**scored, **({"on": scored["test"]} if definitions.flags(mode).use_ttt else {})}
    return {
        column: _column(by_column[column], scored["test"]) if column in by_column else None
        for column in ("on", *PASSES)
    }


def _column(adapted: Scored, test: Scored) -> dict[str, Any]:
    """Return a summary, beside the error rate of the run's own way on the same rows."""
    rows = np.isin(np.array(test.ids, np.str_), np.array(adapted.ids, np.str_))
    same = summary(part(test.counts[MAIN], rows))
    return {**summary(adapted.counts[MAIN]), "main_cer_micro": same["cer_micro"]}


def _interval(test: Scored, material: "Material") -> list[float] | None:
    """Return what anybody gets from the dumps alone: the seed is scoring's, not the run's."""
    if not test.ids:
        return None
    utterances = material.splits["test"]
    clusters = None
    if utterances.clusters:
        named = dict(zip(utterances.ids, utterances.clusters, strict=True))
        clusters = [named[feat_id] for feat_id in test.ids]
    units = grouped(test.counts[MAIN], clusters)
    return list(intervals.bootstrap(units, material.config["evaluate"]["bootstrap"]))
