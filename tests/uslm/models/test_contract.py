"""What every model of the table keeps: nothing here names one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from uslm.models.base import AcousticModel, AcousticRow, CodeModel, SemanticModel, VectorModel
from uslm.models.masked import MaskedModel, MaskedRow
from uslm.systems.registry import MODELS, load_model, model_class
from uslm_tokenizer.errors import ConfigError, UserError

SEMANTIC = [name for name in MODELS if issubclass(model_class(name), SemanticModel)]
ACOUSTIC = [name for name in MODELS if issubclass(model_class(name), AcousticModel)]
CODES = [name for name in ACOUSTIC if issubclass(model_class(name), CodeModel)]
MASKED = [name for name in MODELS if issubclass(model_class(name), MaskedModel)]
CLOSE = {"atol": 1e-4, "rtol": 1e-4}


def build(name: str, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    found = model_class(name)
    return found(found.tiny_config()).eval()


def ids(count: int, below: int = 32, seed: int = 0) -> Tensor:
    return torch.randint(below, (count,), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_model_equals_the_saved_one(name: str, tmp_path: Path) -> None:
    model = build(name)
    loaded = load_model(model.save_pretrained(tmp_path))
    assert type(loaded) is type(model)
    assert loaded.config == model.config
    assert not loaded.training
    saved = model.state_dict()
    assert loaded.state_dict().keys() == saved.keys()
    assert all(torch.equal(value, saved[key]) for key, value in loaded.state_dict().items())


@pytest.mark.parametrize("name", MODELS)
def test_weights_of_other_sizes_are_refused_by_name(name: str, tmp_path: Path) -> None:
    model = build(name)
    model.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace('"num_layers": 2', '"num_layers": 3'))
    with pytest.raises(ConfigError, match="lacks"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", MODELS)
def test_an_unknown_setting_is_refused(name: str, tmp_path: Path) -> None:
    build(name).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace('"num_layers"', '"num_layer"'))
    with pytest.raises(ConfigError, match="did you mean 'num_layers'"):
        load_model(tmp_path)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UserError, match="no model named 'nonesuch'"):
        model_class("nonesuch")


class Reading:
    """Rows given to a first stage: texts and prompts of unequal length, and what is said next."""

    def __init__(self, model: SemanticModel, num_steps: int) -> None:
        self.model = model
        self.texts = [ids(5, seed=1), ids(12, seed=2), ids(3, seed=3)]
        self.prompts = [ids(9, seed=4), ids(0), ids(4, seed=5)]
        self.said = torch.stack([ids(num_steps, seed=6 + row) for row in range(3)])

    def logits(self, rows: list[int], num_cached: int) -> Tensor:
        """Logits of the last step, `num_cached` units of it given one by one, [rows, v]."""
        ahead = self.said.shape[1] - num_cached
        prompts = [torch.cat([self.prompts[row], self.said[row, :ahead]]) for row in rows]
        cache = self.model.new_cache(len(rows), 64)
        logits = self.model.prefill([self.texts[row] for row in rows], prompts, cache)
        for step in range(ahead, self.said.shape[1]):
            logits = self.model.step(self.said[rows, step], cache)
        return logits


@pytest.mark.parametrize("name", SEMANTIC)
@pytest.mark.parametrize("rows", [[0], [1], [0, 1, 2]])
def test_cached_steps_equal_one_pass(name: str, rows: list[int]) -> None:
    reading = Reading(build(name), num_steps=7)
    once = reading.logits(rows, num_cached=0)
    for num_cached in (1, 7):
        torch.testing.assert_close(reading.logits(rows, num_cached), once, **CLOSE)


@pytest.mark.parametrize("name", SEMANTIC)
@pytest.mark.parametrize("num_cached", [0, 5])
def test_a_row_of_a_batch_equals_the_row_alone(name: str, num_cached: int) -> None:
    reading = Reading(build(name), num_steps=5)
    together = reading.logits([0, 1, 2], num_cached)
    for row in range(3):
        alone = reading.logits([row], num_cached)
        torch.testing.assert_close(together[row : row + 1], alone, **CLOSE)


@pytest.mark.parametrize("name", SEMANTIC)
def test_the_first_stage_scores_every_unit_and_the_end(name: str) -> None:
    model = build(name)
    cache = model.new_cache(2, 32)
    logits = model.prefill([ids(4), ids(6)], [ids(0), ids(3)], cache)
    assert logits.shape == (2, model.codebook_size + 1)
    assert bool(logits.isfinite().all())
    assert model.separator_id >= model.config.text_vocab_size


@pytest.mark.parametrize("name", SEMANTIC)
def test_text_and_prompt_are_heard(name: str) -> None:
    reading = Reading(build(name), num_steps=1)
    before = reading.logits([0], 0)
    reading.texts[0] = reading.texts[0].flip(0)
    other_text = reading.logits([0], 0)
    reading.prompts[0] = reading.prompts[0].flip(0)
    other_prompt = reading.logits([0], 0)
    assert not torch.allclose(before, other_text, **CLOSE)
    assert not torch.allclose(other_text, other_prompt, **CLOSE)


def rows_of(model: AcousticModel) -> list[AcousticRow]:
    """Rows with and without prompt, context and text, of unequal length."""
    k = model.num_codebooks

    def codes(count: int, seed: int) -> Tensor:
        return ids(k * count, seed=seed).reshape(k, count)

    return [
        AcousticRow(
            prompt=codes(6, 1),
            codes=codes(9, 2),
            text_ids=ids(5, seed=3),
            text_positions=torch.arange(9) // 2,
        ),
        AcousticRow(prompt=codes(0, 4), codes=codes(14, 5), num_context=4, start=30),
        AcousticRow(prompt=codes(11, 6), codes=codes(3, 7), start=2, text_ids=ids(8, seed=8)),
    ]


def target_hidden(model: AcousticModel, rows: list[AcousticRow], known: int) -> list[Tensor]:
    """Hidden states of each row's target frames."""
    batch = model.batch(rows)
    with torch.no_grad():
        hidden = model(batch, torch.full((len(rows),), known))
    return [hidden[row][batch.is_target[row]] for row in range(len(rows))]


