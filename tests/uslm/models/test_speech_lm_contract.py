"""What every speech language model of the table keeps: nothing here names one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from uslm.models.spans import Span
from uslm.models.speech_lm import SpeechLM, sequence_nll
from uslm.systems.registry import MODELS, model_class
from uslm_tokenizer.errors import UserError

NAMES = [name for name in MODELS if issubclass(model_class(name), SpeechLM)]
CLOSE = {"atol": 1e-4, "rtol": 1e-3}


@pytest.fixture(params=NAMES)
def model(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(0)
    found: Any = model_class(request.param)
    built = found(found.tiny_config()).eval()
    with torch.no_grad():
        for parameter in built.parameters():  # far from linear, so that all that is seen counts
            parameter.mul_(4.0)
    return built


def units(model: SpeechLM, count: int, seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(model.codebook_size, (count,), generator=draw)


def text(model: SpeechLM, count: int, seed: int) -> Span:
    draw = torch.Generator().manual_seed(seed)
    return Span("text", torch.randint(model.text_vocab_size, (count,), generator=draw))


def test_steps_cost_what_the_whole_costs(model: SpeechLM) -> None:
    prompt, end = Span("speech", units(model, 12, 1)), units(model, 9, 2)
    state, logits = model.begin([prompt], "speech")
    nats = torch.zeros(())
    for unit in end.tolist():
        nats = nats - logits.log_softmax(-1)[unit]
        logits = model.step(unit, state)
    nats = nats - logits.log_softmax(-1)[model.end_id]
    whole = sequence_nll(model, [[prompt, Span("speech", end)]])[0]
    torch.testing.assert_close(nats, whole, **CLOSE)


def test_no_token_costs_less_for_what_follows(model: SpeechLM) -> None:
    one = units(model, 20, 1)
    for place in (5, 12, 19):
        other = one.clone()
        other[place] = (other[place] + 7) % model.codebook_size
        rows = [[Span("speech", each)] for each in (one, other)]
        losses = model.token_losses(model.batch(rows)).detach()
        torch.testing.assert_close(losses[0, :place], losses[1, :place], **CLOSE)
        assert not torch.allclose(losses[0, place:], losses[1, place:], atol=1e-3)


def test_a_row_of_a_batch_costs_what_the_row_alone_costs(model: SpeechLM) -> None:
    rows = [
        [Span("speech", units(model, 17, 1))],
        [text(model, 4, 2), Span("speech", units(model, 8, 3))],
        [Span("speech", units(model, 5, 4)), text(model, 6, 5)],
    ]
    together = sequence_nll(model, rows)
    for row, nats in zip(rows, together, strict=True):
        torch.testing.assert_close(sequence_nll(model, [row])[0], nats, **CLOSE)


def test_tokens_of_speech_are_spelt_in_units(model: SpeechLM) -> None:
    assert model.num_speech_tokens >= model.codebook_size
    every = model.spell(torch.arange(model.num_speech_tokens))
    assert int(every.max()) < model.codebook_size
    assert torch.equal(every[: model.codebook_size], torch.arange(model.codebook_size))


def test_units_that_it_has_not_are_refused(model: SpeechLM) -> None:
    with pytest.raises(UserError, match="must lie in"):
        model.batch([[Span("speech", torch.tensor([model.codebook_size]))]])
