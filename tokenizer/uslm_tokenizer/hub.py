"""Saving and loading of models: `config.json` + `model.safetensors`, in a folder or on the Hub."""

import json
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from uslm_tokenizer.compact import SCALE, compacted, restored
from uslm_tokenizer.config import from_dict, to_dict
from uslm_tokenizer.errors import ConfigError, EnvironmentProblem, MissingResource

FORMAT = 1
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"

Model = TypeVar("Model", bound="PretrainedModel")


class PretrainedModel(nn.Module):
    """A module that is built from its config alone, and can be saved, loaded and shared."""

    model_type: ClassVar[str]
    config_class: ClassVar[type]

    def __init__(self, config: Any) -> None:
        super().__init__()
        if not isinstance(config, self.config_class):
            raise ConfigError(
                f"{type(self).__name__} takes a {self.config_class.__name__}, "
                f"but was given a {type(config).__name__}"
            )
        self.config = config

    @property
    def device(self) -> torch.device:
        """Where the first parameter lies."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the first parameter."""
        return next(self.parameters()).dtype

    def num_parameters(self) -> int:
        """How many weights the model has."""
        return sum(parameter.numel() for parameter in self.parameters())

    def save_pretrained(self, folder: str | Path, *, dtype: torch.dtype | None = None) -> Path:
        """Write config and weights; `dtype` stores floating-point weights in that precision.

        With int8, matrices are stored in 8 bits a weight (compact.py), all else in float16.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.detach().cpu() for name, tensor in self.state_dict().items()}
        if dtype == torch.int8:
            tensors = compacted(tensors)
        elif dtype is not None:
            tensors = {n: t.to(dtype) if t.is_floating_point() else t for n, t in tensors.items()}
        tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
        description = {
            "format": FORMAT,
            "model_type": self.model_type,
            "config": to_dict(self.config),
        }
        write_atomically(folder / WEIGHTS_FILE, lambda path: save_file(tensors, path))
        text = json.dumps(description, indent=2) + "\n"
        write_atomically(folder / CONFIG_FILE, lambda path: path.write_text(text, "utf-8"))
        return folder

    @classmethod
    def from_pretrained(
        cls: type[Model],
        name_or_path: str | Path,
        *,
        revision: str | None = None,
        local_files_only: bool = False,
    ) -> Model:
        """The saved model on the CPU, in eval mode and in float32.

        Raises MissingResource if there is no such folder or repository, ConfigError if what is
        there belongs to another model or does not fit the config.
        """
        folder = resolve(name_or_path, revision=revision, local_files_only=local_files_only)
        description = read_description(folder)
        if description["model_type"] != cls.model_type:
            raise ConfigError(
                f"{folder} holds a model of type {description['model_type']!r}, "
                f"not {cls.model_type!r}"
            )
        config: Any = from_dict(cls.config_class, description["config"])
        with empty_parameters():
            model = cls(config)
        load_weights(model, folder / WEIGHTS_FILE)
        return model.eval()

    def push_to_hub(self, repo_id: str, *, private: bool = False, token: str | None = None) -> str:
        """Save and upload to the Hub; returns the commit's address."""
        with tempfile.TemporaryDirectory() as folder:
            return push_folder(self.save_pretrained(folder), repo_id, private=private, token=token)


def push_folder(
    folder: Path, repo_id: str, *, private: bool = False, token: str | None = None
) -> str:
    """Upload a saved folder, with its card if it has one; returns the commit's address.

    Raises EnvironmentProblem where the Hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi, errors

    # Older releases report a lost connection as an OSError.
    lost: type[Exception] = getattr(errors, "HTTPError", OSError)
    api = HfApi(token=token)
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        return str(api.upload_folder(repo_id=repo_id, folder_path=folder))
    except (OSError, errors.HFValidationError, lost) as problem:
        reason = " ".join(str(problem).split())
        raise EnvironmentProblem(
            f"{folder} could not be sent to the Hub as {repo_id!r}: {reason}"
        ) from problem


@contextmanager
def empty_parameters() -> Iterator[None]:
    """Models built within have parameters of the right shape that take no memory (meta device).

    Buffers are real, as those that are not saved must have their values from the start.
    """
    builder = threading.get_ident()

    def to_meta(module: nn.Module, name: str, parameter: nn.Parameter) -> nn.Parameter | None:
        if threading.get_ident() != builder or parameter.is_meta:  # a tied one stays tied
            return None
        return nn.Parameter(parameter.detach().to("meta"), requires_grad=parameter.requires_grad)

    handle = register_module_parameter_registration_hook(to_meta)  # type: ignore[arg-type]
    try:
        with _NothingToDraw():
            yield
    finally:
        handle.remove()


class _NothingToDraw(TorchFunctionMode):
    """Leaves out drawing first weights that are not there.

    PyTorch would do it by a rule that it looks up in its compiler: 1.5 s of imports.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == nn.init.__name__:
            tensor = args[0] if args else kwargs["tensor"]
            if tensor.is_meta:
                return tensor
        return func(*args, **kwargs)


