"""Codecs that the bench trains itself, in minutes: plain, distilled, and distilled and split.

All three have the sizes of `train_waveform_codec --config mini`, and learn from the same lines, of
none of the speakers that the bench asks about.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from uslm_recipes.commands.prepare import PrepareConfig, prepare
from uslm_recipes.data.sources.manifest import read_manifest
from uslm_recipes.train.waveform_codec import main as train_waveform_codec
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import UserError
from uslm_tokenizer.registry import load_tokenizer
from uslm_tokenizer.ssl.encoder import SSLEncoder

PLAIN, DISTILLED, SPLIT = "plain codec", "distilled codec", "distilled, split codec"
CONFIGS = {PLAIN: "mini", DISTILLED: "mini", SPLIT: "mini_split"}
LAYERS = (5, 6)
"""Of the teacher, whose mean is the target: the last ones of Whisper base."""


@dataclass(frozen=True, kw_only=True)
class OwnCodecs:
    """How they are trained."""

    steps: int
    """Training steps of each."""
    teacher: str
    """The speech encoder that distilled ones follow."""
    num_lines: int = 300
    """Utterances to learn from, whole speakers."""

    def train(
        self, manifest: Path, tested: set[str], work: Path, say: Callable[[str], None]
    ) -> Iterator[tuple[str, AudioTokenizer]]:
        """Each by its name on the page; corpus and runs lie in `work`."""
        lines = [json.loads(line) for line in manifest.read_text("utf-8").splitlines()]
        for row in lines:
            row["audio"] = str((manifest.parent / row["audio"]).resolve())
            row["split"] = "train"
        kept = [row for row in lines if row["speaker"] not in tested]
        work.mkdir(parents=True, exist_ok=True)
        listed = work / "lines.jsonl"
        listed.write_text("".join(json.dumps(row) + "\n" for row in kept), "utf-8")
        say(f"corpus of {self.num_lines} lines")
        prepare(
            read_manifest(listed),
            work / "corpus",
            PrepareConfig(limit=self.num_lines, num_workers=0),
        )
        width = SSLEncoder.from_pretrained(self.teacher, layers=LAYERS).dim
        taught = [f"teacher={self.teacher}", f"teacher_layers={list(LAYERS)}"]
        yield self._train(PLAIN, work, ["objectives=[]"], say)
        yield self._train(DISTILLED, work, [*taught, f"model.semantic_dim={width}"], say)
        shutil.copytree(work / DISTILLED / "teacher", work / SPLIT / "teacher")  # made once
        yield self._train(SPLIT, work, taught, say)

    def _train(
        self, name: str, work: Path, more: list[str], say: Callable[[str], None]
    ) -> tuple[str, AudioTokenizer]:
        say(f"{name}: training for {self.steps} steps")
        given = [
            f"corpus=[{work / 'corpus'}]", f"loop.steps={self.steps}", "loop.max_minutes=null",
            "loop.validate_every=0", "loop.samples=0", *more,
        ]  # fmt: skip
        settings = [part for each in given for part in ("--set", each)]
        out = work / name
        if train_waveform_codec(["--config", CONFIGS[name], "--out", str(out), *settings]):
            raise UserError(f"{name} could not be trained")
        return name, load_tokenizer(out / "model")
