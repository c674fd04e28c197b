"""Pretrained names become ours, every one accounted for; what does not fit is named."""

import dataclasses
import sys
import types
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from uslm_tokenizer.errors import CheckpointError, ConfigError
from uslm_tokenizer.hub import PretrainedModel
from uslm_tokenizer.pretrained.key_mapping import (
    Concat,
    Fill,
    Ignore,
    KeyMapping,
    Rename,
    Tie,
    convert,
    load_pretrained,
)
from uslm_tokenizer.pretrained.mappings import expect, key_mapping_of_system, recognise


@dataclass(frozen=True, kw_only=True)
class ToyConfig:
    dim: int = 4


class Toy(PretrainedModel):
    model_type = "toy"
    config_class = ToyConfig
    scale: Tensor
    count: Tensor

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.conv = weight_norm(nn.Conv1d(config.dim, config.dim, 3))
        self.qkv = nn.Linear(config.dim, 3 * config.dim, bias=False)
        self.lstm = nn.LSTM(config.dim, config.dim)
        self.register_buffer("count", torch.zeros(1))
        self.register_buffer("scale", torch.tensor([0.5]), persistent=False)


TOY = KeyMapping(
    name="toy",
    systems=("Toy",),
    model="toy_model:Toy",
    read_config=lambda pretrained: ToyConfig(dim=pretrained["width"]),
    rules=(
        Rename(r"conv\.weight_g", "conv.parametrizations.weight.original0"),
        Rename(r"conv\.weight_v", "conv.parametrizations.weight.original1"),
        Rename(r"(conv\.bias|count|lstm\..*)", r"\1"),
        Concat(r"(?P<part>[qkv])_proj\.weight", "qkv.weight", ("q", "k", "v")),
        Tie(r"k_again\.(?P<rest>.*)", r"k_proj.\g<rest>", "saved twice"),
        Ignore(r"discriminator\..*", "training only"),
    ),
    signature_keys=(r"q_proj\.weight", r"conv\.weight_[gv]"),
    source="nowhere",
    code_licence="none",
    weights_licence="none",
)


@pytest.fixture(autouse=True)
def toy_module(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("toy_model")
    module.Toy = Toy  # type: ignore[attr-defined]
    module.TOY = TOY  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "toy_model", module)


def pretrained(dim: int = 4, device: str = "cpu") -> dict[str, Tensor]:
    shapes = {
        "conv.weight_g": (dim, 1, 1),
        "conv.weight_v": (dim, dim, 3),
        "conv.bias": (dim,),
        "count": (1,),
        "discriminator.weight": (7,),
        **{f"{part}_proj.weight": (dim, dim) for part in "vkq"},
        **{f"lstm.weight_{kind}_l0": (4 * dim, dim) for kind in ("ih", "hh")},
        **{f"lstm.bias_{kind}_l0": (4 * dim,) for kind in ("ih", "hh")},
    }
    source = torch.Generator().manual_seed(0)
    state = {name: torch.randn(shape, generator=source) for name, shape in shapes.items()}
    state["k_again.weight"] = state["k_proj.weight"].clone()
    return {name: tensor.to(device) for name, tensor in state.items()}


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_every_tensor_is_accounted_for(device: str) -> None:
    state = pretrained(device=device)
    converted = convert(TOY, state, ToyConfig())
    assert converted.ignored == {"discriminator.weight": "training only"}
    assert converted.tied == {"k_again.weight": "k_proj.weight"}
    assert {*converted.used, *converted.ignored, *converted.tied} == set(state)
    assert converted.used["q_proj.weight"] == "qkv.weight"


