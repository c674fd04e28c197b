"""Judges by name or path: the one place where recognisers and speaker models are loaded."""

from os import PathLike
from pathlib import Path

import torch

from uslm.evaluation.dnsmos import Dnsmos
from uslm.evaluation.resemblyzer import Resemblyzer
from uslm.evaluation.scores import Judges
from uslm.evaluation.similarity import SpeakerModel
from uslm.evaluation.whisper import WhisperRecognizer
from uslm_tokenizer.errors import MissingResource, UserError


def load_judges(
    recognizer: str | PathLike[str],
    speaker_model: str | None = None,
    *,
    dnsmos: bool = False,
    device: str | torch.device = "cpu",
) -> Judges:
    """`recognizer` is a Whisper folder or its name on the Hub; see `load_speaker_model`."""
    if Path(recognizer).is_absolute() and not Path(recognizer).is_dir():
        raise MissingResource(f"there is no recogniser folder {str(recognizer)!r}")
    whisper = WhisperRecognizer.from_pretrained(recognizer, device=device)
    return Judges(
        recognizer=whisper,
        normalize=whisper.normalize,
        speaker_model=None if speaker_model is None else load_speaker_model(speaker_model),
        quality_model=Dnsmos.from_package() if dnsmos else None,
    )


def load_speaker_model(name: str) -> SpeakerModel:
    """`resemblyzer`, or the path of its weights."""
    if name == "resemblyzer":
        return Resemblyzer.from_package()
    if name.endswith(".pt"):
        return Resemblyzer.from_file(name)
    raise UserError(f"speaker model must be 'resemblyzer' or a .pt file of it, but is {name!r}")
