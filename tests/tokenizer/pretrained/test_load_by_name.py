"""A pretrained tokenizer is loaded by its name, downloaded once, converted once."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import torch

from uslm_tokenizer.codecs.language_codec.model import LanguageCodec
from uslm_tokenizer.codecs.transformers.model import Dac
from uslm_tokenizer.errors import MissingResource, UserError
from uslm_tokenizer.pretrained.store import RECORD, Store
from uslm_tokenizer.pretrained.testing import HubServer
from uslm_tokenizer.registry import PRETRAINED, load_tokenizer


def test_a_codec_of_transformers_comes_once(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Dac(Dac.tiny_config()).backbone.save_pretrained(tmp_path / "theirs")
    files = {path.name: path.read_bytes() for path in (tmp_path / "theirs").iterdir()}
    hub.repos["descript/dac_16khz"] = {"preprocessor_config.json": b"{}", **files}
    with pytest.raises(MissingResource, match="offline"):
        load_tokenizer("dac-16khz", local_files_only=True)
    first = load_tokenizer("dac-16khz")
    assert isinstance(first, Dac)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    again = load_tokenizer("dac-16khz")
    waveform = 0.1 * torch.randn(1, 1, 1000)
    assert torch.equal(again.encode(waveform), first.encode(waveform))


@pytest.mark.usefixtures("hub")
def test_a_converted_one_is_found() -> None:
    folder = Store(catalogue=PRETRAINED).converted_folder("languagecodec")
    codec = LanguageCodec(LanguageCodec.tiny_config())
    codec.save_pretrained(folder)
    (folder / RECORD).write_text('{"format": 1, "system": "languagecodec", "sources": []}')
    loaded = load_tokenizer("languagecodec")
    assert isinstance(loaded, LanguageCodec) and loaded.config == codec.config


@pytest.mark.usefixtures("hub")
def test_one_that_must_be_fetched_by_hand_is_said_so() -> None:
    with pytest.raises(MissingResource, match=r"by hand: .*Languagecodec"):
        load_tokenizer("languagecodec")


@pytest.mark.parametrize(
    ("name", "hint"), [("mimo", "did you mean 'mimi'"), ("qqqq", "they are .*'wavtokenizer")]
)
def test_an_unknown_name_is_refused(name: str, hint: str) -> None:
    with pytest.raises(MissingResource, match=f"no model folder at '{name}'.*{hint}"):
        load_tokenizer(name)
    with pytest.raises(UserError, match="revision must not be given for 'mimi'"):
        load_tokenizer("mimi", revision="main")
