"""Stage 2 and a codec's decoder as one module to train: which of them learns, and on what."""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm.generate.codebooks import nearest_codes
from uslm.models.base import AcousticBatch, AcousticModel
from uslm.systems.two_stage.conv_regressor import ConvRegressor, VoicedBatch
from uslm.systems.two_stage.regressor import AcousticRegressor
from uslm_recipes.data.crops import Crops
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.codecs.source_filter.model import PITCH_ROW, SourceFilterCodec
from uslm_tokenizer.codecs.unit_codec.model import UnitCodec
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.objectives.waveform import MultiResolutionSTFTLoss, MultiScaleMelLoss


class JointVoice(nn.Module):
    """Crops decoded from what stage 2 predicts, beside the same from their true codes."""

    tuned: ClassVar[str]
    """What learns, in words."""
    prompt_in_rows: ClassVar[bool]
    """Whether a row of stage 2's batches begins with its prompt."""
    acoustic: Any
    codec: Any

    @abstractmethod
    def predict(self, batch: Any) -> Float[Tensor, "b t e"]:
        """The decoder's input of each frame, as stage 2 predicts it."""

    @abstractmethod
    def synthesize(
        self,
        latents: Float[Tensor, "c t e"],
        codes: Int[Tensor, "c k t"],
        noise: Float[Tensor, "c n"],
    ) -> Float[Tensor, "c 1 n"]:
        """Waveforms of latents of the residual codebooks; `codes` give what stage 2 is given."""

    @abstractmethod
    def spectral_loss(self) -> nn.Module:
        """The loss by which the codec's own recipe compares waveforms."""

    def forward(
        self,
        batch: AcousticBatch | VoicedBatch,
        crops: Crops,
        num_frames: int,
        noise: Float[Tensor, "c2 n"],
    ) -> tuple[Float[Tensor, "c2 1 n"], Float[Tensor, ""]]:
        """Crops from predicted codes, then the same from their true codes; the input's error."""
        predicted = self.predict(batch)
        given = self.acoustic.num_given_codebooks
        before = crops.prompt_frames if self.prompt_in_rows else [0] * len(crops.rows)
        places = [(r, b + s) for r, b, s in zip(crops.rows, before, crops.starts, strict=True)]
        codes = torch.stack([batch.codes[r, :, s : s + num_frames] for r, s in places])
        wanted = torch.stack([predicted[r, s : s + num_frames] for r, s in places])
        guessed = wanted + (self._rounded(wanted) - wanted).detach()  # straight through
        latents = torch.cat([guessed, self._vectors(codes[:, given:])])
        error: Tensor = self.acoustic.loss(batch, predicted)
        return self.synthesize(latents, codes.repeat(2, 1, 1), noise), error

    @torch.no_grad()
    def _rounded(self, wanted: Float[Tensor, "c t e"]) -> Float[Tensor, "c t e"]:
        tables = list(self.acoustic.vectors.float())
        codebooks = nearest_codes(wanted.detach().float().flatten(0, 1), tables)
        return self._vectors(codebooks.reshape(-1, *wanted.shape[:2]).transpose(0, 1))

    def _vectors(self, codebooks: Int[Tensor, "c k t"]) -> Float[Tensor, "c t e"]:
        each = [table[codebooks[:, k]] for k, table in enumerate(self.acoustic.vectors)]
        return torch.stack(each).sum(dim=0).float()


class UnitVoice(JointVoice):
    """An AcousticRegressor and the decoder of a UnitCodec: both learn."""

    tuned = "stage 2 and the decoder"
    prompt_in_rows = True

    def __init__(self, acoustic: AcousticRegressor, codec: UnitCodec) -> None:
        super().__init__()
        self.acoustic, self.codec = acoustic, codec
        codec.requires_grad_(False)
        codec.decoder.requires_grad_(True)
        codec.head.requires_grad_(True)

    def predict(self, batch: Any) -> Float[Tensor, "b t e"]:
        predicted: Tensor = self.acoustic(batch, torch.ones_like(batch.codes[:, 0, 0]))
        return predicted

    def synthesize(
        self,
        latents: Float[Tensor, "c t e"],
        codes: Int[Tensor, "c k t"],
        noise: Float[Tensor, "c n"],
    ) -> Float[Tensor, "c 1 n"]:
        units = self.codec.embed_units(codes[:, 0])
        waveform: Tensor = self.codec.synthesize(latents.transpose(1, 2) + units)
        return waveform

    def spectral_loss(self) -> nn.Module:
        return MultiScaleMelLoss(self.codec.sample_rate)


class SourceFilterVoice(JointVoice):
    """A ConvRegressor and the decoder of a SourceFilterCodec: the decoder alone learns.

    Its input, mel frames, is what it is; a stage 2 that moved it to please the decoder would
    leave the codes that it has to predict. So the decoder learns from what stage 2 makes of a
    text when it speaks (as HiFi-GAN is fine-tuned on Tacotron's output; Kong et al. 2020).
    """

    tuned = "the decoder"
    prompt_in_rows = False

    def __init__(self, acoustic: ConvRegressor, codec: SourceFilterCodec) -> None:
        super().__init__()
        self.acoustic, self.codec = acoustic.requires_grad_(False), codec.requires_grad_(False)
        codec.decoder.requires_grad_(True)

    @torch.no_grad()
    def predict(self, batch: Any) -> Float[Tensor, "b t e"]:
        predicted: Tensor = self.acoustic.predict(batch)
        return predicted

    def synthesize(
        self,
        latents: Float[Tensor, "c t e"],
        codes: Int[Tensor, "c k t"],
        noise: Float[Tensor, "c n"],
    ) -> Float[Tensor, "c 1 n"]:
        f0 = self.codec.config.pitch.decode(codes[:, PITCH_ROW])
        waveform: Tensor = self.codec.decoder.with_noise(latents, f0, noise)
        return waveform

    def spectral_loss(self) -> nn.Module:
        return MultiResolutionSTFTLoss(self.codec.sample_rate)


def joint_voice(acoustic: AcousticModel, codec: AudioTokenizer) -> JointVoice:
    """The module for a stage 2 and the codec whose codes it predicts."""
    if isinstance(acoustic, AcousticRegressor) and isinstance(codec, UnitCodec):
        return UnitVoice(acoustic, codec)
    if isinstance(acoustic, ConvRegressor) and isinstance(codec, SourceFilterCodec):
        return SourceFilterVoice(acoustic, codec)
    raise ConfigError(
        "acoustic and tokenizer must be a conv_regressor and a source_filter_codec, or an "
        f"acoustic_regressor and a unit_codec, but are {acoustic.model_type} and {codec.model_type}"
    )
