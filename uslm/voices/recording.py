"""Demands on any recording that becomes a voice: its length, its origin, its transcript."""

import os
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from uslm import __version__
from uslm.voices.phoneme_error_rate import phoneme_error_rate
from uslm.voices.policy import Finding, PromptPolicy
from uslm.voices.prompt import VoiceOrigin
from uslm_tokenizer.audio.read import Audio, AudioSource, read_audio
from uslm_tokenizer.errors import UserError


def prompt_policy(used_seconds: float, max_seconds: float | None = None) -> PromptPolicy:
    """The usual policy for a model that uses `used_seconds`, and a caller who wants fewer."""
    if max_seconds is not None:
        if not max_seconds > 0:
            raise UserError(f"max_seconds must be above 0, but is {max_seconds}")
        used_seconds = min(used_seconds, max_seconds)
    usual = PromptPolicy()
    return PromptPolicy(
        max_seconds=used_seconds,
        good_seconds=min(usual.good_seconds, used_seconds),
        min_seconds=min(usual.min_seconds, used_seconds),
    )


def open_recording(audio: Audio | AudioSource, policy: PromptPolicy) -> Audio:
    """As much of a recording as is worth reading."""
    if isinstance(audio, Audio):
        return audio
    return read_audio(audio, max_seconds=policy.read_seconds, silent_dbfs=policy.quiet_dbfs)


def doubts(wanted: Sequence[int], recognized: Sequence[int], max_mismatch: float) -> list[Finding]:
    """A warning if the phonemes of a transcript are far from those that are recognised."""
    error_rate = phoneme_error_rate(wanted, recognized)
    if error_rate <= max_mismatch:
        return []
    return [
        Finding(
            code="transcript_mismatch",
            severity="warning",
            message=(
                f"the transcript does not match the audio: {100 * error_rate:.0f} % of its "
                "sounds are heard otherwise; correct it, or leave it out"
            ),
        )
    ]


def voice_name(audio: Audio | AudioSource) -> str:
    """The file's name without folder and ending."""
    return Path(_file(audio)).stem or "voice"


def voice_origin(audio: Audio | AudioSource) -> VoiceOrigin:
    """Origin of a voice that is made now."""
    return VoiceOrigin(
        recording=_file(audio),
        made_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        made_with=f"uslm {__version__}",
    )


def _file(audio: Audio | AudioSource) -> str:
    """The file's name, without its folder; empty where there is no file."""
    if isinstance(audio, Audio):
        return Path(audio.source.name.strip("'\"")).name if audio.source else ""
    return Path(audio).name if isinstance(audio, (str, os.PathLike)) else ""
