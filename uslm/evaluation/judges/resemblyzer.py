"""Resemblyzer's speaker encoder (GE2E, Wan et al. 2018): three LSTMs over a mel spectrogram.

Only the weights come from the package `Resemblyzer`; the network is short, and its own loader needs
librosa. `pip install --no-deps Resemblyzer` is enough.
"""

import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from uslm_tokenizer.errors import EnvironmentProblem, MissingResource
from uslm_tokenizer.ssl.front_ends import SAMPLE_RATE, slaney_mel_filters

HOP = 160
WINDOW_FRAMES = 160
"""Frames of 10 ms that the network sees at once."""
WINDOWS_PER_SECOND = 1.3
MIN_COVERAGE = 0.75
"""A last window that holds less speech than this is left out."""
LOUDNESS_DBFS = -30.0
VAD_SAMPLES = 480


class Resemblyzer(nn.Module):
    """A waveform of 16 kHz -> 256 numbers of length one that stand for the voice."""

    filters: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(40, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)
        self.register_buffer("filters", slaney_mel_filters(40, n_fft=400), persistent=False)
        self.register_buffer("window", torch.hann_window(400), persistent=False)

    @classmethod
    def from_package(cls) -> "Resemblyzer":
        """With the weights of the installed package."""
        spec = find_spec("resemblyzer")
        if spec is None or not spec.submodule_search_locations:
            raise EnvironmentProblem(
                "the speaker model needs the weights of Resemblyzer: "
                "pip install --no-deps Resemblyzer && pip install webrtcvad-wheels"
            )
        return cls.from_file(Path(spec.submodule_search_locations[0]) / "pretrained.pt")

    @classmethod
    def from_file(cls, path: str | Path) -> "Resemblyzer":
        """With the weights of `pretrained.pt`."""
        if not Path(path).is_file():
            raise MissingResource(f"there are no weights {str(path)!r} of Resemblyzer")
        _webrtcvad()  # ask now, not after an hour of speaking
        weights = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
        model = cls()
        wanted = model.state_dict()
        model.load_state_dict({name: weights[name] for name in wanted})
        return model.eval()

    @torch.inference_mode()
    def forward(self, waveform: Float[Tensor, " n"]) -> Float[Tensor, " d"]:
        speech = _only_speech(_levelled(waveform.detach().cpu().float()))
        starts = _window_starts(len(speech))
        needed = (starts[-1] + WINDOW_FRAMES) * HOP
        mel = self._mel(F.pad(speech, (0, max(0, needed - len(speech)))))
        windows = torch.stack([mel[start : start + WINDOW_FRAMES] for start in starts])
        _, (hidden, _) = self.lstm(windows)
        partial = F.normalize(torch.relu(self.linear(hidden[-1])), dim=1)
        return F.normalize(partial.mean(0), dim=0)

    def _mel(self, waveform: Float[Tensor, " n"]) -> Float[Tensor, "t m"]:
        spectrum = torch.stft(
            waveform, 400, HOP, window=self.window, pad_mode="constant", return_complex=True
        )
        return (self.filters @ spectrum.abs().square()).T


def _levelled(waveform: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Quiet speech is made louder; loud speech stays."""
    level = 10 * torch.log10(waveform.square().mean() + 1e-12)
    return waveform * 10 ** (max(0.0, LOUDNESS_DBFS - float(level)) / 20)


def _only_speech(waveform: Float[Tensor, " n"]) -> Float[Tensor, " m"]:
    """Without silences of more than about 0.2 s; unchanged where no speech is found."""
    detector = _webrtcvad().Vad(3)
    frames = waveform[: len(waveform) // VAD_SAMPLES * VAD_SAMPLES].view(-1, VAD_SAMPLES)
    samples = (frames.clamp(-1, 1) * 32767).round().numpy().astype(np.int16)
    voiced = torch.tensor([detector.is_speech(f.tobytes(), SAMPLE_RATE) for f in samples])
    if not len(frames) or not bool(voiced.any()):
        return waveform
    smooth = F.pad(voiced.float(), (3, 4)).unfold(0, 8, 1).mean(1).round()
    kept = F.max_pool1d(smooth[None], 7, stride=1, padding=3)[0].bool()
    return frames[kept].flatten() if bool(kept.any()) else waveform


def _window_starts(num_samples: int) -> list[int]:
    """First frame of each window over a waveform."""
    num_frames = -(-(num_samples + 1) // HOP)
    step = round(SAMPLE_RATE / WINDOWS_PER_SECOND / HOP)
    starts = list(range(0, max(1, num_frames - WINDOW_FRAMES + step + 1), step))
    covered = (num_samples - starts[-1] * HOP) / (WINDOW_FRAMES * HOP)
    return starts[:-1] if covered < MIN_COVERAGE and len(starts) > 1 else starts


def _webrtcvad() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it imports the old pkg_resources
            return import_module("webrtcvad")
    except ImportError as problem:
        raise EnvironmentProblem(
            "the speaker model leaves out silence with webrtcvad: pip install webrtcvad-wheels"
        ) from problem
