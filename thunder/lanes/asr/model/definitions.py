"""What the four modes switch on, and what the internal names of their parts mean here."""

from dataclasses import dataclass

from thunder.ground.errors import ThunderError


@dataclass(frozen=True)
class Mode:
    """Which parts a mode adds to the plain CTC model."""

    use_trajectory: bool = False
    use_tar: bool = False
    use_ttt: bool = False


MODES = {
    "baseline": Mode(),
    "trajectory": Mode(use_trajectory=True),
    "tar": Mode(use_tar=True),
    "trajectory_ttt": Mode(use_trajectory=True, use_ttt=True),
}

TRAJECTORY = (
    "Trajectory conditioning: seven scalars of the path that the outputs of the temporal "
    "convolution take (steps, turns and jerk, angles and distances to earlier outputs), computed "
    "without gradient, become through one small network an additive bias of the attention logits "
    "of all layers. They describe states of the model, not articulation or handwriting."
)
TAR = (
    "temporal_activation_regularisation_v1: the activation and temporal activation "
    "regularisation of Merity, McCann and Socher (2017) on the output of the last encoder layer, "
    "as squared norms: loss = CTC + beta * mean_t |h_t - h_(t+1)|^2 / d + alpha * mean_t "
    "|dropout(h_t)|^2 / d over the frames of an utterance. It is not an alignment method."
)
TTT = (
    "In-place, chunk-local fast-weight adapter: within an utterance the down projection of the "
    "last feed-forward block takes one clipped gradient step after each chunk of frames, towards "
    "a learned projection of its unadapted output one frame later; it starts from the trained "
    "weights at every utterance and is trained through. A namesake of In-Place Test-Time "
    "Training (Feng et al., ICLR 2026) and not that method, which adapts causal language models "
    "towards targets aligned with next-token prediction."
)
SUTA = (
    "Single-utterance test-time adaptation (Lin, Li and Lee, 2022), in evaluation alone: a few "
    "steps of entropy minimisation and minimum class confusion on the gains and offsets of the "
    "layer normalisations, from the trained model anew for each utterance. It is never called "
    "TTT."
)


def flags(mode: str) -> Mode:
    """Return what a mode switches on; an unknown one raises ThunderError."""
    if mode not in MODES:
        raise ThunderError(f"mode is {mode!r}; there are {', '.join(MODES)}")
    return MODES[mode]


def words(mode: str) -> list[str]:
    """Return the words of the definitions that a mode uses."""
    parts = flags(mode)
    used = {"trajectory": parts.use_trajectory, "tar": parts.use_tar, "ttt": parts.use_ttt}
    return [word for word, is_used in used.items() if is_used]


def definitions(mode: str) -> dict[str, str]:
    """Return the sentences for results and footnotes: all, as tables set modes side by side."""
    flags(mode)
    return {"trajectory": TRAJECTORY, "tar": TAR, "ttt": TTT, "suta": SUTA}
