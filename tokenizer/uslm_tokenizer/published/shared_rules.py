"""Rules that several layouts share: networks that published code bases took from one another."""

from torch import Tensor

from uslm_tokenizer.published.layout import Rename


def convnext_rules(theirs: str, ours: str) -> tuple[Rename, ...]:
    """Vocos' backbone, a regular expression `theirs`, as a `ConvNeXt` named `ours`."""
    parts = {"dwconv": "depthwise", "norm": "norm", "pwconv1": "up", "pwconv2": "down"}
    ends = {"embed": "input", "norm": "input_norm", "final_layer_norm": "norm"}
    return (
        *(Rename(rf"{theirs}\.{a}\.(weight|bias)", rf"{ours}.{b}.\1") for a, b in ends.items()),
        *(
            Rename(rf"{theirs}\.convnext\.(\d+)\.{a}\.(weight|bias)", rf"{ours}.blocks.\1.{b}.\2")
            for a, b in parts.items()
        ),
        Rename(rf"{theirs}\.convnext\.(\d+)\.gamma", rf"{ours}.blocks.\1.scale"),
    )


def weight_norm_rules(theirs: str, ours: str) -> tuple[Rename, ...]:
    """A weight-normalised layer with a bias, as one named `ours`; both may hold groups."""
    return (
        Rename(rf"{theirs}\.weight_g", rf"{ours}.parametrizations.weight.original0"),
        Rename(rf"{theirs}\.weight_v", rf"{ours}.parametrizations.weight.original1"),
        Rename(rf"{theirs}\.bias", rf"{ours}.bias"),
    )


def factorized_rules(theirs: str, ours: str) -> tuple[Rename, ...]:
    """A weight-normalised factorised quantizer: its convolutions over one frame are linear."""
    rules = [Rename(rf"{theirs}\.codebook\.weight", rf"{ours}.codebook.embedding")]
    for a, b in {"in_project": "in_proj", "out_project": "out_proj"}.items():
        weight = f"{ours}.{b}.parametrizations.weight"
        rules += [
            Rename(rf"{theirs}\.{a}\.weight_g", rf"{weight}.original0", _without_time),
            Rename(rf"{theirs}\.{a}\.weight_v", rf"{weight}.original1", _without_time),
            Rename(rf"{theirs}\.{a}\.bias", rf"{ours}.{b}.bias"),
        ]
    return tuple(rules)


def _without_time(weight: Tensor) -> Tensor:
    return weight.squeeze(-1) if weight.shape[-1] == 1 else weight
