"""The Wyoming protocol, asked by the client that Home Assistant uses."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeStopped,
    SynthesizeVoice,
)

from uslm.tts import ZeroShotTTS
from uslm.voices.stock import stock_voices
from uslm_app.server import wyoming as module

BABBLE = SynthesizeVoice(name="babble")
TEXT = "It comes word by word, as it is written. And it is spoken meanwhile, sentence by sentence."
Talk = Callable[[AsyncTcpClient], Coroutine[Any, Any, Any]]


@pytest.fixture(autouse=True)
def one_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The protocol has none, so that each answer would sound different."""
    monkeypatch.setattr(module, "resolve_seed", lambda seed: 1)


@pytest.fixture
def running(serve: Any) -> Iterator[Any]:
    with serve(wyoming=("127.0.0.1", 0), max_chars=200) as started:
        yield started


def talk(running: Any, conversation: Talk) -> Any:
    """Have a conversation that ends within a minute."""

    async def hold() -> Any:
        async with AsyncTcpClient("127.0.0.1", running.wyoming_port) as client:
            return await asyncio.wait_for(conversation(client), 60)

    return asyncio.run(hold())


async def read_until(client: AsyncTcpClient, *kinds: str) -> list[Event]:
    """Events up to one of these kinds, it among them."""
    events: list[Event] = []
    while not events or events[-1].type not in kinds:
        event = await client.read_event()
        assert event is not None, "the server has hung up"
        events.append(event)
    return events


def sound(events: list[Event], rate: int) -> np.ndarray:
    """Samples between a start and a stop, 16 bits."""
    assert AudioStart.is_type(events[0].type) and AudioStop.is_type(events[-1].type)
    start = AudioStart.from_event(events[0])
    assert (start.rate, start.width, start.channels) == (rate, 2, 1)
    chunks = [AudioChunk.from_event(event) for event in events[1:-1]]
    assert {chunk.rate for chunk in chunks} == {rate}
    return np.frombuffer(b"".join(chunk.audio for chunk in chunks), "<i2")


def spoken(alone: ZeroShotTTS, running: Any, text: str) -> np.ndarray:
    """The same text without a server, 16 bits."""
    waveform = alone.generate(text, running.voices.load("babble"), seed=1).waveform[0]
    return torch.round(waveform * 32767).to(torch.int16).numpy()


def test_it_describes_its_voices(running: Any) -> None:
    async def ask(client: AsyncTcpClient) -> Event | None:
        await client.write_event(Describe().event())
        return await client.read_event()

    [program] = Info.from_event(talk(running, ask)).tts
    assert program.supports_synthesize_streaming
    names = [voice.name for voice in program.voices]
    assert names[0] == "ada" and {"babble", *stock_voices()} == set(names)
    assert program.voices[0].languages == ["en"]


def test_a_text_is_spoken_as_without_a_server(running: Any, alone: ZeroShotTTS) -> None:
    async def ask(client: AsyncTcpClient) -> list[list[Event]]:
        found = []
        for text in (TEXT, "Good bye."):
            await client.write_event(Synthesize(text=text, voice=BABBLE).event())
            found.append(await read_until(client, "audio-stop"))
        return found

    for events, text in zip(talk(running, ask), (TEXT, "Good bye."), strict=True):
        found, wanted = sound(events, alone.sample_rate), spoken(alone, running, text)
        assert len(found) == len(wanted) and np.abs(found - wanted.astype(int)).max() <= 1


def test_a_text_that_is_being_written_is_spoken_meanwhile(running: Any, alone: ZeroShotTTS) -> None:
    async def ask(client: AsyncTcpClient) -> tuple[list[Event], list[Event]]:
        await client.write_event(SynthesizeStart(voice=BABBLE).event())
        for fragment in (
            "It comes wo",
            "rd by word, as it is written. And it is spo",
            "ken meanwhile,",
        ):
            await client.write_event(SynthesizeChunk(text=fragment).event())
        early = await read_until(client, "audio-chunk")  # before the text is whole
        await client.write_event(SynthesizeChunk(text=" sentence by sentence.").event())
        # As Home Assistant does, for servers that know no fragments.
        await client.write_event(Synthesize(text=TEXT, voice=BABBLE).event())
        await client.write_event(SynthesizeStop().event())
        rest = await read_until(client, "synthesize-stopped")
        await client.write_event(Ping(text="still there?").event())
        return early + rest, await read_until(client, "pong")

    events, after = talk(running, ask)
    assert SynthesizeStopped.is_type(events[-1].type) and len(after) == 1
    found, wanted = sound(events[:-1], alone.sample_rate), spoken(alone, running, TEXT)
    assert len(found) == len(wanted) and np.abs(found - wanted.astype(int)).max() <= 1


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Synthesize(text="Hello.", voice=SynthesizeVoice(name="nobody")), "there is no voice"),
        (Synthesize(text="Hello.", voice=SynthesizeVoice(name="../x")), "is no name of a voice"),
        (Synthesize(text=" ", voice=BABBLE), "text must have something to say"),
        (Synthesize(text="x " * 101, voice=BABBLE), "at most 200 characters"),
        (
            Synthesize(text="Hallo.", voice=SynthesizeVoice(language="de")),
            "which this model speaks",
        ),
    ],
    ids=["voice", "path", "empty", "long", "language"],
)
def test_mistakes_are_answered_and_the_conversation_goes_on(
    running: Any, asked: Synthesize, words: str
) -> None:
    async def ask(client: AsyncTcpClient) -> tuple[list[Event], list[Event]]:
        await client.write_event(asked.event())
        refused = await read_until(client, "error", "audio-stop")
        await client.write_event(Synthesize(text="Hello.", voice=BABBLE).event())
        return refused, await read_until(client, "error", "audio-stop")

    [refused], after = talk(running, ask)
    assert words in Error.from_event(refused).text
    assert AudioStop.is_type(after[-1].type)


def test_a_text_that_grows_too_long_is_refused(running: Any) -> None:
    async def ask(client: AsyncTcpClient) -> list[Event]:
        await client.write_event(SynthesizeStart(voice=BABBLE).event())
        for _ in range(30):
            await client.write_event(SynthesizeChunk(text="And so on. ").event())
        return await read_until(client, "error", "audio-stop")

    assert "at most 200 characters" in Error.from_event(talk(running, ask)[-1]).text


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"[]\n",
        b'{"type": "synthesize", "data_length": 99999999999}\n',
        b'{"no": "type"}\n',
        b"x" * 300_000,
    ],
    ids=["http", "list", "length", "no type", "endless line"],
)
def test_what_is_no_event_ends_the_conversation(running: Any, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", running.wyoming_port), timeout=30) as client:
        client.sendall(data)
        with suppress(ConnectionResetError):
            assert client.recv(1000) == b""


def test_an_event_without_its_contents_is_refused(running: Any) -> None:
    with socket.create_connection(("127.0.0.1", running.wyoming_port), timeout=30) as client:
        client.sendall(b'{"type": "synthesize", "data": {"voice": 3}}\n')
        line = client.makefile("rb").readline()
    assert json.loads(line)["type"] == "error"


def test_whoever_leaves_costs_nothing_more(running: Any) -> None:
    async def leave(client: AsyncTcpClient) -> None:
        await client.write_event(Synthesize(text=TEXT * 2, voice=BABBLE).event())
        await read_until(client, "audio-start")

    talk(running, leave)
    end = time.monotonic() + 30
    while running.engine.stats().active:
        assert time.monotonic() < end, "it goes on speaking to nobody"
        time.sleep(0.01)
