"""Rules that several key mappings share: networks that published code bases took from one
another."""

from torch import Tensor

from uslm_tokenizer.pretrained.key_mapping import Rename


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


def seanet_rules(theirs: str, ours: str) -> tuple[Rename, ...]:
    """EnCodec's SEANet, encoder or decoder, as the `layers` of a `SEANet`, named `ours`."""
    layer, ours_layer = rf"{theirs}\.(?P<layer>\d+)", rf"{ours}.\g<layer>"
    inner, ours_inner = rf"{layer}\.block\.(?P<inner>\d+)", rf"{ours_layer}.layers.\g<inner>"
    convolutions = (
        (rf"{layer}\.(?:conv\.conv|convtr\.convtr)", f"{ours_layer}.conv"),
        (rf"{inner}\.conv\.conv", f"{ours_inner}.conv"),
        (rf"{layer}\.shortcut\.conv\.conv", f"{ours_layer}.shortcut.conv"),
    )
    return (
        *(rule for one, other in convolutions for rule in weight_norm_rules(one, other)),
        Rename(rf"{layer}\.lstm\.(?P<weight>\w+)", rf"{ours_layer}.lstm.\g<weight>"),
        Rename(rf"{layer}\.alpha", f"{ours_layer}.alpha"),
        Rename(rf"{inner}\.alpha", f"{ours_inner}.alpha"),
    )


def codebook_rules(theirs: str, ours: str) -> tuple[Rename, ...]:
    """EnCodec's codebook, learnt by moving averages, as a `VectorQuantizer` named `ours`."""
    parts = {"embed": "embedding", "embed_avg": "running_sum", "cluster_size": "cluster_size"}
    return (
        *(Rename(rf"{theirs}\.{a}", f"{ours}.{b}") for a, b in parts.items()),
        Rename(rf"{theirs}\.inited", f"{ours}.initialized", as_flag),
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


def as_flag(number: Tensor) -> Tensor:
    """A number that stands for yes or no, of one element, as a truth value."""
    return number.reshape(()) != 0


def _without_time(weight: Tensor) -> Tensor:
    return weight.squeeze(-1) if weight.shape[-1] == 1 else weight
