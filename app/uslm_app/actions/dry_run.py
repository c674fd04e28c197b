"""`uslm say --dry-run`: everything that is known before a model speaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from uslm.imitation import check_can_mix
from uslm.synthesis.language import check_text_language
from uslm.synthesis.plan import plan_text
from uslm.synthesis.protocols import FrontEnd
from uslm.systems.loading import outline_synthesizer, read_frontend, read_settings
from uslm.text.lexicon import Lexicon
from uslm_app.actions import engine
from uslm_app.actions.voices import VoiceSource, tell_findings
from uslm_app.cli.console import Console
from uslm_app.cli.given import SayOptions
from uslm_tokenizer.errors import TextError


def show_plan(
    text: str,
    source: VoiceSource,
    manner: VoiceSource | None,
    roles: Mapping[str, VoiceSource] | None,
    lexicon: Lexicon | None,
    options: SayOptions,
    console: Console,
) -> None:
    """Print the segments and what is said for them; what is odd about the prompt is a remark.

    Raises what the run itself would, as far as that is known before weights are read.
    """
    engine.find_device(options)
    settings = read_settings(options.model)
    frontend = read_frontend(options.model, language=options.language, lexicon=lexicon)
    if manner is not None:
        check_can_mix(outline_synthesizer(options.model))
    others = [] if manner is None else [manner]
    sources = list(dict.fromkeys([source, *others, *(roles or {}).values()]))
    for each in sources:
        if each.text is not None:
            frontend(each.text)
    _check_fit({each.name: each for each in (source, *others)} | dict(roles or {}), options)
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
    for each in sources:
        tell_findings(each.findings, console)
    if options.json:
        by = {} if manner is None else {"manner": manner.name}
        console.json({"model": settings.name, "voice": source.name, **by, "segments": segments})
        return
    console.result(f"model   {settings.name}")
    console.result(f"voice   {source.name}, {source.seconds:.1f} s")
    if manner is not None:
        console.result(f"manner  {manner.name}, {manner.seconds:.1f} s")
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


def _check_fit(sources: Mapping[str, VoiceSource], options: SayOptions) -> None:
    """Raise if the model cannot speak with a saved voice; a stock voice is made again for it."""
    saved = [
        replace(each.saved, name=name)
        for name, each in sources.items()
        if each.saved is not None and each.stock is None
    ]
    verifies = options.verify or options.retries is not None
    if not saved and not verifies:
        return
    outline = outline_synthesizer(options.model)
    for voice in saved:
        outline.check_voice(voice)
    if verifies:
        outline.check_can_verify()


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
