"""Voices over HTTP: made, listed, spoken with, forgotten; and uploads that are none."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import openai
import pytest
import soundfile
from safetensors import SafetensorError

from uslm.systems.two_stage.tiny import speech_like
from uslm.tts import ZeroShotTTS
from uslm.voices.stock import stock_voices
from uslm_app.server.errors import to_api_error
from uslm_app.server.settings import OPENAI_VOICES
from uslm_tokenizer.errors import UserError

Upload = Callable[..., Any]


def recording(seconds: float = 2.0, format: str = "WAV") -> bytes:
    audio, file = speech_like(seconds), io.BytesIO()
    soundfile.write(file, audio.waveform[0].numpy(), audio.sample_rate, format=format)
    return file.getvalue()


WAV = recording()


@pytest.fixture
def upload(server: Any) -> Upload:
    def send(name: str = "anna", audio: bytes = WAV, **fields: str) -> Any:
        return server.client.post(
            "/v1/audio/voices",
            data={"name": name, **fields},
            files={"audio_sample": ("../../anna.wav", audio, "audio/wav")},
        )

    return send


def test_openai_names_and_stock_voices_speak_without_an_upload(server: Any) -> None:
    client = openai.OpenAI(api_key="anything", base_url=f"{server.url}/v1", max_retries=0)
    said = {
        voice: client.audio.speech.create(
            model="tts-1", voice=voice, input="Hello.", response_format="pcm",
            extra_body={"seed": 3},
        ).content
        for voice in ("onyx", OPENAI_VOICES["onyx"], "nova")
    }  # fmt: skip
    assert said["onyx"] == said[OPENAI_VOICES["onyx"]] != said["nova"]
    with pytest.raises(openai.BadRequestError, match="no voice 'onix'; there are babble, ada, "):
        client.audio.speech.create(model="tts-1", voice="onix", input="Hello.")


def test_every_name_of_openai_means_a_stock_voice() -> None:
    assert set(OPENAI_VOICES) == {
        "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx",
        "sage", "shimmer", "verse",
    }  # fmt: skip
    assert set(OPENAI_VOICES.values()) == set(stock_voices())


def test_the_list_for_menus_has_all_voices(server: Any) -> None:
    listed = server.client.get("/v1/audio/voices").json()
    assert listed["voices"] == [{"id": each, "name": each} for each in ("babble", *stock_voices())]
    assert [voice["id"] for voice in listed["data"]] == ["babble"]
    shown = server.client.get("/v1/audio/voices/ada").json()
    assert (shown["id"], shown["licence"]) == ("ada", "Apache-2.0") and shown["consent"]
    refused = server.client.delete("/v1/audio/voices/ada")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "read_only")


def test_a_kept_voice_goes_before_an_alias_and_a_stock_voice(serve: Any, bundle: Any) -> None:
    with serve(voice_aliases={"anna": "babble", "babble": "ada", "ghost": "gone"}) as running:
        plain = running.speak().content
        assert running.speak(voice="anna").content == plain  # and the name babble is its own
        missing = running.speak(voice="ghost").json()["error"]
        assert missing["code"] == "voice_not_found"
        stock = running.speak(voice="ada").content
        assert stock != plain
        running.voices.save(replace(running.voices.load("babble"), name="ada"))
        assert running.speak(voice="ada").content == plain
        assert running.client.delete("/v1/audio/voices/ada").status_code == 200
        assert running.speak(voice="ada").content == stock


def test_a_voice_of_the_openai_client_speaks(server: Any) -> None:
    client = openai.OpenAI(api_key="anything", base_url=f"{server.url}/v1", max_retries=0)
    voice = client.audio.voices.create(
        name="berta", audio_sample=("berta.wav", WAV), consent="Berta agreed"
    )
    assert (voice.id, voice.object, voice.type) == ("berta", "audio.voice", "audio_sample")
    try:
        listed = server.client.get("/v1/audio/voices").json()["data"]
        assert {each["id"] for each in listed} == {"babble", "berta"}
        speech = client.audio.speech.create(model="tts-1", voice=voice.id, input="Hello.")
        assert speech.content
        with pytest.raises(openai.ConflictError):
            client.audio.voices.create(name="berta", audio_sample=WAV, consent="")
    finally:
        assert client.audio.voices.delete("berta").deleted
    assert server.client.get("/v1/audio/voices/berta").status_code == 404


def test_what_is_said_about_a_voice_is_kept(server: Any, upload: Upload) -> None:
    said = {"consent": "Anna agreed, by letter", "licence": "CC BY 4.0"}
    try:
        made = upload(**said)
        assert made.status_code == 200, made.text
        shown = server.client.get("/v1/audio/voices/anna").json()
        assert shown == made.json()
        assert {name: shown[name] for name in said} == said
        assert 1 < shown["seconds"] < 3
        kept = server.voices.load("anna")
        assert (kept.consent, kept.licence) == (said["consent"], said["licence"])
        again = upload(consent="again", force="true")
        assert again.status_code == 200 and again.json()["consent"] == "again"
    finally:
        server.voices.remove("anna")


def test_a_voice_made_here_is_one_made_anywhere(
    server: Any, upload: Upload, alone: ZeroShotTTS
) -> None:
    try:
        assert upload().status_code == 200
        expected = alone.create_voice(io.BytesIO(WAV), name="anna")
        assert server.voices.load("anna").codes.equal(expected.codes)
    finally:
        server.voices.remove("anna")


def test_who_deletes_second_is_told_so(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.voices, "names", lambda: ["gone"])  # as it was a moment ago
    answer = server.client.delete("/v1/audio/voices/gone")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "voice_not_found")


def test_long_lists_come_in_pages(server: Any) -> None:
    babble = server.voices.load("babble")
    from dataclasses import replace

    names = ["c1", "c2", "c3"]
    for name in names:
        server.voices.save(replace(babble, name=name))
    try:
        first = server.client.get("/v1/audio/voices", params={"limit": 2}).json()
        assert [voice["id"] for voice in first["data"]] == ["babble", "c1"]
        assert first["has_more"] and first["last_id"] == "c1"
        rest = server.client.get("/v1/audio/voices", params={"after": "c1"}).json()
        assert [voice["id"] for voice in rest["data"]] == ["c2", "c3"] and not rest["has_more"]
    finally:
        for name in names:
            server.voices.remove(name)


def test_the_voices_may_be_fixed(serve: Any) -> None:
    with serve(change_voices=False) as running:
        files = {"audio_sample": ("a.wav", WAV)}
        made = running.client.post("/v1/audio/voices", data={"name": "anna"}, files=files)
        assert (
            made.status_code == running.client.delete("/v1/audio/voices/babble").status_code == 403
        )
        assert running.speak().status_code == 200


def test_there_is_an_end_to_voices(serve: Any) -> None:
    with serve(max_voices=1) as running:
        files = {"audio_sample": ("a.wav", WAV)}
        made = running.client.post("/v1/audio/voices", data={"name": "anna"}, files=files)
        assert made.status_code == 507 and running.voices.names() == ["babble"]


@pytest.mark.parametrize(
    "name", ["../anna", "", ".anna", "a/b", "a" * 65, "anna\0", "ånna", "anna.safetensors", "a\nb"]
)
def test_a_name_is_a_name(server: Any, upload: Upload, name: str) -> None:
    answer = upload(name)
    assert answer.status_code == 400, answer.text
    assert str(server.voices.folder) not in answer.text
    assert server.voices.names() == ["babble"]


def test_a_damaged_voice_file_is_said_to_be_one(server: Any) -> None:
    path = server.voices.folder / "broken.safetensors"
    path.write_bytes(b"not a voice")
    try:
        answer = server.speak(voice="broken")
        assert answer.status_code == 400 and "damaged" in answer.json()["error"]["message"]
        assert str(server.voices.folder) not in answer.text
        listed = server.client.get("/v1/audio/voices").json()["data"]
        assert [voice["id"] for voice in listed] == ["babble"]
        assert server.client.delete("/v1/audio/voices/broken").status_code == 200
    finally:
        path.unlink(missing_ok=True)


def bomb() -> bytes:
    """Hours of silence in a few kilobytes: FLAC makes almost nothing of it."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 48_000, 1, format="FLAC") as sound:
        for _ in range(40):
            sound.write(np.zeros(48_000 * 60, np.int16))
    return file.getvalue()


