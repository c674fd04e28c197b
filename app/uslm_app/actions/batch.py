"""Speaks many texts side by side through one engine, a file each, and reports every one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from uslm.output.speech import Speech
from uslm.serving.engine import Engine, EngineConfig
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt
from uslm.voices.stock import stock_name
from uslm_app.actions import engine as models
from uslm_app.actions.voices import load_voice
from uslm_app.cli.console import Console
from uslm_app.cli.exit_codes import explain
from uslm_app.cli.given import BatchOptions
from uslm_app.cli.jobs import BadLine, BatchJob
from uslm_tokenizer.errors import UserError

MAX_SECONDS = 7 * 24 * 3600.0
"""A job may take so long: nobody waits for its sound."""


def speak_batch(
    jobs: Sequence[BatchJob | BadLine],
    folder: Path,
    options: BatchOptions,
    console: Console,
) -> None:
    """Speak what is not there yet. UserError at the end if a job failed; the others are done."""
    models.check_model(options.model)
    bad = [job for job in jobs if isinstance(job, BadLine)]
    good = [job for job in jobs if isinstance(job, BatchJob)]
    left = [job for job in good if options.force or not (folder / job.file_name).exists()]
    for each in bad:
        _tell({"line": each.line, "error": each.reason}, options, console)
    failed = len(bad)
    if left:
        tts = models.load_tts(options, language=options.language)
        config = EngineConfig(
            num_slots=options.slots, max_waiting=options.slots + 8, max_seconds=MAX_SECONDS
        )
        with Engine(tts.synthesizer, config, frontend=tts.frontend) as engine:
            speaker = _BatchSpeaker(engine, folder, options)
            # No more than the engine takes at a time: whoever fails, fails alone.
            with ThreadPoolExecutor(options.slots) as pool:
                running = {pool.submit(speaker.speak, job): job for job in left}
                try:
                    for done in as_completed(running):
                        record = done.result()
                        failed += "error" in record
                        _tell(record, options, console)
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    engine.refuse()
                    raise
    there = len(good) - len(left)
    console.note(
        f"{options.out}: {len(left) + len(bad) - failed} spoken, {there} there already, "
        f"{failed} failed"
    )
    if failed:
        raise UserError(f"{failed} of {len(jobs)} jobs failed; run it again to speak what is left")


def _tell(record: dict[str, Any], options: BatchOptions, console: Console) -> None:
    if options.json:
        console.json(record)
    elif "error" in record:
        console.warn(f"line {record['line']}: {record['error']}")


class _BatchSpeaker:
    """Speaks one job after the other, in as many threads as there are slots."""

    def __init__(self, engine: Engine, folder: Path, options: BatchOptions) -> None:
        self._engine, self._folder, self._options = engine, folder, options
        self._voices: dict[tuple[str | None, ...], VoicePrompt] = {}
        self._lock = threading.Lock()

    def speak(self, job: BatchJob) -> dict[str, Any]:
        """Record of what became of a job; a failure is told, and ends nothing else."""
        try:
            utterance = self._engine.submit(
                job.text, self._voice(job), seed=job.seed, speed=job.speed,
                verify=self._options.verify, any_language=self._options.any_language,
            )  # fmt: skip
            speech = Speech.joined(utterance)
            path = self._folder / job.file_name
            speech.save(path, force=self._options.force, format=job.format)
        except Exception as error:
            return {"line": job.line, "name": job.name, "error": explain(error)[1]}
        return {
            "line": job.line,
            "name": job.name,
            "out": str(path),
            "seed": speech.seed,
            "voice": speech.voice,
            "seconds": round(speech.seconds, 4),
        }

    def _voice(self, job: BatchJob) -> VoicePrompt:
        """The voice of a job; each is made once."""
        key = (job.voice, job.prompt, job.prompt_text)
        with self._lock:
            if key not in self._voices:
                self._voices[key] = self._engine.call(lambda tts: _make(tts, job)).result()
            return self._voices[key]


def _make(tts: ZeroShotTTS, job: BatchJob) -> VoicePrompt:
    if job.voice is None:
        return tts.create_voice(job.prompt, job.prompt_text)
    stock = stock_name(job.voice)
    return load_voice(job.voice) if stock is None else tts.stock_voice(stock)
