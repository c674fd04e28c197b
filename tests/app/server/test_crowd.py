"""Many clients at once, with texts of 1 to 12 sentences: each answer is the one it gets alone."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from uslm.systems.two_stage.bundle import Bundle, bundle_of
from uslm.systems.two_stage.tiny import tiny_voice
from uslm.tts import ZeroShotTTS

SENTENCES = (
    "The dog ran home at nine.",
    "She sat by the old river.",
    "Nobody had told him about it.",
)
NUM_CLIENTS = 5
READ, LEAVE, NOBODY, NOTHING = "read", "leave", "nobody", "nothing"
"""What a client does: reads all; leaves at the first bytes; asks for a voice, or a text, that is
none."""
REQUESTS = st.tuples(
    st.integers(1, 12), st.sampled_from([READ, READ, READ, LEAVE, NOBODY, NOTHING])
)
CLIENTS = st.lists(
    st.lists(REQUESTS, min_size=1, max_size=2), min_size=NUM_CLIENTS, max_size=NUM_CLIENTS
)


def text_of(num_sentences: int) -> str:
    return " ".join(SENTENCES[i % len(SENTENCES)] for i in range(num_sentences))


@functools.cache
def generate(alone: ZeroShotTTS, num_sentences: int) -> bytes:
    """The samples that `text_of` has alone, with seed 1."""
    assert isinstance(bundle_of(alone.synthesizer), Bundle)
    waveform = alone.generate(
        text_of(num_sentences), tiny_voice(bundle_of(alone.synthesizer)), seed=1
    ).waveform
    scaled = waveform[0].numpy() * np.float32(32768)
    return np.rint(scaled).clip(-32768, 32767).astype("<i2").tobytes()


def ask(server: Any, script: Sequence[tuple[int, str]]) -> list[tuple[int, str, int, bytes]]:
    """What one client gets for its requests, one after another."""
    answers = []
    with httpx2.Client(base_url=server.url, timeout=60) as client:
        for size, action in script:
            body = {
                "model": "tiny",
                "voice": "nobody" if action == NOBODY else "babble",
                "input": "..." if action == NOTHING else text_of(size),
                "seed": 1,
                "response_format": "wav",
            }
            with client.stream("POST", "/v1/audio/speech", json=body) as answer:
                parts = answer.iter_bytes()
                data = next(parts, b"") if action == LEAVE else b"".join(parts)
                answers.append((size, action, answer.status_code, data))
    return answers


def test_everyone_gets_what_they_get_alone(serve: Any, alone: ZeroShotTTS) -> None:
    with (
        serve(engine_options={"num_slots": 2, "max_waiting": 20}) as server,
        ThreadPoolExecutor(NUM_CLIENTS) as threads,
    ):

        @settings(
            max_examples=2,
            phases=[Phase.generate],  # to make a failure smaller would take minutes
        )  # fmt: skip
        @given(scripts=CLIENTS)
        def crowd(scripts: list[list[tuple[int, str]]]) -> None:
            for answers in threads.map(functools.partial(ask, server), scripts):
                for size, action, status, data in answers:
                    assert status == (400 if action in (NOBODY, NOTHING) else 200)
                    whole = generate(alone, size)
                    if action == READ:
                        assert data[44:] == whole, (size, len(data) - 44, len(whole))
                    if action == LEAVE:
                        assert whole.startswith(data[44:])

        crowd()
        stats = server.engine.stats()
        assert stats.timed_out == stats.refused == 0
