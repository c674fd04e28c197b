"""Whisper's encoder, run by hand: transformers insists on 30 s, however short the speech."""

from collections.abc import Collection, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from uslm_tokenizer.nn.padding import length_mask
from uslm_tokenizer.ssl.front_ends import HOP_LENGTH, WhisperLogMel

SILENT_FRAMES = 50
"""A second after each row, as the encoder expects speech to end in some silence."""


def whisper_outputs(
    encoder: Any,
    log_mel: WhisperLogMel,
    waveform: Float[Tensor, "b n"],
    lengths: Int[Tensor, " b"],
    layers: Collection[int],
) -> list[Float[Tensor, "b t d"]]:
    """Outputs of some layers (from 1) of a WhisperEncoder for rows of whole hops, t = n // 320.

    What lies further after a row than the silence is masked. Longer audio than the encoder has
    positions for, 30 s, goes through in windows.
    """
    limit = encoder.config.max_source_positions
    if waveform.shape[1] <= limit * HOP_LENGTH:
        return _window_outputs(encoder, log_mel, waveform, lengths, layers)
    window = limit * HOP_LENGTH
    parts = [
        _window_outputs(
            encoder, log_mel, part, (lengths - window * index).clamp(0, part.shape[1]), layers
        )
        for index, part in enumerate(torch.split(waveform, window, dim=1))
    ]
    return [torch.cat(layer, dim=1) for layer in zip(*parts, strict=True)]


def _window_outputs(
    encoder: Any,
    log_mel: WhisperLogMel,
    waveform: Float[Tensor, "b n"],
    lengths: Int[Tensor, " b"],
    layers: Collection[int],
) -> list[Float[Tensor, "b t d"]]:
    num_frames, limit = waveform.shape[1] // HOP_LENGTH, encoder.config.max_source_positions
    visible = (lengths // HOP_LENGTH + SILENT_FRAMES).clamp(max=limit)
    total = min(num_frames + SILENT_FRAMES, limit)
    audio = F.pad(waveform[:, : total * HOP_LENGTH], (0, SILENT_FRAMES * HOP_LENGTH))
    mel = log_mel(audio[:, : total * HOP_LENGTH]).to(encoder.conv1.weight.dtype)
    mel_mask = length_mask(2 * visible, mel.shape[2])
    keep = length_mask(visible, total)[:, None, None]
    attention = torch.zeros_like(keep, dtype=mel.dtype)
    attention = attention.masked_fill(~keep, torch.finfo(mel.dtype).min)
    attention = attention.expand(-1, 1, total, total)
    each = enumerate(layer_outputs(encoder, mel, mel_mask, attention), start=1)
    return [hidden[:, :num_frames] for number, hidden in each if number in layers]


def layer_outputs(
    encoder: Any,
    mel: Float[Tensor, "b m two_t"],
    mel_mask: Bool[Tensor, "b two_t"] | None = None,
    attention: Float[Tensor, "b 1 t t"] | None = None,
) -> Iterator[Float[Tensor, "b t d"]]:
    """Outputs of each layer of a WhisperEncoder for a spectrogram of any length up to 30 s.

    The last one's is normed, as the decoder wants it. `attention` is added to the scores.
    """
    seen = 1.0 if mel_mask is None else mel_mask[:, None]
    hidden = F.gelu(encoder.conv1(mel * seen)) * seen
    hidden = F.gelu(encoder.conv2(hidden)).transpose(1, 2)
    hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
    for number, block in enumerate(encoder.layers, start=1):
        normed = block.self_attn_layer_norm(hidden)
        hidden = hidden + block.self_attn(normed, attention_mask=attention)[0]
        normed = block.final_layer_norm(hidden)
        hidden = hidden + block.fc2(block.activation_fn(block.fc1(normed)))
        # By the config: an encoder may have been cut after the last layer that is processed.
        yield encoder.layer_norm(hidden) if number == encoder.config.encoder_layers else hidden
