"""A system that draws several streams a step, as Moshi does, within the interfaces as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from uslm import ZeroShotTTS
from uslm.generate.autoregressive import (
    SpeakUnits,
    StopRule,
    UnitRequest,
    UnitRow,
    speak_units,
)
from uslm.generate.sampling import Sampling
from uslm.models.base import SemanticModel
from uslm.output.joiner import JoinConfig
from uslm.serving.engine import Engine, EngineConfig
from uslm.serving.pool import PoolRow, UnitPool
from uslm.synthesis.plan import PlanConfig
from uslm.synthesis.protocols import SegmentAudio, SegmentRequest, SegmentResult, SegmentSynthesizer
from uslm.synthesis.seeds import generator
from uslm.synthesis.timer import StageTimer
from uslm.systems.base import Encoded, PretrainedSettings, PretrainedSynthesizer
from uslm.systems.model_parts import Parts
from uslm.systems.two_stage.tiny import speech_like
from uslm.text.vocab import PhonemeVocab
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.codecs.transformers.model import Dac
from uslm_tokenizer.nn.attention import KVCache
from uslm_tokenizer.nn.padding import pad_left, pad_right
from uslm_tokenizer.nn.transformer import Transformer


@dataclass(frozen=True, kw_only=True)
class StreamsConfig:
    """Sizes of a Streams model."""

    text_vocab_size: int = 256
    codebook_size: int = 16
    num_streams: int = 4
    dim: int = 16
    num_layers: int = 1


@dataclass
class StreamsCache(KVCache):
    """Besides keys and values, the state of each row that the streams of a step are drawn at."""

    hidden: Tensor = field(default_factory=lambda: torch.zeros(0, 0))

    def open_slots(self) -> None:
        super().open_slots()
        _, _, num_slots, heads, _, width = self.stored.shape
        self.hidden = torch.zeros(num_slots, heads * width)

    def put(self, slot: int, other: KVCache) -> None:
        super().put(slot, other)
        assert isinstance(other, StreamsCache)
        self.hidden[slot] = other.hidden[0]


class Streams(SemanticModel):
    """A transformer over time, and a linear map for each stream that sees those before it."""

    model_type: ClassVar[str] = "streams"
    config_class: ClassVar[type] = StreamsConfig

    def __init__(self, config: StreamsConfig) -> None:
        super().__init__(config)
        n, size, dim = config.num_streams, config.codebook_size, config.dim
        self.text = nn.Embedding(config.text_vocab_size + 1, dim)
        self.heard = nn.ModuleList(nn.Embedding(size, dim) for _ in range(n))
        self.transformer = Transformer(dim, 2, config.num_layers)
        self.depth = nn.ModuleList(nn.Linear(dim, size + (k == 0)) for k in range(n))

    codebook_size = property(lambda self: self.config.codebook_size)
    num_streams = property(lambda self: self.config.num_streams)
    separator_id = property(lambda self: self.config.text_vocab_size)

    def new_cache(self, batch_size: int, capacity: int) -> StreamsCache:
        return StreamsCache(**vars(self.transformer.new_cache(batch_size, capacity)))

    def _hear(self, columns: Tensor) -> Tensor:
        """The sum of what each stream of [..., streams] means."""
        embedded = (e(column) for e, column in zip(self.heard, columns.unbind(-1), strict=True))
        return sum(embedded, torch.zeros(()))

    def _score(self, cache: KVCache, hidden: Tensor) -> Tensor:
        assert isinstance(cache, StreamsCache)
        cache.hidden = hidden
        scores: Tensor = self.depth[0](hidden)
        return scores

    @torch.no_grad()
    def prefill(
        self, text_ids: Sequence[Tensor], prompt_units: Sequence[Tensor], cache: KVCache
    ) -> Tensor:
        rows = [
            torch.cat([self.text(text), self.text.weight[-1:], self._hear(prompt.T)])
            for text, prompt in zip(text_ids, prompt_units, strict=True)
        ]
        valid = pad_left([torch.ones(len(row)) for row in rows])[0].bool()
        x = pad_right([row.flip(0) for row in rows])[0].flip(1)
        positions = (valid.cumsum(1) - 1).clamp(min=0).float()
        hidden = self.transformer.extend(x, positions, cache, valid)
        cache.positions = positions[:, -1] + 1
        return self._score(cache, hidden[:, -1])

    @torch.no_grad()
    def step(self, units: Tensor, cache: KVCache) -> Tensor:
        assert units.ndim == 2 and cache.positions is not None
        x = self._hear(units)[:, None]
        hidden = self.transformer.extend(x, cache.positions[:, None], cache)
        cache.positions = cache.positions + 1
        return self._score(cache, hidden[:, 0])

    @torch.no_grad()
    def score_stream(self, drawn: Tensor, cache: KVCache) -> Tensor:
        assert isinstance(cache, StreamsCache)
        k = drawn.shape[1]
        before = sum((self.heard[j](drawn[:, j]) for j in range(k)), torch.zeros(()))
        scores: Tensor = self.depth[k](cache.hidden + before)
        return scores

    def batch(self, *args: Any, **options: Any) -> Any:
        raise NotImplementedError

    def loss(self, batch: Any) -> Tensor:
        raise NotImplementedError

    @classmethod
    def tiny_config(cls) -> StreamsConfig:
        return StreamsConfig()


class StreamsSynthesizer(PretrainedSynthesizer):
    """All codebooks of a DAC, drawn step by step; requests share the steps."""

    def __init__(self, parts: Parts) -> None:
        settings = PretrainedSettings(
            name="streams", plan=PlanConfig(max_chars=30), join=JoinConfig(trim_silence=False)
        )
        super().__init__(settings, PhonemeVocab(), None)
        self.hash, self.tokenizer_hash = parts.hash("lm", "codec"), parts.hash("codec")
        self.model, self.tokenizer = parts.get("lm", Streams), parts.get("codec", Dac)

    sample_rate = property(lambda self: self.tokenizer.sample_rate)
    unit_model = property(lambda self: self.model)

    def encode(self, recording: Audio) -> Encoded:
        return Encoded(codes=self.tokenizer.encode(recording.waveform[None])[0, :, :40])

    def check_encoded(self, voice: VoicePrompt) -> None:
        self.tokenizer.check_codes(voice.codes[None])

    def segment_synthesizer(
        self, sampling: Sampling, timer: StageTimer, speak: SpeakUnits | None = None
    ) -> SegmentSynthesizer:
        return StreamsSegmentSynthesizer(self, sampling, speak)


class StreamsSegmentSynthesizer:
    def __init__(
        self, system: StreamsSynthesizer, sampling: Sampling, speak: SpeakUnits | None
    ) -> None:
        self._system, self._sampling, self._speak = system, sampling, speak

    def synthesize(self, requests: Sequence[SegmentRequest]) -> Iterator[SegmentAudio]:
        asked = [
            UnitRequest(
                text_ids=torch.tensor(request.text.text_ids),
                prompt_units=request.voice.codes,
                stop=StopRule(min_frames=10, max_frames=10 + len(request.text.text_ids)),
                sampling=self._sampling,
                generator=generator(request.seed, "streams"),
            )
            for request in requests
        ]
        steps = self._speak(asked) if self._speak is not None else alone(self._system.model, asked)
        current = 0
        for rows in steps:
            while current < len(rows) and rows[current].stop_reason:
                yield self._segment_audio(requests[current], rows[current])
                current += 1
            if current < len(rows):  # others may go on meanwhile
                yield SegmentAudio(request=requests[current], waveform=torch.zeros(1, 0))

    def _segment_audio(self, request: SegmentRequest, row: UnitRow) -> SegmentAudio:
        codes = row.stream_tensor()
        result = SegmentResult(request=request, codes=codes, stop_reason=row.stop_reason or "")
        waveform = self._system.tokenizer.decode(codes[None])[0].clamp(-1, 1)
        return SegmentAudio(request=request, waveform=waveform, result=result)

    def synthesize_batch(self, requests: Sequence[SegmentRequest]) -> list[SegmentAudio]:
        return [audio for audio in self.synthesize(requests) if audio.result is not None]


def alone(model: SemanticModel, asked: Sequence[UnitRequest]) -> Iterator[list[UnitRow]]:
    columns = {name: [getattr(row, name) for row in asked] for name in ("text_ids", "prompt_units")}
    stops, generators = [row.stop for row in asked], [row.generator for row in asked]
    return speak_units(
        model, **columns, stops=stops, sampling=asked[0].sampling, generators=generators
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder, model = tmp_path_factory.mktemp("streams"), Streams(Streams.tiny_config())
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    model.save_pretrained(folder / "lm")
    Dac(Dac.tiny_config()).save_pretrained(folder / "codec")
    return folder


@pytest.fixture(scope="module")
def system(folder: Path) -> StreamsSynthesizer:
    return StreamsSynthesizer(Parts(folder=folder))


@pytest.fixture(scope="module")
def voice(system: StreamsSynthesizer) -> VoicePrompt:
    return ZeroShotTTS(system).create_voice(speech_like(2.0), "This is a test.")


TEXT = "Hello there. This is a second sentence. The end."


def test_a_saved_model_and_a_saved_voice_speak_the_same(
    system: StreamsSynthesizer, voice: VoicePrompt, folder: Path, tmp_path: Path
) -> None:
    again, kept = StreamsSynthesizer(Parts(folder=folder)), tmp_path / "voice.safetensors"
    loaded = VoicePrompt.load(voice.save(kept))
    one, two = (
        ZeroShotTTS(each).generate(TEXT, who, seed=1)
        for each, who in ((system, voice), (again, loaded))
    )
    assert one.codes.shape[0] == 4 and len(set(one.codes.flatten().tolist())) > 8
    assert torch.equal(one.codes, two.codes) and torch.equal(one.waveform, two.waveform)


def test_the_session_streams_it_and_the_engine_shares_its_steps(
    system: StreamsSynthesizer, voice: VoicePrompt
) -> None:
    tts = ZeroShotTTS(system)
    wanted = [tts.generate(TEXT, voice, seed=seed).waveform for seed in (1, 2)]
    streamed = [chunk.waveform for chunk in tts.stream(TEXT, voice, seed=1)]
    assert torch.equal(torch.cat(streamed, dim=1), wanted[0])
    with Engine(system, EngineConfig(num_slots=3)) as engine:
        utterances = [engine.submit(TEXT, voice, seed=seed) for seed in (1, 2)]
        for utterance, waveform in zip(utterances, wanted, strict=True):
            made = torch.cat([chunk.waveform for chunk in utterance], dim=1)
            torch.testing.assert_close(made, waveform, atol=1e-5, rtol=1e-4)
        assert engine.stats().row_steps > engine.stats().steps


def test_each_stream_knows_those_before_it_and_the_past(system: StreamsSynthesizer) -> None:
    model = system.model
    cache = model.new_cache(1, 32)
    model.prefill([torch.arange(5)], [torch.zeros(4, 3, dtype=torch.long)], cache)
    one, other = (torch.tensor([[unit, 1]]) for unit in (2, 3))
    first = model.score_stream(one, cache)
    assert not torch.equal(first, model.score_stream(other, cache))
    model.step(torch.tensor([[1, 2, 3, 4]]), cache)
    assert not torch.equal(first, model.score_stream(one, cache))


def test_all_that_is_drawn_of_a_step_is_shown_to_the_next_stream(
    system: StreamsSynthesizer, voice: VoicePrompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Tensor] = []
    score = Streams.score_stream

    def recorded(model: Streams, drawn: Tensor, cache: KVCache) -> Tensor:
        shown.append(drawn)
        return score(model, drawn, cache)

    monkeypatch.setattr(Streams, "score_stream", recorded)
    codes = ZeroShotTTS(system).generate("Hello.", voice, seed=1).codes
    assert [each.shape[1] for each in shown[:6]] == [1, 2, 3, 1, 2, 3]
    for frame in range(codes.shape[1]):
        assert shown[3 * frame + 2][0].tolist() == codes[:3, frame].tolist()


def test_a_row_says_the_same_in_a_pool_whoever_is_beside_it(system: StreamsSynthesizer) -> None:
    def row(seed: int) -> PoolRow:
        return PoolRow(
            text_ids=torch.arange(3 + seed),
            prompt_units=torch.arange(4 * seed).reshape(4, seed) % 16,
            stop=StopRule(min_frames=5 + seed, max_frames=9 + seed),
            sampling=Sampling(),
            generator=torch.Generator().manual_seed(seed),
            owner="somebody",
        )

    def run(*rows: PoolRow) -> None:
        pool = UnitPool(system.model, 3)
        for each in rows:
            pool.join(each)
        while not all(each.stop_reason for each in rows):
            pool.step()

    together, same = [row(seed) for seed in range(5)], row(3)
    run(*together)
    run(same)
    assert same.stream_tensor().shape[0] == 4
    assert torch.equal(same.stream_tensor(), together[3].stream_tensor())