def test_the_loaded_model_computes_with_the_pretrained_weights() -> None:
    state = pretrained()
    model = load_pretrained(TOY, state, ToyConfig())
    assert isinstance(model, Toy) and not model.training
    by_hand = nn.Conv1d(4, 4, 3)
    v = state["conv.weight_v"]
    norm = v.flatten(1).norm(dim=1)[:, None, None]
    by_hand.load_state_dict({"weight": state["conv.weight_g"] * v / norm, "bias": v[:, 0, 0] * 0})
    x = torch.randn(1, 4, 9, generator=torch.Generator().manual_seed(1))
    received = model.conv(x) - state["conv.bias"][:, None]
    torch.testing.assert_close(received, by_hand(x))
    stacked = torch.cat([state[f"{part}_proj.weight"] for part in "qkv"])
    assert torch.equal(model.qkv.weight, stacked)
    assert model.scale.item() == 0.5  # not saved, and yet there
    lstm = nn.LSTM(4, 4)
    lstm.load_state_dict({k[5:]: v for k, v in state.items() if k.startswith("lstm.")})
    assert torch.equal(model.lstm(x[0].T)[0], lstm(x[0].T)[0])


def test_the_weights_are_held_once() -> None:
    state = pretrained()
    model = load_pretrained(TOY, state, ToyConfig())
    assert isinstance(model, Toy) and model.conv.bias is not None
    assert model.conv.bias.data_ptr() == state["conv.bias"].data_ptr()


def without(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: without(s, "conv.bias"), r"lacks 1 tensor \(conv\.bias\)"),
        (lambda s: without(s, "k_proj.weight"), r"k_again\.weight repeats k_proj\.weight"),
        (lambda s: without(without(s, "v_proj.weight"), "k_again.weight"), r"lacks its part 1"),
        (lambda s: s | {"other.weight": torch.zeros(1)}, r"unknown 1 tensor \(other\.weight\)"),
        (lambda s: s | {"lstm.weight_ih_l1": torch.zeros(1)}, r"has no use for 1 tensor \(lstm"),
        (
            lambda s: s | {"count": torch.zeros(2)},
            r"count has shape \[2\], the config asks",
        ),
        (lambda s: s | {"k_again.weight": torch.zeros(4, 4)}, "must be equal, but differ"),
    ],
)
def test_what_does_not_fit_is_named(change, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(CheckpointError, match=message):
        convert(TOY, change(pretrained()), ToyConfig())


def test_another_width_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"has shape \[4\], the config asks for \[8\]"):
        convert(TOY, pretrained(), ToyConfig(dim=8))


def test_a_checkpoint_is_recognised_by_its_marks() -> None:
    table = {"toy": "toy_model:TOY"}
    assert recognise(pretrained(), table) == ["toy"]
    assert recognise(["conv.bias"], table) == []
    assert key_mapping_of_system("Toy (small)", table) is TOY
    other = dataclasses.replace(TOY, name="other")
    with pytest.raises(CheckpointError, match="not a checkpoint of other; it looks like toy"):
        expect(other, pretrained(), table)
    with pytest.raises(CheckpointError, match="look like nothing known"):
        expect(other, ["conv.bias"], table)


def test_what_the_checkpoint_does_without_is_made_up_for_a_reason() -> None:
    filling = dataclasses.replace(TOY, fills=(Fill(r"count", 3.0, "nobody counted"),))
    state = without(pretrained(), "count")
    with pytest.raises(CheckpointError, match=r"lacks 1 tensor \(count\)"):
        convert(TOY, state, ToyConfig())
    assert convert(filling, state, ToyConfig()).filled == {"count": "nobody counted"}
    model = load_pretrained(filling, state, ToyConfig())
    assert isinstance(model, Toy) and model.count.tolist() == [3.0]
    # What the checkpoint does hold is kept.
    assert convert(filling, pretrained(), ToyConfig()).filled == {}


def test_a_config_that_lacks_a_key_says_which() -> None:
    assert TOY.config({"width": 4, "learning_rate": 1}) == ToyConfig(dim=4)
    with pytest.raises(ConfigError, match=r"must have 'width', but has \['depth'\]"):
        TOY.config({"depth": 4})
