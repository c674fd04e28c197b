"""VALL-E and USLM beyond what every model keeps: prefix modes, prenets, the published rules."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from uslm.generate.autoregressive import speak_units
from uslm.generate.codebooks import fill_codebooks
from uslm.generate.sampling import Sampling
from uslm.models.base import AcousticRow
from uslm.systems.valle.ar import ValleAR
from uslm.systems.valle.checkpoint import read_config
from uslm.systems.valle.generation import pretrained_row, pretrained_stop
from uslm.systems.valle.model import Valle
from uslm.systems.valle.nar import ValleNAR, untied

CLOSE = {"atol": 1e-4, "rtol": 1e-4}
PRETRAINED = {
    "d_model": 16,
    "nhead": 4,
    "num_layers": 1,
    "norm_first": True,
    "add_prenet": False,
    "prefix_mode": 0,
    "share_embedding": True,
    "nar_scale_factor": 1.0,
    "prepend_bos": False,
    "num_quantizers": 4,
}


def ids(count: int, below: int = 32, seed: int = 0) -> Tensor:
    return torch.randint(below, (count,), generator=torch.Generator().manual_seed(seed))


def nar(prefix_mode: int) -> ValleNAR:
    torch.manual_seed(0)
    config = replace(ValleNAR.tiny_config(), prefix_mode=prefix_mode)
    return ValleNAR(config).eval()


def hidden(model: ValleNAR, row: AcousticRow, known: int) -> Tensor:
    batch = model.batch([row])
    with torch.no_grad():
        return model(batch, torch.tensor([known]))[batch.is_target]


def a_row() -> AcousticRow:
    codes = [ids(4 * n, seed=n).reshape(4, n) for n in (5, 7)]
    return AcousticRow(prompt=codes[0], codes=codes[1], text_ids=ids(6))


@pytest.mark.parametrize(("prefix_mode", "same"), [(0, True), (1, False), (4, False)])
def test_a_prompt_shows_its_upper_codebooks_only_where_it_was_taught_to(
    prefix_mode: int, same: bool
) -> None:
    model, row = nar(prefix_mode), a_row()
    before = hidden(model, row, known=2)
    row.prompt[3] = (row.prompt[3] + 1) % 32
    assert torch.equal(hidden(model, row, known=2), before) == same


def test_prompt_and_speech_count_their_positions_as_one() -> None:
    batch = nar(1).batch([a_row(), replace(a_row(), start=10)])
    assert batch.positions[0].tolist() == list(range(12))
    assert batch.positions[1].tolist() == [0, 1, 2, 3, 4, *range(15, 22)]


@pytest.mark.parametrize(("prefix_mode", "kept"), [(0, [1, 5, 6, 7, 8, 2]), (4, [1, 7, 8, 2])])
def test_prefix_mode_4_does_not_read_the_prompts_text(prefix_mode: int, kept: list[int]) -> None:
    config = Valle.tiny_config()
    config = replace(config, nar=replace(config.nar, prefix_mode=prefix_mode))
    text = torch.tensor([1, 5, 6, 7, 8, 2])  # the prompt alone would be 1 5 6 2
    row = pretrained_row(config, text, 4, torch.zeros(4, 3, dtype=torch.long), ids(2))
    assert row.text_ids is not None
    assert row.text_ids.tolist() == kept


def test_a_prenet_sees_padding_only_if_told_to() -> None:
    torch.manual_seed(0)
    config = replace(ValleAR.tiny_config(), prenet=True)
    model = ValleAR(config).eval()
    texts, units = [ids(4), ids(9)], [ids(6), ids(6)]
    alone = model(model.batch(texts[:1], units[:1]))
    torch.testing.assert_close(model(model.batch(texts, units))[:1], alone, **CLOSE)
    hearing = ValleAR(replace(config, prenet_sees_padding=True)).eval()
    hearing.load_state_dict(model.state_dict())
    assert not torch.allclose(hearing(hearing.batch(texts, units))[:1], alone, **CLOSE)


def test_text_sees_both_sides_and_speech_only_its_past() -> None:
    torch.manual_seed(0)
    model = ValleAR(ValleAR.tiny_config()).eval()
    text, units = ids(5), ids(8)
    before = model(model.batch([text], [units]))
    later = torch.cat([units[:5], (units[5:] + 1) % 32])
    after = model(model.batch([text], [later]))
    torch.testing.assert_close(after[:, :6], before[:, :6], **CLOSE)
    other = torch.cat([text[:4], (text[4:] + 1) % 32])
    assert not torch.allclose(model(model.batch([other], [units]))[:, 0], before[:, 0], **CLOSE)


@pytest.mark.parametrize("norm_first", [True, False])
def test_both_orders_of_norms_can_be_cached(norm_first: bool) -> None:
    torch.manual_seed(0)
    model = ValleAR(replace(ValleAR.tiny_config(), norm_first=norm_first)).eval()
    text, units = ids(5), ids(6)
    cache = model.new_cache(1, 20)
    logits = model.prefill([text], [units[:2]], cache)
    for unit in units[2:]:
        logits = model.step(unit[None], cache)
    torch.testing.assert_close(logits, model(model.batch([text], [units]))[:, -1], **CLOSE)


def test_the_pretrained_rule_ends_where_nothing_is_likelier() -> None:
    torch.manual_seed(0)
    model = Valle(Valle.tiny_config()).eval()
    text, prompt = ids(2), ids(4, seed=1)
    stop = pretrained_stop(model.config, len(text))
    sampling = Sampling(temperature=5.0, top_k=0, top_p=1.0)

    def spoken() -> tuple[int, str | None]:
        draw = torch.Generator().manual_seed(0)
        *_, rows = speak_units(
            model.ar, [text], [prompt], [stop], sampling=sampling, generators=[draw]
        )
        return len(rows[0].units), rows[0].stop_reason

    with torch.no_grad():
        model.ar.to_logits.weight[-1] = 0.0  # never the likeliest: the cap of 16 a symbol holds
        model.ar.to_logits.weight[0] = 0.0
        assert spoken()[0] <= 16 * len(text)
        hidden_state = torch.nn.functional.normalize(torch.ones(32), dim=0)
        model.ar.transformer.norm.norm.weight.zero_()
        model.ar.transformer.norm.norm.bias.copy_(hidden_state)
        model.ar.to_logits.weight[:] = 0.0
        model.ar.to_logits.weight[-1] = 0.1 * hidden_state  # barely the likeliest of all
    assert spoken() == (0, "end")


def test_a_speech_is_filled_codebook_by_codebook() -> None:
    torch.manual_seed(0)
    model = Valle(Valle.tiny_config()).eval()
    prompt, units, text = ids(20, seed=1).reshape(4, 5), ids(7), ids(6)
    row = pretrained_row(model.config, text, 3, prompt, units)
    [codes] = fill_codebooks(model.nar, [row])
    assert codes.shape == (4, 7)
    assert torch.equal(codes[0], units)


def test_the_pretrained_arguments_are_understood() -> None:
    config = read_config({**PRETRAINED, "nar_scale_factor": 0.5, "prefix_mode": 4})
    assert (config.ar.dim, config.ar.num_heads, config.nar.dim, config.nar.num_heads) == (
        16, 4, 8, 2,
    )  # fmt: skip
    assert (config.nar.prefix_mode, config.nar.tied_heads, config.ar.prepend_bos) == (
        4, True, False,
    )  # fmt: skip
    assert untied(config.nar) == [3]
    assert untied(replace(config.nar, tied_heads=False)) == [1, 2, 3]
