"""Loads the models as the options ask; the only place of the app that does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uslm_app.cli.given import ContinueOptions
from uslm_app.cli.option_groups import DeviceOptions, ModelOptions
from uslm_tokenizer.errors import EnvironmentProblem, UserError

if TYPE_CHECKING:
    import torch

    from uslm.answering import SpeechAnswerer
    from uslm.continuation import SpeechContinuer
    from uslm.conversion import VoiceConverter
    from uslm.enhancement import SpeechEnhancer
    from uslm.output.watermark import Watermark
    from uslm.singing import MakeAVoice
    from uslm.text.lexicon import Lexicon
    from uslm.tts import ZeroShotTTS
    from uslm_tokenizer.base import AudioTokenizer


def check_model(name: str) -> None:
    """Raise MissingResource or ConfigError unless there is such a model; reads no weights."""
    from uslm.systems.loading import read_settings

    read_settings(name)


def load_tts(
    options: ModelOptions, *, language: str | None = None, lexicon: Lexicon | None = None
) -> ZeroShotTTS:
    """The model that speaks."""
    from uslm.tts import ZeroShotTTS

    return ZeroShotTTS.from_pretrained(
        options.model,
        device=find_device(options),
        dtype=options.dtype,
        language=language,
        lexicon=lexicon,
    )


def load_converter(options: ModelOptions) -> VoiceConverter:
    """The model that converts."""
    from uslm.conversion import VoiceConverter

    return VoiceConverter.from_pretrained(
        options.model, device=find_device(options), dtype=options.dtype
    )


def load_singer(name: str, options: DeviceOptions) -> MakeAVoice:
    """The model that sings."""
    from uslm.singing import MakeAVoice

    return MakeAVoice.from_pretrained(name, device=find_device(options))


def load_enhancer(name: str, options: DeviceOptions) -> SpeechEnhancer:
    """The model that takes noise away."""
    from uslm.enhancement import SpeechEnhancer

    return SpeechEnhancer.from_pretrained(name, device=find_device(options))


def load_answerer(name: str, options: DeviceOptions) -> SpeechAnswerer:
    """The model that answers."""
    from uslm.answering import SpeechAnswerer

    return SpeechAnswerer.from_pretrained(name, device=find_device(options))


def load_continuer(options: ContinueOptions) -> SpeechContinuer:
    """The language model that goes on, and the model that speaks its units."""
    from uslm.continuation import SpeechContinuer

    return SpeechContinuer.from_pretrained(
        options.lm, options.model, device=find_device(options), dtype=options.dtype
    )


def load_tokenizer(name: str | None, options: DeviceOptions) -> AudioTokenizer:
    """The tokenizer named, or else the one of the embedded model."""
    from uslm.models.folders import resolve_bundle
    from uslm_tokenizer.registry import load_tokenizer

    device = find_device(options)
    return load_tokenizer(name or resolve_bundle("default") / "tokenizer").to(device)


def load_watermark(is_wanted: bool) -> Watermark | None:
    """The watermark, if one is asked for."""
    if not is_wanted:
        return None
    from uslm.output.watermark import Perth

    return Perth.from_package()


def find_device(options: DeviceOptions) -> torch.device:
    """The device named, if this machine has it; also sets the number of CPU threads: of the idle
    cores, where neither the options nor the environment say one."""
    import torch

    from uslm.models.device import fastest_device
    from uslm.models.threads import set_threads

    set_threads(options.threads)
    if options.device == "auto":
        return fastest_device()
    try:
        device = torch.device(options.device)
    except RuntimeError:
        raise UserError(
            f"--device must be auto, cpu, cuda, cuda:1 or mps, but is {options.device!r}"
        ) from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise EnvironmentProblem(
            f"--device {options.device}: this machine has {torch.cuda.device_count()} CUDA devices "
            "that this build of PyTorch can use; --device cpu works everywhere"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise EnvironmentProblem("--device mps: only on a Mac with Apple silicon; use --device cpu")
    if device.type not in ("cpu", "cuda", "mps"):
        raise UserError(
            f"--device must be auto, cpu, cuda, cuda:1 or mps, but is {options.device!r}"
        )
    return device
