"""Zero-shot text to speech: a text and a voice in, speech out, at once or as it is made."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from uslm.models.device import read_device
from uslm.output.speech import AudioChunk, Speech
from uslm.output.stretch import check_speed
from uslm.synthesis.long_form_job import LongFormJob
from uslm.synthesis.plan import PlanConfig
from uslm.synthesis.plan_fragments import TextFragments
from uslm.synthesis.protocols import (
    FrontEnd,
    SegmentAudio,
    SegmentRequest,
    SegmentSynthesizer,
    Synthesizer,
)
from uslm.synthesis.seeds import resolve_seed
from uslm.synthesis.session import OnSegment, Request, Session
from uslm.synthesis.stock_voices import stock_voice_for
from uslm.synthesis.timer import StageTimer
from uslm.synthesis.timestamps import timed, word_aligner
from uslm.systems.loading import load_synthesizer
from uslm.text.lexicon import Lexicon
from uslm.voices.names import SUFFIX
from uslm.voices.prompt import NO_VOICE, VoicePrompt
from uslm.voices.stock import DEFAULT_STOCK_VOICE, stock_voices
from uslm.voices.store import VoiceStore
from uslm_tokenizer.audio.given import AudioInput, given_audio
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.errors import MissingResource, UserError


class ZeroShotTTS:
    """Speaks any text in the voice of a short recording.

    Nothing in it changes after loading: one object may serve several threads.
    """

    def __init__(self, synthesizer: Synthesizer, frontend: FrontEnd | None = None) -> None:
        self.synthesizer = synthesizer
        self.frontend = synthesizer.frontend() if frontend is None else frontend

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | PathLike[str] = "default",
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | str | None = None,
        language: str | None = None,
        lexicon: Lexicon | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
    ) -> "ZeroShotTTS":
        """Load a model: `default`, a pretrained one by name, a folder, or a repository of the Hub.

        `device` is a name of PyTorch's, or `auto`, the fastest that there is. `dtype` (or its name)
        is the precision of both stages; float32 unless given. `language` is that of the texts
        (`en`, `de-DE`, ...), the model's own unless given.
        """
        synthesizer = load_synthesizer(
            name_or_path,
            device=device,
            dtype=dtype,
            revision=revision,
            local_files_only=local_files_only,
        )
        return cls(synthesizer, synthesizer.frontend(language=language, lexicon=lexicon))

    @property
    def sample_rate(self) -> int:
        """Samples per second of what is spoken, Hz."""
        return self.synthesizer.sample_rate

    def create_voice(
        self,
        audio: AudioInput,
        text: str | None = None,
        *,
        sample_rate: int | None = None,
        name: str | None = None,
        max_seconds: float | None = None,
        clean: Callable[[AudioInput], Audio] | None = None,
    ) -> VoicePrompt:
        """A voice from a recording of some seconds; `text` is what is said in it. `clean` takes
        the noise of a poor recording away first, as `SpeechEnhancer.clean_prompt` does.

        `audio` is a path, bytes, an open file, `(array, rate)` or `(rate, array)`, an array or a
        tensor with its `sample_rate` (Hz), or the dict of an audio column of Hugging Face
        `datasets`. Without `text` the phonemes are recognised. What is odd about the recording is
        in the voice's `findings`; AudioError where it cannot be used at all.
        """
        given = given_audio(audio, sample_rate)
        if clean is not None:
            given = clean(given)
        return self.synthesizer.create_voice(
            self.frontend, given, text, name=name, max_seconds=max_seconds
        )

    def stock_voice(self, name: str = DEFAULT_STOCK_VOICE) -> VoicePrompt:
        """A voice that comes with the package; `uslm.voices.stock.stock_voices()` are all of them.

        A model of another tokenizer than the default one's makes it again from its recording.
        Raises MissingResource if there is no such voice.
        """
        return stock_voice_for(self.synthesizer, self.frontend, name)

    def voice(self, voice: VoicePrompt | str | PathLike[str] | None = None) -> VoicePrompt:
        """A voice by what people name it: a kept one or a stock voice by its name, a voice file, or
        a recording, of which a voice is made. None is the default stock voice.

        Raises MissingResource where there is nothing of that name.
        """
        if voice is None:
            return self.stock_voice() if self.synthesizer.needs_voice else NO_VOICE
        if isinstance(voice, VoicePrompt):
            return voice
        store, path = VoiceStore(), Path(voice)
        if str(voice) in store.names():
            return store.load(str(voice))
        if path.is_file():
            is_voice = path.suffix == SUFFIX
            return VoicePrompt.load(path) if is_voice else self.create_voice(path)
        if str(voice) in stock_voices():
            return self.stock_voice(str(voice))
        raise MissingResource(
            f"there is no voice and no recording {str(voice)!r}; voices: "
            f"{', '.join([*store.names(), *stock_voices()][:20])}"
        )

    def to(self, device: str | torch.device) -> "ZeroShotTTS":
        """Move the model, and return it. UserError if it cannot be moved: load it there."""
        move = getattr(self.synthesizer, "to", None)
        if move is None:
            name = self.synthesizer.settings.name
            raise UserError(f"model {name!r} stays where it was loaded; name a device there")
        move(read_device(device))
        return self

    def __repr__(self) -> str:
        settings = self.synthesizer.settings
        return f"ZeroShotTTS({settings.name!r}, {settings.language}, {self.sample_rate} Hz)"

    def generate(
        self,
        text: str,
        voice: VoicePrompt | str | PathLike[str] | None = None,
        *,
        seed: int | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        verify: bool = False,
        retries: int | None = None,
        speed: float = 1.0,
        words: bool = False,
        voices: Mapping[str, VoicePrompt] | None = None,
        any_language: bool = False,
        on_segment: OnSegment | None = None,
    ) -> Speech:
        """Speak the text; the samples are those of `stream`, joined.

        `voice` is one that was made, or what `voice` finds: a recording's path or a name, and a
        stock voice where there is none.
        What is not given is the model's own choice; the seed is drawn and reported. `verify`
        verifies each segment and regenerates bad ones, `retries` times at most. `speed` keeps
        the pitch. `words` asks when each word is said. With `voices` the text is a script:
        after `[anna]` the voice of that name speaks. `on_segment(report, number_of_segments)` is
        called as each segment is done, before its words are looked for. TextError where the text is
        in no language of the model's, unless `any_language`.
        """
        return Speech.joined(
            self.stream(
                text, voice, seed=seed, temperature=temperature, top_k=top_k, top_p=top_p,
                verify=verify, retries=retries, speed=speed, words=words, voices=voices,
                any_language=any_language, on_segment=on_segment,
            )
        )  # fmt: skip

    def stream(
        self,
        text: str | Iterable[str],
        voice: VoicePrompt | str | PathLike[str] | None = None,
        *,
        seed: int | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        verify: bool = False,
        retries: int | None = None,
        speed: float = 1.0,
        words: bool = False,
        voices: Mapping[str, VoicePrompt] | None = None,
        any_language: bool = False,
        on_segment: OnSegment | None = None,
    ) -> Iterator[AudioChunk]:
        """Speak the text as `generate` does, and yield samples as they are made.

        The text may come in fragments, as a language model writes it: each segment is spoken once
        its successor has begun, and what is said is what `generate` says of the whole.

        A mistake in the arguments is raised here, not at the first chunk; one in the fragments
        where they are read. With `verify`, or at another speed than 1, whole segments come. Closing
        the iterator stops the work.
        """
        timer = StageTimer()
        text = text if isinstance(text, str) else TextFragments(text)
        request = self._request(
            text, voice, seed, _given(temperature=temperature, top_k=top_k, top_p=top_p),
            verify=verify, retries=retries, speed=speed, voices=voices, any_language=any_language,
            on_segment=on_segment,
        )  # fmt: skip
        chunks = Session(self.synthesizer, self.frontend, request, timer).stream()
        return timed(chunks, word_aligner(self.synthesizer, self.frontend)) if words else chunks

    def long_form_job(
        self,
        text: str,
        voice: VoicePrompt | str | PathLike[str] | None = None,
        *,
        seed: int | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        verify: bool = False,
        retries: int | None = None,
        speed: float = 1.0,
        voices: Mapping[str, VoicePrompt] | None = None,
        any_language: bool = False,
        plan: PlanConfig | None = None,
    ) -> LongFormJob:
        """A text to be worked on segment by segment; spoken through, it is what `generate` speaks.

        `plan` says how the text is cut and where it rests, in place of the model's own choice.
        """
        request = self._request(
            text, voice, seed, _given(temperature=temperature, top_k=top_k, top_p=top_p),
            verify=verify, retries=retries, speed=speed, voices=voices, any_language=any_language,
            plan=plan,
        )  # fmt: skip
        return LongFormJob(self.synthesizer, self.frontend, request)

    def generate_batch(
        self,
        texts: Sequence[str],
        voices: VoicePrompt | Sequence[VoicePrompt],
        seeds: Sequence[int] | None = None,
        *,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        verify: bool = False,
        retries: int | None = None,
        speed: float = 1.0,
        any_language: bool = False,
        batch_size: int = 8,
    ) -> list[Speech]:
        """Speak several texts side by side; each comes out as `generate` would speak it alone.

        Segments of about one length go together, `batch_size` at a time.
        """
        if batch_size < 1:
            raise UserError(f"batch_size must be 1 or more, but is {batch_size}")
        timer, count = StageTimer(), len(texts)
        each_voice = [voices] * count if isinstance(voices, VoicePrompt) else list(voices)
        each_seed = [None] * count if seeds is None else list(seeds)
        if len(each_voice) != count or len(each_seed) != count:
            raise UserError(
                f"there must be a voice and a seed for each of {count} texts, "
                f"but there are {len(each_voice)} voices and {len(each_seed)} seeds"
            )
        overrides = _given(temperature=temperature, top_k=top_k, top_p=top_p)
        requests = [
            self._request(
                *row,
                overrides,
                verify=verify,
                retries=retries,
                speed=speed,
                any_language=any_language,
            )
            for row in zip(texts, each_voice, each_seed, strict=True)
        ]
        if not requests:
            return []
        sessions = [
            Session(self.synthesizer, self.frontend, request, timer) for request in requests
        ]
        segment_requests = [session.segment_requests() for session in sessions]
        segment_synthesizer = self.synthesizer.segment_synthesizer(requests[0].sampling, timer)
        audios = _synthesize_in_buckets(
            segment_synthesizer,
            [request for row in segment_requests for request in row],
            batch_size,
        )
        return [
            Speech.joined(session.finish(audios[request] for request in row))
            for session, row in zip(sessions, segment_requests, strict=True)
        ]

    def _request(
        self,
        text: str | TextFragments,
        named: VoicePrompt | str | PathLike[str] | None,
        seed: int | None,
        overrides: dict[str, Any],
        *,
        verify: bool,
        retries: int | None,
        speed: float,
        voices: Mapping[str, VoicePrompt] | None = None,
        any_language: bool = False,
        plan: PlanConfig | None = None,
        on_segment: OnSegment | None = None,
    ) -> Request:
        settings, voice = self.synthesizer.settings, self.voice(named)
        for each in (voice, *(voices or {}).values()):
            self.synthesizer.check_voice(each)
        if verify:
            self.synthesizer.check_can_verify()
        verification = replace(settings.verify, **_given(retries=retries))
        return Request(
            text=text,
            voice=voice,
            seed=resolve_seed(seed),
            sampling=replace(settings.sampling, **overrides),
            verify=verification if verify else None,
            speed=check_speed(speed),
            voices=voices,
            plan=plan,
            any_language=any_language,
            on_segment=on_segment,
        )


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _synthesize_in_buckets(
    segment_synthesizer: SegmentSynthesizer,
    segment_requests: Sequence[SegmentRequest],
    batch_size: int,
) -> dict[SegmentRequest, SegmentAudio]:
    """The audio of each segment; segments of about one length share a batch."""
    ordered = sorted(segment_requests, key=lambda request: len(request.text.text_ids))
    audios: dict[SegmentRequest, SegmentAudio] = {}
    for start in range(0, len(ordered), batch_size):
        batch = ordered[start : start + batch_size]
        audios.update(zip(batch, segment_synthesizer.synthesize_batch(batch), strict=True))
    return audios
