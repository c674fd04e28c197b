"""Systems that speak in vectors, without a voice, without a text, or that write as well: each
within the interfaces as they are, through session, streaming and saving."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from uslm import VoiceConverter, VoicePrompt, ZeroShotTTS
from uslm.output.joiner import JoinConfig
from uslm.synthesis.plan import PlanConfig
from uslm.synthesis.protocols import (
    Converted,
    Converter,
    SegmentAudio,
    SegmentRequest,
    SegmentResult,
    Synthesizer,
)
from uslm.synthesis.seeds import generator
from uslm.synthesis.timer import StageTimer
from uslm.systems.base import Encoded, PretrainedSettings, PretrainedSynthesizer
from uslm.systems.entry import Entry, Pipeline
from uslm.systems.loading import load_converter, load_synthesizer, read_frontend
from uslm.systems.registry import ENTRIES
from uslm.systems.tiny_folder import save_parts
from uslm.systems.two_stage.tiny import speech_like
from uslm.text.vocab import PhonemeVocab
from uslm.voices.prompt import NO_VOICE
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.errors import ConfigError, UserError

TEXT = "Hello there. This is a second sentence. The end."
HOP, DIM = 160, 4


def waveform_of(latents: Tensor) -> Tensor:
    """[4, t] -> [1, 160 t]: a tone whose pitch and loudness move with the first two."""
    pitch, loudness = (row.repeat_interleave(HOP) for row in latents[:2])
    phase = (2 * torch.pi * (200 + 50 * pitch) / 16_000).cumsum(0)
    return (0.2 * torch.sigmoid(loudness) * phase.sin())[None]


class Vectors(PretrainedSynthesizer):
    """Speaks in vectors, as VoxCPM and MeLoDy do; it has no codes at all."""

    tokenizer = None
    sample_rate = 16_000
    hash, tokenizer_hash = "vectors", "encoder"

    def __init__(self, name: str = "vectors") -> None:
        settings = PretrainedSettings(
            name=name, plan=PlanConfig(max_chars=30), join=JoinConfig(trim_silence=False)
        )
        super().__init__(settings, PhonemeVocab(), None)

    def encode(self, recording: Audio) -> Encoded:
        frames = recording.waveform[0].unfold(0, HOP, HOP)
        latents = torch.stack([frames.mean(1), frames.std(1), frames.amax(1), frames.amin(1)])
        return Encoded(codes=torch.zeros(0, len(frames), dtype=torch.long), latents=latents)

    def check_encoded(self, voice: VoicePrompt) -> None:
        if voice.latents is None or voice.latents.shape[0] != DIM:
            raise ConfigError(f"voice {voice.name!r} must hold {DIM} numbers a frame")

    def segment_synthesizer(self, *_: Any, **__: Any) -> Vectors:
        return self

    def synthesize(self, requests: Sequence[SegmentRequest]) -> Iterator[SegmentAudio]:
        for request in requests:
            latents = self.latents(request)
            result = SegmentResult(request=request, latents=latents, stop_reason="end")
            whole = waveform_of(latents)
            half = whole.shape[1] // 2
            yield SegmentAudio(request=request, waveform=whole[:, :half], written=self.written(0))
            yield SegmentAudio(
                request=request, waveform=whole[:, half:], result=result, written=self.written(1)
            )

    def synthesize_batch(self, requests: Sequence[SegmentRequest]) -> list[SegmentAudio]:
        both = [list(self.synthesize([request])) for request in requests]
        return [
            SegmentAudio(
                request=last.request,
                waveform=torch.cat([first.waveform, last.waveform], dim=1),
                result=last.result,
                written=first.written + last.written,
            )
            for first, last in both
        ]

    def latents(self, request: SegmentRequest) -> Tensor:
        """A random walk from where the voice's latents are on average."""
        count = 3 * len(request.text.text_ids)
        walk = torch.randn(DIM, count, generator=generator(request.seed, "latents")).cumsum(1)
        voice = request.voice.latents
        return 0.1 * walk if voice is None else 0.1 * walk + voice.mean(1, keepdim=True)

    def written(self, part: int) -> str:
        """Nothing: it only speaks."""
        return ""


class OneSpeaker(Vectors):
    """Speaks in a voice of its own: nobody says whose."""

    needs_voice = False

    def check_voice(self, voice: VoicePrompt) -> None:
        if voice is not NO_VOICE:
            raise UserError("model 'one speaker' takes no voice")


class Writing(OneSpeaker):
    """Writes beside what it speaks, as DualSpeechLM does; half of a segment at a time."""

    def written(self, part: int) -> str:
        return ("first half, ", "second half. ")[part]


class WritingOnly(Writing):
    """Writes, and says nothing."""

    def latents(self, request: SegmentRequest) -> Tensor:
        return torch.zeros(DIM, 0)


class Denoiser:
    """Neither text nor voice, as GenSE: a recording in, the same without its noise out."""

    def __init__(self, settings: PretrainedSettings) -> None:
        self.settings = settings

    hash, tokenizer, folder = "denoiser", None, None
    sample_rate, needs_voice = 16_000, False
    networks: dict[str, Any] = {}  # noqa: RUF012
    imitates = ("timbre",)

    def frontend(self, **_: Any) -> Any:
        raise UserError(f"model {self.settings.name!r} reads no text")

    def create_voice(self, *_: Any, **__: Any) -> Any:
        raise UserError(f"model {self.settings.name!r} makes no voices")

    render_voice = create_voice

    def check_voice(self, voice: VoicePrompt) -> None:
        assert voice is NO_VOICE

    def convert(
        self, source: Audio, voice: VoicePrompt, seed: int, timer: StageTimer, imitate: str
    ) -> Converted:
        with timer.stage("decode"):
            clean = torch.where(source.waveform.abs() < 0.01, 0.0, source.waveform)
        latents = clean[0].unfold(0, HOP, HOP).mean(1)[None]
        return Converted(waveform=clean, latents=latents, written="nothing was said")


