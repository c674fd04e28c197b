"""`uslm models` and `uslm codecs`: from the Hub to a folder that loads, and away again."""

from __future__ import annotations

import io
import json
import math
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from uslm_tokenizer.pretrained.golden import read_golden
from uslm_tokenizer.pretrained.testing import HubServer, isolated_hub
from uslm_tokenizer.registry import PRETRAINED

Uslm = Callable[..., Any]

GOLDEN = Path(__file__).parents[1] / "parity/golden/speechtokenizer_train_step.safetensors"
REPO, FOLDER = "fnlp/SpeechTokenizer", "speechtokenizer_hubert_avg"
NAME = "speechtokenizer"


@pytest.fixture(scope="module")
def pretrained() -> dict[str, bytes]:
    """A small SpeechTokenizer, laid out as the large one is."""
    golden, weights = read_golden(GOLDEN), io.BytesIO()
    torch.save(golden.weights, weights)
    return {
        f"{FOLDER}/SpeechTokenizer.pt": weights.getvalue(),
        f"{FOLDER}/config.json": json.dumps(dict(golden.config)).encode(),
    }


@pytest.fixture
def hub(tmp_path: Path, pretrained: dict[str, bytes]) -> Iterator[HubServer]:
    with isolated_hub(tmp_path / "cache") as server:
        server.repos[REPO] = dict(pretrained)
        yield server


def test_a_model_comes_works_and_goes(
    uslm: Uslm, hub: HubServer, tiny_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uslm("models", "path", NAME).assert_refused(2, "first: uslm models download speechtokenizer")
    assert uslm("models", "download", NAME).code == 0
    uslm("models", "path", NAME).assert_refused(2, "first: uslm models convert speechtokenizer")
    assert uslm("models", "verify", NAME).out.count("ok ") == 2
    assert uslm("models", "convert", NAME).code == 0
    folder = uslm("models", "path", NAME).out.strip()
    assert (Path(folder) / "model.safetensors").is_file()
    listed = json.loads(uslm("models", "list", "--here", "--json").out)["models"]
    assert {row["name"]: row["state"] for row in listed} == {
        NAME: "converted",
        "uslm": "partly downloaded",  # it speaks the same codes
    }
    monkeypatch.setattr(socket, "socket", None)  # from here on no network is asked
    shown = uslm("models", "info", NAME).out
    assert hub.commit(REPO)[:12] in shown and "Apache-2.0" in shown and folder in shown
    prompt = tiny_files / "prompt.wav"
    result = uslm("encode", "--tokenizer", NAME, "--audio", prompt, "--out", "codes.safetensors")
    assert result.code == 0, result.stderr
    freed = json.loads(uslm("models", "remove", NAME, "--json").out)["freed"]
    assert freed[NAME] > 100_000
    assert "was not here" in uslm("models", "remove", NAME).stderr
    assert "no pretrained model is here" in uslm("models", "list", "--here").stderr


def test_offline_nothing_is_fetched(uslm: Uslm, hub: HubServer) -> None:
    for command in ("download", "convert"):
        uslm("models", command, NAME, "--offline").assert_refused(2, "not in the cache", "offline")
    assert hub.asked == []


@pytest.mark.usefixtures("hub")
def test_damage_is_found(uslm: Uslm, tmp_path: Path) -> None:
    uslm("models", "verify", NAME, "--json")
    assert uslm("models", "download", NAME).code == 0
    blobs = tmp_path / "cache/hub/models--fnlp--SpeechTokenizer/blobs"
    largest = max(blobs.iterdir(), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1])
    result = uslm("models", "verify", NAME)
    assert result.code == 1 and "damaged" in result.out and "models remove" in result.stderr
    largest.unlink()
    assert uslm("models", "verify", NAME).code == 2


def test_a_checkpoint_of_ones_own_is_converted(
    uslm: Uslm, hub: HubServer, pretrained: dict[str, bytes], tmp_path: Path
) -> None:
    weights, config = tmp_path / "mine.pt", tmp_path / "mine.json"
    weights.write_bytes(pretrained[f"{FOLDER}/SpeechTokenizer.pt"])
    config.write_bytes(pretrained[f"{FOLDER}/config.json"])
    convert = ("models", "convert", NAME, "--out", "made", "--config", config)
    uslm(*convert, "--checkpoint", "part=" + str(weights)).assert_refused(1, "PART of ['codec']")
    uslm(*convert, "--checkpoint", "no.pt").assert_refused(2, "no file at no.pt")
    result = uslm(*convert, "--checkpoint", f"codec={weights}", "--dtype", "float16", "--json")
    assert json.loads(result.out) == {"path": "made"} and hub.asked == []
    assert (tmp_path / "made/model.safetensors").stat().st_size < weights.stat().st_size / 1.5
    uslm(*convert, "--checkpoint", weights).assert_refused(1, "is there already; --force")
    assert uslm(*convert, "--checkpoint", weights, "--force").code == 0
    full = ("models", "convert", "dm-codec", "--out", "other", "--checkpoint", weights)
    uslm(*full).assert_refused(1, "not a checkpoint of speech_tokenizer with this config")
    assert not (tmp_path / "other").exists()


def test_what_cannot_be_had_is_said(uslm: Uslm, hub: HubServer, tmp_path: Path) -> None:
    uslm("models", "download", "languagecodec").assert_refused(2, "by hand", "Google Drive")
    uslm("models", "info", "nonesuch").assert_refused(1, "no pretrained model named 'nonesuch'")
    uslm("models", "download", "mimi").assert_refused(2, "the Hub does not give kyutai/mimi")
    uslm("models", "convert", "mimi", "--offline").assert_refused(2, "offline")
    uslm("models", "convert", "maskgct", "--config", "x").assert_refused(1, "takes no config")
    hub.repos.clear()
    hub.repos["facebook/encodec_24khz"] = {}
    (tmp_path / "wrong.pt").write_bytes(b"not weights at all")
    arguments = ("--checkpoint", "wrong.pt", "--out", "x")
    uslm("models", "convert", "dm-codec", *arguments).assert_refused(1, "not a file of weights")


def test_the_environment_of_the_hub_is_honoured(hub: HubServer, tmp_path: Path) -> None:
    """In a process of its own, as huggingface_hub reads it when it is imported."""
    code = (
        "from uslm_app.cli import main; import sys; "
        "from uslm_tokenizer.pretrained.testing import forget_pins; forget_pins(); "
        f"sys.exit(main(['models', 'download', '{NAME}', '--json']))"
    )
    home = {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": hub.endpoint, "HF_HUB_OFFLINE": "0"}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")} | home
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (files,) = json.loads(done.stdout)["files"].values()
    assert len(files) == 2 and all(Path(file).is_relative_to(tmp_path / "home") for file in files)


def test_the_table_of_codecs_asks_the_models(uslm: Uslm) -> None:
    rows = {row["name"]: row for row in json.loads(uslm("codecs", "--json").out)["codecs"]}
    assert rows.keys() == {"default", *PRETRAINED.systems}
    for row in rows.values():
        bits = row["num_codebooks"] * math.log2(row["codebook_size"])
        assert row["kbit_rate"] == pytest.approx(row["frame_rate"] * bits / 1000)
        assert row["num_parameters"] > 1e6 and row["code_licence"] and row["weights_licence"]
        assert row["source"].startswith("https://") or row["name"] == "default"
    causal = {name for name, row in rows.items() if row["causal"]}
    assert causal == {"encodec-24khz", "encodec-24khz-original", "mimi"}
    assert (
        rows["encodec-24khz"]["num_parameters"]
        == (rows["encodec-24khz-original"]["num_parameters"])
    )
