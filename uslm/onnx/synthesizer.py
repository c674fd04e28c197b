"""Zero-shot text to speech with an exported model: a text and a voice in, speech out."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Float

from uslm.generate.sampling_config import Sampling
from uslm.generate.stopping import SpokenUnits, StopRule
from uslm.onnx.acoustic import (
    PITCH_ROW,
    UNIT_ROW,
    CodeBlocks,
    StreamingDecoder,
    VoiceMemory,
    median_pitch,
    relative_pitches,
)
from uslm.onnx.graphs import Graphs
from uslm.onnx.random_numbers import Uniform
from uslm.onnx.semantic import speak_units
from uslm.onnx.voice import Voice, load_voice
from uslm.onnx.voice_creation import create_voice
from uslm.output.sample_joiner import SampleJoiner
from uslm.output.segment_report import SegmentReport
from uslm.synthesis.derived_seeds import derive_seed
from uslm.synthesis.plan import plan_text
from uslm.text.frontend import FrontendResult, TextFrontend
from uslm.text.language import check_language
from uslm.text.lexicon import Lexicon
from uslm.text.script import spoken_text
from uslm.text.segmentation import Segment
from uslm.voices.policy import Finding
from uslm_tokenizer.errors import GenerationError, TextError, UserError


@dataclass(frozen=True, kw_only=True, eq=False)
class SpeechChunk:
    """The next samples of a stream."""

    samples: Float[np.ndarray, " n"]
    """In [-1, 1]; may be empty where a segment ends without new samples."""
    report: SegmentReport | None = None
    """Where a segment of the text is done: how it went."""


class OnnxSynthesizer:
    """Speaks any text in the voice of a short recording; with one seed, what `ZeroShotTTS` says.

    Segments are spoken one after another. Nothing in it changes after loading but what it keeps
    of voices.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        language: str | None = None,
        lexicon: Lexicon | None = None,
        threads: int | None = None,
    ) -> None:
        """`folder` is one of `uslm export --format onnx`."""
        self.graphs = Graphs(folder, threads)
        self.config = self.graphs.config
        self.frontend = TextFrontend(
            language=language or self.config.language,
            lexicon=lexicon,
            normalize=self.config.normalize,
        )
        if "".join(self.frontend.vocab.decode(range(self.frontend.vocab.size))) != (
            self.config.symbols
        ):
            raise UserError(f"{str(folder)!r} was exported for other symbols than these; again")
        self._memories: WeakKeyDictionary[Voice, VoiceMemory] = WeakKeyDictionary()

    @property
    def sample_rate(self) -> int:
        """Samples per second of what is spoken, Hz."""
        return self.config.codec.sample_rate

    def load_voice(self, path: str | Path) -> Voice:
        """A voice file of `uslm voice create`, made with the same tokenizer."""
        return load_voice(path, self.config)

    def create_voice(
        self, recording: str | Path, text: str | None = None, *, name: str | None = None
    ) -> tuple[Voice, tuple[Finding, ...]]:
        """A voice from a recording of some seconds, and what was noticed about it; `text` is what
        is said in it, recognised unless given. Nothing is fitted to it."""
        return create_voice(self.graphs, self.frontend, recording, text, name=name)

    def stream(
        self,
        text: str,
        voice: Voice,
        *,
        seed: int,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        any_language: bool = False,
    ) -> Iterator[SpeechChunk]:
        """Speak the text, and yield samples as they are made; see `ZeroShotTTS.stream`.

        A mistake in the arguments is raised here, not at the first chunk.
        """
        if not any_language:
            languages = self.config.languages or (self.config.language,)
            check_language(spoken_text(text), self.frontend.language, languages, self.config.name)
        overrides = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        given = {name: value for name, value in overrides.items() if value is not None}
        sampling = replace(self.config.sampling, **given)  # type: ignore[arg-type]
        plan = plan_text(text, self.config.plan)
        if any(segment.speed != 1 for segment in plan):
            raise TextError("SSML <prosody rate> needs PyTorch: the ONNX backend has one speed")
        if not any(self._read(each.text) for each in plan if not each.is_pause):
            self.frontend(text)  # says what is wrong with it
            raise TextError("text must have something to say")
        return self._stream(plan, voice, seed, sampling)

    def _read(self, text: str) -> FrontendResult | None:
        """None where nothing of it can be said."""
        try:
            return self.frontend(text)
        except TextError:
            return None

    def _stream(
        self,
        plan: list[Segment],
        voice: Voice,
        seed: int,
        sampling: Sampling,
    ) -> Iterator[SpeechChunk]:
        joiner = SampleJoiner(self.config.join, self.sample_rate)
        index, audible, low_latency = 0, 0, True
        for item in plan:
            if item.is_pause:
                yield SpeechChunk(samples=joiner.pause(item.pause_seconds))
                continue
            start, text = joiner.num_samples, self._read(item.text)
            segment_seed, reason = derive_seed(seed, index), "silent"
            if text is not None:
                for samples, said in self._speak(text, voice, segment_seed, sampling, low_latency):
                    yield SpeechChunk(samples=joiner.push(samples))
                    reason = said.stop_reason or reason
                low_latency = False
            last = joiner.end_segment()
            audible += joiner.num_samples - start
            report = SegmentReport(
                index=index,
                text=item.text,
                phonemes=text.phonemes if text else "",
                start_seconds=start / self.sample_rate,
                end_seconds=joiner.num_samples / self.sample_rate,
                seed=segment_seed if text else seed,
                stop_reason=reason,
            )
            yield SpeechChunk(samples=last, report=report)
            index += 1
        if not audible:
            raise GenerationError("the model made nothing but silence; try another seed")
        yield SpeechChunk(samples=joiner.finish())

    def _speak(
        self, text: FrontendResult, voice: Voice, seed: int, sampling: Sampling, low_latency: bool
    ) -> Iterator[tuple[Float[np.ndarray, " _"], SpokenUnits]]:
        """The samples of one segment, each as early as they can be had, and what was said."""
        config, own = self.config, list(text.text_ids)
        text_ids, units, pitches = own, [], []
        if config.use_prompt_units and len(voice.text_ids):
            text_ids = [*voice.text_ids.tolist(), config.semantic.separator_id, *own]
            spoken = voice.codes[:, : voice.num_spoken_frames]
            units = spoken[UNIT_ROW].tolist()
            relative = relative_pitches(voice.codes[PITCH_ROW], config.semantic.pitch_reach)
            pitches = relative[: len(units)]
        stop = StopRule(
            min_frames=config.length.min_frames(len(own)),
            max_frames=config.length.max_frames(len(own)),
        )
        blocks = CodeBlocks(
            self.graphs, self._memory(voice), median_pitch(voice.codes[PITCH_ROW]), own,
            len(text_ids) - len(own), low_latency=low_latency,
        )  # fmt: skip
        decoder = StreamingDecoder(self.graphs)
        uniform = Uniform(seed, "semantic")
        for said in speak_units(self.graphs, text_ids, units, pitches, stop, sampling, uniform):
            is_new = False
            while blocks.fill(said):
                is_new = True
            if is_new or said.stop_reason:
                samples = decoder.push(blocks.codes, said.stop_reason is not None)
                if not np.isfinite(samples).all():
                    raise GenerationError(f"the samples of {text.text!r} are not finite numbers")
                yield samples.clip(-1, 1), said

    def _memory(self, voice: Voice) -> VoiceMemory:
        memory = self._memories.get(voice)
        if memory is None:
            memory = self._memories[voice] = VoiceMemory(self.graphs, voice)
        return memory
