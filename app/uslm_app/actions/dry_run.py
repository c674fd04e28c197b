"""`uslm say --dry-run`: everything that is known before a model speaks."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from uslm.synthesis.language import check_text_language
from uslm.synthesis.plan import plan_text
from uslm.synthesis.protocols import FrontEnd
from uslm.systems.loading import read_frontend, read_settings
from uslm.text.lexicon import Lexicon
from uslm_app.actions import engine
from uslm_app.actions.voices import VoiceSource, tell_findings
from uslm_app.cli.console import Console
from uslm_tokenizer.errors import TextError


def show_plan(
    text: str,
    source: VoiceSource,
    roles: Mapping[str, VoiceSource] | None,
    lexicon: Lexicon | None,
    options: argparse.Namespace,
    console: Console,
) -> None:
    """Print the segments and what is said for them; what is odd about the prompt is a remark.

    Raises what the run itself would, as far as that is known without a model.
    """
    engine.find_device(options)
    settings = read_settings(options.model)
    frontend = read_frontend(options.model, language=options.language, lexicon=lexicon)
    for each in (source, *(roles or {}).values()):
        if each.text is not None:
            frontend(each.text)
    if not options.any_language:
        check_text_language(text, frontend, settings)
    segments: list[dict[str, Any]] = []
    problems: list[TextError] = []
    for segment in plan_text(text, settings.plan, roles):
        if segment.is_pause:
            segments.append({"pause_seconds": segment.pause_seconds})
        else:
            speaker = {} if roles is None else {"voice": segment.voice or source.name}
            segments.append({**speaker, **_segment(segment.text, frontend, problems)})
    if problems and len(problems) == sum("text" in row for row in segments):
        raise problems[0]
    for each in dict.fromkeys([source, *(roles or {}).values()]):
        tell_findings(each.findings, console)
    if options.json:
        console.json({"model": settings.name, "voice": source.name, "segments": segments})
        return
    console.result(f"model   {settings.name}")
    console.result(f"voice   {source.name}, {source.seconds:.1f} s")
    for row in segments:
        if "pause_seconds" in row:
            console.result(f"pause   {row['pause_seconds']:g} s")
            continue
        if "voice" in row:
            console.result(f"by      {row['voice']}")
        console.result(f"text    {row['text']}")
        if row["normalized"] != row["text"]:
            console.result(f"said    {row['normalized']}")
        console.result(f"sounds  {row['phonemes']}")
        if row["dropped"]:
            console.result(f"left    {', '.join(row['dropped'])}")


def _segment(text: str, frontend: FrontEnd, problems: list[TextError]) -> dict[str, Any]:
    try:
        result = frontend(text)
    except TextError as problem:  # the rest of the text may have something to say
        problems.append(problem)
        return {"text": text, "normalized": "", "phonemes": "", "dropped": [str(problem)]}
    return {
        "text": text,
        "normalized": result.normalized,
        "phonemes": result.phonemes,
        "dropped": list(result.dropped),
    }
