"""The way back: a model of ours as its authors would have saved it, for tests of the way there."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from uslm_tokenizer.pretrained.key_mapping import Concat, Ignore, KeyMapping, Rename, Rule, Tie

Manifest = Mapping[str, Sequence[int]]
"""Pretrained name to shape."""


def small_checkpoint(
    key_mapping: KeyMapping, pretrained_config: Mapping[str, Any], manifest: Manifest
) -> dict[str, Tensor]:
    """A pretrained state dict of random weights; `manifest` has the names of a larger one."""
    config = key_mapping.read_config(pretrained_config)
    model = key_mapping.model_class()(config)
    left = dict(model.state_dict())
    chosen = key_mapping.rules(config) if callable(key_mapping.rules) else key_mapping.rules
    out: dict[str, Tensor] = {}
    for name, shape in manifest.items():
        match, rule = _find(chosen, name)
        if isinstance(rule, Ignore):
            out[name] = torch.zeros([min(size, 2) for size in shape])
        elif isinstance(rule, Tie):
            other = match.expand(rule.same_as)
            if other in manifest:
                out[name] = torch.empty(0)  # filled in below
        else:
            ours = match.expand(rule.replacement)
            if ours in model.state_dict():
                left.pop(ours, None)
                out[name] = _part(match, rule, model.state_dict()[ours], len(shape))
    for name in list(out):
        match, rule = _find(chosen, name)
        if isinstance(rule, Tie):
            other = match.expand(rule.same_as)
            if other in out:
                out[name] = out[other].clone()
            else:
                del out[name]
    made = [fill.pattern for fill in key_mapping.fills]
    missing = [name for name in left if not any(re.fullmatch(each, name) for each in made)]
    assert not missing, f"{key_mapping.name}: no pretrained name becomes {missing[:3]}"
    return {name: tensor.contiguous() for name, tensor in out.items()}


def _find(rules: Sequence[Rule], name: str) -> tuple[re.Match[str], Rule]:
    for rule in rules:
        match = re.fullmatch(rule.pattern, name)
        if match:
            return match, rule
    raise AssertionError(f"no rule for {name}")


def _part(match: re.Match[str], rule: Rename | Concat, ours: Tensor, rank: int) -> Tensor:
    if isinstance(rule, Concat):
        return ours.chunk(len(rule.parts))[rule.parts.index(match["part"])].clone()
    if rule.change is None:
        return ours.clone()
    for guess in (ours, ours[..., None], ours.T if ours.ndim == 2 else ours, torch.ones(1)):
        if guess.ndim == rank and torch.equal(rule.change(guess), ours):
            return guess.clone()
    raise AssertionError(f"cannot undo what becomes of {match[0]}")
