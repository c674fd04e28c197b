"""What every system does with a recording before a voice is made of it."""

import os
from datetime import datetime, timezone
from pathlib import Path

from uslm import __version__
from uslm.pipeline.prompt import VoiceOrigin
from uslm.pipeline.prompt_policy import Finding, PromptPolicy
from uslm_tokenizer.audio import Audio, AudioSource, read_audio
from uslm_tokenizer.errors import UserError


def prompt_policy(most_seconds: float, max_seconds: float | None) -> PromptPolicy:
    """What a good prompt is for a model that uses `most_seconds` of it, and a caller who asks for
    at most `max_seconds`."""
    if max_seconds is not None:
        if not max_seconds > 0:
            raise UserError(f"max_seconds must be above 0, but is {max_seconds}")
        most_seconds = min(most_seconds, max_seconds)
    usual = PromptPolicy()
    return PromptPolicy(
        max_seconds=most_seconds,
        good_seconds=min(usual.good_seconds, most_seconds),
        min_seconds=min(usual.min_seconds, most_seconds),
    )


def open_recording(audio: Audio | AudioSource, policy: PromptPolicy) -> Audio:
    """As much of it as is worth reading."""
    return audio if isinstance(audio, Audio) else read_audio(audio, max_seconds=policy.read_seconds)


def name_of(audio: Audio | AudioSource) -> str:
    """What a voice is called after its recording."""
    return Path(_file_name(audio)).stem or "voice"


def origin_of(audio: Audio | AudioSource) -> VoiceOrigin:
    """Where a voice that is made now comes from."""
    return VoiceOrigin(
        recording=_file_name(audio),
        made_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        made_with=f"uslm {__version__}",
    )


def mismatch(error_rate: float, max_mismatch: float) -> list[Finding]:
    """A warning if the transcript is far from what is heard."""
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


def _file_name(audio: Audio | AudioSource) -> str:
    """Without its folder; empty where there is no file."""
    if isinstance(audio, Audio):
        return Path(audio.source.name.strip("'\"")).name if audio.source else ""
    return Path(audio).name if isinstance(audio, (str, os.PathLike)) else ""
