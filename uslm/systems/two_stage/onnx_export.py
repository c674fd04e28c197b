"""Writes a model as a folder of ONNX graphs, and model.json with all that they do not hold."""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor, nn

from uslm.onnx.config import (
    FORMAT,
    MODEL_FILE,
    AcousticFacts,
    CodecFacts,
    OnnxConfig,
    Precision,
    SemanticFacts,
)
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.conv_regressor import ConvRegressor
from uslm.systems.two_stage.graphs import (
    BlockGraph,
    PitchGraph,
    StepGraph,
    TextGraph,
    VoiceGraph,
)
from uslm.systems.two_stage.monotonic import MonotonicLM
from uslm.text.vocab import PHONEME_SYMBOLS, PhonemeVocab
from uslm_tokenizer.codecs.source_filter.graphs import DecoderGraph, EncoderGraph
from uslm_tokenizer.codecs.source_filter.model import SourceFilterCodec
from uslm_tokenizer.config import to_dict
from uslm_tokenizer.errors import ConfigError, EnvironmentProblem
from uslm_tokenizer.whole_files import write_atomically

OPSET = 17
"""The first with layer norms; ONNX Runtime has read it since 1.12."""
EXAMPLE_FRAMES = 16
"""Of what the graphs are traced with; even, as the encoder wants it."""


@dataclass(frozen=True)
class _Traced:
    """A graph to be written: what goes in as an example, and which axes may differ from it."""

    graph: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: Sequence[str]
    axes: Mapping[str, Mapping[int, str]]


def export_onnx(
    bundle: Bundle, folder: str | PathLike[str], *, precision: Precision = "float32"
) -> Path:
    """Write the folder; model.json comes last. `int8` stores the weights of linear layers in 8
    bits, which are multiplied by activations in 8 bits.

    Raises ConfigError where the model is none of the kinds that can be exported.
    """
    onnx_config = describe(bundle, precision)
    _check_packages(precision)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, traced in _graphs(bundle).items():
        write_atomically(
            folder / f"{name}.onnx",
            lambda path, traced=traced: _write(traced, path, precision),  # type: ignore[misc]
        )
    text = json.dumps({"format": FORMAT, **to_dict(onnx_config)}, indent=2, ensure_ascii=False)
    write_atomically(folder / MODEL_FILE, lambda path: path.write_text(text + "\n", "utf-8"))
    return folder


def describe(bundle: Bundle, precision: Precision) -> OnnxConfig:
    """Contents of model.json for a model."""
    config = bundle.config
    semantic, acoustic, codec = _parts(bundle)
    return OnnxConfig(
        name=config.name,
        hash=bundle.hash,
        tokenizer_hash=bundle.tokenizer_hash,
        precision=precision,
        language=config.language,
        languages=config.languages,
        symbols=PHONEME_SYMBOLS,
        normalize=config.frontend.normalize,
        use_prompt_units=config.use_prompt_units,
        semantic_prompt_frames=config.prompt.semantic_frames,
        acoustic_prompt_frames=config.prompt.acoustic_frames,
        semantic=SemanticFacts(
            num_layers=semantic.config.num_layers,
            num_heads=semantic.config.num_heads,
            head_dim=semantic.config.dim // semantic.config.num_heads,
            separator_id=semantic.separator_id,
            text_eos_id=semantic.text_eos_id,
            bos_id=semantic.bos_id,
            advance_threshold=semantic.config.advance_threshold,
            pitch_reach=semantic.config.pitch_reach,
            pitch_history=semantic.config.pitch_history,
        ),
        acoustic=AcousticFacts(
            dim=acoustic.config.dim,
            latent_dim=acoustic.config.latent_dim,
            text_vocab_size=acoustic.config.text_vocab_size,
        ),
        codec=CodecFacts(
            sample_rate=codec.sample_rate,
            hop_length=codec.hop_length,
            num_codebooks=codec.num_codebooks,
            codebook_size=codec.codebook_size,
            context_frames=codec.decoder_context_frames,
            num_pitches=codec.num_pitches,
            lowest_f0=codec.config.pitch.lowest,
            steps_per_octave=codec.config.pitch.steps_per_octave,
            f0_floor=codec.config.pitch.floor,
            f0_ceiling=codec.config.pitch.ceiling,
        ),
        sampling=config.sampling,
        length=config.length,
        blocks=config.blocks,
        plan=config.plan,
        join=config.join,
    )


def _parts(bundle: Bundle) -> tuple[MonotonicLM, ConvRegressor, SourceFilterCodec]:
    semantic, acoustic, codec = bundle.semantic, bundle.acoustic, bundle.tokenizer
    if not (
        isinstance(semantic, MonotonicLM)
        and isinstance(acoustic, ConvRegressor)
        and isinstance(codec, SourceFilterCodec)
        and isinstance(bundle.vocab, PhonemeVocab)
    ):
        kinds = ", ".join(part.model_type for part in (semantic, acoustic, codec))
        raise ConfigError(
            "only a monotonic_lm with a conv_regressor and a source_filter_codec, which read "
            f"phonemes, can be exported to ONNX, but {bundle.config.name!r} is made of {kinds}"
        )
    for name, exported in (("frames_per_unit", 1), ("timeless_ids", ())):
        found = getattr(semantic.config, name)
        if found != exported:
            raise ConfigError(
                f"{name} of stage 1 must be {exported} for ONNX, but is {found}: the runtime "
                "without PyTorch moves by every symbol, and says a unit in each frame"
            )
    return semantic, acoustic, codec


