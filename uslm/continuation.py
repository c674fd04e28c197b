"""Speech that goes on: a language model of units after a recording, in the voice of that."""

from dataclasses import asdict
from functools import partial
from os import PathLike

import torch
from jaxtyping import Int
from torch import Tensor

from uslm.generate.continuation import go_on
from uslm.generate.sampling import Sampling
from uslm.models.spans import Span
from uslm.models.speech_lm import SpeechLM
from uslm.output.speech import Speech, first_codebook
from uslm.synthesis.protocols import FrontEnd
from uslm.synthesis.seeds import generator, resolve_seed
from uslm.synthesis.timer import StageTimer
from uslm.systems.loading import load_converter
from uslm.systems.registry import load_model
from uslm.systems.two_stage.bundle import Bundle, bundle_of
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.audio.given import AudioInput, given_audio
from uslm_tokenizer.audio.read import Audio, read_audio
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.weight_hash import weight_hash


class SpeechContinuer:
    """A speech language model that says what comes next, and a model that speaks its units."""

    def __init__(
        self, language_model: SpeechLM, speaker: Bundle, frontend: FrontEnd | None = None
    ) -> None:
        """UserError unless both know the units of one tokenizer."""
        self.language_model, self.bundle, self._frontend = language_model, speaker, frontend
        tokenizer = speaker.tokenizer
        if language_model.codebook_size != tokenizer.codebook_size:
            raise UserError(
                f"the language model knows {language_model.codebook_size} units, but the tokenizer "
                f"of {speaker.settings.name!r} has {tokenizer.codebook_size}"
            )
        hashes = [speaker.tokenizer_hash]
        inside = getattr(tokenizer, "units", None)
        if isinstance(inside, AudioTokenizer):
            hashes.append(weight_hash(tokenizer=inside))
        language_model.check_tokenizer(*dict.fromkeys(hashes))

    @classmethod
    def from_pretrained(
        cls,
        language_model: str | PathLike[str],
        name_or_path: str | PathLike[str] = "default",
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | str | None = None,
    ) -> "SpeechContinuer":
        """A folder of `train_speech_lm`, and a model of ours that speaks its units."""
        found = load_model(str(language_model))
        if not isinstance(found, SpeechLM):
            raise ConfigError(
                f"{language_model} must be a speech language model, but is a {found.model_type}"
            )
        speaker = bundle_of(load_converter(name_or_path, device=device, dtype=dtype))
        return cls(found.to(device).eval(), speaker)

    def continue_speech(
        self,
        audio: AudioInput,
        *,
        sample_rate: int | None = None,
        seconds: float = 5.0,
        sampling: Sampling | None = None,
        voice: VoicePrompt | None = None,
        seed: int | None = None,
    ) -> Speech:
        """Up to `seconds` of speech that follow the recording, without it; fewer where the language
        model ends before. In the voice of the recording, unless another is given."""
        if not seconds > 0:
            raise UserError(f"seconds must be above 0, but is {seconds}")
        bundle, sampling = self.bundle, sampling or Sampling()
        given = given_audio(audio, sample_rate)
        prompt = given if isinstance(given, Audio) else read_audio(given)
        if voice is None:
            if self._frontend is None:
                self._frontend = bundle.frontend()
            voice = bundle.create_voice(self._frontend, prompt)
        bundle.check_voice(voice)
        seed, timer = resolve_seed(seed), StageTimer()
        limit = max(1, round(seconds * bundle.tokenizer.frame_rate))
        after = partial(self._units_after, limit=limit, sampling=sampling, seed=seed)
        made = bundle.go_on(prompt, voice, after, seed, timer)
        return Speech(
            waveform=made.waveform,
            sample_rate=bundle.sample_rate,
            seed=seed,
            text="",
            units=first_codebook(made.codes),
            codes=made.codes,
            timings=timer.timings(),
            model=bundle.settings.name,
            model_hash=bundle.hash,
            voice=voice.name,
            settings={"seconds": seconds, **asdict(sampling)},
        )

    def _units_after(
        self, units: Int[Tensor, " t"], *, limit: int, sampling: Sampling, seed: int
    ) -> Int[Tensor, " n"]:
        """At most `limit` units: a token of merged ones may reach beyond it."""
        said = go_on(
            self.language_model,
            [Span("speech", units.cpu())],
            "speech",
            max_tokens=limit,
            sampling=sampling,
            generator=generator(seed, "semantic"),
        )
        return said[:limit].to(units.device)
