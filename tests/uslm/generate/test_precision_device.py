"""Every model of the table generates in half precision, and on a device that is not the CPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from uslm.generate.autoregressive import StopRule
from uslm.generate.codebooks import fill_codebooks
from uslm.generate.continuation import go_on
from uslm.generate.latents import LatentSteps, fill_latents
from uslm.generate.masked import Unmasking, fill_masked
from uslm.generate.sampling import Sampling
from uslm.generate.spans import write_spans
from uslm.models.base import AcousticModel, AcousticRow, SemanticModel
from uslm.models.latent import LatentModel, LatentRow
from uslm.models.masked import MaskedModel, MaskedRow
from uslm.models.span_lm import SpanLM, TokenKind
from uslm.models.spans import Span
from uslm.models.speech_lm import SpeechLM
from uslm.serving.pool import PoolRow, UnitPool
from uslm.systems.make_a_voice.vocoder import CodeVocoder
from uslm.systems.moshi.generation import DRAWN, complete
from uslm.systems.moshi.model import MoshiLM
from uslm.systems.registry import MODELS, model_class
from uslm.systems.valle.model import Valle
from uslm.systems.vec_tok.model import InverseKMeans
from uslm.systems.vec_tok.vocoder import VectorVocoder
from uslm.systems.vevo.flow import FlowRow, FlowSteps, flow_frames
from uslm.systems.vevo.flow_matching import FlowMatching
from uslm.systems.voxcpm.generation import Limits, PatchSteps
from uslm.systems.voxcpm.generation import speak as say_patches
from uslm.systems.voxcpm.model import VoxCPM

SPEAKING = [name for name in MODELS if model_class(name) is not Valle]  # it only holds two others


def build(name: str) -> Any:
    found = model_class(name)
    return found(found.tiny_config()).eval()


def ids(*shape: int) -> Tensor:
    return torch.randint(32, shape, generator=torch.Generator().manual_seed(0))


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def speak(model: SemanticModel) -> list[Tensor]:
    pool = UnitPool(model, num_slots=2)
    rows = [
        PoolRow(
            text_ids=ids(num_text), prompt_units=ids(num_units), generator=draw(num_text), owner=0,
            stop=StopRule(min_frames=2, max_frames=6),
            sampling=Sampling(top_k=5, repetition_penalty=1.2, repetition_window=4),
        )
        for num_text, num_units in [(4, 3), (6, 0), (3, 5)]
    ]  # fmt: skip
    for row in rows:
        pool.join(row)
    while pool.num_rows:
        pool.step()
    return [row.tensor() for row in rows]


def fill(model: AcousticModel) -> list[Tensor]:
    k = model.num_codebooks
    rows = [
        AcousticRow(prompt=ids(k, 6), codes=ids(k, 9), text_ids=ids(5), text_positions=ids(9) % 5),
        AcousticRow(prompt=ids(k, 0), codes=ids(k, 7), num_context=3, start=20),
    ]
    return [each.cpu() for each in fill_codebooks(model, rows)]


def unmask(model: MaskedModel) -> list[Tensor]:
    k = model.num_codebooks
    rows = [
        MaskedRow(condition=ids(4 + count), prompt=ids(k, 4), target=ids(k, count))
        for count in (9, 5)
    ]
    steps = (2,) * (k - model.first_codebook)
    return fill_masked(model, rows, Unmasking(steps=steps), generators=[draw(1), draw(2)])


def flow(model: FlowMatching) -> list[Tensor]:
    rows = [
        FlowRow(content=ids(count), prompt=torch.zeros(4, model.config.frame_dim))
        for count in (9, 7)
    ]
    frames = flow_frames(model, rows, FlowSteps(steps=2), generators=[draw(1), draw(2)])
    return [each.float().cpu() for each in frames]


def go_on_speaking(model: SpeechLM) -> list[Tensor]:
    prompt = [Span("text", ids(3)), Span("speech", ids(6))]
    sampling = Sampling(top_k=5)
    return [go_on(model, prompt, "speech", max_tokens=5, sampling=sampling, generator=draw())]


def converse(model: MoshiLM) -> list[Tensor]:
    """Two rows in which all but the user's codes is to be drawn."""
    own = 1 + model.config.num_codebooks
    given = ids(2, len(model.config.streams), 6) % model.config.codebook_size
    given[:, :own] = DRAWN
    return [row.cpu() for row in complete(model, list(given), [draw(1), draw(2)])]


