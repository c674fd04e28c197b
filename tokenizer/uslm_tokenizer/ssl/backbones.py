"""The networks of transformers that serve as speech encoders: built anew, or loaded."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from uslm_tokenizer.environment import check_torchaudio
from uslm_tokenizer.errors import EnvironmentProblem, MissingResource
from uslm_tokenizer.hub import is_network_fault
from uslm_tokenizer.transformers_package import import_transformers

NEED = "pretrained speech encoders need"


def build_backbone(data: Mapping[str, object]) -> nn.Module:
    """A network with random weights, of Whisper the encoder alone; `data` is its configuration."""
    transformers = import_transformers(NEED)
    check_torchaudio()
    options = {key: value for key, value in data.items() if key != "model_type"}
    config = transformers.AutoConfig.for_model(str(data["model_type"]), **options)
    build: Callable[..., nn.Module] = transformers.AutoModel.from_config
    if data["model_type"] == "whisper":
        from transformers.models.whisper.modeling_whisper import WhisperEncoder as build
    return build(config)


def load_backbone(name_or_path: str, where: Mapping[str, Any]) -> Any:
    """The whole network of a folder or a Hub repository, with its `config`.

    `where` are transformers' words for which revision, and whether from this machine only.
    """
    transformers = import_transformers(NEED)
    check_torchaudio()
    try:
        return transformers.AutoModel.from_pretrained(name_or_path, **where)
    except (OSError, ValueError) as problem:
        reason = str(problem).strip().splitlines()[0]
        if is_network_fault(problem):
            what = f"the speech encoder {name_or_path!r}"
            raise EnvironmentProblem(f"cannot reach the Hub for {what}: {reason}") from problem
        raise MissingResource(f"no speech encoder at {name_or_path!r}: {reason}") from problem


def wants_normalised_waveform(name_or_path: str, config: Any, where: Mapping[str, Any]) -> bool:
    """Whether the preprocessor file of the model says so; without one, whether its family does."""
    from transformers.utils.hub import cached_file

    found = cached_file(
        name_or_path,
        "preprocessor_config.json",
        _raise_exceptions_for_missing_entries=False,
        **where,
    )
    usual = getattr(config, "feat_extract_norm", None) == "layer"
    if found is None:
        return usual
    with open(found, encoding="utf-8") as file:
        return bool(json.load(file).get("do_normalize", usual))
