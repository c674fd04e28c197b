"""Pictures of speech."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from uslm.output.speech import Speech
from uslm.systems.two_stage.tiny import tiny_bundle, tiny_voice
from uslm_demo import pictures
from uslm_demo.pictures import draw_speech

BUNDLE = tiny_bundle()
VOICE = tiny_voice(BUNDLE)
TOKENIZER = BUNDLE.tokenizer
CODES = tiny_voice(BUNDLE, num_frames=90, seed=2).codes
SPEECH = Speech(
    waveform=TOKENIZER.decode(CODES[None])[0].detach(),
    sample_rate=TOKENIZER.sample_rate,
    seed=1,
    text="Is it $5 or “5 %”? 好 🎲\x07 " * 9,
    units=CODES[0],
    codes=CODES,
)


@pytest.mark.parametrize("tokenizer", [None, TOKENIZER])
def test_a_picture_is_written(tmp_path: Path, tokenizer: object) -> None:
    path = draw_speech(SPEECH, VOICE, tmp_path / "a.png", tokenizer=tokenizer)  # type: ignore[arg-type]
    assert path.read_bytes().startswith(b"\x89PNG")


def test_only_the_beginning_of_long_speech_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    decode = type(TOKENIZER).decode

    def watched(self: object, codes: torch.Tensor) -> torch.Tensor:
        decoded.append(codes.shape[-1])
        return decode(self, codes)  # type: ignore[arg-type]

    monkeypatch.setattr(type(TOKENIZER), "decode", watched)
    monkeypatch.setattr(pictures, "MAX_SECONDS", SPEECH.seconds / 3)
    draw_speech(SPEECH, VOICE, tmp_path / "a.png", tokenizer=TOKENIZER)
    assert decoded == [VOICE.codes.shape[1] + 30]


def test_converted_speech_has_no_text(tmp_path: Path) -> None:
    draw_speech(replace(SPEECH, text=""), VOICE, tmp_path / "a.png")
