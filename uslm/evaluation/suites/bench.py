"""One bench for every tokenizer: the same speech, the same budgets, the same seeds.

speech = read_manifest("speech.jsonl", num_train=QUICK.num_train, num_test=QUICK.num_test)
sections = run_bench({"units": units, "codec": codec}, speech, QUICK)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from uslm.evaluation.metrics.bootstrap import Estimate, estimate
from uslm.evaluation.metrics.scores import Judges
from uslm.evaluation.report.report import Section
from uslm.evaluation.suites.alignment import Alignment, align_text
from uslm.evaluation.suites.baseline import permuted
from uslm.evaluation.suites.bench_config import BenchConfig
from uslm.evaluation.suites.bench_sections import empty_sections
from uslm.evaluation.suites.compression import (
    ROUND_TRIPS,
    WAYS,
    code_vectors,
    compressor,
    kept_frames,
)
from uslm.evaluation.suites.downstream import (
    ProbeErrors,
    chance,
    probe_label,
    probe_phonemes,
    split_by_label,
)
from uslm.evaluation.suites.encoded import EncodedSet, encode_set
from uslm.evaluation.suites.preservation import preserve
from uslm.evaluation.suites.probe import Compressor
from uslm.evaluation.suites.robustness import ALTERATIONS, token_changes
from uslm.evaluation.suites.speech_set import SpeechSet, label_kinds
from uslm.evaluation.suites.stream import bits_per_second, predict_stream
from uslm.evaluation.suites.unit_vocoder import train_vocoder
from uslm.evaluation.suites.use import code_use
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import EnvironmentProblem, UserError

Say = Callable[[str], Any]
Values = dict[str, list[tuple[Sequence[float | int], Sequence[float | int]]]]
"""Of each measure, for each seed: totals and sizes of the utterances."""


def run_bench(
    tokenizers: Mapping[str, AudioTokenizer],
    speech: SpeechSet,
    config: BenchConfig,
    *,
    judges: Judges | None = None,
    say: Say = lambda words: None,
) -> dict[str, Section]:
    """All suites over all tokenizers; what a set has no labels for is left out and said so."""
    bench = _Bench(speech, config, judges, say)
    for name, tokenizer in tokenizers.items():
        say(f"{name}: encoding")
        encoded = encode_set(name, tokenizer, speech)
        bench.add_use(encoded)
        for suite in config.suites:
            say(f"{name}: {suite}")
            getattr(bench, f"add_{suite}")(encoded, tokenizer)
    return {key: section for key, section in bench.sections.items() if section.rows}


class _Bench:
    def __init__(
        self, speech: SpeechSet, config: BenchConfig, judges: Judges | None, say: Say
    ) -> None:
        self.speech, self.config, self.judges, self.say = speech, config, judges, say
        self.kinds = label_kinds(speech)
        self.decoded = speech.test[: config.num_decoded]
        self.has_times = all(
            any(each.segments for each in rows) for rows in (speech.train, speech.test)
        )
        self.has_phonemes = any(each.phonemes for each in speech.train)
        self.sections = empty_sections(len(config.seeds), config.num_decoded, config.probe)

    def add_use(self, encoded: EncodedSet) -> None:
        for label, row in code_use(encoded).items():
            self._row("use", label, row)

    def add_alignment(self, encoded: EncodedSet, tokenizer: AudioTokenizer) -> None:
        if not self.has_phonemes:
            return
        more = encoded.single() if self.config.each_codebook else ()
        for codebooks in (*encoded.ranges(), *more):
            part = encoded.of(codebooks)
            self._aligned(part.name, part)
        if self.config.controls:
            part = encoded.of(encoded.ranges()[0])
            self._aligned(f"{part.name}: other text", part, shuffle_text=True)
            mixed = permuted(part, torch.Generator().manual_seed(0))
            self._aligned(f"{part.name}: codebook permuted", mixed)

    def _aligned(self, label: str, part: EncodedSet, shuffle_text: bool = False) -> None:
        found = [
            align_text(part, self.config.probe, seed=seed, shuffle_text=shuffle_text)
            for seed in self.config.seeds
        ]
        self._seeds("alignment", label, _alignment_values(found))

    def add_preservation(self, encoded: EncodedSet, tokenizer: AudioTokenizer) -> None:
        label, decode = encoded.name, None
        if not tokenizer.can_decode:
            label = f"{encoded.name}, through a unit vocoder"
            decode = train_vocoder(
                encoded.train,
                codebook_size=encoded.codebook_size,
                sample_rate=tokenizer.sample_rate,
                hop_length=tokenizer.hop_length,
                steps=self.config.vocoder_steps,
                seed=self.config.seeds[0],
            )
        row = preserve(tokenizer, self.decoded, self.judges, generator=self._draw(), decode=decode)
        self._row("preservation", label, row)

    def add_stream(self, encoded: EncodedSet, tokenizer: AudioTokenizer) -> None:
        rate = encoded.frame_rate
        for codebooks in encoded.ranges()[:2]:
            part = encoded.of(codebooks)
            found = [
                predict_stream(part, self.config.probe, seed=seed) for seed in self.config.seeds
            ]
            saved = [
                [
                    bits_per_second(unigram - own, 1.0)
                    for unigram, own in zip(each.unigram, each.cross_entropy, strict=True)
                ]
                for each in found
            ]
            rates = [[bits_per_second(c, rate) for c in x.cross_entropy] for x in found]
            frames = [x.frames for x in found]
            self._seeds(
                "stream",
                part.name,
                {
                    "predictability": list(zip(saved, frames, strict=True)),
                    "language_model_rate": list(zip(rates, frames, strict=True)),
                },
            )

    def add_probes(self, encoded: EncodedSet, tokenizer: AudioTokenizer) -> None:
        seeds, probe = self.config.seeds, self.config.probe
        for codebooks in encoded.ranges():
            part = encoded.of(codebooks)
            if self.has_times:
                found = [probe_phonemes(part, probe, seed=seed) for seed in seeds]
                self._seeds("phonemes", part.name, {"frame_errors": _errors(found)})
            for kind in self._known(part):
                found = [probe_label(part, kind, probe, seed=seed) for seed in seeds]
                label = f"{part.name}: {kind}"
                self._seeds("labels", label, {"label_errors": _errors(found)})
                rows = self.sections["labels"].rows[label]
                line = {**rows, "chance": _fact(chance([*part.train, *part.test], kind))}
                self._row("labels", label, line)
        if self.has_times:
            self._learning(encoded)

    def _learning(self, encoded: EncodedSet) -> None:
        first = encoded.of(encoded.ranges()[0])
        points = []
        for share in self.config.shares:
            found = [
                probe_phonemes(first, self.config.probe, seed=seed, share=share)
                for seed in self.config.seeds
            ]
            points.append((share, self._over_seeds(_errors(found))))
        title = "Frames with a wrong phoneme, by the share of the training utterances"
        self._curve("phonemes", title, first.name, points)

    def add_robustness(self, encoded: EncodedSet, tokenizer: AudioTokenizer) -> None:
        for name, alteration in ALTERATIONS.items():
            try:
                found = [
                    token_changes(tokenizer, self.decoded, alteration, seed=seed)
                    for seed in (self.config.seeds if name == "noise" else self.config.seeds[:1])
                ]
            except EnvironmentProblem as problem:
                self.say(f"{name} is left out: {problem}")
                continue
            self._seeds("robustness", f"{encoded.name}: {name}", {"token_changes": _errors(found)})

    def add_compression(self, encoded: EncodedSet, tokenizer: AudioTokenizer) -> None:
        # Of phonemes where their times are known; of speakers, always or in place of them.
        first, probe = encoded.of(encoded.ranges()[0]), self.config.probe
        asked = self.config.compressed_labels or not self.has_times
        speaker = asked and "speaker" in self._known(first)
        guide = code_vectors(first)

        def make(way: str, kept: float, seed: int) -> Compressor:
            return compressor(way, kept, guide, probe, seed=seed)

        for way in WAYS:
            frames, voices = [], []
            for kept in self.config.ratios:
                label = f"{first.name}: {way}, 1/{1 / kept:g}"
                measured: Values = {}
                if self.has_times:
                    found = [
                        probe_phonemes(first, probe, seed=s, compressor=make(way, kept, s))
                        for s in self.config.seeds
                    ]
                    measured["frame_errors"] = _errors(found)
                    frames.append((kept, self._over_seeds(measured["frame_errors"])))
                if speaker:
                    found = [
                        probe_label(first, "speaker", probe, seed=s, compressor=make(way, kept, s))
                        for s in self.config.seeds
                    ]
                    measured["label_errors"] = _errors(found)
                    voices.append((kept, self._over_seeds(measured["label_errors"])))
                if measured:
                    self._seeds("compression", label, measured)
            for what, points in (
                ("Frames with a wrong phoneme", frames),
                ("Wrong speaker", voices),
            ):
                if points:
                    title = f"{what}, by kept share of the tokens: {first.name}"
                    self._curve("compression", title, way, points)
            if tokenizer.can_decode and way in ROUND_TRIPS:
                self._round_trip(encoded, tokenizer, way, make)

    def _round_trip(
        self,
        encoded: EncodedSet,
        tokenizer: AudioTokenizer,
        way: str,
        make: Callable[[str, float, int], Compressor],
    ) -> None:
        """Decoded tokens after a compression, against the recordings."""
        points = []
        for kept in self.config.ratios:
            compress = make(way, kept, 0)

            def decode(codes: Tensor, compress: Compressor = compress) -> Tensor:
                places = kept_frames(compress, codes[0])
                return tokenizer.decode(codes[..., places].to(tokenizer.device)).cpu()

            row = preserve(tokenizer, self.decoded, None, generator=self._draw(), decode=decode)
            label = f"{encoded.name}: {way}, 1/{1 / kept:g}, decoded"
            self._row("compression", label, {"mel_distance": row["mel_distance"]})
            points.append((kept, row["mel_distance"]))
        title = f"Mel distance after the round trip, by kept share of the tokens: {encoded.name}"
        self._curve("compression", title, way, points)

    def _known(self, encoded: EncodedSet) -> list[str]:
        """Kinds of labels that have the utterances for a probe."""
        known = []
        for kind in self.kinds:
            try:
                split_by_label([*encoded.train, *encoded.test], kind)
            except UserError:
                continue
            known.append(kind)
        return known

    def _seeds(self, key: str, label: str, values: Values) -> None:
        section = self.sections[key]
        self._row(key, label, {name: self._over_seeds(each) for name, each in values.items()})
        by_seed = {
            name: [sum(totals) / max(sum(sizes), 1e-9) for totals, sizes in each]
            for name, each in values.items()
        }
        self.sections[key] = replace(
            self.sections[key], by_seed={**section.by_seed, label: by_seed}
        )

    def _row(self, key: str, label: str, row: Mapping[str, Estimate]) -> None:
        section = self.sections[key]
        self.sections[key] = replace(section, rows={**section.rows, label: row})

    def _curve(
        self, key: str, title: str, line: str, points: Sequence[tuple[float, Estimate]]
    ) -> None:
        section = self.sections[key]
        lines = {**section.curves.get(title, {}), line: points}
        self.sections[key] = replace(section, curves={**section.curves, title: lines})

    def _over_seeds(
        self, each: list[tuple[Sequence[float | int], Sequence[float | int]]]
    ) -> Estimate:
        return over_seeds(each, generator=self._draw())

    @staticmethod
    def _draw() -> torch.Generator:
        return torch.Generator().manual_seed(0)


def over_seeds(
    each: Sequence[tuple[Sequence[float | int], Sequence[float | int]]],
    *,
    generator: torch.Generator,
) -> Estimate:
    """The mean over seeds, with an interval over utterances: those of one seed are the same
    utterances as those of another, so their totals are added before anything is drawn."""
    totals = [sum(column) for column in zip(*(t for t, _ in each), strict=True)]
    sizes = [sum(column) for column in zip(*(s for _, s in each), strict=True)]
    kept = [(t, s) for t, s in zip(totals, sizes, strict=True) if s > 0]
    return estimate([t for t, _ in kept], [s for _, s in kept], generator=generator)


def _errors(
    found: Sequence[ProbeErrors],
) -> list[tuple[Sequence[float | int], Sequence[float | int]]]:
    return [(each.errors, each.questions) for each in found]


def _alignment_values(found: Sequence[Alignment]) -> Values:
    return {
        "information": [(each.information, each.phonemes) for each in found],
        "information_lower": [(each.lower, [1] * len(each.lower)) for each in found],
        "phoneme_errors": [(each.errors, each.phonemes) for each in found],
    }


def _fact(value: float) -> Estimate:
    return Estimate(value=value, low=value, high=value, count=1)
