"""The 8-bit variant: smaller, near, and with the search for codes as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from uslm.onnx.graphs import Graph
from uslm.onnx.synthesizer import OnnxSynthesizer
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.onnx_export import export_onnx


@pytest.fixture(scope="module")
def small(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_onnx(bundle, tmp_path_factory.mktemp("int8") / "tiny", precision="int8")


def kinds(folder: Path, name: str) -> list[str]:
    return [node.op_type for node in onnx.load(folder / f"{name}.onnx").graph.node]


def searches(folder: Path, name: str) -> int:
    """Products of floats that are no layer's own."""
    nodes = onnx.load(folder / f"{name}.onnx").graph.node
    return sum(node.op_type == "MatMul" and node.name.count("/") == 1 for node in nodes)


def test_layers_are_in_8_bits_and_the_search_for_codes_is_not(small: Path, folder: Path) -> None:
    before, after = kinds(folder, "block"), kinds(small, "block")
    assert after.count("MatMulInteger") > 10
    assert before.count("MatMul") > 10
    # Of the encoder: the units and three residual levels of the tiny codec. Of the block: these.
    assert searches(small, "encoder") == 4
    assert searches(small, "block") == 3


def test_a_step_is_near_that_of_floats(small: Path, folder: Path, bundle: Bundle) -> None:
    facts = OnnxSynthesizer(folder).config.semantic
    draw = np.random.default_rng(0)
    cache = [
        draw.normal(size=(1, facts.num_heads, 7, facts.head_dim)).astype(np.float32)
        for _ in range(2 * facts.num_layers)
    ]
    symbol = draw.normal(size=(1, facts.num_heads * facts.head_dim)).astype(np.float32)
    inputs = (np.array([3]), symbol, np.array([7]), *cache)
    exact, near = (Graph(each / "step.onnx", 1)(*inputs)[0] for each in (folder, small))
    assert 0 < np.abs(exact - near).max() < 0.1 * exact.std()


def test_it_speaks(small: Path, voice_file: Path) -> None:
    synthesizer = OnnxSynthesizer(small, threads=1)
    assert synthesizer.config.precision == "int8"
    chunks = synthesizer.stream("Hello.", synthesizer.load_voice(voice_file), seed=0)
    samples = np.concatenate([chunk.samples for chunk in chunks])
    assert len(samples) > 1000 and samples.std() > 1e-4
