"""From segments of speech to one: silence trimmed, pauses set, joins without a click."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from uslm_tokenizer.errors import ConfigError

Samples = Float[np.ndarray, " _"]
"""Float32."""
WINDOW_SECONDS = 0.02
"""Loudness is judged over this long."""


@dataclass(frozen=True, kw_only=True)
class JoinConfig:
    """Settings of the joining of segments."""

    trim_silence: bool = True
    """Whether silence at the ends of a segment, and over-long silence inside, is shortened."""
    silence_dbfs: float = -50.0
    """A window below this loudness (RMS) is silent."""
    edge_seconds: float = 0.06
    """Silence kept at each end of a segment."""
    max_silence_seconds: float = 0.8
    """Longest silence kept inside a segment."""
    fade_seconds: float = 0.02
    """Fade at each end of a segment; a cross-fade where no pause lies between two."""

    def __post_init__(self) -> None:
        for name in ("edge_seconds", "max_silence_seconds", "fade_seconds"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must be 0 or more, but is {getattr(self, name)}")


class SampleJoiner:
    """Takes the samples of one segment after another; what comes back, joined, is the whole.

    What comes back in all does not depend on how a segment was cut on its way here.
    """

    def __init__(self, config: JoinConfig, sample_rate: int) -> None:
        self.num_samples = 0
        """Samples handed on so far."""
        self._config, self._rate = config, sample_rate
        angles = np.linspace(
            0, np.pi / 2, round(config.fade_seconds * sample_rate), dtype=np.float32
        )
        self._fade_in, self._fade_out = np.sin(angles), np.cos(angles)  # equal power
        self._tail = _silence(0)  # the faded end of the segment before
        self._begin()

    def _begin(self) -> None:
        self._trimmer = _Trimmer(self._config, self._rate)
        self._pending = _silence(0)  # what may yet turn out to be the end
        self._position = 0  # samples of this segment that have come

    def push(self, waveform: Samples) -> Samples:
        """More samples of the current segment."""
        if not len(waveform):
            return waveform
        return self._count(self._blend(self._trimmer.push(waveform)))

    def end_segment(self) -> Samples:
        """The current segment is over. Its very end is kept back until it is known what follows."""
        out = self._blend(self._trimmer.end())
        if self._position:
            # A segment shorter than the fades is filled up with silence.
            missing = len(self._fade_in) - self._position
            out = np.concatenate([out, self._blend(_silence(max(0, missing)))])
            self._tail = self._pending * self._fade_out
        self._begin()
        return self._count(out)

    def pause(self, seconds: float) -> Samples:
        """Silence between two segments; nothing if it is 0."""
        silence = _silence(round(seconds * self._rate))
        return self._count(
            np.concatenate([self._take_tail(), silence]) if len(silence) else silence
        )

    def finish(self) -> Samples:
        """All segments are over: the end that was kept back."""
        return self._count(self._take_tail())

    def _blend(self, samples: Samples) -> Samples:
        """Fade in over the tail of the segment before; keep back what may have to be faded out."""
        span = slice(self._position, self._position + len(samples))
        rising, falling = self._fade_in[span], self._tail[span]
        samples = samples.copy()
        samples[: len(rising)] *= rising
        samples[: len(falling)] += falling
        self._position += len(samples)
        if self._position >= len(self._tail):
            self._tail = _silence(0)
        joined = np.concatenate([self._pending, samples])
        ready = max(0, len(joined) - len(self._fade_out))
        self._pending = joined[ready:]
        return joined[:ready]

    def _take_tail(self) -> Samples:
        tail, self._tail = self._tail, _silence(0)
        return tail

    def _count(self, samples: Samples) -> Samples:
        self.num_samples += len(samples)
        return samples


class _Trimmer:
    """Shortens the silence of one segment, in windows counted from its start."""

    def __init__(self, config: JoinConfig, sample_rate: int) -> None:
        self._trims = config.trim_silence
        self._window = round(WINDOW_SECONDS * sample_rate)
        self._threshold = 10 ** (config.silence_dbfs / 20)
        self._edge = round(config.edge_seconds * sample_rate)
        self._longest = round(config.max_silence_seconds * sample_rate)
        self._rest = _silence(0)  # less than a window
        self._silence = _silence(0)  # held until sound follows
        self._speaking = False

    def push(self, samples: Samples) -> Samples:
        if not self._trims:
            return samples
        samples = np.concatenate([self._rest, samples])
        whole = len(samples) // self._window * self._window
        self._rest = samples[whole:]
        windows = samples[:whole].reshape(-1, self._window)
        is_loud = (np.sqrt(np.square(windows).mean(axis=1)) > self._threshold).tolist()
        out = [_silence(0)]
        for window, loud in zip(windows, is_loud, strict=True):
            if not loud:
                self._silence = np.concatenate([self._silence, window])
                continue
            out += [self._shortened(), window]
            self._silence, self._speaking = _silence(0), True
        return np.concatenate(out)

    def end(self) -> Samples:
        """The silence kept at the end; nothing of a segment without any sound."""
        held = np.concatenate([self._silence, self._rest])
        return held[: self._edge] if self._speaking else held[:0]

    def _shortened(self) -> Samples:
        """The held silence, now that sound follows."""
        held = self._silence
        if not self._speaking:
            return held[max(0, len(held) - self._edge) :]
        half = self._longest // 2
        return held if len(held) <= self._longest else np.concatenate([held[:half], held[-half:]])


def _silence(count: int) -> Samples:
    return np.zeros(count, dtype=np.float32)
