"""The published vocabulary: subwords, Chinese by characters, what is no vocabulary."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import Replace

from uslm.text.subwords import SPACE, SubwordVocab
from uslm_tokenizer.errors import ConfigError, MissingResource


@pytest.fixture
def vocab(tmp_path: Path) -> SubwordVocab:
    words = ["<unk>", SPACE, "h", "i", "hi", f"{SPACE}hi", "你", "好", "你好", f"{SPACE}你好"]
    merges = [("h", "i"), (SPACE, "hi"), ("你", "好"), (SPACE, "你好")]
    tokenizer = Tokenizer(BPE({word: i for i, word in enumerate(words)}, merges, unk_token="<unk>"))
    tokenizer.normalizer = Replace(" ", SPACE)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return SubwordVocab.load(tmp_path / "tokenizer.json")


def test_chinese_words_are_read_character_by_character(vocab: SubwordVocab) -> None:
    assert vocab.encode("hi hi") == [4, 5]
    assert vocab.encode("你好") == [6, 7]
    assert vocab.encode("hi 你好") == [4, 6, 7]
    assert vocab.size == 10 and vocab.unknown("hi") == ()


def test_what_is_no_vocabulary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingResource, match="no subwords"):
        SubwordVocab.load(tmp_path / "nothing.json")
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(ConfigError, match="holds no subwords"):
        SubwordVocab.load(tmp_path / "broken.json")
