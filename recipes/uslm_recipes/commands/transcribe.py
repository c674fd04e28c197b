"""Write down what recordings without a text say, so that models which read can learn from them.

    python -m uslm_recipes.commands.transcribe speech/manifest.jsonl --model openai/whisper-base \\
        --speakers ls vctk --out transcribed.jsonl

Whisper reads English. Lines that have a text or another language stay as they are; audio is named
by its whole path. A run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from uslm.evaluation.judges.whisper import WhisperRecognizer
from uslm_recipes.command import run_command
from uslm_recipes.data.places import named_file
from uslm_recipes.data.text_files import load_json, read_lines
from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.errors import AudioError, MissingResource, TextError, UserError

BATCH = 32
"""Lines between two places where an interrupted run can go on."""
SAMPLE_RATE = 16_000


def transcribe(
    manifest: Path, out: Path, recognizer: WhisperRecognizer, speakers: Sequence[str] = ()
) -> tuple[int, int]:
    """Lines that have a text now and had none before, and all lines.

    `speakers` are beginnings of names of speakers: others' lines are left as they are. Raises
    UserError for a line that cannot be read, and names it.
    """
    lines = [_line(manifest, line.number, line.text) for line in _lines(manifest)]
    part = out.with_name(f"{out.name}.part")
    done = part.read_text("utf-8").splitlines() if part.is_file() else []
    part.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with part.open("a", encoding="utf-8") as file:
        for start in range(len(done), len(lines), BATCH):
            some = lines[start : start + BATCH]
            silent = [line for line in some if _is_wanted(line, speakers)]
            texts = recognizer([_waveform(Path(line["audio"])) for line in silent])
            for line, text in zip(silent, texts, strict=True):
                line["text"] = text
                written += bool(text)
            file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in some)
            file.flush()
    part.replace(out)
    return written, len(lines)


def _lines(manifest: Path) -> list[Any]:
    if not manifest.is_file():
        raise MissingResource(f"there is no manifest {manifest}")
    return [line for line in read_lines(manifest) if line.text.strip()]


def _line(manifest: Path, number: int, text: str) -> dict[str, Any]:
    """One line, its audio by its whole path."""
    try:
        line = load_json(text)
    except TextError as problem:
        raise UserError(f"{manifest.name}:{number}: line {problem}") from problem
    if not isinstance(line, dict) or not isinstance(line.get("audio"), str):
        raise UserError(f"{manifest.name}:{number}: audio must be a string, in an object")
    return {**line, "audio": str(named_file(manifest.parent, line["audio"]).resolve())}


def _is_wanted(line: dict[str, Any], speakers: Sequence[str]) -> bool:
    language = str(line.get("language") or "en").split("-")[0]
    named = str(line.get("speaker", "")).startswith(tuple(speakers)) or not speakers
    return not line.get("text") and language == "en" and named


def _waveform(path: Path) -> Any:
    """Samples; AudioError names the file."""
    try:
        return read_audio(path).resampled(SAMPLE_RATE).waveform[0]
    except AudioError as problem:
        raise UserError(f"{path}: {problem}") from problem


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="transcribe", description=__doc__.split("\n", 1)[0])
    parser.add_argument("manifest", type=Path, help="a JSONL manifest, as uslm-prepare reads it")
    parser.add_argument("--model", required=True, help="a Whisper model: folder or Hub repository")
    parser.add_argument("--speakers", nargs="*", default=[], help="beginnings of names")
    parser.add_argument("--device", default="cpu", help="where Whisper runs (cpu)")
    parser.add_argument("--out", required=True, type=Path, help="the manifest with texts")
    options = parser.parse_args(arguments)

    def run() -> None:
        recognizer = WhisperRecognizer.from_pretrained(options.model, device=options.device)
        written, count = transcribe(options.manifest, options.out, recognizer, options.speakers)
        print(f"{written} of {count} recordings were transcribed in {options.out}")

    return run_command("transcribe", run)


if __name__ == "__main__":
    raise SystemExit(main())
