"""The table of renames: what stored files and command lines call things, and what they are now.

Files are written with the names of today. Those of before are read for good: a name that
somebody stored is never taken out of this table, and none in it is given another meaning.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CONFIG_KEYS: Mapping[str, Mapping[str, str]] = {
    "MonotonicLMConfig": {"patience": "advance_threshold"},
    "AcousticRegressorConfig": {"sees_spoken": "condition_on_alignment"},
    "AcousticLMConfig": {"level_dim": "codebook_dim", "level_groups": "codebook_groups"},
    "MaskGCTSemanticToAcousticConfig": {"first_level": "first_codebook"},
    "TokenHeader": {"pitch_level": "pitch_codebook"},
    "BundleConfig": {"expected_input": "expected_latents"},
    "ValleARConfig": {"prenet_hears_padding": "prenet_sees_padding"},
    "ValleNARConfig": {"prenet_hears_padding": "prenet_sees_padding"},
    "VectorQuantizerConfig": {"late_start": "delayed_init"},
    "DiscriminatorConfig": {"joins_at": "start_fraction"},
    "CodecRecipe": {"adversary": "discriminator"},
    "SourceFilterRecipe": {"adversary": "discriminator", "level_dropout": "codebook_dropout"},
    "JointRecipe": {"adversary": "discriminator"},
    "WaveformCodecRecipe": {"adversary": "discriminator"},
    "LoopConfig": {"piece_minutes": "stop_after_minutes"},
    "Recording": {"piece": "segment"},
    "VoicePrompt": {"speaker": "speaker_embedding"},
}
"""By the config class of today, or what is read like one: stored key to field."""
TENSOR_NAMES: Mapping[str, Mapping[str, str]] = {
    "monotonic_lm": {"reader": "text_encoder", "speaker": "decoder"},
    "acoustic_regressor": {"copying": "copy_attention", "nothing": "null_key"},
    "acoustic_lm": {"level_embedding": "codebook_embedding"},
    "valle_nar": {"level_embedding": "codebook_embedding"},
    "valle": {"level_embedding": "codebook_embedding"},
    "maskgct_s2a": {"level_embedding": "codebook_embedding"},
    "conv_regressor": {"copying": "copy_attention", "nothing": "null_key"},
}
"""By `model_type`: part of a stored tensor's name, between dots, to that of today."""

OPTIONS: Mapping[str, str] = {
    "--piece-minutes": "--stop-after-minutes",
}
"""Options of command lines."""
COMMANDS: Mapping[str, str] = {
    "tune": "train_joint",
}
"""Names of recipes, and of the folders of their configs; `python -m uslm_recipes.NAME`."""

FILES: Mapping[str, str] = {
    "published.json": "pretrained.json",
}
"""Files of a model's folder."""


def stored_file(folder: Path, name: str) -> Path:
    """A file of a folder, under its name of before where it has that."""
    stored = [folder / before for before, current in FILES.items() if current == name]
    there = [path for path in (folder / name, *stored) if path.is_file()]
    return there[0] if there else folder / name


def current_arguments(arguments: Sequence[str] | None) -> list[str]:
    """A command line, `sys.argv` if None, with the options of today; values stay as they are."""
    current = []
    for argument in sys.argv[1:] if arguments is None else arguments:
        option, equals, value = argument.partition("=")
        current.append(OPTIONS.get(option, option) + equals + value)
    return current


def current_keys(owner: type | str, stored: Mapping[Any, Any]) -> dict[Any, Any]:
    """A stored config of the class `owner`, which has its bases' keys too, by the keys of today.

    Of a key that is there under both names the later one counts, as an override does.
    """
    owners = [owner] if isinstance(owner, str) else [each.__name__ for each in owner.__mro__]
    table = {old: new for name in owners for old, new in CONFIG_KEYS.get(name, {}).items()}
    current: dict[Any, Any] = {}
    for key, value in stored.items():
        current[table.get(key, key)] = value
    return current


def key_in(data: Mapping[str, Any], key: str) -> str:
    """The name, today's or that of before, under which a config that was read has a key."""
    return next((each for each in data if current_key(each) == current_key(key)), key)


def current_key(stored: str) -> str:
    """A config key of whichever class as it is called today."""
    for table in CONFIG_KEYS.values():
        if stored in table:
            return table[stored]
    return stored


def current_tensor_name(model_type: str, stored: str) -> str:
    """The name of today of a stored tensor of such a model."""
    return _replace(stored, TENSOR_NAMES.get(model_type, {}))


def first_tensor_name(model_type: str, name: str) -> str:
    """The first name of such a model's tensor: hashes stay those of that name."""
    table = {new: old for old, new in TENSOR_NAMES.get(model_type, {}).items()}
    return _replace(name, table)


def _replace(name: str, table: Mapping[str, str]) -> str:
    return ".".join(table.get(part, part) for part in name.split("."))
