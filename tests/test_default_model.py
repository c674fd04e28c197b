"""The model that ships: it is small, it has a card, and what it says can be recognised."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import uslm
from uslm.systems.two_stage.bundle import Bundle, bundle_of
from uslm.tts import ZeroShotTTS
from uslm.voices.phoneme_error_rate import phoneme_error_rate
from uslm.voices.verification import recognizer
from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.nn.spectral import LogMel

ROOT = Path(__file__).parents[1]
ASSETS = Path(uslm.__file__).parent / "assets" / "default"
SENTENCES = [
    "The house is built, and now it speaks.",
    "She sells fresh bread every morning at the market.",
    "I never saw such a thing in my life!",
]


@pytest.fixture(scope="module")
def tts() -> ZeroShotTTS:
    return ZeroShotTTS.from_pretrained("default")


def test_its_weights_take_60_mb_at_most() -> None:
    sizes = [file.stat().st_size for file in ASSETS.rglob("*.safetensors")]
    assert len(sizes) == 3
    assert sum(sizes) <= 60e6


def test_its_card_was_written_by_the_evaluation() -> None:
    card = (ASSETS / "README.md").read_text("utf-8")
    assert card.startswith("---\n")
    for promised in ("licen", "Trained on", "WER", "DNSMOS", "hours"):
        assert re.search(promised, card, re.IGNORECASE), promised


def test_its_card_is_of_these_weights(tts: ZeroShotTTS) -> None:
    """And its parts agree: the head that sites read, the summary, and the table. A card of weights
    that nobody has evaluated says so, and claims no figure."""
    card = (ASSETS / "README.md").read_text("utf-8")
    figures = re.findall(r"- \{type: (\w+), value: ([0-9.]+)\}", card)
    head = dict(figures)
    assert len(head) == len(figures)
    if "have not been evaluated" in card:
        assert not head and not re.search(r"WER \d|speaker cosine \d|DNSMOS \d", card)
        return
    assert isinstance(bundle_of(tts.synthesizer), Bundle)
    assert f"Weights: {tts.synthesizer.hash}." in card
    assert head.keys() >= {"wer", "cer", "speaker_cosine"}
    table = re.search(r"^\| all \|(.*)\|$", card, re.M)
    assert table is not None
    wer, _, cer, cosine, *_ = [cell.split("[")[0].strip() for cell in table[1].split("|")]
    assert f"{100 * float(head['wer']):.1f}" == wer
    assert f"{100 * float(head['cer']):.1f}" == cer
    assert f"{float(head['speaker_cosine']):.3f}" == cosine
    assert f"(WER {wer} [" in card and f"speaker cosine {cosine} [" in card


def test_its_units_say_the_words(tts: ZeroShotTTS) -> None:
    """The tokenizer's own recogniser, on what stage 1 makes of three sentences.

    Chance, which another text shows, is near 1; real speech of held-out speakers gives about a
    third.
    """
    voice = tts.create_voice(ROOT / "examples" / "voice.wav")
    phoneme_recognizer, frontend = recognizer(tts.synthesizer.tokenizer), tts.synthesizer.frontend()
    received = [
        phoneme_recognizer.recognize(tts.generate(sentence, voice, seed=seed).units)
        for seed, sentence in enumerate(SENTENCES)
    ]
    texts = [bundle_of(tts.synthesizer).phoneme_ids(frontend(sentence)) for sentence in SENTENCES]
    errors = list(map(phoneme_error_rate, texts, received))
    shuffled = list(map(phoneme_error_rate, [*texts[1:], texts[0]], received))
    assert sum(errors) / len(errors) < 0.45
    assert min(shuffled) > 0.7


def test_its_codec_gives_the_voice_back(tts: ZeroShotTTS) -> None:
    """Decoded speech lies nearer to its original than to another recording, and keeps its
    melody."""
    tokenizer = tts.synthesizer.tokenizer
    mel = LogMel(tokenizer.sample_rate)
    clips = [
        read_audio(ROOT / "examples" / name).resampled(tokenizer.sample_rate).waveform[:, :48_000]
        for name in ("voice.wav", "voice_low.wav")
    ]
    decoded = [tokenizer.decode(tokenizer.encode(clip[None])) for clip in clips]

    def distance(a: torch.Tensor, b: torch.Tensor) -> float:
        return float((mel(a) - mel(b)).abs().mean())

    own = [distance(made, clip[None]) for made, clip in zip(decoded, clips, strict=True)]
    other = distance(decoded[0], clips[1][None])
    assert max(own) < min(other / 2, 0.5)
    codebook = tokenizer.pitch_codebook
    assert codebook is not None
    for made, clip in zip(decoded, clips, strict=True):
        melodies = torch.stack(
            [tokenizer.encode(w)[0, codebook] for w in (clip[None], made)]
        ).float()
        voiced = (melodies > 0).all(dim=0)
        assert voiced.sum() > 40
        assert torch.corrcoef(melodies[:, voiced])[0, 1] > 0.95
