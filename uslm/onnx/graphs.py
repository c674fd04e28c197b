"""The graphs of an exported model, opened when they are first needed."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from uslm.onnx.config import OnnxConfig, read_onnx_config
from uslm_tokenizer.errors import ConfigError, EnvironmentProblem, MissingResource

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, OrtValue

Array = NDArray[Any]


class Graph:
    """One graph: arrays in, arrays out, by the order of its inputs and outputs."""

    def __init__(self, path: Path, threads: int | None) -> None:
        self._session = _open(path, threads)
        self.inputs = [each.name for each in self._session.get_inputs()]
        self.outputs = [each.name for each in self._session.get_outputs()]

    def __call__(self, *inputs: Array) -> list[Array]:
        feeds = dict(zip(self.inputs, inputs, strict=True))
        found: list[Array] = self._session.run(None, feeds)
        return found

    def values(self, inputs: Sequence["OrtValue"]) -> list["OrtValue"]:
        """The same on values that stay with the runtime: nothing is copied between two calls."""
        feeds = dict(zip(self.inputs, inputs, strict=True))
        found: list[OrtValue] = self._session.run_with_ort_values(self.outputs, feeds)
        return found


class Graphs:
    """A folder of `uslm export`."""

    def __init__(self, folder: str | Path, threads: int | None = None) -> None:
        """`threads` is the number of CPU threads of each graph; the runtime's choice unless
        given."""
        self.folder = Path(folder)
        self.config: OnnxConfig = read_onnx_config(self.folder)
        self._threads = threads

    def _graph(self, name: str) -> Graph:
        return Graph(self.folder / f"{name}.onnx", self._threads)

    def open(self) -> None:
        """Open all that speaking needs, so that the first sentence does not wait for it."""
        for name in ("text", "step", "pitch", "voice", "block", "decoder"):
            getattr(self, name)

    @cached_property
    def text(self) -> Graph:
        return self._graph("text")

    @cached_property
    def step(self) -> Graph:
        return self._graph("step")

    @cached_property
    def pitch(self) -> Graph:
        return self._graph("pitch")

    @cached_property
    def voice(self) -> Graph:
        return self._graph("voice")

    @cached_property
    def block(self) -> Graph:
        return self._graph("block")

    @cached_property
    def decoder(self) -> Graph:
        return self._graph("decoder")

    @cached_property
    def encoder(self) -> Graph:
        return self._graph("encoder")


def _open(path: Path, threads: int | None) -> "InferenceSession":
    try:
        import onnxruntime
    except ImportError as problem:
        raise EnvironmentProblem(
            "the package onnxruntime is missing; pip install 'uslm[onnx]'"
        ) from problem
    if not path.is_file():
        raise MissingResource(f"the exported model has no {str(path)!r}; export it again")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors: they are raised as well
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as problem:  # its errors have no common class
        raise ConfigError(f"{str(path)!r} cannot be loaded: {problem}") from problem