def write_atomically(path: Path, write: Any) -> None:
    """Call `write(temporary_path)`, then rename: a half-written file never bears the name."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode  # as any new file; safetensors hides its files from others
        write(temporary)
        temporary.chmod(mode)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def resolve(
    name_or_path: str | Path, *, revision: str | None = None, local_files_only: bool = False
) -> Path:
    """A local folder as it is; otherwise a repository of the Hub, downloaded or from the cache."""
    folder = Path(name_or_path)
    if folder.is_dir():
        return folder
    name = str(name_or_path)
    if folder.exists() or name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise MissingResource(f"no model folder at {name!r}")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                name,
                revision=revision,
                local_files_only=local_files_only,
                allow_patterns=["*.json", "*.safetensors", "*.md", "*.model"],
            )
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as problem:
        reason = str(problem).strip().splitlines()[0]
        raise MissingResource(f"no model {name!r}, here or on the Hub: {reason}") from problem
    except OSError as problem:
        raise EnvironmentProblem(f"cannot reach the Hub for {name!r}: {problem}") from problem


def read_description(folder: Path) -> dict[str, Any]:
    """The parsed config.json of a model folder: `format`, `model_type`, `config`."""
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise MissingResource(f"{folder} holds no {CONFIG_FILE}; it is not a model folder")
    try:
        description = json.loads(path.read_text("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as problem:
        raise ConfigError(f"{path} is not JSON: {problem}") from problem
    if not isinstance(description, dict) or not {"model_type", "config"} <= description.keys():
        raise ConfigError(f"{path} must have the keys 'model_type' and 'config'")
    if description.get("format", FORMAT) > FORMAT:
        raise ConfigError(
            f"{path} has format {description['format']}, this version reads up to {FORMAT}; "
            "upgrade uslm"
        )
    return description


def load_weights(model: nn.Module, path: Path) -> None:
    """Fill `model` from a safetensors file; every name and shape must fit.

    The file is mapped: weights of the model's own precision are read from it on use, and kept
    once. So a file in use may be replaced (write_atomically does), but not written into.
    """
    if not path.is_file():
        raise MissingResource(f"no weights at {path}")
    wanted = model.state_dict()
    try:
        with safe_open(path, "pt") as file:
            found = set(file.keys())
            scales = {name + SCALE for name in wanted} & found
            _check_names(path, set(wanted), found - scales)
            loaded: dict[str, Tensor] = {}
            for name, target in wanted.items():
                shape = tuple(file.get_slice(name).get_shape())
                if shape != tuple(target.shape):
                    raise ConfigError(
                        f"{path}: tensor {name!r} has shape {shape}, "
                        f"the config asks for {tuple(target.shape)}"
                    )
                tensor = file.get_tensor(name)
                if name + SCALE in scales:
                    tensor = restored(tensor, file.get_tensor(name + SCALE))
                loaded[name] = tensor.to(target.dtype)
    except SafetensorError as problem:
        raise ConfigError(f"{path} is not a readable safetensors file: {problem}") from problem
    model.load_state_dict(loaded, assign=True)


def _check_names(path: Path, wanted: set[str], found: set[str]) -> None:
    missing, extra = sorted(wanted - found), sorted(found - wanted)
    if missing or extra:
        parts = [
            f"{label} {len(names)} tensors ({', '.join(names[:3])}{', ...' if names[3:] else ''})"
            for label, names in (("lacks", missing), ("has unknown", extra))
            if names
        ]
        raise ConfigError(f"{path} does not fit the config: it {' and '.join(parts)}")
