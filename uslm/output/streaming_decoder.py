"""Codes to samples, segment by segment, with the same samples as all at once."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm_tokenizer.base import AudioTokenizer


class StreamingDecoder:
    """Decodes codes as they come.

    A decoder that says how far it sees (`decoder_context_frames`) is given that many frames more
    on each side of what is kept; so the joined samples equal those of one `decode`, up to
    rounding, and come that many frames late. Any other decoder is asked once, at the end.
    """

    def __init__(self, tokenizer: AudioTokenizer) -> None:
        self._tokenizer = tokenizer
        self._context = tokenizer.decoder_context_frames
        self.num_frames = 0
        """Frames of codes that have come."""
        self._codes: Tensor | None = None
        self._first = 0  # frame of the utterance where the held codes begin
        self._emitted = 0  # frames that have become samples

    def push(self, codes: Int[Tensor, "k t"], is_final: bool) -> Float[Tensor, "1 n"]:
        """Samples, on the CPU, of all frames that are settled by now; at the end, of all."""
        held = codes if self._codes is None else torch.cat([self._codes, codes], dim=1)
        self.num_frames += codes.shape[1]
        context = self._context or 0
        ready = self.num_frames
        if not is_final:
            ready = ready - context if self._context is not None else 0
        if ready <= self._emitted:
            self._codes = held
            return torch.zeros(1, 0)
        samples = self._tokenizer.decode_window(
            held[None].to(self._tokenizer.device), self._emitted - self._first, ready - self._first
        )[0]
        keep = 0 if self._tokenizer.decodes_from_start else max(self._first, ready - context)
        self._codes, self._first, self._emitted = held[:, keep - self._first :], keep, ready
        return samples.float().cpu()
