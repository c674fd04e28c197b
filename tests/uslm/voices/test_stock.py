"""Stock voices: each speaks with the default model, with any other stage 2, and with any model."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from uslm import ZeroShotTTS
from uslm.conversion import VoiceConverter
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.tiny import tiny_bundle
from uslm.systems.two_stage.voice_row import SPOKEN
from uslm.voices.stock import (
    CATALOGUE,
    DEFAULT_STOCK_VOICE,
    FOLDER,
    stock_name,
    stock_voice,
    stock_voices,
)
from uslm.voices.store import load_stock_voice
from uslm_recipes.commands.stock_voices import make_stock_voice
from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.errors import ConfigError, MissingResource

NAMES = list(stock_voices())


@pytest.fixture(scope="module")
def default() -> ZeroShotTTS:
    return ZeroShotTTS.from_pretrained("default")


@pytest.mark.parametrize("name", NAMES)
def test_each_can_be_shipped_and_speaks_with_the_default_model(
    name: str, default: ZeroShotTTS
) -> None:
    stock, voice = stock_voice(name), load_stock_voice(name)
    default.synthesizer.check_voice(voice)
    assert voice.licence == stock.licence == "Apache-2.0" and voice.consent
    assert voice.transcript == stock.transcript
    # Much of the voice is heard by stage 2, and nothing is warned of.
    assert 4 < voice.seconds <= 6 and not voice.findings
    assert stock.path.stat().st_size + stock.recording.stat().st_size < 60_000
    assert abs(sum(stock.blend.values()) - 1) < 0.01 and len(stock.blend) > 1


@pytest.mark.parametrize("name", NAMES)
def test_each_serves_every_stage_2_of_its_tokenizer(name: str) -> None:
    # A shift that was fitted to one stage 2's weights would be taken by the next as its own.
    assert set(load_stock_voice(name).extras) <= {SPOKEN}


def test_the_command_makes_them_as_they_are(default: ZeroShotTTS) -> None:
    for name in (NAMES[0], NAMES[-1]):
        made, kept = make_stock_voice(default, stock_voice(name)), load_stock_voice(name)
        assert made.tokenizer_hash == kept.tokenizer_hash
        assert torch.equal(made.codes, kept.codes) and torch.equal(made.text_ids, kept.text_ids)
        assert (made.phonemes, made.consent, made.licence) == (
            kept.phonemes, kept.consent, kept.licence
        )  # fmt: skip


def test_a_model_of_another_tokenizer_makes_one_again() -> None:
    bundle = tiny_bundle()
    with pytest.raises(ConfigError, match="was made with the tokenizer"):
        bundle.check_voice(load_stock_voice(NAMES[1]))
    tts = ZeroShotTTS(bundle)
    voice = tts.stock_voice(NAMES[1])
    bundle.check_voice(voice)
    kept = load_stock_voice(NAMES[1])
    assert voice.transcript and (kept.transcript or "").startswith(voice.transcript)
    assert (voice.name, voice.consent) == (NAMES[1], kept.consent)
    assert torch.equal(VoiceConverter(bundle).stock_voice(NAMES[1]).codes, voice.codes)


def test_the_file_serves_where_it_can(default: ZeroShotTTS) -> None:
    assert isinstance(default.synthesizer, Bundle)
    voice = default.stock_voice()
    assert torch.equal(voice.codes, load_stock_voice(DEFAULT_STOCK_VOICE).codes)
    damaged = replace(voice, codes=voice.codes + 10_000)
    with pytest.raises(Exception, match="codes"):
        default.synthesizer.check_voice(damaged)


def test_they_are_found_by_name_and_by_file() -> None:
    assert NAMES[0] == DEFAULT_STOCK_VOICE
    assert stock_name(stock_voice("ada").path) == "ada"
    assert stock_name("ada.safetensors") is None
    with pytest.raises(MissingResource, match=r"no stock voice 'adda'; did you mean 'ada'\?"):
        stock_voice("adda")
    with pytest.raises(MissingResource, match=r"there are ada, "):
        stock_voice("x")


def test_nothing_else_lies_there_and_the_card_tells_of_each() -> None:
    files = {f"{name}{suffix}" for name in NAMES for suffix in (".safetensors", ".ogg")}
    assert {path.name for path in FOLDER.iterdir()} == files | {CATALOGUE, "README.md"}
    card = (FOLDER / "README.md").read_text("utf-8")
    rows = json.loads((FOLDER / CATALOGUE).read_text("utf-8"))
    for row in rows:
        blend = ", ".join(f"{name} {weight:g}" for name, weight in row["blend"].items())
        speaker = f"{row['speaker']}, {row['split']}"
        assert f"| `{row['name']}` | {row['description']} | {speaker} | {blend} |" in card
        assert read_audio(FOLDER / f"{row['name']}.ogg").sample_rate == 16_000