def load_denoiser(folder: Path, **_: Any) -> Denoiser:
    return Denoiser(denoiser_settings(folder))


def denoiser_settings(folder: Path) -> PretrainedSettings:
    return PretrainedSettings(name="denoiser")


def check_streams(tts: ZeroShotTTS, voice: VoicePrompt | None) -> None:
    """The joined stream is the whole, and a row of a batch is the text alone."""
    whole = tts.generate(TEXT, voice, seed=3)
    chunks = list(tts.stream(TEXT, voice, seed=3))
    assert len(whole.segments) > 1
    assert torch.equal(torch.cat([each.waveform for each in chunks], dim=1), whole.waveform)
    assert "".join(each.written for each in chunks) == whole.written
    [_, second] = tts.generate_batch(["Well.", TEXT], tts.voice(voice), [1, 3])
    assert torch.equal(second.waveform, whole.waveform) and second.written == whole.written
    job = tts.long_form_job(TEXT, voice, seed=3)
    assert "".join(chunk.written for chunk in job.stream()) == whole.written
    assert torch.equal(job.speech().waveform, whole.waveform)


def test_vectors_go_through_session_streaming_and_saving(tmp_path: Path) -> None:
    system = Vectors()
    assert isinstance(system, Synthesizer)
    tts = ZeroShotTTS(system)
    voice = tts.create_voice(speech_like(2.0), "This is a test.")
    check_streams(tts, voice)
    loaded = VoicePrompt.load(voice.save(tmp_path / "voice.safetensors"))
    assert loaded.latents is not None and voice.latents is not None
    assert torch.equal(loaded.latents, voice.latents) and loaded.codes.shape == voice.codes.shape
    spoken = tts.generate(TEXT, loaded, seed=3)
    assert torch.equal(spoken.waveform, tts.generate(TEXT, voice, seed=3).waveform)
    assert spoken.latents is not None and spoken.latents.shape[0] == DIM
    assert spoken.codes.numel() == 0 and spoken.to_dict()["units"] == ""
    assert abs(spoken.latents.shape[1] * HOP / 16_000 - spoken.seconds) < 1.5  # and rests


def test_a_voice_of_codes_is_written_as_before(tmp_path: Path, voice: VoicePrompt) -> None:
    """So that an earlier version reads it; one of latents says that it is newer."""
    path = voice.save(tmp_path / "codes.safetensors")
    assert b'\\"format\\": 3' in path.read_bytes()[:4096]
    made = ZeroShotTTS(Vectors()).create_voice(speech_like(2.0), "This is a test.")
    path = made.save(tmp_path / "latents.safetensors")
    assert b'\\"format\\": 4' in path.read_bytes()[:4096]


def test_a_system_without_voices_is_not_asked_for_one() -> None:
    tts = ZeroShotTTS(OneSpeaker("one speaker"))
    check_streams(tts, None)
    assert tts.generate(TEXT, seed=1).voice == ""
    made = ZeroShotTTS(Vectors()).create_voice(speech_like(2.0), "This is a test.")
    with pytest.raises(UserError, match="takes no voice"):
        tts.generate(TEXT, made)


@pytest.mark.parametrize("system", [Writing, WritingOnly])
def test_what_is_written_comes_with_what_is_spoken(system: type[Writing], tmp_path: Path) -> None:
    tts = ZeroShotTTS(system("writing"))
    check_streams(tts, None)
    spoken = tts.generate("Hello.", seed=1)
    assert spoken.written == "first half, second half. "
    assert spoken.to_dict()["written"] == spoken.written
    assert "written" not in ZeroShotTTS(OneSpeaker()).generate("Hello.", seed=1).to_dict()
    slower = tts.generate("Hello.", seed=1, speed=0.8)
    assert slower.written == spoken.written and bool(slower.seconds) == (system is Writing)


def test_a_recording_is_enough_for_a_system_without_text_and_voice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"{__name__}:"
    pipeline = Pipeline(
        load=f"{address}load_denoiser",
        settings=f"{address}denoiser_settings",
        tiny="",
        imitates="builtins:list",
    )
    monkeypatch.setitem(ENTRIES, "denoiser", Entry(models={}, pipeline=pipeline))
    save_parts("denoiser", {}, tmp_path)
    converter = load_converter(tmp_path)
    assert isinstance(converter, Converter) and not isinstance(converter, Synthesizer)
    noisy = speech_like(1.0)
    cleaned = VoiceConverter(converter).convert(noisy, seed=1)
    assert cleaned.waveform.shape == noisy.waveform.shape
    assert float((cleaned.waveform == 0).float().mean()) > 0.05
    assert cleaned.written == "nothing was said" and cleaned.latents is not None
    assert cleaned.units.numel() == 0 and cleaned.voice == ""
    with pytest.raises(UserError, match="'denoiser' converts recordings, but speaks no texts"):
        load_synthesizer(tmp_path)
    for refused in (lambda: read_frontend(tmp_path), lambda: VoiceConverter(converter).frontend):
        with pytest.raises(UserError, match="'denoiser' reads no text"):
            refused()


def test_a_conversion_without_the_voice_that_it_needs_is_refused(tts: ZeroShotTTS) -> None:
    converter = tts.synthesizer
    assert isinstance(converter, Converter)
    with pytest.raises(UserError, match="must be given a voice"):
        VoiceConverter(converter).convert(speech_like(1.0))
