"""A model with random weights and a made-up voice: what tests and examples speak with."""

# ruff: noqa: RUF001 (phonemes look like other characters)

import math

import torch
from jaxtyping import Float
from torch import Tensor

from uslm.generate.length import LengthConfig
from uslm.systems.two_stage.ar import SemanticLM
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.config import BundleConfig
from uslm.systems.two_stage.conv_regressor import ConvRegressor
from uslm.systems.two_stage.monotonic import MonotonicLM
from uslm.systems.two_stage.nar import AcousticLM
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.codecs.source_filter.model import SourceFilterCodec
from uslm_tokenizer.codecs.unit_codec.model import UnitCodec

TINY = BundleConfig(name="tiny", length=LengthConfig(max_frames_per_symbol=2.0, margin_frames=5))
"""It never knows when to end, so it is stopped early."""


def tiny_bundle(config: BundleConfig = TINY, *, seed: int = 0) -> Bundle:
    """A model that babbles: every part is there, built in milliseconds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Bundle(
            config,
            UnitCodec(UnitCodec.tiny_config()).eval(),
            SemanticLM(SemanticLM.tiny_config()).eval(),
            AcousticLM(AcousticLM.tiny_config()).eval(),
        )


def tiny_pitched_bundle(config: BundleConfig = TINY, *, seed: int = 0) -> Bundle:
    """The same with the default model's kinds of parts: stage 1 draws pitches, too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        codec = SourceFilterCodec(SourceFilterCodec.tiny_config()).eval()
        acoustic = ConvRegressor(ConvRegressor.tiny_config()).eval()
        for parameter in acoustic.parameters():  # many begin at zero, and would see nothing
            torch.nn.init.normal_(parameter, std=0.1)
        acoustic.learn_vectors(codec.codebook_vectors())
        semantic = MonotonicLM(MonotonicLM.tiny_config()).eval()
        return Bundle(config, codec, semantic, acoustic)


def tiny_voice(bundle: Bundle, *, num_frames: int = 60, seed: int = 1) -> VoicePrompt:
    """A voice of random codes."""
    tokenizer, draw = bundle.tokenizer, torch.Generator().manual_seed(seed)
    shape = (tokenizer.num_codebooks, num_frames)
    return VoicePrompt(
        name="babble",
        codes=torch.randint(tokenizer.codebook_size, shape, generator=draw),
        text_ids=torch.tensor(bundle.vocab.encode("ðɪs ɪz ɐ tɛst.")),
        num_spoken_frames=num_frames,
        phonemes="ðɪs ɪz ɐ tɛst.",
        transcript="This is a test.",
        seconds=num_frames / tokenizer.frame_rate,
        tokenizer_hash=bundle.tokenizer_hash,
        model=bundle.config.name,
    )


def speech_like(seconds: float = 4.0, sample_rate: int = 16_000, *, seed: int = 0) -> Audio:
    """Syllables of a buzzing voice with moving vowels, hisses and pauses; it says nothing."""
    draw = torch.Generator().manual_seed(seed)
    syllables: list[Float[Tensor, " n"]] = []
    length = 0
    while length < seconds * sample_rate:
        tone, hiss, rest = (torch.rand(3, generator=draw) * 0.08 + 0.06).tolist()
        syllables += [
            _hiss(hiss, sample_rate, draw),
            _vowel(tone + 0.08, sample_rate, draw),
            torch.zeros(round(rest * sample_rate)),
        ]
        length = sum(map(len, syllables))
    waveform = torch.cat(syllables)[: round(seconds * sample_rate)]
    noise = torch.randn(len(waveform), generator=draw)
    return Audio((0.3 * waveform + 0.0005 * noise)[None], sample_rate)


def _vowel(seconds: float, sample_rate: int, draw: torch.Generator) -> Float[Tensor, " n"]:
    time = torch.arange(round(seconds * sample_rate)) / sample_rate
    low, high, pitch = torch.rand(3, generator=draw).tolist()
    formants, pitch = (300 + 600 * low, 900 + 1600 * high), 100 + 40 * pitch
    voice = torch.zeros_like(time)
    for harmonic in range(1, int(4000 / pitch)):
        frequency = harmonic * pitch
        gain = sum(math.exp(-(((frequency - formant) / 150) ** 2)) for formant in formants)
        voice += (gain + 0.01) * torch.sin(2 * math.pi * frequency * time)
    return 0.5 * voice * torch.hann_window(len(time))


def _hiss(seconds: float, sample_rate: int, draw: torch.Generator) -> Float[Tensor, " n"]:
    noise = torch.randn(round(seconds * sample_rate), generator=draw)
    return 0.15 * (noise - noise.roll(1)) * torch.hann_window(len(noise))
