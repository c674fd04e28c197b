"""Conversations over a WebSocket: what a session says, whatever the messages' length; and ends."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.app.server.conftest import Running, serving, wait_until
from uslm.synthesis.seeds import generator
from uslm.systems.moshi.folder import load_conversational, save_conversational
from uslm.systems.moshi.session import MoshiSession
from uslm.systems.moshi.tiny import tiny_moshi
from uslm.systems.two_stage.bundle import Bundle
from uslm_app.server.conversation import PATH
from uslm_app.server.conversations import Conversations
from uslm_tokenizer.errors import ConfigError

START = {"type": "start", "seed": 5}
NUM_FRAMES = 6


@pytest.fixture(scope="module")
def conversations() -> Conversations:
    return Conversations(*tiny_moshi(), most=1)


@pytest.fixture(scope="module")
def talking(
    bundle: Bundle, conversations: Conversations, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("voices")
    with serving(bundle, folder, conversations=conversations, idle_seconds=1.0) as running:
        yield running


def opened(server: Running, **options: Any) -> ClientConnection:
    url = f"ws://127.0.0.1:{server.port}{PATH}"
    return connect(url, open_timeout=60, proxy=None, **options)


def recordings(conversations: Conversations) -> np.ndarray:
    """Two of them, as 16-bit samples [n, 2]."""
    length = NUM_FRAMES * conversations.codec.hop_length
    noise = np.random.default_rng(0).normal(0, 3000, size=(length, 2))
    return noise.round().astype("<i2")


def expected(conversations: Conversations, sound: np.ndarray) -> tuple[list[int], np.ndarray]:
    """What a session says of the same: the text tokens, and the sound."""
    session = MoshiSession(conversations.model, conversations.codec, generator(5, "conversation"))
    channels = torch.from_numpy(sound.T.astype(np.float32) / 32768)
    tokens, made = [], []
    for frame in channels.split(session.frame_samples, dim=1):
        out = session.push(frame[:1], frame[1:] if len(frame) == 2 else None)
        tokens.append(out.text)
        if out.waveform is not None:
            made.append(out.waveform[0])
    whole = torch.cat(made).numpy() * 32768
    return tokens, np.rint(whole).clip(-32768, 32767).astype("<i2")


def rest(client: ClientConnection) -> tuple[np.ndarray, list[dict[str, Any]], int]:
    """Sound, events and the code with which it was closed."""
    sound, events = io.BytesIO(), []
    try:
        while True:
            message = client.recv(timeout=60)
            if isinstance(message, bytes):
                sound.write(message)
            else:
                events.append(json.loads(message))
    except ConnectionClosed as closed:
        assert closed.rcvd is not None
        return np.frombuffer(sound.getvalue(), "<i2"), events, closed.rcvd.code


@pytest.mark.parametrize("num_channels", [1, 2])
@pytest.mark.parametrize("size", [2, 700, 100_000])
def test_recordings_are_answered_as_in_a_session(
    talking: Running, conversations: Conversations, num_channels: int, size: int
) -> None:
    """One heard, or two played into it; however the samples are cut into messages."""
    sound = recordings(conversations)[:, :num_channels]
    tokens, wanted = expected(conversations, sound)
    data, step = sound.tobytes(), size * num_channels
    if size == 2:
        data, step = data[: 4 * step * 50], 50 * step  # single moments take too long
        sound = np.frombuffer(data, "<i2").reshape(-1, num_channels)
        tokens, wanted = tokens[: len(sound) // conversations.codec.hop_length], wanted[:0]
    with opened(talking) as client:
        client.send(json.dumps({**START, "channels": num_channels}))
        for at in range(0, len(data), step):
            client.send(data[at : at + step])
        client.send(json.dumps({"type": "end"}))
        said, (started, *texts, done), code = rest(client)
    assert code == 1000
    codec = conversations.codec
    assert started == {
        "type": "conversation.started", "seed": 5, "sample_rate": codec.sample_rate,
        "frame_samples": codec.hop_length,
    }  # fmt: skip
    assert [text["token"] for text in texts] == tokens
    assert [text["frame"] for text in texts] == list(range(len(tokens)))
    assert done == {"type": "conversation.done", "frames": len(tokens)}
    if size != 2:
        assert np.array_equal(said, wanted) and len(said)


def test_an_answer_comes_while_the_client_speaks_on(
    talking: Running, conversations: Conversations
) -> None:
    """Full duplex: of the second frame before the third is sent."""
    sound = recordings(conversations)[:, 0]
    hop = conversations.codec.hop_length
    with opened(talking) as client:
        client.send(json.dumps(START))
        assert json.loads(client.recv(timeout=60))["type"] == "conversation.started"
        for number in range(3):
            client.send(sound[number * hop : (number + 1) * hop].tobytes())
            assert json.loads(client.recv(timeout=60))["frame"] == number
            if number:
                answer = client.recv(timeout=60)
                assert isinstance(answer, bytes) and len(answer) == 2 * hop


def test_a_client_that_stops_sending_is_let_go_in_bounded_time(
    talking: Running, conversations: Conversations
) -> None:
    with opened(talking) as client:
        client.send(json.dumps(START))
        client.send(recordings(conversations)[:, 0].tobytes()[:100])
        _, (started, error), code = rest(client)
    assert started["type"] == "conversation.started" and code == 1008
    assert error["error"]["code"] == "idle" and "nothing came for 1 s" in error["error"]["message"]
    wait_until(lambda: conversations.num_held == 0)


def test_no_more_conversations_are_held_than_there_is_room_for(
    talking: Running, conversations: Conversations
) -> None:
    with opened(talking) as first:
        first.send(json.dumps(START))
        first.recv(timeout=60)
        with opened(talking) as second:
            second.send(json.dumps(START))
            _, [error], code = rest(second)
        assert code == 1008 and error["error"]["code"] == "busy"
        assert error["error"]["type"] == "rate_limit_error"
    wait_until(lambda: conversations.num_held == 0)  # the first has left without a word
    with opened(talking) as third:
        third.send(json.dumps(START))
        assert json.loads(third.recv(timeout=60))["type"] == "conversation.started"


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([b"1234"], 'the first message must be {"type": "start"}'),
        ([{"type": "end"}], 'the first message must be {"type": "start"}'),
        ([{**START, "voice": "ada"}], 'the first message must be {"type": "start"}'),
        ([{**START, "seed": -1}], "seed must be a whole number from 0"),
        ([{**START, "channels": 3}], "channels must be 1 or 2"),
        ([START, b"123"], "samples must come whole, 2 bytes for each moment, but 3 bytes came"),
        ([{**START, "channels": 2}, b"12"], "4 bytes for each moment, but 2 bytes came"),
        ([START, {"type": "more"}], 'a message must be samples or {"type": "end"}'),
        ([START, "no json"], 'a message must be samples or {"type": "end"}, but is no json'),
    ],
)
def test_mistakes_are_told(talking: Running, messages: list[Any], message: str) -> None:
    with opened(talking) as client:
        for each in messages:
            client.send(each if isinstance(each, bytes | str) else json.dumps(each))
        _, events, code = rest(client)
    assert code == 1008 and message in events[-1]["error"]["message"]


def test_a_client_needs_the_token(
    bundle: Bundle, conversations: Conversations, tmp_path: Path
) -> None:
    token = "0123456789abcdef"
    with serving(bundle, tmp_path, conversations=conversations, token=token) as running:
        with pytest.raises(InvalidStatus, match="401"):
            opened(running)
        headers = {"Authorization": f"Bearer {token}"}
        with opened(running, additional_headers=headers) as client:
            client.send(json.dumps(START))
            assert json.loads(client.recv(timeout=60))["type"] == "conversation.started"


def test_a_server_without_such_a_model_has_no_such_route(server: Running) -> None:
    with pytest.raises(InvalidStatus, match=r"40[34]"):
        opened(server)


def test_others_are_answered_meanwhile(
    talking: Running, conversations: Conversations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that takes long holds nobody else up."""
    entered, go_on = threading.Event(), threading.Event()
    push = MoshiSession.push

    def slow(self: MoshiSession, *given: Any) -> Any:
        entered.set()
        assert go_on.wait(30)
        return push(self, *given)

    monkeypatch.setattr(MoshiSession, "push", slow)
    with opened(talking) as client:
        client.send(json.dumps(START))
        client.send(recordings(conversations)[:, 0].tobytes())
        assert entered.wait(30)
        assert talking.client.get("/health").status_code == 200
        go_on.set()
        client.send(json.dumps({"type": "end"}))
        _, events, code = rest(client)
    assert code == 1000 and events[-1]["frames"] == NUM_FRAMES


def test_a_folder_holds_model_and_codec(conversations: Conversations, tmp_path: Path) -> None:
    model, codec = tiny_moshi()
    loaded, its_codec = load_conversational(save_conversational(model, codec, tmp_path / "moshi"))
    sound = recordings(conversations)[:, :1]
    again = Conversations(loaded, its_codec)
    (tokens, made), (wanted_tokens, wanted) = (expected(c, sound) for c in (again, conversations))
    assert tokens == wanted_tokens and np.array_equal(made, wanted)
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        ConfigError, match="must hold 'moshi', which converses, but holds no system"
    ):
        load_conversational(tmp_path / "empty")