def liar() -> bytes:
    """A WAV of 100 bytes that says it holds 4 GB of 65,535 channels."""
    head = struct.pack("<4sI4s", b"RIFF", 0xFFFFFFFF, b"WAVE")
    head += struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 65_535, 16_000, 2**31, 65_534, 16)
    return head + struct.pack("<4sI", b"data", 0xFFFFFFF0) + bytes(60)


@pytest.mark.parametrize(
    "audio",
    [
        b"", b"RIFF", b"hello there", bytes(1000), liar(), WAV[:60], b"PK\x03\x04" + bytes(500),
        b"\x1f\x8b" + bytes(500), b"<svg onload=alert(1)>", b"#!/bin/sh\nid\n",
        b"#EXTM3U\nhttp://127.0.0.1:1/x.wav\n", recording(0.05),
    ],
    ids=[
        "empty", "RIFF", "text", "zeros", "liar", "cut off", "zip", "gzip", "svg", "script",
        "playlist", "too short",
    ],
)  # fmt: skip
def test_what_is_no_recording_is_refused(server: Any, upload: Upload, audio: bytes) -> None:
    answer = upload(audio=audio)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == "audio_sample"
    for secret in ("/work", "/tmp", "site-packages", "Traceback"):
        assert secret not in answer.text
    assert server.voices.names() == ["babble"]


