"""Voice conversion: the words of one recording in the voice of another."""

from os import PathLike

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.pipeline.blocks import CodeBlocks
from uslm.pipeline.bundle import Bundle, load_bundle
from uslm.pipeline.clock import Clock
from uslm.pipeline.creation import create_voice
from uslm.pipeline.prompt import VoicePrompt
from uslm.pipeline.seeds import derive_seed, settle_seed
from uslm.pipeline.speech import Speech
from uslm.pipeline.streaming import StreamingDecoder
from uslm.pipeline.verification import recognizer
from uslm.text.frontend import TextFrontend
from uslm_tokenizer.audio import Audio, AudioSource, read_audio
from uslm_tokenizer.errors import AudioError

WINDOW_SECONDS = 20.0
"""Longer recordings are encoded in windows of this length, ..."""
MARGIN_SECONDS = 2.0
"""... each with so much of its neighbours."""


class VoiceConverter:
    """Speaks what a recording says, at its pace, in another voice. No text is involved."""

    def __init__(self, bundle: Bundle, frontend: TextFrontend | None = None) -> None:
        self.bundle = bundle
        self.frontend = bundle.frontend() if frontend is None else frontend

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | PathLike[str] = "default",
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
    ) -> "VoiceConverter":
        """Load a model as `ZeroShotTTS.from_pretrained` does."""
        bundle = load_bundle(name_or_path, revision=revision, local_files_only=local_files_only)
        return cls(bundle.to(device, dtype))

    def create_voice(
        self,
        audio: Audio | AudioSource,
        text: str | None = None,
        *,
        name: str | None = None,
        max_seconds: float | None = None,
    ) -> VoicePrompt:
        """A voice from a recording, as of `ZeroShotTTS.create_voice`."""
        return create_voice(
            self.bundle, self.frontend, audio, text, name=name, max_seconds=max_seconds
        )

    def convert(
        self, audio: Audio | AudioSource, voice: VoicePrompt, *, seed: int | None = None
    ) -> Speech:
        """What `audio` says, in the voice. The seed matters only where stage 2 draws."""
        config, tokenizer = self.bundle.config, self.bundle.tokenizer
        self.bundle.check_voice(voice)
        seed, clock = settle_seed(seed), Clock()
        source = audio if isinstance(audio, Audio) else read_audio(audio)
        waveform = source.resampled(tokenizer.sample_rate).waveform
        if not waveform.shape[-1]:
            raise AudioError("the recording to convert is empty")
        with clock.stage("semantic"):
            units = self.encode_units(waveform)
        decoder, made = StreamingDecoder(tokenizer), []
        blocks = CodeBlocks(config.blocks, voice.codes[:, : config.prompt.acoustic_frames], None)
        generator = torch.Generator().manual_seed(derive_seed(seed, "acoustic"))
        spoken = units.tolist()
        while (row := blocks.plan(spoken, is_final=True)) is not None:
            with clock.stage("acoustic"):
                [filled] = self.bundle.fill([row], [generator])
            blocks.accept(filled)
            with clock.stage("decode"):
                is_final = blocks.num_frames == len(units)
                new = blocks.codes[:, decoder.num_frames :]
                made.append(decoder.push(new, is_final).clamp(-1, 1))
            if made[-1].numel():
                clock.audio()
        return Speech(
            waveform=torch.cat(made, dim=1)[:, : waveform.shape[-1]],
            sample_rate=tokenizer.sample_rate,
            seed=seed,
            text="",
            units=units,
            codes=blocks.codes,
            timings=clock.timings(),
            model=config.name,
            model_hash=self.bundle.hash,
            voice=voice.name,
        )

    def encode_units(self, waveform: Float[Tensor, "1 n"]) -> Int[Tensor, " t"]:
        """Units of a recording of any length, window by window."""
        tokenizer = self.bundle.tokenizer
        encoder, hop = recognizer(tokenizer), tokenizer.hop_length
        step = int(WINDOW_SECONDS * tokenizer.frame_rate) * hop
        margin = int(MARGIN_SECONDS * tokenizer.frame_rate) * hop
        pieces = []
        for start in range(0, waveform.shape[-1], step):
            first = max(0, start - margin)
            window = waveform[:, first : start + step + margin]
            units = encoder.encode(window[None].to(tokenizer.device))[0, 0].cpu()
            pieces.append(units[(start - first) // hop :][: step // hop])
        return torch.cat(pieces)
