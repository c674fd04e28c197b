"""Saved models load as they were; whatever does not fit is refused by name."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import (
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)
from safetensors.torch import load_file, save_file
from torch import nn

from uslm.models.folders import resolve_bundle
from uslm_tokenizer.codecs.unit_tokenizer.model import UnitTokenizer
from uslm_tokenizer.errors import ConfigError, EnvironmentProblem, MissingResource
from uslm_tokenizer.hub import ALIGNMENT, PretrainedModel, aligned, resolve, save_aligned
from uslm_tokenizer.weight_hash import weight_hash
from uslm_tokenizer.whole_files import write_atomically


@dataclass(frozen=True, kw_only=True)
class ToyConfig:
    width: int = 3


class Toy(PretrainedModel):
    model_type = "toy"
    config_class = ToyConfig

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.layer = nn.Linear(config.width, 2)
        self.register_buffer("count", torch.tensor(5))


class Stranger(Toy):
    model_type = "stranger"


class Wide(PretrainedModel):
    """Each of its tensors fills multiples of ALIGNMENT bytes."""

    model_type = "wide"
    config_class = ToyConfig

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.layer = nn.Linear(config.width, config.width)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return Toy(ToyConfig()).save_pretrained(tmp_path / "toy")


def test_loaded_equals_saved(saved: Path) -> None:
    toy = Toy.from_pretrained(saved)
    assert not toy.training and toy.config == ToyConfig()
    stored = load_file(saved / "model.safetensors")
    assert all(torch.equal(stored[name], tensor) for name, tensor in toy.state_dict().items())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_loaded_weights_are_the_file_itself(tmp_path: Path) -> None:
    """Mapped, not copied: so a big model is not held twice while it loads."""
    saved = Wide(ToyConfig(width=16)).save_pretrained(tmp_path / "toy")
    toy = Wide.from_pretrained(saved)
    lines = Path("/proc/self/maps").read_text("utf-8").splitlines()
    ranges = [line.split("-", 1) for line in lines if line.endswith("toy/model.safetensors")]
    mapped = [(int(start, 16), int(rest.split()[0], 16)) for start, rest in ranges]
    address = toy.layer.weight.data_ptr()
    assert any(start <= address < end for start, end in mapped)
    with torch.no_grad():
        toy.layer.weight.zero_()  # writing to the model leaves the file alone
    assert Wide.from_pretrained(saved).layer.weight.abs().sum() > 0


@pytest.mark.skipif(sys.platform == "win32", reason="has other permissions")
def test_all_files_may_be_read_by_the_same_people(saved: Path) -> None:
    modes = {path.name: path.stat().st_mode for path in saved.iterdir()}
    (saved / "new").touch()
    assert set(modes.values()) == {(saved / "new").stat().st_mode}


def test_half_precision_is_for_storage_only(tmp_path: Path) -> None:
    toy = Toy(ToyConfig())
    toy.save_pretrained(tmp_path, dtype=torch.float16)
    stored = load_file(tmp_path / "model.safetensors")
    assert stored["layer.weight"].dtype == torch.float16 and stored["count"].dtype == torch.int64
    loaded = Toy.from_pretrained(tmp_path)
    assert loaded.dtype == torch.float32
    torch.testing.assert_close(loaded.layer.weight, toy.layer.weight, atol=1e-3, rtol=1e-3)


def test_another_models_folder_is_refused(saved: Path) -> None:
    with pytest.raises(ConfigError, match="type 'toy', not 'stranger'"):
        Stranger.from_pretrained(saved)


def test_another_models_config_is_refused() -> None:
    with pytest.raises(ConfigError, match="takes a ToyConfig, but was given a dict"):
        Toy({"width": 3})


def test_wrong_weights_are_named(saved: Path) -> None:
    weights = saved / "model.safetensors"
    tensors = load_file(weights)
    save_file({**tensors, "layer.weight": torch.zeros(2, 9)}, weights)
    with pytest.raises(ConfigError, match=r"'layer.weight' has shape \(2, 9\).*asks for \(2, 3\)"):
        Toy.from_pretrained(saved)
    save_file({"layer.weight": tensors["layer.weight"], "other": torch.zeros(1)}, weights)
    with pytest.raises(ConfigError, match=r"lacks 2 tensors .*has unknown 1 tensors \(other\)"):
        Toy.from_pretrained(saved)
    weights.write_bytes(weights.read_bytes()[:40])
    with pytest.raises(ConfigError, match="not a readable safetensors file"):
        Toy.from_pretrained(saved)
    weights.unlink()
    with pytest.raises(MissingResource, match="no weights at"):
        Toy.from_pretrained(saved)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("{", ConfigError, "is not JSON"),
        ("[]", ConfigError, "must hold a mapping"),
        (json.dumps({"model_type": "toy", "config": {"wdith": 1}}), ConfigError, "did you mean"),
        (
            json.dumps({"model_type": "toy", "config": {}, "format": 99}),
            ConfigError,
            "reads up to 1; upgrade",
        ),
    ],
)
def test_a_wrong_config_file_is_explained(
    saved: Path, text: str, error: type[Exception], message: str
) -> None:
    (saved / "config.json").write_text(text, "utf-8")
    with pytest.raises(error, match=message):
        Toy.from_pretrained(saved)


@pytest.mark.parametrize("name", ["./nothing", "/no/where", "no_slash", "~/models/x", "a/b/c"])
def test_a_missing_folder_is_not_looked_for_on_the_hub(name: str) -> None:
    with pytest.raises(MissingResource, match="no model folder at"):
        resolve(name)


def test_offline_a_hub_model_is_missing() -> None:
    with pytest.raises(MissingResource, match="no model 'some/model'"):
        resolve("some/model", local_files_only=True)


class Answer:
    """What the Hub said."""

    def __init__(self, status_code: int) -> None:
        self.status_code, self.headers = status_code, {}


def raised(problem: Exception, cause: Exception | None = None) -> Exception:
    problem.__cause__ = cause
    return problem


def answered(status_code: int) -> Exception:
    kind = type("HfHubHTTPError", (OSError,), {"__module__": "huggingface_hub.errors"})
    problem: Exception = kind("the Hub's client says so")
    problem.response = Answer(status_code)  # type: ignore[attr-defined]
    return problem


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (raised(LocalEntryNotFoundError("gone"), ConnectionRefusedError("refused")), "reach"),
        (raised(LocalEntryNotFoundError("gone"), TimeoutError("slow")), "reach"),
        (raised(LocalEntryNotFoundError("gone"), OfflineModeIsEnabled("offline")), "no model"),
        (LocalEntryNotFoundError("not in the cache"), "no model"),
        (HFValidationError("a name with spaces"), "no model"),
        (answered(404), "no model"),
        (answered(401), "no model"),
        (answered(429), "reach"),
        (answered(503), "reach"),
        (PermissionError(13, "denied"), "fetch"),
    ],
)  # fmt: skip
def test_a_network_fault_is_no_missing_model(
    problem: Exception, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def snapshot_download(*_: object, **__: object) -> str:
        raise problem

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    error = MissingResource if expected == "no model" else EnvironmentProblem
    for fetch in (resolve, resolve_bundle):
        with pytest.raises(error, match=f"{expected}.* 'some/model'"):
            fetch("some/model")


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")

    def fail(path: Path) -> None:
        path.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(target, fail)
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


def test_loading_does_not_call_in_the_compiler(tmp_path: Path) -> None:
    """Drawing first weights on the meta device would import it: 1.5 s of every cold start."""
    UnitTokenizer(UnitTokenizer.tiny_config()).save_pretrained(tmp_path)
    code = (
        "import sys\n"
        "from uslm_tokenizer.registry import load_tokenizer\n"
        f"load_tokenizer({str(tmp_path)!r})\n"
        "print('torch._dynamo' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "False"


def test_int8_weights_are_as_near_as_eight_bits_can_be(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = UnitTokenizer(replace(UnitTokenizer.tiny_config(), dim=128))
    whole = model.save_pretrained(tmp_path / "whole") / "model.safetensors"
    small = model.save_pretrained(tmp_path / "small", dtype=torch.int8) / "model.safetensors"
    assert small.stat().st_size < 0.4 * whole.stat().st_size
    loaded = UnitTokenizer.from_pretrained(tmp_path / "small").state_dict()
    for name, value in model.state_dict().items():
        if value.is_floating_point() and value.ndim > 1:
            most = value.flatten(1).abs().amax(dim=1) / 127  # what one step stands for
            error = (loaded[name] - value).flatten(1).abs().amax(dim=1)
            assert bool((error <= 0.51 * most + 1e-6).all()), name
        elif value.is_floating_point():
            torch.testing.assert_close(loaded[name], value, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("dtype", [None, torch.float16, torch.int8])
def test_an_outline_has_the_hash_and_no_weights(tmp_path: Path, dtype: torch.dtype | None) -> None:
    torch.manual_seed(0)
    model = UnitTokenizer(replace(UnitTokenizer.tiny_config(), dim=128))
    model.save_pretrained(tmp_path, dtype=dtype)
    outline, loaded = UnitTokenizer.outline(tmp_path), UnitTokenizer.from_pretrained(tmp_path)
    assert outline.config == loaded.config and all(each.is_meta for each in outline.parameters())
    assert weight_hash(tokenizer=outline) == weight_hash(tokenizer=loaded)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(MissingResource, match="no weights at"):
        UnitTokenizer.outline(tmp_path)


@pytest.mark.parametrize("length", range(1, 70))
def test_loaded_weights_lie_as_new_ones(tmp_path: Path, length: int) -> None:
    """Kernels add up in another order where they do not: loaded would not equal saved."""
    tensors = {"x" * length: torch.arange(16.0), "y": torch.ones(3), "z": torch.arange(32.0)}
    save_aligned(tensors, tmp_path / "model.safetensors")
    stored = load_file(tmp_path / "model.safetensors")
    assert stored["x" * length].data_ptr() % ALIGNMENT == 0  # without a copy
    for name, tensor in tensors.items():
        ours = aligned(stored[name])
        assert ours.data_ptr() % ALIGNMENT == 0 and torch.equal(ours, tensor)


def test_weights_that_lie_otherwise_are_moved(saved: Path) -> None:
    """Files of others, and of older versions, hold them anywhere."""
    path = saved / "model.safetensors"
    tensors = load_file(path)
    places = set()
    for padding in range(0, ALIGNMENT, 8):
        save_file(tensors, path, metadata={"padding": "-" * padding})
        places |= {tensor.data_ptr() % ALIGNMENT for tensor in load_file(path).values()}
        for tensor in Toy.from_pretrained(saved).state_dict().values():
            assert tensor.data_ptr() % ALIGNMENT == 0
    assert len(places) > 1