def _graphs(bundle: Bundle) -> dict[str, _Traced]:
    """Graphs that are traced of each part."""
    semantic, acoustic, codec = _parts(bundle)
    frames, whole = EXAMPLE_FRAMES, torch.long
    codes = torch.zeros(codec.num_codebooks, frames, dtype=whole)
    spoken = torch.zeros(frames, dtype=whole)
    number = torch.tensor([frames // 2])
    shift = torch.zeros(acoustic.config.dim)
    voice = VoiceGraph(acoustic)
    with torch.no_grad():
        memory = dict(zip(_memory_names(acoustic), voice(codes, spoken, shift), strict=True))
    prompt_axes = {name: {1: "prompt"} for name in ("encoded", "latents", "mask")}
    prompt_axes |= {name: {3: "prompt"} for name in memory if name.startswith("keys_values")}
    hidden = torch.zeros(1, semantic.config.dim)
    cache = {name: torch.zeros(_cache_shape(semantic, 3)) for name in _cache_names(semantic)}
    return {
        "text": _Traced(
            TextGraph(semantic),
            {"text_ids": spoken[None]},
            ["symbols"],
            {"text_ids": {1: "symbol"}, "symbols": {0: "symbol"}},
        ),
        "step": _Traced(
            StepGraph(semantic),
            {"unit": number, "symbol": hidden, "position": number, **cache},
            ["logits", "moves", "hidden", *(f"new_{name}" for name in cache)],
            {name: {2: "time"} for name in cache}
            | {f"new_{name}": {2: "new_time"} for name in cache},
        ),
        "pitch": _Traced(
            PitchGraph(semantic),
            {
                "hidden": hidden,
                "unit": number,
                "history": torch.zeros(1, semantic.config.pitch_history, dtype=whole),
            },
            ["logits"],
            {},
        ),
        "voice": _Traced(
            voice,
            {"codes": codes, "spoken": spoken, "pooled_shift": shift},
            list(memory),
            {"codes": {1: "frame"}, "spoken": {0: "frame"}, **prompt_axes},
        ),
        "block": _Traced(
            BlockGraph(acoustic),
            {
                "codes": codes,
                "spoken": spoken,
                "num_context": number,
                "output_shift": torch.zeros(acoustic.config.latent_dim),
                **memory,
            },
            ["filled"],
            {"codes": {1: "t"}, "spoken": {0: "t"}, "filled": {1: "t"}, **prompt_axes},
        ),
        "decoder": _Traced(
            DecoderGraph(codec),
            {"codes": codes, "pitches": torch.cat([spoken, spoken]), "first": number * 2},
            ["samples"],
            {"codes": {1: "t"}, "pitches": {0: "pitch"}, "samples": {0: "sample"}},
        ),
        "encoder": _Traced(
            EncoderGraph(codec),
            {"waveform": torch.zeros(frames * codec.hop_length), "num_frames": number},
            ["units", "levels", "scores"],
            {"waveform": {0: "n"}, "units": {0: "t"}, "levels": {1: "t"}, "scores": {0: "t"}},
        ),
    }


def _memory_names(model: ConvRegressor) -> list[str]:
    layers = [f"keys_values_{layer}" for layer in model.config.attending]
    return ["pooled", "encoded", "latents", "mask", *layers]


def _cache_names(model: MonotonicLM) -> list[str]:
    layers = range(model.config.num_layers)
    return [f"{part}_{layer}" for layer in layers for part in ("keys", "values")]


def _cache_shape(model: MonotonicLM, time: int) -> tuple[int, ...]:
    heads = model.config.num_heads
    return 1, heads, time, model.config.dim // heads


def _check_packages(precision: Precision) -> None:
    try:
        import onnx  # noqa: F401

        if precision == "int8":
            import onnxruntime.quantization  # noqa: F401
    except ImportError as problem:
        raise EnvironmentProblem(
            f"the package {problem.name} is missing; pip install 'uslm[onnx]'"
        ) from problem


def _write(traced: _Traced, path: Path, precision: Precision) -> None:
    graph = traced.graph.cpu().float().eval()
    with torch.no_grad(), warnings.catch_warnings():
        # The exporter by tracing is called old, but it needs no package more. What depends on the
        # data (which frames are known, which symbols) is traced with examples that have some.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        warnings.filterwarnings("ignore", "Constant folding", UserWarning)
        torch.onnx.export(
            graph,
            tuple(traced.inputs.values()),
            path,
            dynamo=False,
            opset_version=OPSET,
            input_names=list(traced.inputs),
            output_names=list(traced.outputs),
            dynamic_axes={name: dict(axes) for name, axes in traced.axes.items()},
        )
    if precision == "int8":
        _quantize(path)


def _quantize(path: Path) -> None:
    """Linear layers in 8 bits, in place."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # Named by its module's path: /model/blocks.0/up/MatMul. What is no layer's own, such as the
    # search for the nearest code, stays as it is.
    nodes = onnx.load(path).graph.node
    excluded = [node.name for node in nodes if node.name.count("/") == 1]
    quantize_dynamic(
        path,
        path,
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        # Without it sums of two products overflow 16 bits on processors without VNNI.
        reduce_range=True,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=excluded,
    )