@pytest.mark.parametrize("name", ACOUSTIC)
def test_a_filled_row_of_a_batch_equals_the_row_alone(name: str) -> None:
    model = build(name)
    rows = rows_of(model)
    for known in range(model.num_given_codebooks, model.num_codebooks):
        together = target_hidden(model, rows, known)
        for row, hidden in zip(rows, together, strict=True):
            assert len(hidden) == row.codes.shape[1] - row.num_context
            torch.testing.assert_close(target_hidden(model, [row], known)[0], hidden, **CLOSE)


@pytest.mark.parametrize("name", ACOUSTIC)
def test_unknown_codebooks_are_not_looked_at(name: str) -> None:
    model = build(name)
    for known in range(model.num_given_codebooks, model.num_codebooks):
        one, other = rows_of(model), rows_of(model)
        for row in other:
            row.codes[known:, row.num_context :] = 0
        hidden = [target_hidden(model, rows, known) for rows in (one, other)]
        assert all(map(torch.equal, *hidden))


def _no_prompt(row: AcousticRow) -> None:
    row.prompt = row.prompt[:, :0]


def _no_text(row: AcousticRow) -> None:
    row.text_ids = None


def _other_units(row: AcousticRow) -> None:
    row.codes[0, -1] = (row.codes[0, -1] + 1) % 32


def _other_context(row: AcousticRow) -> None:
    row.codes[-1, 0] = (row.codes[-1, 0] + 1) % 32


@pytest.mark.parametrize("name", ACOUSTIC)
@pytest.mark.parametrize(
    ("place", "change"),
    [(0, _no_prompt), (0, _no_text), (0, _other_units), (1, _other_context)],
)
def test_what_is_known_is_heard(
    name: str, place: int, change: Callable[[AcousticRow], None]
) -> None:
    model = build(name)
    # Fresh weights may begin at zero; any others will do.
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    before = target_hidden(model, [rows_of(model)[place]], 1)[0]
    row = rows_of(model)[place]
    change(row)
    assert not torch.allclose(target_hidden(model, [row], 1)[0], before, **CLOSE)


