"""Sound on its way to a player: all of it, once, to who knows its name."""

from __future__ import annotations

import base64
import threading
from functools import partial
from typing import Any

import anyio
import pytest
import torch

from uslm_demo.widgets import sounds as module
from uslm_demo.widgets.sounds import Sounds

WAVEFORM = torch.linspace(-1.2, 1.2, 5000)[None]


def take(sounds: Sounds, **wanted: Any) -> dict[str, Any]:
    answer: dict[str, Any] = anyio.run(partial(sounds.take, wanted))
    return answer


def samples(answer: dict[str, Any]) -> torch.Tensor:
    data = base64.b64decode(answer["samples"])
    return torch.frombuffer(bytearray(data), dtype=torch.int16) if data else torch.zeros(0)


def test_all_samples_come_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TAKEN_BYTES", 4000)
    sounds = Sounds()
    sound = sounds.put(WAVEFORM, 16_000)
    got: list[torch.Tensor] = []
    while True:
        answer = take(sounds, id=sound.id, start=sum(map(len, got)))
        got.append(samples(answer))
        if answer["done"]:
            break
    assert len(got) == 3
    wanted = (WAVEFORM[0].clamp(-1, 1) * 32767).round().to(torch.int16)
    assert torch.equal(torch.cat(got), wanted)


def test_who_asks_early_waits() -> None:
    sounds = Sounds()
    sound = sounds.open(16_000)
    timer = threading.Timer(0.2, lambda: sound.push(WAVEFORM[:, :10]))
    timer.start()
    answer = take(sounds, id=sound.id, start=0)
    timer.join()
    assert len(samples(answer)) == 10
    assert not answer["done"]
    sound.close()
    assert take(sounds, id=sound.id, start=10) == {"samples": "", "done": True}


@pytest.mark.parametrize(
    "wanted", [{}, {"id": "x", "start": 0}, {"id": 5, "start": -1}, {"id": None, "start": "a"}]
)
def test_what_is_not_there_ends_at_once(wanted: dict[str, Any]) -> None:
    sounds = Sounds()
    sound = sounds.put(WAVEFORM, 16_000)
    assert take(sounds, **wanted) == {"samples": "", "done": True}
    assert take(sounds, id=sound.id, start=-5) == {"samples": "", "done": True}


def test_the_oldest_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 25_000)
    sounds = Sounds()
    kept = [sounds.put(WAVEFORM, 16_000) for _ in range(4)]
    sounds.open(16_000)
    there = [len(samples(take(sounds, id=sound.id, start=0))) > 0 for sound in kept]
    assert there == [False, False, True, True]
