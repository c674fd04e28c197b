"""The text front end of USLM. What espeak says depends on its version: everything else is compared
with what the golden text's espeak said, and our espeak's speech with that."""

from __future__ import annotations

from typing import Any

from uslm.systems.valle.text import VallePhonemizer, ValleVocab, clean_phonemes, cut, tokens
from uslm.text.phonemize import EspeakPhonemizer
from uslm_tokenizer.pretrained.golden import GoldenFile
from uslm_tokenizer.sequence.edit_distance import edit_distance

SYSTEMS = ("USLM text front end",)
MAX_OTHER_TOKENS = 0.02
"""Share of tokens that another version of espeak-ng may say otherwise."""


def check(golden: GoldenFile) -> None:
    facts = golden.metadata
    vocab = ValleVocab(facts["symbols"])
    assert ValleVocab().symbols == vocab.symbols
    assert {symbol: place for place, symbol in enumerate(vocab.symbols)} == facts["symbol_to_id"]
    recorded = {segment: said for case in facts["cases"] for segment, said in case["chunks"]}
    speak = EspeakPhonemizer().separated
    phonemizer = VallePhonemizer(lambda segment, language: recorded.get(segment) or speak(segment))
    for case in facts["cases"]:
        check_case(case, vocab, phonemizer)
    for case in facts["joint_cases"]:
        prompt, text = case["prompt_text"], case["text"]
        line = phonemizer.phonemize([f"{prompt} {text}"])[0]
        assert tokens(line) == case["tokens"]
        assert vocab.encode(line) == case["ids"]
        assert len(case["ids"]) == case["length"]
        alone, said = (vocab.encode(phonemizer.phonemize([part])[0]) for part in (prompt, text))
        assert len(alone) == case["enroll_length"]
        if cut(prompt)[-1] == "":  # a mark at the end: two parts are what they are as one
            assert [*alone[:-1], *vocab.encode("_")[1:-1], *said[1:]] == case["ids"]
    check_espeak(str(facts["espeak_ng"]), recorded)


def check_case(case: dict[str, Any], vocab: ValleVocab, phonemizer: VallePhonemizer) -> None:
    parts = cut(case["text"])
    assert [part for part in parts[::2] if part] == [segment for segment, _ in case["chunks"]]
    assert parts[1::2] == [mark for mark, _ in case["marks"]]
    line = phonemizer.phonemize([case["text"]])[0]
    assert line == case["phonemized"]
    assert tokens(line) == case["tokens"]
    assert sorted(vocab.unknown(line)) == sorted(case["unknown_symbols"])
    if not case["unknown_symbols"]:
        assert vocab.encode(line) == case["ids"]
        assert len(case["ids"]) == case["length"]


def check_espeak(version: str, recorded: dict[str, str]) -> None:
    """Our espeak says what theirs said; where it is another version, a few words otherwise."""
    espeak = EspeakPhonemizer()
    theirs = [token for said in recorded.values() for token in tokens(clean_phonemes(said))]
    ours = [t for segment in recorded for t in tokens(clean_phonemes(espeak.separated(segment)))]
    allowed = 0 if version.startswith(espeak.version) else MAX_OTHER_TOKENS * len(theirs)
    assert edit_distance(ours, theirs) <= allowed