@pytest.mark.parametrize("name", CODES)
def test_codebook_groups_cover_the_codebooks_above_the_units(name: str) -> None:
    model = build(name)
    assert sum(model.codebook_groups) == model.num_codebooks - 1
    assert min(model.codebook_groups) >= 1


def falls(model: torch.nn.Module, loss: Callable[[], Tensor], steps: int = 60) -> None:
    """Assert that training on the same rows again and again halves the loss."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    first = float(loss().detach())
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert float(loss().detach()) < first / 2


@pytest.mark.parametrize("name", SEMANTIC)
def test_four_utterances_are_learnt_by_heart_by_the_first_stage(name: str) -> None:
    model = build(name)
    texts = [ids(6 + row, seed=row) for row in range(4)]
    units = [ids(20 + row, seed=10 + row) for row in range(4)]
    batch = model.batch(texts, units)
    falls(model, lambda: model.loss(batch))


@pytest.mark.parametrize("name", ACOUSTIC)
def test_four_utterances_are_learnt_by_heart_by_the_second_stage(name: str) -> None:
    model = build(name)
    batch = model.batch([*rows_of(model), rows_of(model)[0]])

    def loss() -> Tensor:
        hidden = model(batch, torch.ones(4, dtype=torch.long))[batch.is_target]
        targets = batch.codes.transpose(1, 2)[batch.is_target]
        if isinstance(model, VectorModel):
            given = model.num_given_codebooks
            vectors = [table[targets[:, k]] for k, table in enumerate(model.vectors, start=given)]
            return F.mse_loss(hidden, torch.stack(vectors).sum(dim=0))
        codebooks = range(1, model.num_codebooks)
        each = [F.cross_entropy(model.logits(hidden, k), targets[:, k]) for k in codebooks]
        return torch.stack(each).mean()

    falls(model, loss)


def masked_rows(model: MaskedModel) -> list[MaskedRow]:
    """Rows of unequal length, one without prompt."""
    rows = []
    for seed, (num_heard, num_prompt, num_frames) in enumerate([(5, 4, 9), (9, 0, 12), (3, 7, 2)]):
        k, total = model.num_codebooks, num_prompt + num_frames
        codes = ids(k * total, seed=seed).reshape(k, total)
        received = ids(total if model.condition_per_frame else num_heard, seed=10 + seed)
        prompt, target = codes[:, :num_prompt], codes[:, num_prompt:]
        rows.append(MaskedRow(condition=received, prompt=prompt, target=target))
    return rows


def masked_hidden(
    model: MaskedModel, rows: list[MaskedRow], *, codebook: int, conditional: bool = True
) -> list[Tensor]:
    """Hidden states of each row's target frames, every other of them masked."""
    batch = model.batch(rows)
    is_masked = batch.is_target & (batch.is_target.cumsum(1) % 2 == 1)
    time, reported = torch.full((len(rows),), 0.4), torch.full((len(rows),), conditional)
    with torch.no_grad():
        hidden = model(batch, is_masked, time, codebook=codebook, conditional=reported)
    return [hidden[row][batch.is_target[row]] for row in range(len(rows))]


@pytest.mark.parametrize("name", MASKED)
@pytest.mark.parametrize("conditional", [True, False])
def test_a_masked_row_of_a_batch_equals_the_row_alone(name: str, conditional: bool) -> None:
    model = build(name)
    rows = masked_rows(model)
    for codebook in range(model.num_codebooks):
        together = masked_hidden(model, rows, codebook=codebook, conditional=conditional)
        for row, hidden in zip(rows, together, strict=True):
            alone = masked_hidden(model, [row], codebook=codebook, conditional=conditional)[0]
            torch.testing.assert_close(alone, hidden, **CLOSE)
            assert model.logits(hidden, codebook).shape == (len(hidden), model.codebook_size)


