"""Saving and loading of models: `config.json` + `model.safetensors`, in a folder or on the Hub."""

import json
import math
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
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
from uslm_tokenizer.errors import ConfigError, EnvironmentProblem, MissingResource, UserError
from uslm_tokenizer.json_files import check_format, read_mapping
from uslm_tokenizer.renames import current_tensor_name
from uslm_tokenizer.whole_files import write_atomically

FORMAT = 1
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"
ALIGNMENT = 64
"""Bytes; to multiples of it PyTorch aligns what it allocates on the CPU."""
MAX_KIND_CHARS = 100
"""Of a kind of model, as config.json names it."""
MADE_BY_SIZE = ("empty", "zeros", "ones", "full", "rand", "randn", "eye", "arange", "linspace",
                "hann_window", "hamming_window")  # fmt: skip
"""PyTorch's functions that make a tensor out of nothing but its size."""
HTTP_PACKAGES = ("httpx", "httpx2", "requests", "urllib3")
NETWORK_FAULTS = (ConnectionError, TimeoutError, ssl.SSLError, socket.gaierror)
NOT_THERE = (401, 403, 404, 410)
"""Answers of the Hub about a repository that is not there, or not for us."""

Model = TypeVar("Model", bound="PretrainedModel")


class PretrainedModel(nn.Module):
    """A module that is built from its config alone, and can be saved, loaded and shared."""

    model_type: ClassVar[str]
    config_class: ClassVar[type]
    weights_left_at: Path | None = None
    """Of an outline, where its weights lie."""

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
        """Device of the first parameter, or of the first buffer; the CPU for a model of neither."""
        for tensor in chain(self.parameters(), self.buffers()):
            return tensor.device
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the first parameter."""
        return next(self.parameters()).dtype

    def num_parameters(self) -> int:
        """Number of weights."""
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
        write_atomically(folder / WEIGHTS_FILE, lambda path: save_aligned(tensors, path))
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
        model = cls._without_weights(folder)
        load_weights(model, folder / WEIGHTS_FILE)
        return model.eval()

    @classmethod
    def outline(cls: type[Model], folder: Path) -> Model:
        """The saved model without its weights, which take no memory: for what depends on its
        config and on `weight_hash` alone. Raises as `from_pretrained` does."""
        model = cls._without_weights(folder)
        model.weights_left_at = folder / WEIGHTS_FILE
        return model.eval()

    @classmethod
    def _without_weights(cls: type[Model], folder: Path) -> Model:
        description = read_description(folder)
        if description["model_type"] != cls.model_type:
            raise ConfigError(
                f"{folder} holds a model of type {description['model_type']!r}, "
                f"not {cls.model_type!r}"
            )
        try:
            config: Any = from_dict(cls.config_class, description["config"])
        except UserError as problem:
            raise ConfigError(f"{folder / CONFIG_FILE}: {problem}") from problem
        return build_for(folder / WEIGHTS_FILE, lambda: cls(config), folder / CONFIG_FILE)

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


def build_for(weights: Path, build: Callable[[], Model], config: Path) -> Model:
    """The model that a file of weights is to fill, without parameters.

    Sizes are somebody else's numbers: no more is built than the file could hold, and whatever goes
    wrong is told as a ConfigError of `config`.
    """
    budget = _Budget.of(weights)
    try:
        with empty_parameters(budget):
            return build()
    except UserError as problem:
        raise ConfigError(f"{config}: {problem}") from problem
    except Exception as problem:  # sizes that do not fit are told in many ways
        reason = " ".join(str(problem).split())[:300]
        raise ConfigError(f"{config} describes no model: {reason}") from problem


@dataclass
class _Budget:
    """Numbers that may be built for a file of weights."""

    parameters: int
    """Parameters that may still come."""
    elements: int
    """Numbers that one tensor may have."""

    @classmethod
    def of(cls, weights: Path) -> "_Budget":
        with _reading(weights) as file:
            shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
        # Tensors that are not stored are windows, filters and tables; some parameters are made
        # twice, such as the parts of a weight norm.
        largest = max((math.prod(shape) for shape in shapes), default=0)
        return cls(parameters=4 * len(shapes) + 64, elements=4 * largest + 10_000_000)

    def take(self, size: int) -> None:
        """Raise ConfigError if a tensor of this size is too large."""
        if size > self.elements:
            raise ConfigError(f"it asks for {size:,} numbers at once, the weights are much smaller")

    def take_parameter(self) -> None:
        """Raise ConfigError if there are too many."""
        self.parameters -= 1
        if self.parameters < 0:
            raise ConfigError("it asks for many more tensors than the weights have")


@contextmanager
def empty_parameters(budget: _Budget | None = None) -> Iterator[None]:
    """Models built within have parameters of the right shape that take no memory (meta device).

    Buffers are real, as those that are not saved must have their values from the start.
    """
    builder = threading.get_ident()

    def to_meta(module: nn.Module, name: str, parameter: nn.Parameter) -> nn.Parameter | None:
        if threading.get_ident() != builder:
            return None
        if budget is not None:
            budget.take_parameter()
        if parameter.is_meta:  # a tied one stays tied
            return None
        return nn.Parameter(parameter.detach().to("meta"), requires_grad=parameter.requires_grad)

    handle = register_module_parameter_registration_hook(to_meta)  # type: ignore[arg-type]
    try:
        with _NothingToDraw(budget):
            yield
    finally:
        handle.remove()


class _NothingToDraw(TorchFunctionMode):
    """Leaves out drawing first weights that are not there.

    PyTorch would do it by a rule that it looks up in its compiler: 1.5 s of imports. And refuses
    tensors that there is no room for before they take any memory.
    """

    def __init__(self, budget: _Budget | None) -> None:
        super().__init__()
        self._budget = budget

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == nn.init.__name__:
            tensor = args[0] if args else kwargs["tensor"]
            if tensor.is_meta:
                return tensor
        if self._budget is not None and getattr(func, "__name__", "") in MADE_BY_SIZE:
            self._budget.take(_size_of(func.__name__, args, kwargs))
        return func(*args, **kwargs)


def _size_of(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    """Count of the numbers that a factory function makes; 0 where that cannot be told."""
    if name in ("arange", "linspace"):
        numbers = [value for value in args if isinstance(value, (int, float))]
        if name == "linspace":
            return int(numbers[2]) if len(numbers) > 2 else int(kwargs.get("steps", 0))
        start, end, step = (0, *numbers, 1) if len(numbers) == 1 else (*numbers, 1, 1)[:3]
        return int(abs(end - start) / (abs(step) or 1))
    sizes: list[int] = []
    for value in (*args, kwargs.get("size", ())):
        sizes += [n for n in (value if isinstance(value, (tuple, list)) else [value]) if _is_int(n)]
        if name == "full":
            break
    return math.prod(sizes) if sizes else 0


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


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
    from huggingface_hub.errors import HFValidationError

    try:
        return Path(
            snapshot_download(
                name,
                revision=revision,
                local_files_only=local_files_only,
                allow_patterns=["*.json", "*.safetensors", "*.md", "*.model"],
            )
        )
    except (OSError, HFValidationError) as problem:
        raise hub_fault(name, problem) from problem


def hub_fault(name: str, problem: Exception) -> MissingResource | EnvironmentProblem:
    """Meaning of an error of the Hub's client: there is no such model, or nobody could be asked."""
    reason = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
    if is_network_fault(problem):
        return EnvironmentProblem(f"cannot reach the Hub for {name!r}: {reason}")
    of_the_client = type(problem).__module__.startswith("huggingface_hub")
    if isinstance(problem, OSError) and not of_the_client:  # a full disk, a cache not ours
        return EnvironmentProblem(f"cannot fetch {name!r}: {reason}")
    return MissingResource(f"no model {name!r}, here or on the Hub: {reason}")


