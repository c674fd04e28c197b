"""Contents of model.json of an exported model: all that its graphs do not hold."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from uslm.generate.block_schedule import BlockSchedule
from uslm.generate.length import LengthConfig
from uslm.generate.sampling_config import Sampling
from uslm.output.sample_joiner import JoinConfig
from uslm.synthesis.plan import PlanConfig
from uslm_tokenizer.config import from_dict
from uslm_tokenizer.errors import ConfigError, MissingResource, UserError
from uslm_tokenizer.json_files import check_format, read_mapping

MODEL_FILE = "model.json"
FORMAT = 1
GRAPHS = ("text", "step", "pitch", "voice", "block", "decoder", "encoder")
"""Each a file NAME.onnx in the folder."""
Precision = Literal["float32", "int8"]


@dataclass(frozen=True, kw_only=True)
class SemanticFacts:
    """Stage 1: the graphs `text`, `step` and `pitch`."""

    num_layers: int
    """Layers of the cache."""
    num_heads: int
    """Attention heads of the cache."""
    head_dim: int
    """Width of a head."""
    separator_id: int
    """Text id between the prompt's text and the text to speak."""
    text_eos_id: int
    """Text id after the last symbol."""
    bos_id: int
    """Unit in front of the first one; as a prediction, the same index ends the speech."""
    advance_threshold: float
    """Accumulated probability of moving at which the text position moves."""
    pitch_reach: int
    """Steps of the codec's pitch above and below the voice's median that are told apart."""
    pitch_history: int
    """Pitches before a unit's that its pitch is drawn by."""


@dataclass(frozen=True, kw_only=True)
class AcousticFacts:
    """Stage 2: the graphs `voice` and `block`."""

    dim: int
    """Width of the pooled voice."""
    latent_dim: int
    """Width of the decoder's latents."""
    text_vocab_size: int
    """Text ids run from 0 to this, exclusive."""


@dataclass(frozen=True, kw_only=True)
class CodecFacts:
    """The codec: the graphs `decoder` and `encoder`."""

    sample_rate: int
    """Samples per second, Hz."""
    hop_length: int
    """Samples in a frame."""
    num_codebooks: int
    """Codes in a frame: the unit, the pitch, residual codebooks."""
    codebook_size: int
    """Entries of each codebook."""
    context_frames: int
    """Frames to each side that the samples of a frame depend on."""
    num_pitches: int
    """Different pitches; 0 is unvoiced."""
    lowest_f0: float
    """F0 of pitch 1, Hz."""
    steps_per_octave: int
    """Pitches in an octave."""
    f0_floor: float
    """Lowest F0 that is looked for, Hz."""
    f0_ceiling: float
    """Highest F0 that is looked for, Hz."""


@dataclass(frozen=True, kw_only=True)
class OnnxConfig:
    """All of model.json but its format."""

    name: str
    """What the model is called."""
    hash: str
    """Tells the weights that were exported from any others."""
    tokenizer_hash: str
    """The same of the tokenizer alone; a voice is made of its codes."""
    precision: Precision = "float32"
    """Of the weights of linear layers."""
    language: str = "en-us"
    """Language of its texts, as espeak calls it."""
    languages: tuple[str, ...] = ()
    """All languages that it was trained on; empty: `language` alone."""
    symbols: str
    """The symbol at place i has the text id i + 1; 0 is the blank of CTC."""
    normalize: bool
    """Whether numbers, dates and the like become words first (English)."""
    use_prompt_units: bool
    """Whether stage 1 goes on from the prompt's phonemes and units."""
    semantic_prompt_frames: int
    """Frames of a prompt that stage 1 goes on from, at most."""
    acoustic_prompt_frames: int
    """Frames of a prompt that stage 2 is given, at most."""
    semantic: SemanticFacts
    """Stage 1."""
    acoustic: AcousticFacts
    """Stage 2."""
    codec: CodecFacts
    """The codec."""
    sampling: Sampling = field(default_factory=Sampling)
    """How stage 1 draws, unless the caller says otherwise."""
    length: LengthConfig = field(default_factory=LengthConfig)
    """Limits of stage 1."""
    blocks: BlockSchedule = field(default_factory=BlockSchedule)
    """How stage 2 is cut for streaming."""
    plan: PlanConfig = field(default_factory=PlanConfig)
    """How a text is cut."""
    join: JoinConfig = field(default_factory=JoinConfig)
    """How its segments are joined."""


def read_onnx_config(folder: Path) -> OnnxConfig:
    """Contents of model.json, without loading a graph."""
    path = folder / MODEL_FILE
    if not path.is_file():
        raise MissingResource(
            f"{str(folder)!r} holds no {MODEL_FILE}; make an exported model with "
            "uslm export default --format onnx --out FOLDER"
        )
    description = read_mapping(path)
    check_format({"format": description.pop("format", None)}, FORMAT, path)
    try:
        return from_dict(OnnxConfig, description)
    except UserError as problem:
        raise ConfigError(f"{path}: {problem}") from problem
