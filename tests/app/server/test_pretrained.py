"""Pretrained systems, from the folders that a conversion writes, over HTTP like any other model."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from uslm.systems.registry import ENTRIES
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.tiny import speech_like, tiny_voice
from uslm.systems.vevo.tiny import save_tiny_vevo
from uslm.tts import ZeroShotTTS

SYSTEMS = {
    name: entry.pipeline
    for name, entry in ENTRIES.items()
    if entry.pipeline and entry.pipeline.text
}
"""Those that speak from a converted folder; one that only converts recordings has no voices."""


@pytest.fixture
def serve_folder(serve_synthesizer: Any) -> Callable[[Path], Any]:
    """Serves the model of a folder, as `uslm serve --model FOLDER` does."""

    @contextmanager
    def start(folder: Path) -> Iterator[Any]:
        tts = ZeroShotTTS.from_pretrained(folder)
        with serve_synthesizer(tts.synthesizer, frontend=tts.frontend) as running:
            yield running, tts

    return start


def upload(running: Any, **fields: str) -> Any:
    audio, file = speech_like(1.5), io.BytesIO()
    soundfile.write(file, audio.waveform[0].numpy(), audio.sample_rate, format="WAV")
    return running.client.post(
        "/v1/audio/voices",
        data={"name": "anna", "text": "Some words.", **fields},
        files={"audio_sample": ("anna.wav", file.getvalue(), "audio/wav")},
    )


@pytest.mark.parametrize("system", SYSTEMS)
def test_it_speaks_with_a_voice_that_was_uploaded(
    system: str, serve_folder: Any, bundle: Bundle, tmp_path: Path
) -> None:
    folder = SYSTEMS[system].save_tiny(tmp_path / "model")
    with serve_folder(folder) as (running, tts):
        assert [each["id"] for each in running.client.get("/v1/models").json()["data"]] == [system]
        made = upload(running)
        assert made.status_code == 200, made.text
        ask = {"model": system, "voice": "anna", "response_format": "wav"}
        # One at a time; but whoever comes second is answered, too.
        with ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(running.speak, "Hi.", seed=seed, **ask) for seed in (1, 2)]
            answers = [each.result() for each in asked]
        for seed, answer in enumerate(answers, start=1):
            assert answer.status_code == 200, answer.text
            assert answer.headers["x-uslm-sample-rate"] == str(tts.sample_rate)
            spoken = tts.generate("Hi.", running.voices.load("anna"), seed=seed)
            wanted = np.rint(spoken.waveform[0].numpy() * np.float32(32768))
            received = np.frombuffer(answer.content[44:], "<i2")
            np.testing.assert_array_equal(received, wanted.clip(-32768, 32767))

        running.voices.save(tiny_voice(bundle))
        refused = running.speak(**{**ask, "voice": "babble"})
        assert refused.status_code == 400 and f"not of '{system}'" in refused.text
        assert running.speak(**{**ask, "model": "tiny"}).status_code == 404
        assert running.speak("\u2603", **ask).status_code == 400


def test_a_part_that_is_missing_is_no_secret_but_where_it_should_be_is(
    serve_folder: Any, tmp_path: Path
) -> None:
    folder = save_tiny_vevo(tmp_path / "model")
    shutil.rmtree(folder / "phone_lm")
    with serve_folder(folder) as (running, _):
        assert upload(running).status_code == 200
        answer = running.speak(model="vevo", voice="anna")
        assert answer.status_code == 501 and str(tmp_path) not in answer.text
        assert answer.json()["error"]["code"] == "model_incomplete"
