"""A new user's way: a voice is made on the page, and speaks by the server and by the command."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from uslm.generate.length import LengthConfig
from uslm.output.joiner import JoinConfig
from uslm.systems.two_stage.bundle import save_bundle
from uslm.systems.two_stage.config import BundleConfig
from uslm.systems.two_stage.tiny import speech_like, tiny_bundle
from uslm.voices.store import VoiceStore
from uslm_app.cli import main as uslm
from uslm_demo import app, page
from uslm_demo.model import Model
from uslm_demo.session_voices import SessionVoices
from uslm_demo.voices import VoiceChoice, make_voice
from uslm_tokenizer.audio.write import write_audio

START = "import sys; from uslm_app.cli import main; sys.exit(main())"
HASTY = LengthConfig(min_frames_per_symbol=0.5, max_frames_per_symbol=1.0, margin_frames=15)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    # It speaks much faster than people, and random weights may be silent.
    config = BundleConfig(name="tiny", length=HASTY, join=JoinConfig(trim_silence=False))
    return save_bundle(tiny_bundle(config), tmp_path / "model")


def voices_of_the_page(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> VoiceStore:
    """Where `uslm-demo`, started so, keeps what its visitors make."""
    built: list[dict[str, Any]] = []
    with monkeypatch.context() as patch:
        patch.setattr(app, "build_app", lambda *_, **options: built.append(options))
        patch.setattr(page, "serve", lambda *_, **options: None)
        assert app.main(arguments) == 0
    return SessionVoices(VoiceStore(built[0]["voices"])).store("a visitor")


@contextmanager
def served(model: Path) -> Iterator[str]:
    """`uslm serve` with all its defaults but the model and the port; the address."""
    command = [sys.executable, "-c", START, "serve", "--json", "--port", "0", "--model", str(model)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield json.loads(line)["url"]
    finally:
        process.kill()
        process.communicate()


def test_a_voice_of_the_page_speaks_everywhere(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USLM_VOICES", str(tmp_path / "voices"))
    monkeypatch.delenv("USLM_API_KEY", raising=False)
    audio = speech_like(4.0)
    write_audio(tmp_path / "me.wav", audio.waveform, audio.sample_rate)

    ready = Model(str(model))
    choice = VoiceChoice(recording=str(tmp_path / "me.wav"))
    store = voices_of_the_page(["--model", str(model)], monkeypatch)
    store.save(make_voice(ready, choice, "anna", consent="it is my own voice"))
    ready.close()
    assert os.listdir(tmp_path / "voices") == ["anna.safetensors"]

    with served(model) as url:
        with urllib.request.urlopen(f"{url}/v1/audio/voices", timeout=60) as answer:
            [known] = json.load(answer)["data"]
        assert (known["id"], known["consent"]) == ("anna", "it is my own voice")
        asked = {"model": "default", "voice": "anna", "input": "Hello there.", "seed": 7}
        request = urllib.request.Request(
            f"{url}/v1/audio/speech",
            data=json.dumps({**asked, "response_format": "wav"}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            over_http = answer.read()

    # A WAV that is streamed does not know its length: after its header come the samples.
    received = np.frombuffer(over_http[44:], "<i2")
    assert len(received) > 1000

    out = str(tmp_path / "said.wav")
    say = ["say", "--text", "Hello there.", "--voice", "anna", "--seed", "7", "--out", out]
    assert uslm([*say, "--model", str(model)]) == 0
    said, rate = soundfile.read(out, dtype="int16")
    assert rate == soundfile.info(io.BytesIO(over_http)).samplerate
    np.testing.assert_array_equal(said, received)
