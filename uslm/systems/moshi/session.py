"""A conversation in full duplex: each frame one recording goes in and one comes out.

    microphone  frame 0   frame 1   frame 2   ...      both speakers are heard all the time,
    loudspeaker    -      frame 0   frame 1   ...      and nobody takes turns

What is heard in a frame is answered from the next one on; with the acoustic delay of one frame,
Moshi's theoretical latency is two frames of 80 ms (Defossez et al. 2024, section 5.5).
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.systems.moshi.generation import DRAWN, MoshiSampling, next_step, start
from uslm.systems.moshi.model import MoshiLM
from uslm_tokenizer.codecs.mimi.model import MimiCodec
from uslm_tokenizer.errors import ConfigError, UserError


@dataclass
class SessionFrame:
    """Output of one frame of a session."""

    text: int
    """The text token of this step."""
    waveform: Float[Tensor, "1 n"] | None
    """A frame of speech; None while the delayed codes of the first one are still to come."""


@dataclass
class MoshiSession:
    """The state of one conversation; drop it to end it.

    Raises ConfigError if model and codec do not fit.
    """

    model: MoshiLM
    codec: MimiCodec
    generator: torch.Generator
    """Draws all tokens."""
    sampling: MoshiSampling = field(default_factory=MoshiSampling)

    def __post_init__(self) -> None:
        config = self.model.config
        if config.num_codebooks == 0:
            raise ConfigError("num_codebooks of a model that converses must be above 0, but is 0")
        for name, ours, theirs in (
            ("num_codebooks", config.num_codebooks, self.codec.num_codebooks),
            ("num_user_codebooks", config.num_user_codebooks, self.codec.num_codebooks),
            ("codebook_size", config.codebook_size, self.codec.codebook_size),
        ):
            if ours != theirs:
                raise ConfigError(
                    f"{name} of the model must be what the codec in use has, {theirs}, "
                    f"but is {ours}"
                )
        self._state = start(self.model)
        self._inputs = self.codec.start_encoding(), self.codec.start_encoding()
        self._mouth = self.codec.start_decoding()
        # The latest frames, as many as delays reach back: heard, told to say, and drawn columns.
        self._heard: list[Tensor] = []
        self._told: list[Tensor] = []
        self._made: list[Tensor] = []
        self._is_told = False

    @property
    def frame_samples(self) -> int:
        """Samples of each frame that goes in and comes out."""
        return self.codec.hop_length

    def push(
        self, user: Float[Tensor, "1 n"], own: Float[Tensor, "1 n"] | None = None
    ) -> SessionFrame:
        """Hear the next frame of the user, and speak.

        With `own` a second recording is played into the session in place of what the model would
        say; it then only writes. Raises UserError unless a frame is `frame_samples` long.
        """
        config = self.model.config
        if self._state.steps == 0:
            self._is_told = own is not None
        if self._is_told is not (own is not None):
            raise UserError("own must be given with every frame of a session, or with none")
        self._heard.append(self._encode(user, 0))
        if own is not None:
            self._told.append(self._encode(own, 1))
        column = self.model.initial(1).clone()
        for k, stream in enumerate(config.streams):
            if stream.delay > self._state.steps:
                continue  # it has not begun
            column[0, k] = DRAWN
            if k > config.num_codebooks:
                column[0, k] = self._heard[-1 - stream.delay][k - 1 - config.num_codebooks]
            elif k and self._is_told:
                column[0, k] = self._told[-1 - stream.delay][k - 1]
        drawn = next_step(self.model, self._state, column, [self.generator], self.sampling)[0]
        self._made.append(drawn)
        for frames in (self._heard, self._told, self._made):
            del frames[: -(config.max_delay + 1)]
        return SessionFrame(int(drawn[0]), self._speak())

    def _encode(self, waveform: Float[Tensor, "1 n"], input_index: int) -> Int[Tensor, " k"]:
        if waveform.shape[-1] != self.frame_samples:
            raise UserError(
                f"a frame must be {self.frame_samples} samples long, but is {waveform.shape[-1]}"
            )
        self.codec.check_waveform(waveform[None])
        codes = self.codec.encode_chunk(
            waveform[None].to(self.codec.device), self._inputs[input_index]
        )
        return codes[0, :, 0].to(self.model.device)

    def _speak(self) -> Float[Tensor, "1 n"] | None:
        """The samples of the frame whose last code has just been drawn."""
        own = self.model.config.streams[1 : 1 + self.model.config.num_codebooks]
        latest = max(stream.delay for stream in own)
        if self._state.steps <= latest:
            return None
        codes = torch.stack(
            [self._made[stream.delay - latest - 1][k] for k, stream in enumerate(own, 1)]
        )
        return self.codec.decode_chunk(codes[None, :, None].to(self.codec.device), self._mouth)[0]
