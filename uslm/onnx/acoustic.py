"""Stage 2 and the decoder at work: units and pitches become codes, and codes samples."""

from collections.abc import Sequence

import numpy as np

from uslm.generate.stopping import SpokenUnits
from uslm.onnx.graphs import Array, Graphs
from uslm.onnx.voice import Voice

UNIT_ROW, PITCH_ROW = 0, 1
USUAL_PITCH = 32
"""Median of a voice that was never voiced, in the codec's steps: some 150 Hz."""


class VoiceMemory:
    """Outputs of stage 2 for a voice, made once."""

    def __init__(self, graphs: Graphs, voice: Voice) -> None:
        config = graphs.config
        codes = voice.codes[:, : config.acoustic_prompt_frames]
        spoken = np.full(codes.shape[1], -1, dtype=np.int64)
        if voice.spoken is not None:
            spoken = voice.spoken[: codes.shape[1]].astype(np.int64)
        self.output_shift = np.zeros(config.acoustic.latent_dim, dtype=np.float32)
        pooled_shift = np.zeros(config.acoustic.dim, dtype=np.float32)
        if voice.pooled is not None and voice.output is not None:
            pooled_shift, self.output_shift = voice.pooled, voice.output
        self.tensors = graphs.voice(codes, spoken, pooled_shift)


class CodeBlocks:
    """The codes of one segment, growing as its units become known; as the torch one."""

    def __init__(
        self,
        graphs: Graphs,
        memory: VoiceMemory,
        median: int,
        text_ids: Sequence[int],
        num_before: int,
        *,
        low_latency: bool,
    ) -> None:
        """`text_ids` are the segment's own; stage 1 reads `num_before` in front of them."""
        self._graphs, self._memory, self._median = graphs, memory, median
        self._text_ids, self._num_before = np.array(text_ids, dtype=np.int64), num_before
        self._low_latency, self._index = low_latency, 0
        self.codes = np.zeros((graphs.config.codec.num_codebooks, 0), dtype=np.int64)
        """All that is made, [k, t]."""

    def fill(self, said: SpokenUnits) -> bool:
        """Fill the next block of the units so far; False before there are enough of them."""
        config = self._graphs.config
        block = config.blocks.next_block(
            self._index, self.codes.shape[1], len(said.units), said.stop_reason is not None,
            low_latency=self._low_latency, lag=config.codec.context_frames,
        )  # fmt: skip
        if block is None:
            return False
        context = block.start - block.first
        codes = np.zeros((len(self.codes), block.last - block.first), dtype=np.int64)
        codes[:, :context] = self.codes[:, block.first :]
        codes[UNIT_ROW, context:] = said.units[block.start : block.last]
        new = said.pitches[block.start : block.last]
        codes[PITCH_ROW, context:] = [self._absolute_pitch(each) for each in new]
        # Behind the text stands stage 1's end symbol, which stage 2 does not know.
        positions = np.array(said.text_positions[block.first : block.last]) - self._num_before
        spoken = self._text_ids[positions.clip(0, len(self._text_ids) - 1)]
        (filled,) = self._graphs.block(
            codes, spoken, np.array([context]), self._memory.output_shift, *self._memory.tensors
        )
        made = filled[:, context : context + block.stop - block.start]
        self.codes = np.concatenate([self.codes, made], axis=1)
        self._index += 1
        return True

    def _absolute_pitch(self, relative: int) -> int:
        if not relative:
            return 0
        config = self._graphs.config
        pitch = max(1, self._median + relative - config.semantic.pitch_reach - 1)
        return min(pitch, config.codec.num_pitches - 1)


class StreamingDecoder:
    """Codes to samples, as they come; the same samples as all at once."""

    def __init__(self, graphs: Graphs) -> None:
        self._graphs = graphs
        self._emitted = 0  # frames that have become samples

    def push(self, codes: Array, is_final: bool) -> Array:
        """Samples of the frames that are settled by now, of all codes so far; at the end, of
        all."""
        facts = self._graphs.config.codec
        context, hop = facts.context_frames, facts.hop_length
        num_frames, start = codes.shape[1], self._emitted
        stop = num_frames if is_final else num_frames - context
        if stop <= start:
            return np.zeros(0, dtype=np.float32)
        first, last = max(0, start - context), min(num_frames, stop + context)
        (samples,) = self._graphs.decoder(
            np.ascontiguousarray(codes[:, first:last]),
            np.ascontiguousarray(codes[PITCH_ROW, :last]),
            np.array([first]),
        )
        self._emitted = stop
        window: Array = samples[(start - first) * hop : (stop - first) * hop]
        return window


def relative_pitches(pitches: Array, reach: int) -> list[int]:
    """Relative pitches, drawn in place of a codec's (0: unvoiced), of one utterance."""
    voiced = pitches > 0
    if not voiced.any():
        return [0] * len(pitches)
    steps = (pitches - lower_median(pitches[voiced])).clip(-reach, reach)
    relative: list[int] = np.where(voiced, steps + reach + 1, 0).tolist()
    return relative


def median_pitch(pitches: Array) -> int:
    """The median of the voiced frames, in the codec's steps."""
    voiced = pitches[pitches > 0]
    return lower_median(voiced) if len(voiced) else USUAL_PITCH


def lower_median(values: Array) -> int:
    """The lower of the two in the middle, as PyTorch has it."""
    return int(np.sort(values)[(len(values) - 1) // 2])
