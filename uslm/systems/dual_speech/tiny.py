"""DualSpeechLM with random weights, built in milliseconds: what tests and examples speak with."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from uslm.systems.dual_speech.decoder import DualDecoder, kinds_of
from uslm.systems.dual_speech.model import TINY_LLAMA, DualLM, build_causal_lm
from uslm.systems.dual_speech.speaker_vector import SPEAKER_DIM
from uslm.systems.tiny_folder import save_parts
from uslm.text.subwords import VOCAB_FILE, SubwordVocab
from uslm_tokenizer.codecs.judged_units.model import JudgedUnits
from uslm_tokenizer.codecs.waveform_codec.model import WaveformCodec, WaveformCodecConfig
from uslm_tokenizer.hub import PretrainedModel
from uslm_tokenizer.nn.seanet import SEANetConfig
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig
from uslm_tokenizer.weight_hash import weight_hash

NO_LETTER = "<end>"


def tiny_parts(*, seed: int = 0) -> dict[str, PretrainedModel]:
    """Every part; there are twice as many codes per second as units, and speech is
    short."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        units = JudgedUnits(JudgedUnits.tiny_config())
        codec = WaveformCodec(
            WaveformCodecConfig(
                encoder=SEANetConfig(dim=12, num_filters=2, strides=(4, 5, 8), num_lstm_layers=0),
                quantizer=VectorQuantizerConfig(dim=12, codebook_size=24),
            )
        )
        size = units.codebook_size
        lm = DualLM(
            replace(
                DualLM.tiny_config(), codebook_size=size, tokenizer=weight_hash(tokenizer=units)
            )
        )
        nn.init.constant_(lm.to_own.bias[-1:], 0.2)  # an end that top_p leaves in
        kinds = kinds_of(
            speaker_dim=SPEAKER_DIM, num_units=size, unit_rate=units.frame_rate,
            num_codes=codec.codebook_size, code_rate=codec.frame_rate,
        )  # fmt: skip
        decoder = DualDecoder(replace(DualDecoder.tiny_config(), kinds=kinds))
        for parameter in decoder.parameters():
            if parameter.ndim > 1:  # so that what is read makes a difference
                nn.init.normal_(parameter, std=0.2)
        parts: dict[str, PretrainedModel] = {
            "units": units, "codec": codec, "lm": lm, "decoder": decoder,
        }  # fmt: skip
    return {name: part.eval() for name, part in parts.items()}


def byte_tokenizer() -> Any:
    """A text tokenizer of the package tokenizers, of one token for each byte."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    places = {letter: place for place, letter in enumerate([NO_LETTER, *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=places, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def tiny_vocab() -> SubwordVocab:
    """Its text: bytes."""
    return SubwordVocab(byte_tokenizer())


def save_tiny_causal_lm(folder: Path, *, seed: int = 0) -> Path:
    """A language model of transformers with its text tokenizer, as a recipe begins with: bytes in,
    random weights."""
    from transformers import PreTrainedTokenizerFast

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        build_causal_lm(TINY_LLAMA, 2).save_pretrained(folder)
    text_tokenizer: Any = PreTrainedTokenizerFast
    text_tokenizer(tokenizer_object=byte_tokenizer()).save_pretrained(folder)
    return folder


def save_tiny_dual_speech(folder: Path, *, seed: int = 0) -> Path:
    """A folder that answers, and knows nothing."""
    save_parts("dual_speech", tiny_parts(seed=seed), folder)
    byte_tokenizer().save(str(folder / VOCAB_FILE))
    return folder
