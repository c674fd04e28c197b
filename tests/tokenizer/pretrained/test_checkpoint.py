"""Published files are read whatever wraps the weights; nothing in them is ever run."""

from __future__ import annotations

import json
import os
import pathlib
import pickle
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from uslm_tokenizer.errors import CheckpointError, MissingResource
from uslm_tokenizer.pretrained.checkpoint import read_checkpoint

STATE = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2)}


def same(found: dict[str, torch.Tensor], names: dict[str, str] | None = None) -> bool:
    names = names or {name: name for name in STATE}
    return found.keys() == names.keys() and all(
        torch.equal(found[name], STATE[ours]) for name, ours in names.items()
    )


@pytest.mark.parametrize("name", ["x.pt", "x.ckpt", "x.bin", "x.th", "x.pkl", "x.safetensors"])
def test_every_container_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    save_file(STATE, path) if path.suffix == ".safetensors" else torch.save(STATE, path)
    assert same(read_checkpoint(path))


def test_files_from_before_the_zip_format_are_read(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "x.th", _use_new_zipfile_serialization=False)
    assert same(read_checkpoint(tmp_path / "x.th"))


def test_a_safetensors_file_is_known_by_its_content(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "x.bin")
    assert same(read_checkpoint(tmp_path / "x.bin"))


@pytest.mark.parametrize(
    "wrapped",
    [
        {"model": STATE, "optimizer": {"state": {0: {"step": torch.ones(1)}}, "param_groups": []}},
        {"state_dict": STATE, "epoch": 3, "hyper_parameters": {"lr": 1e-4}},
        {"generator": STATE, "steps": 100},
        {"model": {"repcodec": STATE}},
        {"model": STATE, "model_avg": {name: 2 * tensor for name, tensor in STATE.items()}},
        {"model": STATE, "exp_dir": pathlib.PurePosixPath("exp"), "args": Namespace(lr=1)},
        {f"module.{name}": tensor for name, tensor in STATE.items()},
    ],
)
def test_weights_are_found_in_their_wrapping(tmp_path: Path, wrapped: dict[str, Any]) -> None:
    if "exp_dir" in wrapped:  # as training programs write it; here whatever the machine has
        wrapped = {**wrapped, "exp_dir": Path("exp")}
    torch.save(wrapped, tmp_path / "x.pt")
    assert same(read_checkpoint(tmp_path / "x.pt"))


def test_parts_side_by_side_keep_their_names(tmp_path: Path) -> None:
    parts = {"encoder": {"w": STATE["a.weight"]}, "generator": {"b": STATE["a.bias"]}, "steps": 7}
    torch.save(parts, tmp_path / "x.pth")
    found = read_checkpoint(tmp_path / "x.pth")
    assert same(found, {"encoder.w": "a.weight", "generator.b": "a.bias"})
    assert same(read_checkpoint(tmp_path / "x.pth", "generator"), {"b": "a.bias"})
    with pytest.raises(CheckpointError, match=r"no entry 'decoder'; there are \['encoder'"):
        read_checkpoint(tmp_path / "x.pth", "decoder")


@pytest.mark.parametrize("stem", ["model", "pytorch_model"])
def test_a_folder_of_shards_is_one_state(tmp_path: Path, stem: str) -> None:
    save_file({"a.weight": STATE["a.weight"]}, tmp_path / "1.safetensors")
    torch.save({"a.bias": STATE["a.bias"]}, tmp_path / "2.bin")
    suffix = "safetensors" if stem == "model" else "bin"
    index = {"weight_map": {"a.weight": "1.safetensors", "a.bias": "2.bin"}}
    path = tmp_path / f"{stem}.{suffix}.index.json"
    path.write_text(json.dumps(index), "utf-8")
    assert same(read_checkpoint(tmp_path))
    path.write_text(json.dumps({"weight_map": {"a": "../1.safetensors"}}), "utf-8")
    with pytest.raises(CheckpointError, match="not a file beside it"):
        read_checkpoint(tmp_path)


class Malicious:
    """When read by an unrestricted reader, it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_malicious_pickle_is_refused(tmp_path: Path, zipped: bool) -> None:
    path, trace = tmp_path / "x.pt", tmp_path / "it-ran"
    torch.save(
        {"model": STATE, "more": Malicious(trace)}, path, _use_new_zipfile_serialization=zipped
    )
    with pytest.raises(CheckpointError, match=r"is refused: it asks for \w+\.mkdir.*could run"):
        read_checkpoint(path)
    assert not trace.exists()
    torch.load(path, weights_only=False)  # the fixture is what it claims to be
    assert trace.exists()


def test_a_bare_malicious_pickle_is_refused(tmp_path: Path) -> None:
    path, trace = tmp_path / "x.pkl", tmp_path / "it-ran"
    path.write_bytes(pickle.dumps(Malicious(trace), protocol=2))
    with pytest.raises(CheckpointError):
        read_checkpoint(path)
    assert not trace.exists()


@pytest.mark.parametrize("name", ["x.pt", "x.safetensors"])
@pytest.mark.parametrize("kept", [0, 7, 100, -10])
def test_a_file_cut_off_is_said_to_be(tmp_path: Path, name: str, kept: int) -> None:
    path = tmp_path / name
    save_file(STATE, path) if path.suffix == ".safetensors" else torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"is empty|is cut off, or is not a|not a file of w"):
        read_checkpoint(path)


@pytest.mark.parametrize("held", [{}, {"steps": 3}, [torch.ones(2)], torch.ones(2)])
def test_a_file_without_weights_is_refused(tmp_path: Path, held: Any) -> None:
    torch.save(held, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="holds no weights, but a "):
        read_checkpoint(tmp_path / "x.pt")


def test_what_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingResource, match="no file at"):
        read_checkpoint(tmp_path / "x.pt")
    with pytest.raises(MissingResource, match=r"holds none of model\.safetensors"):
        read_checkpoint(tmp_path)
