"""Formats of pretrained checkpoints, and how their tensors become those of one of our models.

A key mapping is a list of rules over the pretrained names. The first rule that matches a whole name
decides; a name without a rule is an error, so nothing is ever dropped in silence.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from uslm_tokenizer.addresses import load_address
from uslm_tokenizer.errors import CheckpointError, ConfigError
from uslm_tokenizer.hub import PretrainedModel, empty_parameters

Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Rename:
    """The tensor is ours under another name."""

    pattern: str
    """Regular expression over the whole pretrained name."""
    replacement: str
    """Our name; `\\1` or `\\g<name>` stand for groups of the pattern."""
    change: Change | None = None
    """Applied to the tensor before its shape is checked: a transpose, for example."""


@dataclass(frozen=True)
class Concat:
    """Several tensors are ours as one, stacked along the first axis: q, k and v for example."""

    pattern: str
    """As in Rename; its group `part` says which of the parts a name is."""
    replacement: str
    """Our name, the same for all parts."""
    parts: tuple[str, ...]
    """The values of the group `part`, in the order of stacking."""


@dataclass(frozen=True)
class Tie:
    """The tensor repeats another: it is checked to be equal, and not loaded."""

    pattern: str
    same_as: str
    """Pretrained name of the other tensor; groups as in Rename."""
    reason: str


@dataclass(frozen=True)
class Ignore:
    """The tensor is of no use to us."""

    pattern: str
    reason: str


Rule = Rename | Concat | Tie | Ignore


@dataclass(frozen=True)
class Fill:
    """A tensor of ours that the pretrained checkpoint does without."""

    pattern: str
    """Regular expression over our whole name."""
    value: float
    """What it is filled with."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class KeyMapping:
    """One pretrained checkpoint format."""

    name: str
    """Short name, as in the table of key mappings."""
    systems: tuple[str, ...]
    """Beginnings of the `system` strings, in golden files and manifests, that this serves."""
    model: str
    """The PretrainedModel that it becomes, as "module:Class"; imported on use."""
    read_config: Callable[[Mapping[str, Any]], Any]
    """From the pretrained config (the reference's constructor arguments) to our dataclass."""
    rules: tuple[Rule, ...] | Callable[[Any], tuple[Rule, ...]]
    """What becomes of each pretrained tensor; the first match decides. A function of our config
    where it depends on that."""
    signature_keys: tuple[str, ...]
    """Regular expressions over pretrained names; a state dict of this key mapping matches them
    all."""
    source: str
    """Where it was published: address of the code."""
    code_licence: str
    """Licence of the reference code."""
    weights_licence: str
    """Licence of the pretrained weights; "not stated" where none is."""
    fills: tuple[Fill, ...] = ()
    """What our model holds and the checkpoint does not."""
    prepare: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] | None = None
    """What the published tensors become before the rules, where several make one of ours."""

    def config(self, pretrained: Mapping[str, Any]) -> Any:
        """Our config of a pretrained one; ConfigError if that lacks a key."""
        try:
            return self.read_config(pretrained)
        except KeyError as missing:
            raise ConfigError(
                f"a config of {self.name} must have {missing}, but has {sorted(pretrained)}"
            ) from missing

    def model_class(self) -> type[PretrainedModel]:
        """The class that `model` names."""
        loaded: type[PretrainedModel] = load_address(self.model)
        return loaded


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A state dict of ours, and what became of each pretrained tensor."""

    state: dict[str, Tensor]
    """By our names; shapes fit the model."""
    used: dict[str, str]
    """Pretrained name to our name."""
    tied: dict[str, str] = field(default_factory=dict)
    """Pretrained name to the pretrained name that it repeats."""
    ignored: dict[str, str] = field(default_factory=dict)
    """Pretrained name to the reason."""
    filled: dict[str, str] = field(default_factory=dict)
    """Our name to the reason."""


def convert(key_mapping: KeyMapping, state: Mapping[str, Tensor], config: Any) -> Converted:
    """Every tensor of `state` under our name, checked against the model of `config`.

    Works on tensors of the meta device too. Raises CheckpointError, naming tensors and shapes,
    if a tensor is missing, has no rule, or has another shape than the config asks for.
    """
    with empty_parameters():
        model = key_mapping.model_class()(config)
    return _fit(key_mapping, state, model)


def load_pretrained(
    key_mapping: KeyMapping,
    state: Mapping[str, Tensor],
    config: Any,
    *,
    dtype: torch.dtype | None = None,
) -> PretrainedModel:
    """The model with the pretrained weights, in eval mode.

    The tensors of `state` become the model's own where their precision is `dtype` (that of the
    config's model if None): no second copy is made.
    """
    with empty_parameters():
        model = key_mapping.model_class()(config)
    converted = _fit(key_mapping, state, model)
    wanted = model.state_dict()
    for name, tensor in converted.state.items():
        kind = dtype if dtype and wanted[name].is_floating_point() else wanted[name].dtype
        converted.state[name] = tensor.detach().to(kind)
    model.load_state_dict(converted.state, assign=True)
    return model.eval()


def _fit(key_mapping: KeyMapping, state: Mapping[str, Tensor], model: PretrainedModel) -> Converted:
    """Apply the rules and check the outcome against the model's own tensors."""
    if key_mapping.prepare is not None:
        state = key_mapping.prepare(state)
    converted = _apply(key_mapping, state, model.config)
    _fill(key_mapping, converted, model)
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    sources: dict[str, list[str]] = {}
    for pretrained, ours in converted.used.items():
        sources.setdefault(ours, []).append(pretrained)
    missing = [name for name in wanted if name not in converted.state]
    extra = [name for ours, names in sources.items() if ours not in wanted for name in names]
    if missing or extra:
        parts = [
            f"{label} {_some(names)}"
            for label, names in (("lacks", missing), ("has no use for", extra))
            if names
        ]
        raise CheckpointError(
            f"this is not a checkpoint of {key_mapping.name} with this config: "
            f"the model {' and '.join(parts)}"
        )
    for ours, shape in wanted.items():
        found = tuple(converted.state[ours].shape)
        if found != shape:
            raise CheckpointError(
                f"{key_mapping.name}: tensor {' + '.join(sources[ours])} has shape {list(found)}, "
                f"the config asks for {list(shape)}"
            )
    return converted


