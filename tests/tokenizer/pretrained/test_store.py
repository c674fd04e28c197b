"""From the Hub to a tokenizer that works: downloaded, converted whole or not at all, removed."""

from __future__ import annotations

import io
import json
import shutil
import socket
from pathlib import Path

import pytest
import torch

from uslm_tokenizer.codecs.speech_tokenizer.model import SpeechTokenizer
from uslm_tokenizer.errors import CheckpointError, EnvironmentProblem, MissingResource, UserError
from uslm_tokenizer.pretrained import store
from uslm_tokenizer.pretrained.build import read_statistics
from uslm_tokenizer.pretrained.golden import read_golden
from uslm_tokenizer.pretrained.key_mapping import load_pretrained
from uslm_tokenizer.pretrained.mappings import get_key_mapping
from uslm_tokenizer.pretrained.store import Store, checkpoint_of, config_of, read_record
from uslm_tokenizer.pretrained.testing import HubServer
from uslm_tokenizer.registry import PRETRAINED, load_tokenizer

REPO = "fnlp/SpeechTokenizer"
FOLDER = "speechtokenizer_hubert_avg"
GOLDEN = Path(__file__).parents[2] / "parity/golden/speechtokenizer_train_step.safetensors"
STORE = Store(catalogue=PRETRAINED)


@pytest.fixture(scope="module")
def pretrained() -> dict[str, bytes]:
    """A small SpeechTokenizer as the Hub has the large one."""
    golden, weights = read_golden(GOLDEN), io.BytesIO()
    torch.save(golden.weights, weights)
    config = json.dumps({**golden.config, "batch_size": 6, "teacher": "hubert"})
    return {
        f"{FOLDER}/SpeechTokenizer.pt": weights.getvalue(),
        f"{FOLDER}/config.json": config.encode(),
    }


@pytest.fixture
def server(hub: HubServer, pretrained: dict[str, bytes]) -> HubServer:
    hub.repos[REPO] = dict(pretrained)
    return hub


def audio() -> torch.Tensor:
    return 0.3 * torch.randn(1, 1, 480, generator=torch.Generator().manual_seed(0))


@pytest.mark.usefixtures("server")
def test_a_name_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = load_tokenizer("speechtokenizer")
    assert isinstance(tokenizer, SpeechTokenizer)
    golden = read_golden(GOLDEN)
    key_mapping = get_key_mapping("speech_tokenizer", PRETRAINED.key_mappings)
    direct = load_pretrained(key_mapping, golden.weights, key_mapping.read_config(golden.config))
    assert isinstance(direct, SpeechTokenizer)
    assert torch.equal(tokenizer.encode(audio()), direct.encode(audio()))
    assert STORE.state("speechtokenizer") == "converted"
    monkeypatch.setattr(socket, "socket", None)  # once converted, no network is asked
    assert torch.equal(load_tokenizer("speechtokenizer").encode(audio()), direct.encode(audio()))


def test_a_conversion_says_what_it_was_made_of(server: HubServer, tmp_path: Path) -> None:
    assert STORE.state("speechtokenizer") == "absent"
    STORE.download("speechtokenizer")
    assert STORE.state("speechtokenizer") == "downloaded"
    folder = STORE.convert("speechtokenizer", tmp_path / "out")
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "pretrained.json",
    }
    record = read_record(folder)
    assert record is not None and record["system"] == "speechtokenizer"
    assert {source["revision"] for source in record["sources"]} == {server.commit(REPO)}
    assert STORE.size("speechtokenizer") == sum(map(len, server.repos[REPO].values()))
    assert set(STORE.check("speechtokenizer").values()) == {"ok"}


@pytest.mark.usefixtures("server")
def test_a_conversion_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    STORE.download("speechtokenizer")

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SpeechTokenizer, "save_pretrained", fail)
    with pytest.raises(KeyboardInterrupt):
        STORE.convert("speechtokenizer", tmp_path / "made" / "out")
    assert list((tmp_path / "made").iterdir()) == []


