"""`SampleJoiner`, of tensors."""

import torch
from jaxtyping import Float
from torch import Tensor

from uslm.output.sample_joiner import JoinConfig as JoinConfig
from uslm.output.sample_joiner import SampleJoiner, Samples


class Joiner:
    """Takes the samples of one segment after another; what comes back, joined, is the whole."""

    def __init__(self, config: JoinConfig, sample_rate: int) -> None:
        self._joiner = SampleJoiner(config, sample_rate)

    @property
    def num_samples(self) -> int:
        """Samples handed on so far."""
        return self._joiner.num_samples

    def push(self, waveform: Float[Tensor, "1 n"]) -> Float[Tensor, "1 m"]:
        """More samples of the current segment."""
        return _waveform(self._joiner.push(waveform[0].numpy(force=True)))

    def end_segment(self) -> Float[Tensor, "1 m"]:
        """The current segment is over. Its very end is kept back until it is known what follows."""
        return _waveform(self._joiner.end_segment())

    def pause(self, seconds: float) -> Float[Tensor, "1 m"]:
        """Silence between two segments; nothing if it is 0."""
        return _waveform(self._joiner.pause(seconds))

    def finish(self) -> Float[Tensor, "1 m"]:
        """All segments are over: the end that was kept back."""
        return _waveform(self._joiner.finish())


def _waveform(samples: Samples) -> Float[Tensor, "1 n"]:
    return torch.from_numpy(samples)[None]
