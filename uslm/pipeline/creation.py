"""From a recording to a voice: examine it, encode it, read or recognise what is said in it."""

import os
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm import __version__
from uslm.pipeline.alignment import align_ctc
from uslm.pipeline.bundle import Bundle
from uslm.pipeline.phonemes import PHONEMES, phoneme_error_rate
from uslm.pipeline.prompt import VoiceOrigin, VoicePrompt
from uslm.pipeline.prompt_doctor import examine_prompt
from uslm.pipeline.prompt_policy import Finding, PromptPolicy
from uslm.pipeline.speaker import FrontEnd
from uslm.pipeline.verification import find_recognizer, recognizer
from uslm.pipeline.word_times import WordAligner
from uslm.text.frontend import FrontendResult
from uslm_tokenizer.acoustic.unit_codec import UnitCodec
from uslm_tokenizer.audio import Audio, AudioSource, read_audio
from uslm_tokenizer.errors import UserError


def create_voice(
    bundle: Bundle,
    frontend: FrontEnd,
    audio: Audio | AudioSource,
    text: str | None = None,
    *,
    name: str | None = None,
    max_seconds: float | None = None,
) -> VoicePrompt:
    """See `ZeroShotTTS.create_voice`."""
    policy = _policy(bundle, max_seconds)
    tokenizer = bundle.tokenizer
    if text is not None:
        frontend(text)  # a text that cannot be read is refused before any work
    recording = (
        audio if isinstance(audio, Audio) else read_audio(audio, max_seconds=policy.read_seconds)
    )
    prompt = examine_prompt(
        recording,
        sample_rate=tokenizer.sample_rate,
        text=text,
        align=WordAligner(tokenizer, lambda word: bundle.phoneme_ids(frontend(word))),
        policy=policy,
    )
    codes = tokenizer.encode(prompt.waveform[None].to(tokenizer.device))[0].cpu()
    codes = codes[:, : bundle.config.prompt.max_frames]
    spoken = _Spoken(bundle, codes[0])
    findings = list(prompt.findings)
    if prompt.text is None:
        text_ids, phonemes, num_frames = spoken.recognized()
    else:
        read = frontend(prompt.text)
        findings += spoken.doubts(bundle.phoneme_ids(read))
        text_ids, phonemes, num_frames = spoken.known(read)
    speaker, speaker_model = _speaker(bundle, codes)
    return VoicePrompt(
        name=name or _name(audio),
        codes=codes,
        text_ids=torch.tensor(text_ids, dtype=torch.long),
        num_spoken_frames=num_frames,
        phonemes=phonemes,
        transcript=prompt.text,
        seconds=prompt.seconds,
        tokenizer_hash=bundle.tokenizer_hash,
        model=bundle.config.name,
        model_hash=bundle.hash,
        findings=tuple(findings),
        speaker=speaker,
        speaker_model=speaker_model,
        origin=VoiceOrigin(
            recording=_recording(audio),
            made_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            made_with=f"uslm {__version__}",
        ),
    )


def render_voice(bundle: Bundle, voice: VoicePrompt) -> Float[Tensor, "1 n"]:
    """What a voice was made of, as far as its codes hold it."""
    bundle.check_voice(voice)
    tokenizer = bundle.tokenizer
    with torch.no_grad():
        waveform = tokenizer.decode(voice.codes[None].to(tokenizer.device))[0].cpu()
    return waveform[:, : round(voice.seconds * tokenizer.sample_rate)].clamp(-1, 1)


class _Spoken:
    """What is said in a prompt, for the frames that stage 1 goes on from."""

    def __init__(self, bundle: Bundle, units: Int[Tensor, " p"]) -> None:
        self._bundle, self._units = bundle, units
        self._limit = min(len(units), bundle.config.prompt.semantic_frames)

    def recognized(self) -> tuple[list[int], str, int]:
        """Ids, phonemes and frames, by ear. A model that reads letters gets no ids."""
        heard = self._hear(self._units[: self._limit])
        readable = heard if self._bundle.vocab.reads == "phonemes" else []
        return readable, PHONEMES.decode(heard), self._limit

    def known(self, text: FrontendResult) -> tuple[list[int], str, int]:
        """Ids, phonemes and frames, from the transcript; cut where stage 1's frames end."""
        if self._bundle.vocab.reads != "phonemes" or len(self._units) <= self._limit:
            return list(text.text_ids), text.phonemes, len(self._units)
        starts = align_ctc(_logits(self._bundle, self._units), text.text_ids)
        if starts is None:
            return self.recognized()
        kept = list(text.text_ids[: sum(start < self._limit for start in starts)])
        return kept, PHONEMES.decode(kept), self._limit

    def doubts(self, phoneme_ids: Sequence[int]) -> list[Finding]:
        """A warning if the transcript is far from what is heard, where there is an ear."""
        if find_recognizer(self._bundle.tokenizer) is None:
            return []
        error_rate = phoneme_error_rate(phoneme_ids, self._hear(self._units))
        if error_rate <= self._bundle.config.prompt.max_mismatch:
            return []
        return [
            Finding(
                code="transcript_mismatch",
                severity="warning",
                message=(
                    f"the transcript does not match the audio: {100 * error_rate:.0f} % of its "
                    "sounds are heard otherwise; correct it, or leave it out"
                ),
            )
        ]

    def _hear(self, units: Int[Tensor, " p"]) -> list[int]:
        tokenizer = self._bundle.tokenizer
        return recognizer(tokenizer).recognize(units.to(tokenizer.device))


def _logits(bundle: Bundle, units: Int[Tensor, " t"]) -> Float[Tensor, "t v"]:
    tokenizer = bundle.tokenizer
    return recognizer(tokenizer).phoneme_logits(units[None].to(tokenizer.device))[0]


def _policy(bundle: Bundle, max_seconds: float | None) -> PromptPolicy:
    most = bundle.config.prompt.max_frames / bundle.tokenizer.frame_rate
    if max_seconds is not None:
        if not max_seconds > 0:
            raise UserError(f"max_seconds must be above 0, but is {max_seconds}")
        most = min(most, max_seconds)
    usual = PromptPolicy()
    return PromptPolicy(
        max_seconds=most,
        good_seconds=min(usual.good_seconds, most),
        min_seconds=min(usual.min_seconds, most),
    )


def _speaker(bundle: Bundle, codes: Int[Tensor, "k p"]) -> tuple[Float[Tensor, " e"] | None, str]:
    """What the codec adds to the units, on the whole: a rough likeness of voice and room."""
    tokenizer = bundle.tokenizer
    if not isinstance(tokenizer, UnitCodec):
        return None, ""
    with torch.no_grad():
        added = tokenizer.residual.decode(codes[None, 1:].to(tokenizer.device))
    return added[0].float().mean(dim=1).cpu(), f"{tokenizer.model_type} {bundle.tokenizer_hash}"


def _name(audio: Audio | AudioSource) -> str:
    return Path(_recording(audio)).stem or "voice"


def _recording(audio: Audio | AudioSource) -> str:
    """The file's name, without its folder; empty where there is no file."""
    if isinstance(audio, Audio):
        return Path(audio.source.name.strip("'\"")).name if audio.source else ""
    return Path(audio).name if isinstance(audio, (str, os.PathLike)) else ""