@pytest.mark.usefixtures("server")
def test_only_a_conversion_is_replaced_and_only_if_asked(tmp_path: Path) -> None:
    STORE.download("speechtokenizer")
    folder = STORE.convert("speechtokenizer", tmp_path / "out")
    with pytest.raises(UserError, match="is there already; --force"):
        STORE.convert("speechtokenizer", folder)
    (folder / "of last time").touch()
    STORE.convert("speechtokenizer", folder, force=True)
    assert not (folder / "of last time").exists()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "precious").touch()
    with pytest.raises(UserError, match="holds something else"):
        STORE.convert("speechtokenizer", tmp_path / "photos", force=True)
    assert (tmp_path / "photos" / "precious").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["assets", "hub", "out", "photos"]


def test_files_of_ones_own_take_the_place_of_pretrained_ones(
    hub: HubServer, pretrained: dict[str, bytes], tmp_path: Path
) -> None:
    weights, config = tmp_path / "mine.pt", tmp_path / "mine.json"
    weights.write_bytes(pretrained[f"{FOLDER}/SpeechTokenizer.pt"])
    config.write_bytes(pretrained[f"{FOLDER}/config.json"])
    system = PRETRAINED.systems["speechtokenizer"]
    with pytest.raises(MissingResource, match="first: uslm models download speechtokenizer"):
        STORE.convert("speechtokenizer", tmp_path / "out")
    files = {checkpoint_of(system): weights, config_of(system): config}
    folder = STORE.convert("speechtokenizer", tmp_path / "out", files=files)
    assert load_tokenizer(folder).num_codebooks == 3
    record = read_record(folder)
    assert record is not None and record["sources"][0]["file"] == "mine.pt"
    assert hub.asked == []


@pytest.mark.usefixtures("hub")
def test_another_models_file_is_recognised(pretrained: dict[str, bytes], tmp_path: Path) -> None:
    weights = tmp_path / "mine.pt"
    weights.write_bytes(pretrained[f"{FOLDER}/SpeechTokenizer.pt"])
    files = {checkpoint_of(PRETRAINED.systems["languagecodec"]): weights}
    with pytest.raises(CheckpointError, match=r"language_codec; it looks like speech_tokenizer"):
        STORE.convert("languagecodec", tmp_path / "out", files=files)
    with pytest.raises(MissingResource, match=r"by hand, from .*languagecodec --checkpoint FILE"):
        STORE.convert("languagecodec", tmp_path / "out")


@pytest.mark.usefixtures("server")
def test_a_full_disk_is_seen_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    STORE.download("speechtokenizer")
    usage = type(shutil.disk_usage(tmp_path))(100, 90, 10)
    monkeypatch.setattr(store.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(EnvironmentProblem, match="the conversion takes up to"):
        STORE.convert("speechtokenizer", tmp_path / "out")


@pytest.mark.usefixtures("server")
def test_removing_frees_what_nobody_else_uses(tmp_path: Path) -> None:
    folder = STORE.folder("speechtokenizer")
    size = STORE.size("speechtokenizer")
    assert STORE.remove("speechtokenizer") == size > 0
    assert not folder.exists() and STORE.state("speechtokenizer") == "absent"
    assert STORE.size("speechtokenizer") == 0 == STORE.remove("speechtokenizer")


def test_a_record_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
    for text, message in [
        ("{", "is not JSON"),
        ("[]", "must hold a mapping"),
        ("{}", "must have the key 'system'"),
        ('{"system": "' + "a" * 101 + '"}', "must have the key 'system', a name"),
        ('{"system": "uslm", "format": 9}', "reads up to 1; upgrade"),
    ]:
        (tmp_path / "pretrained.json").write_text(text)
        with pytest.raises(UserError, match=message):
            read_record(tmp_path)


@pytest.mark.parametrize("suffix", [".pt", ".npz"])
def test_statistics_are_read_from_either_file(tmp_path: Path, suffix: str) -> None:
    import numpy as np

    path = tmp_path / f"stats{suffix}"
    mean, var = torch.tensor([1.0, 2.0]), torch.tensor([4.0, 9.0])
    if suffix == ".pt":
        torch.save({"mean": mean, "var": var}, path)
    else:
        np.savez(path, mean=mean.numpy(), std=var.sqrt().numpy())
    found = read_statistics(path)
    assert torch.equal(found[0], mean) and torch.equal(found[1], var.sqrt())
    torch.save({"mean": mean}, tmp_path / "half.pt")
    with pytest.raises(CheckpointError, match="must hold 'mean' and 'std' or 'var'"):
        read_statistics(tmp_path / "half.pt")
