"""A voice as the exported model uses it: what of a voice file it reads."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open

from uslm.onnx.config import OnnxConfig
from uslm_tokenizer.errors import ConfigError, MissingResource

SPOKEN, POOLED, OUTPUT = "extras.spoken", "extras.fit.pooled", "extras.fit.output"
"""Names of tensors in the file, written by `uslm.systems.two_stage.voice_row`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Voice:
    """A reference recording, ready to be spoken with."""

    name: str
    """What the voice is called."""
    codes: Int[np.ndarray, "k p"]
    """All codes of the recording."""
    text_ids: Int[np.ndarray, " s"]
    """What stage 1 reads for the first `num_spoken_frames` of it."""
    num_spoken_frames: int
    """Frames that `text_ids` belong to."""
    spoken: Int[np.ndarray, " p"] | None = None
    """Text id of the symbol that each frame is of, -1 where it is not known."""
    pooled: Float[np.ndarray, " d"] | None = None
    """What was fitted to the voice: a shift of what stage 2 makes of the whole prompt."""
    output: Float[np.ndarray, " e"] | None = None
    """The same of each frame's latents."""


def load_voice(path: str | Path, config: OnnxConfig) -> Voice:
    """A voice file, checked against a model. MissingResource or ConfigError where it is none.

    The file need not be trusted: it holds numbers and words, and each that is used is checked.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingResource(f"there is no voice file {str(path)!r}")
    try:
        with safe_open(path, "np") as file:
            facts = json.loads((file.metadata() or {})["voice"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        made_for = facts["tokenizer_hash"]
        voice = Voice(
            name=str(facts["name"]),
            codes=_whole(tensors["codes"]),
            text_ids=_whole(tensors["text_ids"]),
            num_spoken_frames=int(facts["num_spoken_frames"]),
            spoken=_whole(tensors[SPOKEN]) if SPOKEN in tensors else None,
            pooled=_float(tensors.get(POOLED)),
            output=_float(tensors.get(OUTPUT)),
        )
        _check(voice, config)
    except (SafetensorError, KeyError, ValueError, TypeError, RecursionError, OSError) as problem:
        raise ConfigError(f"{str(path)!r} is not a voice of this model: {problem}") from problem
    if made_for != config.tokenizer_hash:
        raise ConfigError(
            f"voice {voice.name!r} was made with the tokenizer {made_for}, not with that of "
            f"{config.name!r} ({config.tokenizer_hash}); create it again from its recording"
        )
    return voice


def _check(voice: Voice, config: OnnxConfig) -> None:
    """Raise ConfigError where a graph would fail, or read beyond its tables."""
    codes, facts = voice.codes, config.codec
    sizes = np.full((facts.num_codebooks, 1), facts.codebook_size)
    sizes[1] = facts.num_pitches
    if codes.ndim != 2 or len(codes) != facts.num_codebooks or not codes.shape[1]:
        raise ConfigError(f"codes must be of {facts.num_codebooks} rows, but are {codes.shape}")
    if not bool(((codes >= 0) & (codes < sizes)).all()):
        raise ConfigError("its codes are none of the model's")
    if not 0 <= voice.num_spoken_frames <= codes.shape[1]:
        raise ConfigError(f"{voice.num_spoken_frames} of {codes.shape[1]} frames are spoken")
    wanted = {
        "spoken": (voice.spoken, codes.shape[1]),
        "pooled": (voice.pooled, config.acoustic.dim),
        "output": (voice.output, config.acoustic.latent_dim),
    }
    for name, (values, length) in wanted.items():
        if values is not None and (values.shape != (length,) or not np.isfinite(values).all()):
            raise ConfigError(f"{name} must be {length} finite numbers")
    top = config.acoustic.text_vocab_size
    for ids, least in ((voice.text_ids, 0), (voice.spoken, -1)):
        if ids is not None and (ids.ndim != 1 or not bool(((ids >= least) & (ids < top)).all())):
            raise ConfigError("its text cannot be read by the model")


def _whole(values: Any) -> Int[np.ndarray, "..."]:
    if not np.issubdtype(values.dtype, np.integer):
        raise ConfigError(f"whole numbers are wanted, but there are {values.dtype}")
    whole: Int[np.ndarray, ...] = values.astype(np.int64)
    return whole


def _float(values: Any) -> Float[np.ndarray, "..."] | None:
    return None if values is None else values.astype(np.float32)
