"""Text in subwords that were learnt: from the texts of recordings to a model that reads them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from uslm.systems.two_stage.ar import SemanticLM, SemanticLMConfig
from uslm.systems.two_stage.bundle import load_bundle
from uslm.systems.two_stage.tiny import tiny_bundle
from uslm.text.vocab import SentencePieceVocab
from uslm_recipes import bundle, prepare, vocab
from uslm_recipes.data.alignments import align
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.corpus_format import PHONEMES, TextIds
from uslm_recipes.data.tokens import TokenCorpus
from uslm_recipes.train import ar
from uslm_tokenizer.errors import ConfigError, UserError

TEXTS = {
    "en": "Dr. Lee paid $5 for the bread.",
    "de": "Der Bäcker hat das Brot verkauft.",
    "fr": "Le pain était très bon ce matin.",
}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    lines = []
    for place, (language, text) in enumerate(TEXTS.items()):
        sound = 0.3 * np.sin(np.arange(48_000) * 0.05 * (1 + place))
        soundfile.write(tmp_path / f"{language}.wav", sound.astype(np.float32), 16_000)
        lines.append(
            {"audio": f"{language}.wav", "text": text, "language": language, "speaker": language}
        )
    path = tmp_path / "manifest.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    return path


@pytest.fixture
def subwords(manifest: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    out = manifest.with_name("vocab.model")
    assert vocab.main([str(manifest), "--size", "300", "--out", str(out)]) == 0
    assert "characters per subword" in capsys.readouterr().out
    return out


@pytest.fixture
def corpus(manifest: Path, subwords: Path) -> Corpus:
    out = manifest.with_name("corpus")
    arguments = ["--manifest", str(manifest), "--vocab", str(subwords), "--workers", "0"]
    assert prepare.main([*arguments, "--out", str(out)]) == 0
    return Corpus.open(out)


def test_every_language_is_read_as_at_inference(corpus: Corpus, subwords: Path) -> None:
    learnt = SentencePieceVocab.load(subwords)
    read = {row.language: learnt.decode(row.text_ids) for row in corpus.utterances}
    assert read == {
        "en": "Doctor Lee paid five dollars for the bread.",
        "de": TEXTS["de"],
        "fr": TEXTS["fr"],
    }
    assert corpus.text_vocab == TextIds(vocab=f"sentencepiece:{learnt.hash}", size=learnt.size)


def test_stage_1_has_room_for_the_subwords(corpus: Corpus) -> None:
    recipe = ar.ARRecipe(kind="semantic_lm", model={"dim": 16, "num_heads": 2, "num_layers": 1})
    model = ar.build(recipe, corpus.text_vocab)
    assert model.config.text_vocab_size == corpus.text_vocab.size > PHONEMES.size
    too_small = ar.ARRecipe(kind="semantic_lm", model={"text_vocab_size": 53})
    with pytest.raises(ConfigError, match=f"at least the corpus's {corpus.text_vocab.size}"):
        ar.build(too_small, corpus.text_vocab)


def test_phonemes_and_subwords_are_not_mixed(
    manifest: Path, corpus: Corpus, tmp_path: Path
) -> None:
    plain = tmp_path / "plain"
    assert prepare.main(["--manifest", str(manifest), "--workers", "0", "--out", str(plain)]) == 0
    with pytest.raises(UserError, match=r"one vocabulary, but have .*phonemes"):
        Corpus.open([corpus.folders[0], plain])


def test_subwords_are_not_aligned_as_if_they_were_phonemes(corpus: Corpus, tmp_path: Path) -> None:
    tokens = TokenCorpus.__new__(TokenCorpus)  # refused before it is looked at
    listener = tiny_bundle().tokenizer.units
    with pytest.raises(ConfigError, match="alignments are of phonemes"):
        align(corpus, tokens, listener, np.arange(3), tmp_path)


def test_a_model_speaks_from_subwords(subwords: Path, tmp_path: Path) -> None:
    learnt, tiny = SentencePieceVocab.load(subwords), tiny_bundle()
    reader = SemanticLM(
        SemanticLMConfig(
            text_vocab_size=learnt.size, codebook_size=tiny.tokenizer.codebook_size,
            dim=16, num_heads=2, num_layers=1,
        )
    )  # fmt: skip
    parts = {"tokenizer": tiny.tokenizer, "semantic": reader, "acoustic": tiny.acoustic}
    arguments = ["--out", str(tmp_path / "model"), "--name", "subwords"]
    for name, part in parts.items():
        part.save_pretrained(tmp_path / name)
        arguments += [f"--{name}", str(tmp_path / name)]
    assert bundle.main([*arguments, "--vocab", str(subwords)]) == 0
    loaded = load_bundle(tmp_path / "model")
    text = "Das Brot für $5."
    assert loaded.frontend(language="de")(text).text_ids == tuple(learnt.encode(text))


def test_a_stage_1_of_phonemes_does_not_read_subwords(
    subwords: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny, arguments = tiny_bundle(), ["--out", str(tmp_path / "model")]
    for name in ("tokenizer", "semantic", "acoustic"):
        getattr(tiny, name).save_pretrained(tmp_path / name)
        arguments += [f"--{name}", str(tmp_path / name)]
    assert bundle.main([*arguments, "--vocab", str(subwords)]) == 1
    assert "it was trained with another one" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_recordings_without_text_teach_no_vocabulary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_text(json.dumps({"audio": "a.wav", "text": "", "speaker": "a"}), "utf-8")
    assert vocab.main([str(path), "--out", str(tmp_path / "vocab.model")]) != 0
    assert "no text" in capsys.readouterr().err
    assert not (tmp_path / "vocab.model").exists()