def is_network_fault(problem: BaseException) -> bool:
    """Whether somebody was to be asked and could not be, or had no answer."""
    from huggingface_hub.errors import OfflineModeIsEnabled

    cause: BaseException | None = problem
    while cause is not None:
        status = getattr(getattr(cause, "response", None), "status_code", None)
        if isinstance(cause, OfflineModeIsEnabled) or (status is not None and status in NOT_THERE):
            return False
        # Which package the client speaks HTTP with changes from version to version.
        package = type(cause).__module__.partition(".")[0]
        if status is not None or package in HTTP_PACKAGES or isinstance(cause, NETWORK_FAULTS):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def read_description(folder: Path) -> dict[str, Any]:
    """The parsed config.json of a model folder: `format`, `model_type`, `config`."""
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise MissingResource(f"{folder} holds no {CONFIG_FILE}; it is not a model folder")
    description = read_mapping(path)
    if not isinstance(description.get("model_type"), str) or "config" not in description:
        raise ConfigError(f"{path} must have the keys 'model_type' and 'config'")
    if len(description["model_type"]) > MAX_KIND_CHARS:  # messages repeat it
        raise ConfigError(f"{path}: 'model_type' must have at most {MAX_KIND_CHARS} characters")
    check_format(description, FORMAT, path)
    return description


