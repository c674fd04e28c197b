"""`.ecdc` files: ours are read by encodec, encodec's by us, and broken ones are refused."""

from __future__ import annotations

import io
import warnings
from typing import Any

import pytest
import torch

from uslm_tokenizer.codecs.encodec.bridge import import_encodec
from uslm_tokenizer.codecs.encodec.ecdc import EcdcAudio, read_ecdc, write_ecdc
from uslm_tokenizer.errors import AudioError


@pytest.fixture(params=["encodec_24khz", "encodec_48khz"])
def model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An EnCodec with random weights in the place of the pretrained one."""
    encodec = import_encodec()
    builder = {
        "encodec_24khz": encodec.EncodecModel.encodec_model_24khz,
        "encodec_48khz": encodec.EncodecModel.encodec_model_48khz,
    }[request.param]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        built = builder(pretrained=False)
    built.name = request.param
    built.set_target_bandwidth(6.0)
    monkeypatch.setitem(encodec.compress.__globals__["MODELS"], request.param, lambda: built)
    return built


def audio_of(model: Any, num_samples: int) -> tuple[torch.Tensor, EcdcAudio]:
    """A noise and what the model makes of it."""
    waveform = 0.1 * torch.randn(model.channels, num_samples)
    with torch.no_grad():
        frames = model.encode(waveform[None])
    return waveform, EcdcAudio(
        model=model.name,
        num_samples=num_samples,
        segments=tuple(codes[0] for codes, _ in frames),
        scales=tuple(float(scale) for _, scale in frames if scale is not None),
    )


def test_same_bytes_as_encodec(model: Any) -> None:
    waveform, audio = audio_of(model, 50_000)
    assert write_ecdc(audio) == import_encodec().compress(model, waveform)


def test_read_undoes_write(model: Any) -> None:
    _, audio = audio_of(model, 50_001)
    again = read_ecdc(write_ecdc(audio))
    assert (again.model, again.num_samples) == (audio.model, 50_001)
    assert again.scales == audio.scales
    assert all(torch.equal(a, b) for a, b in zip(again.segments, audio.segments, strict=True))


def test_encodec_decodes_our_file(model: Any) -> None:
    waveform, audio = audio_of(model, 50_000)
    decoded, sample_rate = import_encodec().decompress(write_ecdc(audio))
    assert sample_rate == model.sample_rate and decoded.shape == waveform.shape
    with torch.no_grad():
        expected = model(waveform[None])[0]
    torch.testing.assert_close(decoded, expected)


def small() -> EcdcAudio:
    codes = torch.arange(8).view(2, 4)
    return EcdcAudio(model="encodec_24khz", num_samples=1200, segments=(codes,))


def file_with(**changes: Any) -> bytes:
    """A file whose header has these fields changed."""
    file = io.BytesIO()
    header = {"m": "encodec_24khz", "al": 1200, "nc": 2, "lm": False}
    import_encodec().binary.write_ecdc_header(file, header | changes)
    return file.getvalue() + write_ecdc(small())[-10:]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a readable"),
        (b"RIFF....WAVEfmt ", "not a readable"),
        (write_ecdc(small())[:-1], "ends before its last frame"),
        (file_with(al=10**18), "shorter than its header"),
        (file_with(al=0), "at least 1 sample"),
        (file_with(al="long"), "not a readable"),
        (file_with(nc=10**12), "ends before its last frame"),
        (file_with(m="encodec_11khz"), "model must be one of"),
        (file_with(lm=True), "entropy coded"),
    ],
)
def test_bad_files_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        read_ecdc(data)


def test_bad_codes_are_refused() -> None:
    too_large = torch.full((2, 4), 1024)
    with pytest.raises(AudioError, match=r"lie in \[0, 1024\)"):
        write_ecdc(EcdcAudio(model="encodec_24khz", num_samples=1200, segments=(too_large,)))
    with pytest.raises(AudioError, match="must have segments of"):
        write_ecdc(EcdcAudio(model="encodec_24khz", num_samples=24_000, segments=(too_large,)))
