"""From a trained codec to speech of merged codes (VALL-E R), by the recipes at their smallest."""

# ruff: noqa: RUF001 (phonemes look like other characters)

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile
import torch

from uslm.systems.two_stage.bundle import load_bundle
from uslm.systems.two_stage.tiny import speech_like, tiny_voice
from uslm.tts import ZeroShotTTS
from uslm_recipes.commands import bundle, encode, merge_codes, prepare
from uslm_recipes.train import ar, nar
from uslm_tokenizer.codecs.speech_tokenizer.model import SpeechTokenizer, SpeechTokenizerConfig
from uslm_tokenizer.codecs.unit_codec.model import UnitCodec
from uslm_tokenizer.nn.seanet import SEANetConfig
from uslm_tokenizer.quantize.merge import slow_codes
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig
from uslm_tokenizer.registry import load_tokenizer

PHONEMES = "həlˈoʊ ðˈɛɹ."


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus that tells durations, a codec, the same with merged codes, and tokens of both."""
    folder = tmp_path_factory.mktemp("merged")
    lines = []
    for number in range(8):
        audio = folder / f"{number}.wav"
        soundfile.write(audio, speech_like(1.5, seed=number).waveform[0].numpy(), 16_000)
        share = 1.5 / (len(PHONEMES) + 2)
        lines.append(
            {
                "audio": str(audio), "speaker": f"s{number % 3}", "text": "Hello there.",
                "phonemes": PHONEMES, "durations": [share] * (len(PHONEMES) + 2),
                "split": "test" if number > 5 else "train",
            }
        )  # fmt: skip
    (folder / "speech.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    assert prepare.main([str(folder / "speech.jsonl"), "--out", str(folder / "corpus")]) == 0
    config = SpeechTokenizerConfig(
        network=SEANetConfig(dim=12, num_filters=2, strides=(8, 5, 4, 2), num_lstm_layers=0),
        level=VectorQuantizerConfig(dim=12, codebook_size=32),
        num_levels=4,
        semantic_dim=12,
    )
    torch.manual_seed(0)
    codec = SpeechTokenizer(config)
    codec.initialize(speech_like(4.0).waveform[None])  # else all frames have one code
    codec.save_pretrained(folder / "codec")
    words = ["--merge", "2", "1", "1", "1", "--out", str(folder / "merged")]
    assert merge_codes.main([str(folder / "codec"), *words]) == 0
    for name in ("codec", "merged"):
        given = ["--corpus", str(folder / "corpus"), "--tokenizer", str(folder / name)]
        assert encode.main([*given, "--out", str(folder / f"{name}_tokens")]) == 0
    return folder


def arguments(made: Path, tokens: str, out: str) -> list[str]:
    return [
        "--config", "valle_r_tiny", "--out", str(made / out), "--set", f"corpus=[{made}/corpus]",
        "--set", f"tokens=[{made}/{tokens}/0]",
    ]  # fmt: skip


def test_from_codec_to_speech(made: Path) -> None:
    assert ar.main(arguments(made, "merged_tokens", "ar")) == 0
    assert nar.main(arguments(made, "merged_tokens", "nar")) == 0
    parts = ["--tokenizer", "merged", "--semantic", "ar/model", "--acoustic", "nar/model"]
    places = [word if word.startswith("--") else str(made / word) for word in parts]
    assert bundle.main([*places, "--out", str(made / "bundle"), "--name", "valle-r"]) == 0
    model = load_bundle(made / "bundle")
    speech = ZeroShotTTS(model).generate("Hello there.", tiny_voice(model), seed=1)
    assert slow_codes(speech.codes[None, :1], 2).shape[2] == -(-speech.codes.shape[1] // 2)
    assert load_tokenizer(made / "merged").num_codebooks == speech.codes.shape[0]


def test_tokens_that_are_not_merged_are_refused(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ar.main(arguments(made, "codec_tokens", "plain")) == 1
    assert "codes must be merged by 2, but neighbours of a run differ" in capsys.readouterr().err


def test_what_cannot_be_merged_is_named(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    UnitCodec(UnitCodec.tiny_config()).save_pretrained(tmp_path / "units")
    words = ["--merge", "2", "--out", str(tmp_path / "out")]
    assert merge_codes.main([str(tmp_path / "units"), *words]) == 1
    assert "one residual stack, but is a unit_codec" in capsys.readouterr().err
    assert merge_codes.main([str(made / "codec"), *words]) == 1
    assert "merge must be 4 numbers of 1 or more" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert merge_codes.main([str(made / "codec"), *words[:-1], str(made / "codec")]) == 1
    assert "is not empty" in capsys.readouterr().err