def _fill(key_mapping: KeyMapping, converted: Converted, model: PretrainedModel) -> None:
    """Add the tensors that the key mapping makes up."""
    for name, tensor in model.state_dict().items():
        fill = next((fill for fill in key_mapping.fills if re.fullmatch(fill.pattern, name)), None)
        if fill is not None and name not in converted.state:
            converted.state[name] = torch.full_like(tensor, fill.value, device="cpu")
            converted.filled[name] = fill.reason


def _apply(key_mapping: KeyMapping, state: Mapping[str, Tensor], config: Any) -> Converted:
    chosen = key_mapping.rules(config) if callable(key_mapping.rules) else key_mapping.rules
    rules = [(re.compile(rule.pattern), rule) for rule in chosen]
    result = Converted(state={}, used={})
    concats: dict[str, dict[str, Tensor]] = {}
    orders: dict[str, tuple[str, ...]] = {}
    unknown: list[str] = []
    for name, tensor in state.items():
        match, rule = _first(rules, name)
        if match is None or rule is None:
            unknown.append(name)
        elif isinstance(rule, Ignore):
            result.ignored[name] = rule.reason
        elif isinstance(rule, Tie):
            other = match.expand(rule.same_as)
            _check_tie(key_mapping, state, name, other)
            result.tied[name] = other
        else:
            ours = match.expand(rule.replacement)
            result.used[name] = ours
            if isinstance(rule, Concat):
                concats.setdefault(ours, {})[match["part"]] = tensor
                orders[ours] = rule.parts
            elif ours in result.state:
                raise CheckpointError(f"{key_mapping.name}: two tensors claim the name {ours}")
            else:
                result.state[ours] = rule.change(tensor) if rule.change else tensor
    if unknown:
        raise CheckpointError(
            f"this is not a checkpoint of {key_mapping.name}: it has unknown {_some(unknown)}"
        )
    for ours, parts in concats.items():
        absent = [part for part in orders[ours] if part not in parts]
        if absent:
            raise CheckpointError(f"{key_mapping.name}: {ours} lacks its part {_some(absent)}")
        result.state[ours] = torch.cat([parts[part] for part in orders[ours]])
    return result


def _first(
    rules: list[tuple[re.Pattern[str], Rule]], name: str
) -> tuple[re.Match[str] | None, Rule | None]:
    for pattern, rule in rules:
        match = pattern.fullmatch(name)
        if match:
            return match, rule
    return None, None


def _check_tie(key_mapping: KeyMapping, state: Mapping[str, Tensor], name: str, other: str) -> None:
    if other not in state:
        raise CheckpointError(f"{key_mapping.name}: {name} repeats {other}, which is not there")
    one, two = state[name], state[other]
    on_meta = one.is_meta or two.is_meta
    if one.shape != two.shape or not (on_meta or torch.equal(one, two)):
        raise CheckpointError(f"{key_mapping.name}: {name} and {other} must be equal, but differ")


def _some(names: list[str]) -> str:
    """A count and the first three names."""
    shown = ", ".join(names[:3]) + (", ..." if names[3:] else "")
    return f"{len(names)} tensor{'s' if len(names) > 1 else ''} ({shown})"
