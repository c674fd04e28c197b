"""Judges by name: the one place where recognisers and speaker models are loaded."""

import re
from collections.abc import Callable
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import torch

from uslm.evaluation.judges.dnsmos import Dnsmos
from uslm.evaluation.judges.resemblyzer import Resemblyzer
from uslm.evaluation.judges.whisper import WhisperRecognizer
from uslm.evaluation.judges.xvector import XVector
from uslm.evaluation.metrics.scores import Judges
from uslm.evaluation.metrics.similarity import SpeakerModel
from uslm.evaluation.metrics.wer import Normalizer, Recognizer
from uslm.evaluation.suites import seed_tts_eval
from uslm_tokenizer.errors import MissingResource, UserError

CALLABLE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
"""`package.module:name`: anything that can be imported and called."""

NormalizerName = Literal["whisper", "seed-tts-eval"]


def load_judges(
    recognizer: str | PathLike[str],
    speaker_model: str | None = None,
    *,
    normalizer: NormalizerName = "whisper",
    language: seed_tts_eval.Language = "en",
    dnsmos: bool = False,
    device: str | torch.device = "cpu",
) -> Judges:
    """See `load_recognizer` and `load_speaker_model`; `language` is seed-tts-eval's."""
    listener, own = load_recognizer(recognizer, device=device)
    normalize: Normalizer = lambda text: seed_tts_eval.normalize(text, language)  # noqa: E731
    if normalizer == "whisper":
        if own is None:
            raise UserError(
                f"only Whisper brings a normaliser, but the recogniser is {str(recognizer)!r}; "
                "use that of seed-tts-eval"
            )
        normalize = own
    return Judges(
        recognizer=listener,
        normalize=normalize,
        speaker_model=None
        if speaker_model is None
        else load_speaker_model(speaker_model, device=device),
        quality_model=Dnsmos.from_package() if dnsmos else None,
    )


def load_recognizer(
    name: str | PathLike[str], *, device: str | torch.device = "cpu"
) -> tuple[Recognizer, Normalizer | None]:
    """A Whisper folder or its name on the Hub, with its own normaliser; or `module:callable`."""
    if CALLABLE.fullmatch(str(name)):
        return load_callable(str(name)), None
    if Path(name).is_absolute() and not Path(name).is_dir():
        raise MissingResource(f"there is no recogniser folder {str(name)!r}")
    whisper = WhisperRecognizer.from_pretrained(name, device=device)
    return whisper, whisper.normalize


def load_speaker_model(name: str, *, device: str | torch.device = "cpu") -> SpeakerModel:
    """`resemblyzer` or the path of its weights; a folder or Hub name of an x-vector model of
    transformers, as microsoft/wavlm-base-plus-sv is; or `module:callable`."""
    if name == "resemblyzer":
        return Resemblyzer.from_package()
    if name.endswith(".pt"):
        return Resemblyzer.from_file(name)
    if CALLABLE.fullmatch(name):
        return load_callable(name)
    if Path(name).is_dir() or name.count("/") == 1:
        return XVector.from_pretrained(name, device=device)
    raise UserError(
        "speaker model must be 'resemblyzer', a .pt file of it, an x-vector model's folder or Hub "
        f"name, or module:callable, but is {name!r}"
    )


def load_callable(name: str) -> Callable[..., Any]:
    """The object that `package.module:name` names. UserError if it cannot be imported or called."""
    module_name, _, path = name.partition(":")
    try:
        found: Any = import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as problem:
        raise UserError(f"{name!r} cannot be imported: {problem}") from problem
    if not callable(found):
        raise UserError(f"{name!r} must be something to call, but is {found!r}")
    called: Callable[..., Any] = found
    return called