@pytest.mark.parametrize("name", MASKED)
def test_one_time_for_all_rows_saves_work_and_changes_nothing(name: str) -> None:
    model = build(name)
    batch = model.batch(masked_rows(model))
    conditional = torch.tensor([True, False, True])
    with torch.no_grad():
        each, shared = (
            model(batch, batch.is_target, time, codebook=0, conditional=conditional)[
                batch.is_target
            ]
            for time in (torch.full((3,), 0.4), 0.4)
        )
    torch.testing.assert_close(each, shared, **CLOSE)


@pytest.mark.parametrize("name", MASKED)
def test_without_prompt_the_target_is_alone(name: str) -> None:
    model = build(name)
    row = masked_rows(model)[0]
    p = row.prompt.shape[1]
    cut = row.condition[p:] if model.condition_per_frame else row.condition[:0]
    bare = replace(row, condition=cut, prompt=row.prompt[:, :0])
    unconditional = masked_hidden(model, [row], codebook=0, conditional=False)[0]
    torch.testing.assert_close(unconditional, masked_hidden(model, [bare], codebook=0)[0], **CLOSE)


@pytest.mark.parametrize("name", MASKED)
def test_masked_codes_and_higher_codebooks_are_not_looked_at(name: str) -> None:
    model = build(name)
    for codebook in range(model.num_codebooks):
        rows = masked_rows(model)
        before = masked_hidden(model, rows, codebook=codebook)
        for row in rows:
            row.target[codebook, ::2] = 0  # those that masked_hidden masks
            row.target[codebook + 1 :] = 0
        assert all(map(torch.equal, before, masked_hidden(model, rows, codebook=codebook)))


@pytest.mark.parametrize("name", MASKED)
@pytest.mark.parametrize("part", ["condition", "prompt", "target"])
def test_what_a_masked_model_is_given_is_heard(name: str, part: str) -> None:
    model = build(name)
    # Fresh weights may hardly attend; any others will do.
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    for codebook in range(model.num_codebooks):
        row = masked_rows(model)[0]
        before = masked_hidden(model, [row], codebook=codebook)[0]
        place = getattr(row, part)
        place[..., 1] = (place[..., 1] + 1) % 32
        after = masked_hidden(model, [row], codebook=codebook)[0]
        assert not torch.allclose(before, after, **CLOSE)


@pytest.mark.parametrize("name", MASKED)
def test_four_utterances_are_learnt_by_heart_by_a_masked_model(name: str) -> None:
    model = build(name)
    batch = model.batch([*masked_rows(model), masked_rows(model)[0]])
    codebook = model.first_codebook
    falls(
        model,
        lambda: model.loss(batch, codebook=codebook, generator=torch.Generator().manual_seed(0)),
    )


@pytest.mark.parametrize("name", MASKED)
def test_a_masked_model_asks_for_codebooks_it_fills(name: str) -> None:
    model = build(name)
    weights = model.codebook_weights
    assert bool((weights[: model.first_codebook] == 0).all())
    assert bool((weights[model.first_codebook :] > 0).all())
    batch = model.batch(masked_rows(model))
    generator = torch.Generator().manual_seed(3)
    assert all(bool(model.loss(batch, generator=generator).isfinite()) for _ in range(5))


@pytest.mark.parametrize("name", MASKED)
def test_rows_that_do_not_fit_a_masked_model_are_refused(name: str) -> None:
    model = build(name)
    row = masked_rows(model)[0]
    with pytest.raises(UserError, match="codebooks, but have"):
        doubled = {part: getattr(row, part).repeat(2, 1) for part in ("prompt", "target")}
        model.batch([replace(row, **doubled)])
    with pytest.raises(UserError, match="at least one frame"):
        model.batch([replace(row, target=row.target[:, :0])])
    if model.condition_per_frame:
        with pytest.raises(UserError, match="a unit for each of 13 frames"):
            model.batch([replace(row, condition=row.condition[1:])])
