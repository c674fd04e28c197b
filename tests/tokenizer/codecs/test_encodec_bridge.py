"""The original encodec package works here, with torchaudio, without it, and beside a broken one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from uslm_tokenizer.codecs.encodec.bridge import (
    ComplexSpectrogram,
    import_encodec,
    ms_stft_discriminator,
)


def test_discriminator_judges_each_scale_and_gives_gradients() -> None:
    discriminator = ms_stft_discriminator(4, n_ffts=(256, 128))
    waveform = (0.1 * torch.randn(2, 1, 1600)).requires_grad_()
    logits, features = discriminator(waveform)
    assert len(logits) == len(features) == 2
    assert [len(maps) for maps in features] == [5, 5]
    assert all(scale.shape[:2] == (2, 1) for scale in logits)
    assert all(each.shape[:2] == (2, 4) for maps in features for each in maps)

    sum((1 - scale).relu().mean() for scale in logits).backward()
    assert waveform.grad is not None and bool(waveform.grad.abs().sum() > 0)
    assert all(weight.grad is not None for weight in discriminator.parameters())


def test_discriminator_learns_to_tell_noise_from_a_tone() -> None:
    discriminator = ms_stft_discriminator(4, n_ffts=(128,))
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=1e-2)
    tone = torch.sin(torch.arange(800) * 0.3).expand(4, 1, -1)
    for _ in range(40):
        real, fake = discriminator(tone)[0][0], discriminator(torch.randn(4, 1, 800))[0][0]
        loss = (1 - real).relu().mean() + (1 + fake).relu().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.5  # 2 before the first step


def test_state_dict_has_the_pretrained_names() -> None:
    names = list(ms_stft_discriminator(2, n_ffts=(64,)).state_dict())
    assert "discriminators.0.spec_transform.window" in names
    assert "discriminators.0.convs.1.conv.weight_g" in names


def test_stand_in_spectrogram_is_the_windowed_fourier_transform() -> None:
    spectrogram = ComplexSpectrogram(
        n_fft=16,
        hop_length=4,
        win_length=16,
        window_fn=torch.hann_window,
        normalized=True,
        center=False,
        pad_mode=None,
        power=None,
    )
    waveform = torch.randn(2, 1, 40)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(16) / 16)
    frames = np.lib.stride_tricks.sliding_window_view(waveform.numpy(), 16, axis=-1)[:, :, ::4]
    expected = np.fft.rfft(frames * window).swapaxes(-1, -2) / np.sqrt((window**2).sum())
    np.testing.assert_allclose(spectrogram(waveform).numpy(), expected, atol=1e-5)


def test_seanet_and_rvq_of_encodec_run() -> None:
    model = quiet_model()
    model.set_target_bandwidth(3.0)
    with torch.no_grad():
        ((codes, scale),) = model.encode(0.1 * torch.randn(1, 1, 2400))
        assert codes.shape == (1, 4, 8) and scale is None
        assert model.decode([(codes, scale)]).shape == (1, 1, 2560)


def quiet_model() -> torch.nn.Module:
    """EnCodec for 24 kHz with random weights."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model: torch.nn.Module = import_encodec().EncodecModel.encodec_model_24khz(pretrained=False)
    return model


BROKEN = 'raise OSError("libc10_cuda.so: cannot open shared object file")\n'


def run_python(code: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh Python that finds packages in `path` first."""
    folders = [str(path), *(entry for entry in sys.path if entry)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.fixture
def broken_torchaudio(tmp_path: Path) -> Path:
    """A folder with an installed torchaudio that fails as the CUDA build does beside CPU torch."""
    (tmp_path / "torchaudio").mkdir()
    (tmp_path / "torchaudio" / "__init__.py").write_text(BROKEN)
    info = tmp_path / "torchaudio-2.11.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torchaudio\nVersion: 2.11.0\n")
    return tmp_path


def test_works_beside_a_torchaudio_that_does_not_load(broken_torchaudio: Path) -> None:
    result = run_python(
        "import sys, torch\n"
        "from uslm_tokenizer.codecs.encodec.bridge import ms_stft_discriminator\n"
        "logits, _ = ms_stft_discriminator(2, n_ffts=(64,))(torch.randn(1, 1, 640))\n"
        "assert 'torchaudio' not in sys.modules, 'the stand-in must not stay'\n"
        "print(len(logits))",
        broken_torchaudio,
    )
    assert result.stdout == "1\n", result.stderr


def test_a_torchaudio_that_does_not_load_is_said_so(broken_torchaudio: Path) -> None:
    """By all that has transformers import one."""
    result = run_python(
        "from uslm.evaluation.judges.whisper import WhisperRecognizer\n"
        "from uslm.evaluation.judges.xvector import XVector\n"
        "from uslm_tokenizer.registry import tokenizer_class\n"
        "from uslm_tokenizer.ssl.backbones import load_backbone\n"
        "mimi = tokenizer_class('mimi')\n"
        "for need in (\n"
        "    lambda: load_backbone('someone/hubert', {}),\n"
        "    lambda: mimi(mimi.tiny_config()),\n"
        "    lambda: WhisperRecognizer.from_pretrained('someone/whisper'),\n"
        "    lambda: XVector.from_pretrained('someone/wavlm'),\n"
        "):\n"
        "    try: need()\n"
        "    except Exception as problem: print(type(problem).__name__, problem)",
        broken_torchaudio,
    )
    lines = result.stdout.splitlines()
    assert len(lines) == 4, result.stderr
    for line in lines:
        assert line.startswith("EnvironmentProblem torchaudio is installed but does not load")
        assert "libc10_cuda.so" in line and "pip uninstall torchaudio" in line


def test_a_torchaudio_that_loads_is_used(tmp_path: Path) -> None:
    (tmp_path / "torchaudio").mkdir()
    (tmp_path / "torchaudio" / "__init__.py").write_text("import types\nload = save = None\n")
    result = run_python(
        "import torchaudio\n"
        "from uslm_tokenizer.codecs.encodec.bridge import import_encodec\n"
        "print(import_encodec().utils.torchaudio is torchaudio)",
        tmp_path,
    )
    assert result.stdout == "True\n", result.stderr


def test_without_encodec_the_rest_works_and_the_message_says_what_to_do(tmp_path: Path) -> None:
    result = run_python(
        "import sys\n"
        "sys.modules['encodec'] = sys.modules['torchaudio'] = None\n"
        "import uslm, uslm_tokenizer.registry\n"
        "from uslm_tokenizer.registry import TOKENIZERS, tokenizer_class\n"
        "for name in TOKENIZERS: tokenizer_class(name)\n"
        "print('works')\n"
        "from uslm_tokenizer.codecs.encodec.bridge import ms_stft_discriminator\n"
        "ms_stft_discriminator()",
        tmp_path,
    )
    assert result.stdout == "works\n", result.stderr
    message = result.stderr.splitlines()[-1]
    assert "EnvironmentProblem" in message and "pip install --no-deps encodec" in message


def test_what_the_stand_in_lacks_is_said_plainly() -> None:
    encodec = import_encodec()
    if not hasattr(sys.modules.get("torchaudio"), "save"):  # where it is the stand-in
        with pytest.raises(RuntimeError, match=r"needs torchaudio\.save"):
            encodec.utils.save_audio(torch.zeros(1, 8), "never.wav", 24_000)
