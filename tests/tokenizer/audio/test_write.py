"""What is written is read back, in whatever way it was written, and half a file never stays."""

import errno
import io
import os
import resource
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from uslm_tokenizer.audio.aac import FRAME_SAMPLES, MUXERS
from uslm_tokenizer.audio.encode import STREAMABLE
from uslm_tokenizer.audio.ogg import OggPages, with_serial
from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.audio.write import FORMATS, SUFFIXES, StreamWriter, write_audio
from uslm_tokenizer.errors import EnvironmentProblem, UserError

RATE = 16_000


def voice(seconds: float = 1.0) -> Tensor:
    time = torch.arange(int(seconds * RATE)) / RATE
    return (0.4 * torch.sin(2 * torch.pi * 180 * time) * torch.sin(torch.pi * time).abs())[None]


def samples_of(data: bytes, format: str) -> np.ndarray:
    if format in MUXERS:
        with av.open(io.BytesIO(data)) as file:
            return np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
    if format == "raw":
        return np.frombuffer(data, "<i2").astype(np.float32) / 32768
    return read_audio(data).waveform[0].numpy()


class Pipe(io.BytesIO):
    """Takes bytes in order only, as a pipe does."""

    def seekable(self) -> bool:
        return False

    def seek(self, offset: int, whence: int = 0, /) -> int:
        raise OSError(errno.ESPIPE, "Illegal seek")


