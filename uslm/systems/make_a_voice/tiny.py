"""Make-A-Voice with random weights, built in milliseconds: what tests and examples speak with."""

from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from uslm.systems.make_a_voice.model import MakeAVoiceLM, acoustic_kinds, semantic_kinds
from uslm.systems.make_a_voice.vocoder import CodeVocoder, CodeVocoderConfig
from uslm.systems.tiny_folder import save_parts
from uslm.text.vocab import PhonemeVocab
from uslm_tokenizer.codecs.kmeans_units.model import KMeansUnits
from uslm_tokenizer.codecs.pitch_tokens.model import PitchTokens, PitchTokensConfig
from uslm_tokenizer.codecs.waveform_codec.model import WaveformCodec, WaveformCodecConfig
from uslm_tokenizer.hub import PretrainedModel
from uslm_tokenizer.nn.seanet import SEANetConfig
from uslm_tokenizer.nn.vocos import VocosConfig
from uslm_tokenizer.quantize.rvq import ResidualQuantizerConfig
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig

CODEBOOKS = 2
"""Of the codec's three, those that are written and heard."""


def tiny_parts(
    *, seed: int = 0, strides: tuple[int, ...] = (4, 8, 10)
) -> dict[str, PretrainedModel]:
    """Every part; the product of the codec's strides is its hop."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        units = KMeansUnits(KMeansUnits.tiny_config())
        level = VectorQuantizerConfig(dim=12, codebook_size=16)
        codec = WaveformCodec(
            WaveformCodecConfig(
                encoder=SEANetConfig(dim=12, num_filters=2, strides=strides, num_lstm_layers=0),
                quantizer=ResidualQuantizerConfig(levels=(level,) * 3, dropout=0.0),
            )
        )
        # Else all sound would have one code, and all voices would be one.
        codec.initialize(_syllables(20, 3200), torch.Generator().manual_seed(0))
        pitch = PitchTokens(
            PitchTokensConfig(sample_rate=units.sample_rate, hop_length=units.hop_length)
        )
        reading = semantic_kinds(
            text_vocab_size=PhonemeVocab().size, num_units=units.codebook_size,
            unit_rate=units.frame_rate,
        )  # fmt: skip
        speaking = acoustic_kinds(
            num_units=units.codebook_size, unit_rate=units.frame_rate,
            num_pitches=pitch.codebook_size, num_codebooks=CODEBOOKS,
            codebook_size=codec.codebook_size, frame_rate=codec.frame_rate,
        )  # fmt: skip
        vocos = VocosConfig(
            in_dim=16, dim=16, hidden_dim=32, num_layers=2, n_fft=2 * codec.hop_length,
            hop_length=codec.hop_length,
        )  # fmt: skip
        vocoder = CodeVocoderConfig(
            num_codebooks=CODEBOOKS, codebook_size=codec.codebook_size, vocos=vocos,
            sample_rate=codec.sample_rate,
        )  # fmt: skip
        tiny = MakeAVoiceLM.tiny_config()
        parts: dict[str, PretrainedModel] = {
            "units": units, "pitch": pitch, "codec": codec,
            "semantic": MakeAVoiceLM(replace(tiny, kinds=reading)),
            "acoustic": MakeAVoiceLM(replace(tiny, kinds=speaking)),
            "vocoder": CodeVocoder(vocoder),
        }  # fmt: skip
    return {name: part.eval() for name, part in parts.items()}


def _syllables(count: int, num_samples: int) -> Float[Tensor, "1 1 n"]:
    """Buzzing sounds of different timbre, each after a pause; so many samples a sound."""
    time = torch.arange(num_samples) / 16_000
    harmonics = torch.arange(1, 30)[:, None]
    gains = torch.rand(count, len(harmonics), 1) ** 4
    sounds = (gains * torch.sin(2 * torch.pi * 120 * harmonics * time)).sum(dim=1)
    sounds = 0.1 * sounds * torch.hann_window(num_samples)
    return torch.cat([sounds, torch.zeros(count, num_samples // 2)], dim=1).reshape(1, 1, -1)


def save_tiny_make_a_voice(folder: Path, *, seed: int = 0) -> Path:
    """A folder that speaks, converts and sings, and says nothing."""
    save_parts("make_a_voice", tiny_parts(seed=seed), folder)
    return folder
