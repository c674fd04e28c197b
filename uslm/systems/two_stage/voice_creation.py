"""From a recording to a voice: examine it, encode it, read or recognise what is said in it."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.models.base import VoiceFit
from uslm.synthesis.protocols import FrontEnd
from uslm.systems.two_stage.conv_regressor import ConvRegressor
from uslm.systems.two_stage.parts import BundleParts
from uslm.systems.two_stage.voice_fitting import fit_voice
from uslm.systems.two_stage.voice_row import voice_extras
from uslm.text.frontend import FrontendResult
from uslm.voices.alignment import align_ctc, symbols_of
from uslm.voices.phoneme_error_rate import PHONEMES
from uslm.voices.policy import Finding
from uslm.voices.prompt import VoicePrompt
from uslm.voices.prompt_preprocessing import examine_prompt
from uslm.voices.recording import (
    doubts,
    open_recording,
    prompt_policy,
    voice_name,
    voice_origin,
)
from uslm.voices.verification import find_recognizer, recognizer
from uslm.voices.word_times import WordAligner
from uslm_tokenizer.audio.read import Audio, AudioSource
from uslm_tokenizer.codecs.unit_codec.model import UnitCodec


def create_voice(
    bundle: BundleParts,
    frontend: FrontEnd,
    audio: Audio | AudioSource,
    text: str | None = None,
    *,
    name: str | None = None,
    max_seconds: float | None = None,
) -> VoicePrompt:
    """See `ZeroShotTTS.create_voice`."""
    tokenizer = bundle.tokenizer
    policy = prompt_policy(bundle.config.prompt.max_frames / tokenizer.frame_rate, max_seconds)
    if text is not None:
        frontend(text)  # a text that cannot be read is refused before any work
    prompt = examine_prompt(
        open_recording(audio, policy),
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
    extras: dict[str, Tensor] = {}
    if isinstance(bundle.acoustic, ConvRegressor):
        said = spoken.by_frame(None if prompt.text is None else bundle.phoneme_ids(read))
        extras = voice_extras(said, _fit(bundle, codes, said))
    speaker, speaker_model = _speaker(bundle, codes)
    return VoicePrompt(
        name=name or voice_name(audio),
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
        speaker_embedding=speaker,
        speaker_model=speaker_model,
        origin=voice_origin(audio),
        extras=extras,
    )


def _fit(
    bundle: BundleParts, codes: Int[Tensor, "k p"], said: Int[Tensor, " p"] | None
) -> VoiceFit | None:
    assert isinstance(bundle.acoustic, ConvRegressor)
    used = bundle.config.prompt.acoustic_frames
    said = None if said is None else said[:used]
    return fit_voice(bundle.acoustic, codes[:, :used], said, bundle.config.fit)


def render_voice(bundle: BundleParts, voice: VoicePrompt) -> Float[Tensor, "1 n"]:
    """The recording that a voice was made of, as its codes hold it."""
    bundle.check_voice(voice)
    tokenizer = bundle.tokenizer
    with torch.no_grad():
        waveform = tokenizer.decode(voice.codes[None].to(tokenizer.device))[0].cpu()
    return waveform[:, : round(voice.seconds * tokenizer.sample_rate)].clamp(-1, 1)


class _Spoken:
    """Symbols said in a prompt, for the frames that stage 1 goes on from."""

    def __init__(self, bundle: BundleParts, units: Int[Tensor, " p"]) -> None:
        self._bundle, self._units = bundle, units
        self._limit = min(len(units), bundle.config.prompt.semantic_frames)

    def recognized(self) -> tuple[list[int], str, int]:
        """Ids, phonemes and frames, by the recogniser. A model that reads letters gets no ids; nor
        does one without a recogniser whose stage 1 does not go on from the prompt."""
        config = self._bundle.config
        if find_recognizer(self._bundle.tokenizer) is None and not config.use_prompt_units:
            return [], "", self._limit
        recognized = self._recognize(self._units[: self._limit])
        readable = recognized if self._bundle.vocab.reads == "phonemes" else []
        return readable, PHONEMES.decode(recognized), self._limit

    def known(self, text: FrontendResult) -> tuple[list[int], str, int]:
        """Ids, phonemes and frames, from the transcript; cut where stage 1's frames end."""
        if self._bundle.vocab.reads != "phonemes" or len(self._units) <= self._limit:
            return list(text.text_ids), text.phonemes, len(self._units)
        starts = align_ctc(_logits(self._bundle, self._units), text.text_ids)
        if starts is None:
            return self.recognized()
        kept = list(text.text_ids[: sum(start < self._limit for start in starts)])
        return kept, PHONEMES.decode(kept), self._limit

    def by_frame(self, known: Sequence[int] | None) -> Int[Tensor, " p"] | None:
        """The phoneme that each frame is of: of those of the transcript, or of those recognised.
        None where there is no recogniser, or they do not fit."""
        if find_recognizer(self._bundle.tokenizer) is None:
            return None
        ids = self._recognize(self._units) if known is None else list(known)
        starts = align_ctc(_logits(self._bundle, self._units), ids) if ids else None
        if starts is None:
            return None
        frames = torch.arange(len(self._units))
        return torch.tensor(ids)[symbols_of(frames, torch.tensor(starts))]

    def doubts(self, phoneme_ids: Sequence[int]) -> list[Finding]:
        """A warning if the transcript is far from what is recognised, where there is a
        recogniser."""
        if find_recognizer(self._bundle.tokenizer) is None:
            return []
        recognized = self._recognize(self._units)
        return doubts(phoneme_ids, recognized, self._bundle.config.prompt.max_mismatch)

    def _recognize(self, units: Int[Tensor, " p"]) -> list[int]:
        tokenizer = self._bundle.tokenizer
        return recognizer(tokenizer).recognize(units.to(tokenizer.device))


def _logits(bundle: BundleParts, units: Int[Tensor, " t"]) -> Float[Tensor, "t v"]:
    tokenizer = bundle.tokenizer
    return recognizer(tokenizer).phoneme_logits(units[None].to(tokenizer.device))[0]


def _speaker(
    bundle: BundleParts, codes: Int[Tensor, "k p"]
) -> tuple[Float[Tensor, " e"] | None, str]:
    """Mean of what the codec adds to the units: a rough likeness of voice and room."""
    tokenizer = bundle.tokenizer
    if not isinstance(tokenizer, UnitCodec):
        return None, ""
    with torch.no_grad():
        added = tokenizer.residual.decode(codes[None, 1:].to(tokenizer.device))
    return added[0].float().mean(dim=1).cpu(), f"{tokenizer.model_type} {bundle.tokenizer_hash}"