@pytest.mark.parametrize(
    ("format", "tolerance"),
    [
        ("wav", 2e-5),
        ("wav-float", 0),
        ("flac", 2e-5),
        ("raw", 2e-5),
        ("ogg", 0.05),
        ("opus", 0.05),
        ("mp3", 0.05),
    ],
)
def test_what_is_written_is_read_back(tmp_path: Path, format: str, tolerance: float) -> None:
    path = tmp_path / "speech.bin"
    write_audio(path, voice(), RATE, format=format)
    samples = samples_of(path.read_bytes(), format)
    assert len(samples) == RATE + (RATE // 100 if format == "opus" else 0)
    assert np.abs(samples[:RATE] - voice()[0].numpy()).max() <= tolerance
    assert os.listdir(tmp_path) == ["speech.bin"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_suffix_chooses_the_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"speech{suffix.upper()}"
    write_audio(path, voice(0.2), RATE)
    if SUFFIXES[suffix] == "raw":
        assert path.stat().st_size == 2 * 3200
        return
    if SUFFIXES[suffix] in MUXERS:
        with av.open(path) as file:
            assert file.format.name == ("aac" if suffix == ".aac" else "mov,mp4,m4a,3gp,3g2,mj2")
            assert file.streams.audio[0].codec.name == "aac"
        return
    container, coding = soundfile.info(str(path)).format, soundfile.info(str(path)).subtype
    expected = {"wav": "WAV", "flac": "FLAC", "mp3": "MP3"}.get(SUFFIXES[suffix], "OGG")
    assert container == expected
    assert (coding == "OPUS") == (suffix == ".opus")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("chunk", [1, 700, 16_384])
def test_chunks_equal_the_whole(tmp_path: Path, format: str, chunk: int) -> None:
    waveform = voice(0.1 if chunk == 1 else 1.5)
    write_audio(tmp_path / "whole", waveform, RATE, format=format)
    with StreamWriter(tmp_path / "segments", RATE, format=format) as writer:
        assert all(writer.write(part) for part in waveform.split(chunk, dim=1))
    assert writer.seconds == waveform.shape[1] / RATE
    whole, chunks = (tmp_path / "whole").read_bytes(), (tmp_path / "segments").read_bytes()
    assert np.array_equal(samples_of(whole, format), samples_of(chunks, format))
    if format not in ("ogg", "opus"):  # an Ogg stream carries a random serial number
        assert whole == chunks


@pytest.mark.parametrize("format", STREAMABLE)
def test_a_pipe_gets_the_same_samples_at_once(tmp_path: Path, format: str) -> None:
    write_audio(tmp_path / "whole", voice(), RATE, format=format)
    pipe, sizes = Pipe(), []
    with StreamWriter(pipe, RATE, format=format) as writer:
        for part in voice().split(1600, dim=1):
            writer.write(part)
            sizes.append(len(pipe.getvalue()))
    streamed = samples_of(pipe.getvalue(), format)
    if format == "m4a":  # only a file says how long the coder's delay is
        streamed = streamed[FRAME_SAMPLES:]
    assert np.array_equal(samples_of((tmp_path / "whole").read_bytes(), format), streamed)
    if format in ("wav", "wav-float", "raw"):
        assert np.diff(sizes).min() > 0


def test_a_streamed_wav_says_that_its_length_is_unknown() -> None:
    pipe = Pipe()
    write_audio(pipe, voice(0.1), RATE)
    header = pipe.getvalue()[:44]
    assert header[4:8] == header[40:44] == b"\xff\xff\xff\xff"


@pytest.mark.parametrize(("format", "delay"), [("aac", FRAME_SAMPLES), ("m4a", 0)])
def test_aac_is_what_was_written_after_its_delay(tmp_path: Path, format: str, delay: int) -> None:
    write_audio(tmp_path / "speech", voice(), RATE, format=format)
    samples = samples_of((tmp_path / "speech").read_bytes(), format)[delay : delay + RATE]
    assert len(samples) == RATE
    assert np.abs(samples - voice()[0].numpy()).max() <= 0.05


def test_without_pyav_aac_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(EnvironmentProblem, match=r'aac and m4a need PyAV .*"uslm\[aac\]"'):
        StreamWriter(io.BytesIO(), RATE, format="m4a")


def test_mp3_cannot_be_streamed_but_fits_in_memory() -> None:
    with pytest.raises(UserError, match=r"mp3 can only be written to a file; a stream may be wav"):
        StreamWriter(Pipe(), RATE, format="mp3")
    memory = io.BytesIO()
    write_audio(memory, voice(), RATE, format="mp3")
    assert len(samples_of(memory.getvalue(), "mp3")) == RATE


def test_sixteen_bits_survive_a_round_trip(tmp_path: Path) -> None:
    every = np.arange(-32768, 32768, dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", every, RATE)
    for suffix in (".wav", ".flac"):
        write_audio(tmp_path / f"b{suffix}", read_audio(tmp_path / "a.wav").waveform, RATE)
        again, _ = soundfile.read(tmp_path / f"b{suffix}", dtype="int16")
        assert np.array_equal(again, every)


def test_too_loud_is_clipped_never_wrapped(tmp_path: Path) -> None:
    write_audio(tmp_path / "loud.wav", torch.tensor([[-3.0, 0.0, 3.0]]), RATE)
    samples, _ = soundfile.read(tmp_path / "loud.wav", dtype="int16")
    assert samples.tolist() == [-32768, 0, 32767]


def test_nothing_is_written_of_what_is_not_a_number(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 samples are NaN or infinite"):
        write_audio(tmp_path / "a.wav", torch.tensor([[0.0, torch.nan, torch.inf]]), RATE)
    assert os.listdir(tmp_path) == []


def test_an_existing_file_needs_force(tmp_path: Path) -> None:
    path = tmp_path / "mine.wav"
    path.write_bytes(b"precious")
    with pytest.raises(UserError, match=r"mine\.wav' exists; choose another name or say --force"):
        write_audio(path, voice(), RATE)
    assert path.read_bytes() == b"precious"
    write_audio(path, voice(), RATE, force=True)
    assert read_audio(path).seconds == 1


def test_a_file_that_came_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "mine.wav"
    with pytest.raises(UserError, match="exists"), StreamWriter(path, RATE) as writer:
        writer.write(voice())
        path.write_bytes(b"precious")
    assert path.read_bytes() == b"precious"
    assert os.listdir(tmp_path) == ["mine.wav"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there.wav").write_bytes(b"old")
    (tmp_path / "link.wav").symlink_to("there.wav")
    write_audio(tmp_path / "link.wav", voice(), RATE, force=True)
    assert (tmp_path / "link.wav").is_symlink()
    assert read_audio(tmp_path / "there.wav").seconds == 1


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("speech.wma", r"'\S*speech\.wma' ends in '\.wma'; it must end in \.wav, .*\.mp3"),
        ("speech", r"has no suffix; it must end in"),
        ("nowhere/speech.wav", r"needs the folder '\S*nowhere'; there is none"),
        ("folder.wav", r"folder\.wav' is a folder"),
        ("file.txt/speech.wav", r"speech\.wav' cannot be written: Not a directory"),
        ("nul\0.wav", r"cannot be written"),
        ("x" * 300 + ".wav", r"cannot be written: File name too long"),
    ],
)
def test_bad_targets_are_named(tmp_path: Path, target: str, message: str) -> None:
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "file.txt").write_text("text")
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(UserError, match=message) as caught:
        write_audio(tmp_path / target, voice(), RATE)
    assert "\n" not in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(
    ("format", "rate", "message"),
    [
        ("wma", RATE, "must be one of wav, wav-float, flac, ogg, opus, .*, raw, but is 'wma'"),
        ("aac", 96_000, "sample rate of aac must be one of"),
        ("opus", 22_050, "sample rate of opus must be one of .* but is 22,050 Hz"),
        ("mp3", 96_000, "sample rate of mp3 must be one of"),
        ("ogg", 768_000, "sample rate of ogg must be one of"),
        ("wav", 0, "sample rate of wav must be above 0 Hz"),
    ],
)
def test_bad_formats_are_named(tmp_path: Path, format: str, rate: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        write_audio(tmp_path / "speech", voice(), rate, format=format)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("format", FORMATS)
def test_an_exception_leaves_nothing(tmp_path: Path, format: str) -> None:
    def interrupted() -> None:
        with StreamWriter(tmp_path / "speech", RATE, format=format) as writer:
            writer.write(voice())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("format", FORMATS)
def test_a_full_disk_leaves_nothing(tmp_path: Path, format: str) -> None:
    """A limit on the size of files stands in for the disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = torch.rand(1, 8 * RATE, generator=torch.Generator().manual_seed(0)) - 0.5
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, before[1]))
    try:
        with pytest.raises(UserError, match=r"speech' could not be written: File too large; no"):
            write_audio(tmp_path / "speech", noise, RATE, format=format)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == []


def test_a_disk_full_at_the_last_moment_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "speech.wav").write_bytes(b"the old one")

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError, match="No space left on device; no half-written file is left"):
        write_audio(tmp_path / "speech.wav", voice(), RATE, force=True)
    assert os.listdir(tmp_path) == ["speech.wav"]
    assert (tmp_path / "speech.wav").read_bytes() == b"the old one"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("format", STREAMABLE)
def test_a_full_device_is_an_error_and_stays_a_device(format: str) -> None:
    with pytest.raises(UserError, match="'/dev/full' could not be written: No space left"):
        write_audio("/dev/full", voice(), RATE, format=format)
    assert not Path("/dev/full").is_file()


def test_a_null_device_is_never_replaced() -> None:
    write_audio(os.devnull, voice(0.1), RATE, format="wav", force=True)
    assert not Path(os.devnull).is_file()


@pytest.mark.parametrize("format", STREAMABLE)
def test_a_reader_that_leaves_ends_quietly(format: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as pipe:
        with StreamWriter(pipe, RATE, format=format) as writer:
            for _ in range(8):
                writer.write(torch.zeros(1, RATE) + 0.1 * torch.randn(1, RATE))
        assert writer.closed_by_reader
        assert not writer.write(voice())


def test_the_standard_output_streams_and_may_be_closed() -> None:
    program = (
        "import torch; from uslm_tokenizer.audio.write import StreamWriter\n"
        "with StreamWriter('-', 16000) as writer:\n"
        "    while writer.write(torch.zeros(1, 16000)) and writer.seconds < LIMIT: pass\n"
    )

    def run(limit: int) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", program.replace("LIMIT", str(limit))]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    whole, errors = run(2).communicate(timeout=60)
    assert (len(whole), errors) == (44 + 2 * 2 * RATE, b"")
    with run(10_000) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.read(4) == b"RIFF"
        process.stdout.close()
        assert process.wait(timeout=60) == 0
        assert process.stderr.read() == b""


def test_a_terminal_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    with pytest.raises(UserError, match="cannot go to a terminal"):
        StreamWriter("-", RATE)


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_audio(tmp_path / "a.wav", voice(0.1), RATE)
    finally:
        os.umask(before)
    assert (tmp_path / "a.wav").stat().st_mode & 0o777 == 0o640


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    writer = StreamWriter(tmp_path / "a.wav", RATE)
    writer.write(voice(0.1))
    assert not (tmp_path / "a.wav").exists()
    writer.close()
    writer.close()
    assert (tmp_path / "a.wav").exists()
    assert not list(tmp_path.glob(".uslm-*"))


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_samples_are_the_same_bytes(format: str) -> None:
    files = []
    for _ in range(2):
        file = io.BytesIO()
        write_audio(file, torch.linspace(-0.5, 0.5, 20_000)[None], 16_000, format=format)
        files.append(file.getvalue())
    assert files[0] == files[1]


def test_pages_with_our_number_are_whole() -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(50_000), 16_000, format="OGG", subtype="VORBIS")
    pages: list[bytes] = []

    class Pages:
        def write(self, data: bytes) -> int:
            pages.append(data)
            return len(data)

    data = file.getvalue()
    ogg = OggPages(Pages())
    for start in range(0, len(data), 100):  # headers and bodies come in segments
        ogg.write(data[start : start + 100])
    assert len(pages) > 2 and len(b"".join(pages)) == len(data)
    theirs = int.from_bytes(data[14:18], "little")
    assert b"".join(with_serial(page, theirs) for page in pages) == data
    assert {page[14:18] for page in pages} == {b"USLM"}
