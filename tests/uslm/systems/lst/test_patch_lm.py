"""The patch model: causal, a step equals the whole, a row equals the row alone, patches of one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from uslm.generate.continuation import go_on
from uslm.generate.sampling import Sampling
from uslm.models.spans import Span
from uslm.models.speech_lm import SpeechLM, sequence_nll
from uslm.systems.lst.model import PatchLM
from uslm.systems.registry import MODELS, model_class
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.sequence.patches import aligned_patches

CLOSE = {"atol": 1e-4, "rtol": 1e-4}
NAMES = [name for name in MODELS if issubclass(model_class(name), SpeechLM)]


def build(**options: Any) -> PatchLM:
    torch.manual_seed(0)
    config = replace(PatchLM.tiny_config(), **options)
    model = PatchLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # far from linear, so that all that is seen counts
            parameter.mul_(4.0)
    return model


def ids(count: int, seed: int, below: int = 32) -> Tensor:
    return torch.randint(below, (count,), generator=torch.Generator().manual_seed(seed))


def speech(count: int, seed: int, starts: list[int] | None = None) -> Span:
    patches = None if starts is None else aligned_patches(starts, count)
    return Span("speech", ids(count, seed), patches)


def text(count: int, seed: int) -> Span:
    return Span("text", ids(count, seed))


ROWS = {
    "static": [speech(18, 1)],
    "aligned": [speech(17, 1, [0, 2, 9, 14])],
    "interleaved": [speech(7, 1), text(4, 2), speech(8, 3, [0, 5])],
    "text last": [speech(12, 5), text(5, 4)],
}
every_row = pytest.mark.parametrize("name", ROWS)


def test_the_table_has_a_speech_lm() -> None:
    assert "patch_lm" in NAMES


# ---- what each token may see


@every_row
@pytest.mark.parametrize("size", [1, 3])
def test_no_token_sees_what_follows(name: str, size: int) -> None:
    model = build(patch_size=size)
    batch = model.batch([ROWS[name]])
    with torch.no_grad():
        logits = model(batch.tokens, batch.patches)
        for place in range(1, batch.tokens.shape[1]):
            other = batch.tokens.clone()
            other[0, place] = (other[0, place] + 7) % 32
            moved = (model(other, batch.patches) - logits).abs().amax(-1)[0]
            assert bool((moved[:place] < 1e-5).all()), place
            assert float(moved[place]) > 1e-4, place


def test_what_is_far_is_seen_through_the_patches_alone() -> None:
    far = {}
    for use_global in (True, False):
        # Three layers of windows of 5 reach 12 tokens back.
        model = build(use_global=use_global)
        batch = model.batch([[speech(40, 1)]])
        other = batch.tokens.clone()
        other[0, 2] = (other[0, 2] + 7) % 32
        with torch.no_grad():
            moved = model(other, batch.patches) - model(batch.tokens, batch.patches)
        far[use_global] = float(moved[0, -1].abs().max())
    assert far[True] > 1e-4 and far[False] == 0


def test_a_unit_is_predicted_from_whole_patches() -> None:
    """Where the local window is one token, an open patch is not heard before it is whole."""
    model = build(window=1, patch_size=3)
    batch = model.batch([[speech(9, 1)]])  # mark, then patches of three
    other = batch.tokens.clone()
    other[0, 4] = (other[0, 4] + 7) % 32  # the first unit of the second patch
    with torch.no_grad():
        moved = (model(other, batch.patches) - model(batch.tokens, batch.patches)).abs().amax(-1)
    assert (moved[0] > 1e-5).tolist() == [False] * 4 + [True, False, True, True, True, True]


# ---- with a cache, side by side


MERGES = ((1, 2), (32, 3), (4, 4), (34, 5))


@pytest.mark.parametrize("size", [1, 2])
def test_merged_units_are_one_token(size: int) -> None:
    model = build(patch_size=size, merges=MERGES)
    units = torch.tensor([1, 2, 3, 9, 4, 4, 4])
    batch = model.batch([[Span("speech", units), Span("text", torch.tensor([6]))]])
    s, t, end = model.speech_id, model.text_id, model.end_id
    assert (s, t, end) == (89, 90, 91)
    assert batch.tokens.tolist() == [[s, 33, 9, 34, 4, t, 36 + 6]]
    assert batch.is_speech.tolist() == [[True] * 4 + [False] * 3]
    assert torch.equal(model.spell(batch.tokens[0, 1:5]), units)
    whole = model(batch.tokens, batch.patches).detach()[0]
    _, logits = model.begin([Span("speech", units)], "speech")
    torch.testing.assert_close(logits, whole[4], **CLOSE)  # the prompt is merged as a whole
    allowed = {token: model.spell(torch.tensor([token])).tolist() for token in range(36)}
    draw = torch.Generator().manual_seed(0)
    prompt = [Span("speech", units)]
    said = go_on(model, prompt, "speech", max_tokens=30, sampling=Sampling(), generator=draw)
    assert int(said.max()) < 32 and len(allowed[33]) == 3
    with pytest.raises(UserError, match="this model merges units into tokens"):
        model.batch([[Span("speech", ids(3, 0), torch.tensor([0, 1, 1]))]])


def test_a_kind_of_token_that_it_has_not_is_not_taken_for_text() -> None:
    with pytest.raises(UserError, match="there is no kind of token 'noisy units'"):
        build().batch([[Span("noisy units", ids(3, 0))]])


def test_units_of_another_tokenizer_are_refused() -> None:
    model = build(tokenizer="abc")
    model.check_tokenizer("abc")
    with pytest.raises(UserError, match="of the tokenizer abc, but is given those of def"):
        model.check_tokenizer("def")
    build().check_tokenizer("def")  # nobody knows


@every_row
@pytest.mark.parametrize("size", [1, 3])
def test_steps_equal_the_whole(name: str, size: int) -> None:
    """Each row ends with a patch that is whole, so that the continuation begins another."""
    model, row = build(patch_size=size), ROWS[name]
    batch = model.batch([[*row, speech(11, 9)]])
    whole = model(batch.tokens, batch.patches).detach()[0]
    state, logits = model.begin(row, "speech")
    first = len(whole) - 12
    torch.testing.assert_close(logits, whole[first], **CLOSE)
    for place, unit in enumerate(ids(11, 9).tolist()):
        logits = model.step(unit, state)
        torch.testing.assert_close(logits, whole[first + 1 + place], **CLOSE)


@pytest.mark.parametrize("split", [0, 1, 4, 6, 17])
def test_a_prompt_may_end_inside_a_patch(split: int) -> None:
    model, units = build(), ids(17, 1)
    batch = model.batch([[Span("speech", units)]])
    whole = model(batch.tokens, batch.patches).detach()[0]
    prompt = [Span("speech", units[:split])] if split else []
    state, logits = model.begin(prompt, "speech")
    torch.testing.assert_close(logits, whole[split], **CLOSE)
    for place in range(split, 17):
        logits = model.step(int(units[place]), state)
        torch.testing.assert_close(logits, whole[place + 1], **CLOSE)


def test_the_caches_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uslm.systems.lst.state.ROOM", 4)
    test_a_prompt_may_end_inside_a_patch(4)


def test_a_row_of_a_batch_equals_the_row_alone() -> None:
    model, rows = build(), list(ROWS.values())
    together = model.token_losses(model.batch(rows)).detach()
    for row, losses in zip(rows, together, strict=True):
        alone = model.token_losses(model.batch([row])).detach()[0]
        torch.testing.assert_close(losses[: len(alone)], alone, **CLOSE)
        assert bool((losses[len(alone) :] == 0).all())


# ---- what is predicted


def test_targets_by_hand() -> None:
    model = build()
    row = [Span("speech", torch.tensor([4, 5])), Span("text", torch.tensor([6, 7]))]
    batch = model.batch([row])
    s, t, end = model.speech_id, model.text_id, model.end_id
    assert batch.tokens.tolist() == [[s, 4, 5, t, 38, 39]]
    assert batch.patches.tolist() == [[0, 1, 1, 2, 3, 4]]
    assert batch.targets.tolist() == [[4, 5, t, 38, 39, end]]
    assert batch.is_speech.tolist() == [[True, True, False, False, False, False]]
    known = model.batch([row], [1])  # the text's mark is given, its first id is predicted
    assert known.targets.tolist() == [[-100, -100, -100, 38, 39, end]]
    same = model.batch([[row[0], Span("speech", torch.tensor([9]))]], [1])
    assert same.tokens.tolist() == [[s, 4, 5, 9]]
    assert same.targets.tolist() == [[-100, -100, 9, end]]
    assert same.patches.tolist() == [[0, 1, 1, 2]]


def test_what_a_continuation_costs_is_its_own_tokens() -> None:
    model = build()
    row = [speech(6, 1), speech(6, 2)]
    batch = model.batch([row])
    all_losses = model.token_losses(batch).detach()[0]
    torch.testing.assert_close(sequence_nll(model, [row])[0], all_losses[6:].sum(), **CLOSE)


def test_flops_count_the_patches() -> None:
    plain, four = build(patch_size=1), build(patch_size=4)
    assert plain.forward_flops(400, 400) > 1.5 * four.forward_flops(400, 100)
    without = build(use_global=False)
    assert without.forward_flops(400, 100) < four.forward_flops(400, 100)


# ---- going on


@pytest.mark.parametrize("kind", ["speech", "text"])
def test_it_goes_on_in_the_kind_that_is_asked_for(kind: Any) -> None:
    model, sampling = build(), Sampling()

    def said(seed: int) -> list[int]:
        draw = torch.Generator().manual_seed(seed)
        found = go_on(model, [speech(7, 1)], kind, max_tokens=20, sampling=sampling, generator=draw)
        return found.tolist()

    first = said(0)
    assert first == said(0) and any(said(seed) != first for seed in range(1, 4))
    size = model.codebook_size if kind == "speech" else model.text_vocab_size
    assert all(0 <= token < size for token in first) and len(first) <= 20


@pytest.mark.parametrize("kind", ["speech", "text"])
def test_what_it_went_on_from_does_not_come_back(kind: Any) -> None:
    """After a long prompt there is no more than was asked for, and none of it is the prompt's."""
    model, sampling = build(), Sampling(top_k=1)
    prompt = [speech(30, 1)]
    _, logits = model.begin(prompt, kind)
    first = 0 if kind == "speech" else model.num_speech_tokens
    size = model.codebook_size if kind == "speech" else model.text_vocab_size
    likeliest = int(logits[first : first + size].argmax())
    draw = torch.Generator().manual_seed(0)
    found = go_on(model, prompt, kind, max_tokens=2, sampling=sampling, generator=draw)
    assert 0 < len(found) <= 2 and int(found[0]) == likeliest


# ---- mistakes


def test_mistakes_are_told() -> None:
    model = build()
    with pytest.raises(UserError, match=r"units must lie in \[0, 32\).* reach from 32 to 32"):
        model.batch([[Span("speech", torch.tensor([32]))]])
    with pytest.raises(UserError, match=r"text ids must lie in \[0, 53\)"):
        model.batch([[Span("text", torch.tensor([53]))]])
    for patches in ([1, 1, 1], [0, 2, 2], [0, 1, 0]):
        with pytest.raises(UserError, match="patches must number each of 3 units from 0 on"):
            model.batch([[Span("speech", ids(3, 0), torch.tensor(patches))]])
    with pytest.raises(UserError, match="patches are of speech"):
        model.batch([[Span("text", ids(3, 0), torch.tensor([0, 1, 2]))]])
    with pytest.raises(ConfigError, match="patch_size must be at least 1, but is 0"):
        replace(PatchLM.tiny_config(), patch_size=0)
