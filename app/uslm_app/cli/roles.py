"""Speakers of a script with several voices: the file of each name in brackets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from uslm.text.script import parse_script
from uslm.voices.stock import DEFAULT_STOCK_VOICE
from uslm_app.cli.exit_codes import UsageError
from uslm_app.cli.given import SayOptions
from uslm_app.cli.inputs import (
    check_voice_options,
    find_voice_or_recording,
    is_voice_file,
    voice_files,
)
from uslm_tokenizer.errors import TextError


def is_script(options: SayOptions) -> bool:
    """Whether names in brackets mean voices."""
    return bool(options.script or options.voice_for)


def find_roles(text: str, options: SayOptions) -> tuple[SayOptions, dict[str, str]]:
    """The voice files and recordings of those who speak after a mark, by their names; and the
    options with a voice for what stands before the first mark.

    Where none is given, it is the default one; if nothing stands there, the first who speaks.
    """
    known = _known(options)
    try:
        segments = [segment for segment in parse_script(text, known) if not segment.is_pause]
    except TextError as error:
        raise TextError(f"{error}; --voice-for NAME=VOICE gives one") from error
    if not segments:
        raise TextError("the script must have something to say, but nothing follows its marks")
    roles = {segment.voice: known[segment.voice] for segment in segments if segment.voice}
    if options.prompt is None and options.voice is None:
        first = segments[0].voice
        if first and not is_voice_file(roles[first]):
            options = replace(options, prompt=roles[first])
        options = check_voice_options(options, default=roles.get(first, DEFAULT_STOCK_VOICE))
    return options, roles


def _known(options: SayOptions) -> dict[str, str]:
    """All who may be asked for: named voices, the voice of the text, then those given."""
    known = voice_files()
    for path in (options.prompt, options.voice):
        if path is not None:
            known[Path(path).stem] = path
    given: dict[str, str] = {}
    for name, voice in options.voice_for:
        if name in given:
            raise UsageError(f"--voice-for {name}=... is given twice")
        given[name] = find_voice_or_recording(voice, f"the voice for [{name}]")
    return known | given
