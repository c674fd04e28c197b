"""One run of `uslm evaluate`: load, speak or find what was spoken, judge, write the report."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from uslm.evaluation.judges.loading import load_judges
from uslm.evaluation.report.model_facts import describe_model
from uslm.evaluation.report.report import Report, Section
from uslm.evaluation.report.writing import write_report
from uslm.evaluation.suites import seed_tts_eval
from uslm.evaluation.suites.codec import codec_sections
from uslm.evaluation.suites.listed import listed_sections
from uslm.evaluation.suites.speaking import Spoken, speak_all
from uslm.tts import ZeroShotTTS
from uslm_app.actions import engine
from uslm_app.cli.console import Console
from uslm_app.cli.given import EvaluateOptions
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import UserError
from uslm_tokenizer.machine import Machine

NOT_CONFIG = ("command", "json", "quiet", "debug", "force")


def evaluate(options: EvaluateOptions, console: Console) -> None:
    """Write everything to `--out`, and print the tables."""
    work = _Evaluation(options, console)
    report = work.run()
    write_report(report, work.folder)
    if options.json:
        record = report.to_dict()
        console.json({"out": options.out, **{key: record[key] for key in ("title", "sections")}})
        return
    for line in report.to_markdown().splitlines():
        console.result(line)
    console.note(f"{work.folder / 'report.html'}: with sounds and pictures")


class _Evaluation:
    def __init__(self, options: EvaluateOptions, console: Console) -> None:
        self.options, self.console = options, console
        self.folder = Path(options.out)
        self.tokenizer_name = None if options.tokenizer is None else options.tokenizer[0]
        self.device = engine.find_device(options)
        self.tts: ZeroShotTTS | None = None
        self.draw = torch.Generator().manual_seed(options.seed)

    def run(self) -> Report:
        options = self.options
        sections: dict[str, Section] = {}
        utterances: list[dict[str, Any]] = []
        listed = None
        if options.list is not None:  # files first: a list with a gap costs no model's loading
            listed = seed_tts_eval.read_list(Path(options.list), options.limit)
        found = None
        if listed is not None and options.speech is not None:
            found = seed_tts_eval.find_spoken(listed, Path(options.speech))
        else:
            engine.check_model(options.model)
        if listed is not None:
            added = self._judge(listed, found)
            sections, utterances = sections | added[0], utterances + added[1]
        if options.recordings is not None:
            recordings = [Path(path) for path in options.recordings]
            self.folder.mkdir(parents=True, exist_ok=True)
            added = codec_sections(self._tokenizer(), recordings, self.folder, self.draw)
            sections, utterances = sections | added[0], utterances + added[1]
        return Report(
            title=f"Evaluation of {self._subject()}",
            config={k: v for k, v in vars(options).items() if k not in NOT_CONFIG}
            | {"tokenizer": self.tokenizer_name},
            model={"name": self._subject()}
            if self.tts is None
            else describe_model(self.tts.synthesizer),
            sections=sections,
            utterances=utterances,
            machine=asdict(Machine.here(self.device)),
        )

    def _judge(
        self, listed: list[seed_tts_eval.ListedUtterance], found: list[Spoken] | None
    ) -> tuple[dict[str, Section], list[dict[str, Any]]]:
        options = self.options
        assert options.recognizer is not None, "options are checked before"
        judges = load_judges(
            options.recognizer,
            options.speaker_model,
            normalizer=options.normalizer,
            language=options.language,
            dnsmos=options.dnsmos,
            device=self.device,
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        spoken = found
        if spoken is None:
            lines = seed_tts_eval.to_lines(listed)
            spoken = speak_all(
                self._synthesizer(), lines, self.folder, seed=options.seed, verify=options.verify
            )
        return listed_sections(
            spoken,
            self.folder,
            judges,
            tokenizer=self._find_tokenizer(),
            generator=self.draw,
        )

    def _synthesizer(self) -> ZeroShotTTS:
        if self.tts is None:
            self.tts = engine.load_tts(self.options, language=self.options.language)
        return self.tts

    def _tokenizer(self) -> AudioTokenizer:
        """The codec that was asked for, else the model's."""
        if self.tokenizer_name is None and self.tts is None:
            self._synthesizer()
        tokenizer = self._find_tokenizer()
        if tokenizer is None:
            raise UserError(
                f"the model {self.options.model!r} has no single tokenizer; name one: --tokenizer"
            )
        return tokenizer

    def _find_tokenizer(self) -> AudioTokenizer | None:
        """Whoever only hands in sounds need not have a codec."""
        if self.tokenizer_name is not None:
            return engine.load_tokenizer(self.tokenizer_name, self.options)
        return None if self.tts is None else self.tts.synthesizer.tokenizer

    def _subject(self) -> str:
        """Name of what is evaluated."""
        if self.tts is not None:
            return self.tts.synthesizer.settings.name
        return str(self.options.speech or self.tokenizer_name or self.options.model)
