"""Speech that effects are measured on: whole speakers of a prepared corpus, with phoneme times."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from uslm.evaluation.suites.speech_set import (
    SAMPLE_RATE,
    LabelledSpeech,
    Segment,
    SpeechSet,
    to_segments,
    to_symbols,
)
from uslm.text.vocab import PhonemeVocab
from uslm_recipes.commands.prepare import PrepareConfig, prepare
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.sources.manifest import read_manifest
from uslm_recipes.data.word_times import words_of
from uslm_tokenizer.audio.write import write_audio
from uslm_tokenizer.errors import UserError


def corpus_speech(
    folder: Path, *, num_train: int, num_test: int, max_seconds: float, seed: int = 0
) -> SpeechSet:
    """Utterances whose phoneme durations are known, speaker after speaker in a random order.

    The corpus says which speakers are for tests. UserError if it has none for a purpose.
    """
    corpus = Corpus.open(folder)
    if corpus.sample_rate != SAMPLE_RATE:
        raise UserError(f"a corpus must have {SAMPLE_RATE} Hz, but {folder} has another rate")
    speakers = sorted(set(corpus.speakers))
    order = torch.randperm(len(speakers), generator=torch.Generator().manual_seed(seed)).tolist()
    by_speaker: dict[str, list[int]] = {}
    for index in corpus.select(min_seconds=1.2, max_seconds=max_seconds).tolist():
        if corpus.utterances[index].durations is not None:
            by_speaker.setdefault(corpus.speakers[index], []).append(index)
    wanted = {"train": num_train, "test": num_test}
    found: dict[str, list[LabelledSpeech]] = {"train": [], "test": []}
    for index in (i for place in order for i in by_speaker.get(speakers[place], [])):
        split = found[corpus.utterances[index].split]
        if len(split) < wanted[corpus.utterances[index].split]:
            split.append(_speech(corpus, index))
    for split_name, rows in found.items():
        if not rows:
            raise UserError(f"{folder} has no utterances with durations to {split_name} with")
    return SpeechSet(train=tuple(found["train"]), test=tuple(found["test"]))


def write_corpus(speech: SpeechSet, folder: Path) -> Path:
    """The corpus folder of some speech, whose phonemes are one letter each."""
    rows, sounds = [], folder.with_name(f"{folder.name}_sounds")
    sounds.mkdir(parents=True)
    for split in ("train", "test"):
        for number, each in enumerate(getattr(speech, split)):
            write_audio(sounds / f"{split}{number}.wav", 0.5 * each.waveform, SAMPLE_RATE)
            times = [segment.end - segment.start for segment in each.segments]
            row = {
                "audio": f"{split}{number}.wav", "speaker": each.labels["speaker"],
                "split": split, "phonemes": "".join(each.phonemes),
                "durations": [*times, each.seconds - each.segments[-1].end],
            }  # fmt: skip
            rows.append(json.dumps(row))
    (sounds / "manifest.jsonl").write_text("\n".join(rows), "utf-8")
    prepare(read_manifest(sounds / "manifest.jsonl"), folder, PrepareConfig(num_workers=0))
    return folder


def _speech(corpus: Corpus, index: int) -> LabelledSpeech:
    row = corpus.utterances[index]
    assert row.durations is not None
    phonemes = PhonemeVocab().decode(row.text_ids)  # these are what the durations are of
    return LabelledSpeech(
        name=row.id,
        waveform=corpus.waveform(index)[None],
        text=row.text,
        phonemes=to_symbols(phonemes),
        segments=to_segments(phonemes, row.durations),
        words=tuple(
            Segment(symbol=word.lower().strip(".,;:!?\"'()"), start=start, end=end)
            for word, start, end in words_of(corpus, index, None)
        ),
        labels={"speaker": row.speaker, "language": row.language},
    )
