"""Every published file is pinned, or in the list of those of which no public record was found."""

from __future__ import annotations

import re

from uslm.systems.catalogue import CATALOGUE
from uslm_tokenizer.pretrained import pins
from uslm_tokenizer.pretrained.first_seen import pin_of
from uslm_tokenizer.pretrained.source import HandFile, HubFile

FILES = {source for system in CATALOGUE.systems.values() for source in system.sources}
UNPINNED = {
    "novateur/WavTokenizer: WavTokenizer_small_320_24k_4096.ckpt",
    "novateur/WavTokenizer: WavTokenizer_small_600_24k_4096.ckpt",
    "Dongchao/AcademiCodec: HiFi-Codec-16k-320d",
    "Dongchao/AcademiCodec: HiFi-Codec-24k-320d",
    "fnlp/USLM: USLM_libritts/USLM.pt",
    "fnlp/USLM: USLM_libritts/unique_text_tokens.k2symbols",
    "https://dl.fbaipublicfiles.com/encodec/v0/encodec_48khz-7e698e3e.th",
}
"""Compared with their first download; of the last, eight digits of its hash are in its name."""


def test_what_is_not_pinned_is_listed_here() -> None:
    assert {file.address for file in FILES if pin_of(file) == "first download"} == UNPINNED
    by_hand = {file.address for file in FILES if pin_of(file) == "nothing"}
    assert by_hand == {file.address for file in FILES if isinstance(file, HandFile)}


def test_pins_are_hashes_of_published_files() -> None:
    assert all(re.fullmatch("[0-9a-f]{40}", commit) for commit in pins.COMMITS.values())
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in pins.SHA256.values())
    assert pins.SHA256.keys() <= {file.address for file in FILES}
    named_there = {file.repo for file in FILES if isinstance(file, HubFile) and file.commit}
    assert pins.COMMITS.keys() <= named_there