def load_weights(model: nn.Module, path: Path) -> None:
    """Fill `model` from a safetensors file; every name and shape must fit.

    The file is mapped: weights of the model's own precision that lie in it as PyTorch would lay
    them are read from it on use, and kept once. So a file in use may be replaced
    (write_atomically does), but not written into. The others are read: kernels add up in another
    order where numbers do not begin at a multiple of ALIGNMENT bytes.
    """
    wanted = model.state_dict()
    with _reading(path) as file:
        stored = current_names(model, file.keys())
        scales = {name: stored[name + SCALE] for name in wanted if name + SCALE in stored}
        _check_names(path, set(wanted), stored.keys() - {name + SCALE for name in scales})
        loaded: dict[str, Tensor] = {}
        for name, target in wanted.items():
            shape = tuple(file.get_slice(stored[name]).get_shape())
            if shape != tuple(target.shape):
                raise ConfigError(
                    f"{path}: tensor {name!r} has shape {shape}, "
                    f"the config asks for {tuple(target.shape)}"
                )
            tensor = file.get_tensor(stored[name])
            if name in scales:
                tensor = restored(tensor, file.get_tensor(scales[name]))
            loaded[name] = _as_target(path, name, tensor, target)
    model.load_state_dict(loaded, assign=True)


def current_names(model: nn.Module, stored: Iterable[str]) -> dict[str, str]:
    """Stored names of a model's tensors by the names of today; see renames.py."""
    inner = [
        (f"{place}." if place else "", module.model_type)
        for place, module in model.named_modules()
        if isinstance(module, PretrainedModel)
    ]
    names: dict[str, str] = {}
    for name in stored:
        current = name
        for prefix, model_type in inner:
            if current.startswith(prefix):
                current = prefix + current_tensor_name(model_type, current.removeprefix(prefix))
        names[current] = name
    return names


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    """The open file. Raises MissingResource or ConfigError where there is none to read."""
    if not path.is_file():
        raise MissingResource(f"no weights at {path}")
    try:
        with safe_open(path, "pt") as file:
            yield file
    except (SafetensorError, OSError) as problem:
        raise ConfigError(f"{path} is not a readable safetensors file: {problem}") from problem


def _as_target(path: Path, name: str, tensor: Tensor, target: Tensor) -> Tensor:
    """In the model's precision. ConfigError unless they are numbers that it can compute with."""
    if tensor.is_floating_point() != target.is_floating_point() or tensor.is_complex():
        raise ConfigError(
            f"{path}: tensor {name!r} is of {_kind(tensor)}, the model computes with "
            f"{_kind(target)}"
        )
    tensor = tensor.to(target.dtype)
    check_finite(path, name, tensor)
    return aligned(tensor)


def check_finite(where: object, name: str, tensor: Tensor) -> None:
    """Raise ConfigError if any number of a tensor is infinite, or none at all."""
    if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
        raise ConfigError(f"{where}: tensor {name!r} holds numbers that are not finite (NaN)")


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def save_aligned(tensors: dict[str, Tensor], path: Path) -> None:
    """Write a safetensors file in which the numbers begin at a multiple of ALIGNMENT bytes; so do
    those of each tensor, as long as all in front of it fill such multiples."""
    save_file(tensors, path)
    with open(path, "rb") as file:
        header = file.read(int.from_bytes(file.read(8), "little")).rstrip()
    # The format lets nothing but metadata make the header longer; it is filled up to eights.
    length = 8 + len(header) + len('"__metadata__":{"padding":""},')
    if (8 + -(-len(header) // 8) * 8) % ALIGNMENT:
        save_file(tensors, path, metadata={"padding": "-" * (-length % ALIGNMENT)})


def aligned(tensor: Tensor) -> Tensor:
    """The same numbers where they begin at a multiple of ALIGNMENT bytes; a copy if need be."""
    if tensor.is_meta or tensor.data_ptr() % ALIGNMENT == 0:
        return tensor
    return tensor.clone(memory_format=torch.contiguous_format)


def _check_names(path: Path, wanted: set[str], found: set[str]) -> None:
    missing, extra = sorted(wanted - found), sorted(found - wanted)
    if missing or extra:
        parts = [
            f"{label} {len(names)} tensors ({', '.join(names[:3])}{', ...' if names[3:] else ''})"
            for label, names in (("lacks", missing), ("has unknown", extra))
            if names
        ]
        raise ConfigError(f"{path} does not fit the config: it {' and '.join(parts)}")