def test_a_bomb_does_not_go_off(
    server: Any, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 40 minutes in a small file, one is decoded."""
    decoded = 0
    read = soundfile.SoundFile.read

    def counting(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal decoded
        block = read(self, *args, **kwargs)
        decoded += len(block)
        return block

    data = bomb()
    assert len(data) < 2**20
    monkeypatch.setattr(soundfile.SoundFile, "read", counting)
    answer = upload(audio=data)
    assert answer.status_code == 400, answer.text
    assert decoded <= 61 * 48_000


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    file = f'; filename="{filename}"' if filename else ""
    return (
        f'--B\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode()
        + content
        + b"\r\n"
    )


NAMED, SOUND, END = part("name", b"anna"), part("audio_sample", WAV, "a.wav"), b"--B--\r\n"
FORMS: dict[str, tuple[bytes, str]] = {
    "JSON": (b'{"name": "anna"}', "application/json"),
    "no boundary": (NAMED + SOUND + END, "multipart/form-data"),
    "empty boundary": (NAMED + SOUND + END, "multipart/form-data; boundary="),
    "another boundary": (NAMED + SOUND + END, "multipart/form-data; boundary=C"),
    "a long boundary": (NAMED, "multipart/form-data; boundary=" + "B" * 5000),
    "nothing": (b"", "multipart/form-data; boundary=B"),
    "only an end": (END, "multipart/form-data; boundary=B"),
    "no end": (NAMED + SOUND[: len(SOUND) // 2], "multipart/form-data; boundary=B"),
    "no name": (SOUND + END, "multipart/form-data; boundary=B"),
    "no audio": (NAMED + END, "multipart/form-data; boundary=B"),
    "two names": (NAMED + NAMED + SOUND + END, "multipart/form-data; boundary=B"),
    "two files": (NAMED + SOUND + SOUND + END, "multipart/form-data; boundary=B"),
    "another file": (
        NAMED + part("model", b"x", "m.bin") + END, "multipart/form-data; boundary=B",
    ),
    "another field": (
        NAMED + part("path", b"/etc") + SOUND + END, "multipart/form-data; boundary=B",
    ),
    "a field without a name": (
        b"--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n" + SOUND + END,
        "multipart/form-data; boundary=B",
    ),
    "headers without end": (
        b"--B\r\n" + b"X: y\r\n" * 5000 + b"\r\nx\r\n" + END, "multipart/form-data; boundary=B",
    ),
    "many fields": (
        NAMED + b"".join(part(f"f{n}", b"x") for n in range(1000)) + END,
        "multipart/form-data; boundary=B",
    ),
    "a huge field": (
        part("name", b"a" * 100_000) + SOUND + END, "multipart/form-data; boundary=B",
    ),
    "the name a file": (
        part("name", b"anna", "n.txt") + SOUND + END, "multipart/form-data; boundary=B",
    ),
    "not UTF-8": (
        part("name", b"\xff\xfe") + SOUND + END, "multipart/form-data; boundary=B",
    ),
    "a prompt": (
        part("type", b"prompt") + NAMED + SOUND + END, "multipart/form-data; boundary=B",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", FORMS)
def test_a_form_that_makes_no_sense_is_refused(server: Any, what: str) -> None:
    content, kind = FORMS[what]
    answer = server.client.post("/v1/audio/voices", content=content, headers={"Content-Type": kind})
    assert 400 <= answer.status_code < 500, answer.text
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert server.voices.names() == ["babble"]


def test_an_upload_never_touches_the_disk(
    server: Any, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file system of a container may be read-only, and a voice is nobody else's."""
    import tempfile

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a temporary file was opened")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    large = recording(60.0)
    assert len(large) > 1.5 * 2**20
    try:
        assert upload(audio=large).status_code == 200
    finally:
        server.voices.remove("anna")


def test_who_comes_second_with_a_name_is_told_so(
    server: Any, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the other was not there yet when it was looked for."""
    before = server.voices.load("babble")
    monkeypatch.setattr(server.voices, "names", lambda: [])
    answers = [upload("babble").json()["error"]]
    monkeypatch.setattr(server.voices, "check_free", lambda name, force: server.voices.path(name))
    monkeypatch.setattr("uslm.voices.prompt.Path.exists", lambda path: False)
    answers.append(upload("babble").json()["error"])
    monkeypatch.undo()
    for error in answers:
        assert error["code"] == "voice_exists" and "/" not in error["message"]
    assert server.voices.load("babble").codes.equal(before.codes)


@pytest.mark.parametrize(
    "reason", ["No space left on device (os error 28)", "Permission denied (os error 13)"]
)
def test_a_disk_that_takes_no_voice_is_told_without_its_paths(
    server: Any, upload: Upload, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    def fail(*arguments: Any, **more: Any) -> None:
        raise SafetensorError(f"Error while serializing: I/O error: {reason}")

    monkeypatch.setattr("uslm.voices.prompt.save_file", fail)
    answer = upload()
    assert answer.status_code == 507 and answer.json()["error"]["code"] == "not_kept"
    assert "/" not in answer.text and not (server.voices.folder / "anna.safetensors").exists()


def test_what_the_system_says_of_our_files_stays_here() -> None:
    error = UserError("the voice folder '/home/ada/voices' cannot be made")
    error.__cause__ = PermissionError(13, "Permission denied")
    reported = to_api_error(error)
    assert reported.status_code == 500 and "/home" not in str(reported.body())
    full = OSError(28, "No space left on device", "/tmp/x")
    assert to_api_error(full).status_code == 507 and "/tmp" not in str(to_api_error(full).body())