def fill_in_latents(model: LatentModel) -> list[Tensor]:
    none = torch.zeros(0, model.latent_dim)
    rows = [LatentRow(units=ids(count) % model.num_units, latents=none) for count in (9, 6)]
    return fill_latents(model, rows, LatentSteps(steps=2), generators=[draw(1), draw(2)])


def speak_patches(model: VoxCPM) -> list[Tensor]:
    limits = Limits(min_patches=3, max_patches=3)
    text = ids(5) % model.text_vocab_size
    return [say_patches(model, text, None, PatchSteps(steps=3), limits, draw()).patches]


def in_turn(kind: TokenKind, count: int) -> Tensor:
    """Tokens of a kind, those of its tables one after the other."""
    size = kind.size // kind.tables
    tables = torch.arange(count * kind.tables) % kind.tables
    return ids(count * kind.tables) % size + tables * size


def write(model: SpanLM) -> list[Tensor]:
    """A span more for two rows of unequal length."""
    *read, last = model.config.kinds
    rows = [
        [
            Span.of_vectors(kind.name, torch.ones(1, kind.dim))
            if kind.dim
            else Span(kind.name, in_turn(kind, count))
            for kind in read
        ]
        for count in (9, 5)
    ]
    return write_spans(
        model, rows, last.name, [6, 4], sampling=Sampling(top_k=5), generators=[draw(1), draw(2)]
    )


@torch.no_grad()
def invert(model: InverseKMeans) -> list[Tensor]:
    device, width = model.device, model.config.feature_dim
    units = (ids(2, 7) % model.config.codebook_size).to(device)
    mask = torch.tensor([[True] * 7, [True] * 5 + [False] * 2]).to(device)
    prompt = torch.randn(2, 4, width, generator=draw()).to(device)
    vectors = model(units, mask, prompt, torch.ones(2, 4, dtype=torch.bool).to(device))
    return [vectors[0].cpu(), vectors[1, :5].cpu()]


def generate(model: Any) -> list[Tensor]:
    """What a model of any kind makes of rows of unequal length."""
    match model:
        case SemanticModel():
            return speak(model)
        case AcousticModel():
            return fill(model)
        case MaskedModel():
            return unmask(model)
        case FlowMatching():
            return flow(model)
        case SpeechLM():
            return go_on_speaking(model)
        case MoshiLM():
            return converse(model)
        case LatentModel():
            return fill_in_latents(model)
        case VoxCPM():
            return speak_patches(model)
        case InverseKMeans():
            return invert(model)
        case SpanLM():
            return write(model)
        case CodeVocoder():
            codes = ids(2, model.config.num_codebooks, 7) % model.config.codebook_size
            return list(model.decode(codes.to(model.device)).float().cpu())
        case VectorVocoder():
            vectors = torch.randn(2, 7, 16, generator=draw()).to(model.device)
            return list(model.decode(vectors).float().cpu())
        case _:
            raise AssertionError(f"nobody says here how {type(model).__name__} generates")


@pytest.mark.parametrize("name", SPEAKING)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_it_generates_in_half_precision(name: str, dtype: torch.dtype) -> None:
    model = build(name)
    whole = generate(model)
    half = generate(model.to(dtype))
    assert [each.dtype for each in half] == [each.dtype for each in whole]
    assert all(bool(each.isfinite().all()) for each in half)


@pytest.mark.parametrize("name", SPEAKING)
def test_another_device_generates_the_same(name: str, fake_device: torch.device) -> None:
    model = build(name)
    here = generate(model)
    there = generate(model.to(fake_device))
    torch.testing.assert_close(there, here)
