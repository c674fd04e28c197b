"""Reports every recording that `uslm-prepare` would leave out, and why.

python -m uslm_recipes.validate LibriTTS/train-clean-100 my_voice --out data/report

report.jsonl      each bad recording with its file, line and reason
manifest.jsonl    the good ones that are files here, for uslm-prepare --manifest
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from uslm_recipes.command import run_command
from uslm_recipes.commands.prepare import add_source_arguments, sources_of
from uslm_recipes.data.audio_files import AudioLimits
from uslm_recipes.data.checks import TextRules
from uslm_recipes.data.examine import ExamineConfig, Examiner, Good
from uslm_recipes.data.partial_folder import write_whole
from uslm_recipes.data.preparing.run import kinds, progress_bar
from uslm_recipes.data.recording import Found
from uslm_recipes.data.splits import split_of
from uslm_recipes.data.transcripts import EnglishFrontEnd, FrontEnd

REPORT_FILE, MANIFEST_FILE = "report.jsonl", "manifest.jsonl"


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Findings."""

    num_good: int
    num_bad: int
    hours: float
    """Of the good ones."""
    reasons: dict[str, int]
    """How often each kind of problem was met."""


def validate(
    found: Iterable[Found],
    out: Path,
    config: ExamineConfig,
    *,
    front_end: FrontEnd | None = None,
) -> Validation:
    """Write the report and the manifest to the folder `out`."""
    examiner = Examiner(config, front_end or EnglishFrontEnd(), split_of)
    bad: list[str] = []
    good: list[str] = []
    reasons: Counter[str] = Counter()
    num_good = num_samples = 0
    with progress_bar() as bar:
        for part in examiner.slices(iter(found)):
            bad += [json.dumps(asdict(each), ensure_ascii=False) for each in part.rejected]
            num_good += len(part.good)
            files = (_line(each) for each in part.good if _is_file(each))
            good += [json.dumps(each, ensure_ascii=False) for each in files]
            reasons.update(kinds(part.rejected))
            num_samples += sum(len(each.samples) for each in part.good)
            bar.update(part.num_found - bar.n)
    out.mkdir(parents=True, exist_ok=True)
    for name, lines in {REPORT_FILE: bad, MANIFEST_FILE: good}.items():
        write_whole(out / name, "".join(f"{line}\n" for line in lines))
    return Validation(
        num_good=num_good,
        num_bad=len(bad),
        hours=num_samples / config.audio.sample_rate / 3600,
        reasons=dict(reasons.most_common()),
    )


def _is_file(good: Good) -> bool:
    segment = good.recording.segment
    return segment is None or segment.data is None


def _line(good: Good) -> dict[str, Any]:
    """The recording as a line of a manifest; a part of a file is named by its place in it."""
    recording = good.recording
    line: dict[str, Any] = {"audio": str(recording.audio.resolve())}
    for key in ("id", "source", "speaker", "language", "text", "phonemes", "durations", "split"):
        if (value := getattr(recording, key)) is not None:
            line[key] = value
    if recording.segment is not None:
        line["segment"] = {k: v for k, v in asdict(recording.segment).items() if k != "data"}
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; bad recordings are reported and are no failure."""
    options = _parser().parse_args(arguments)
    return run_command("validate", lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    config = ExamineConfig(
        audio=AudioLimits(max_seconds=options.max_seconds),
        rules=TextRules(needs_text=not options.without_text),
        num_workers=options.workers,
    )
    found = itertools.islice(sources_of(options), options.limit)
    result = validate(found, options.out, config)
    number = result.num_good + result.num_bad
    print(f"{result.num_good} of {number} recordings are good, {result.hours:.2f} h")
    for reason, count in result.reasons.items():
        print(f"  {count:7} {100 * count / number:6.2f} % {reason}")
    if result.num_bad:
        print(f"which and why: {options.out / REPORT_FILE}")


def _parser() -> argparse.ArgumentParser:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m uslm_recipes.validate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_source_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder for the report")
    parser.add_argument(
        "--without-text", action="store_true", help="recordings without text are good too"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
