"""A folder that converses: Moshi's language model beside its codec.

The folder holds pretrained.json and a sub-folder for each part: lm, codec.
"""

from os import PathLike
from pathlib import Path

import torch

from uslm.systems.model_parts import Parts
from uslm.systems.moshi.model import MoshiLM
from uslm.systems.tiny_folder import save_parts
from uslm_tokenizer.codecs.mimi.model import MimiCodec
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.pretrained.store import read_record

SYSTEM = "moshi"


def save_conversational(lm: MoshiLM, codec: MimiCodec, folder: Path) -> Path:
    """Write both parts, and the record of what they are."""
    save_parts(SYSTEM, {"lm": lm, "codec": codec}, folder)
    return folder


def load_conversational(
    folder: str | PathLike[str],
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str | None = None,
) -> tuple[MoshiLM, MimiCodec]:
    """Model and codec, which uses as many codebooks as the model. `dtype` is the precision of the
    model. ConfigError of a folder that holds something else."""
    record = read_record(Path(folder))
    if record is None or record["system"] != SYSTEM:
        found = "no system" if record is None else repr(record["system"])
        raise ConfigError(f"{folder} must hold {SYSTEM!r}, which converses, but holds {found}")
    parts = Parts(folder=Path(folder), device=device, dtype=dtype, narrow=("lm",))
    lm, codec = parts.get("lm", MoshiLM), parts.get("codec", MimiCodec)
    codec.use_codebooks(lm.config.num_codebooks)
    return lm, codec
