"""The tables of a report: speech, what real voices reach, each part alone, speed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from uslm.evaluation.bootstrap import Estimate, estimate
from uslm.evaluation.report import Section
from uslm.evaluation.scores import Judges, Sample, Scores, judge, summarize
from uslm.evaluation.similarity import SpeakerModel, cosine, impostors
from uslm.pipeline.tts import ZeroShotTTS
from uslm_recipes.data.sources import Recording
from uslm_recipes.evaluating.held_out import VoiceChoice, listen
from uslm_recipes.evaluating.parts import codec_alone, phoneme_errors, stage2_alone
from uslm_recipes.evaluating.speaking import STAGES, Spoken, waveform_at
from uslm_tokenizer.audio import resample

JUDGE_RATE = 16_000
"""Samples a second that all judges listen at, Hz."""
STAGE_WORDS = {
    "frontend": "text to phonemes",
    "semantic": "stage 1: phonemes to units",
    "acoustic": "stage 2: units to codes",
    "decode": "codes to samples",
    "verify": "listening",
}


@dataclass(frozen=True)
class Listener:
    """The judges, and where the bootstrap draws from."""

    judges: Judges
    generator: torch.Generator

    def embed(self, waveform: torch.Tensor) -> torch.Tensor | None:
        """The voice of a waveform [n], if a speaker model is there."""
        model = self.judges.speaker_model
        return None if model is None else model(waveform)

    def summarize(self, scores: Sequence[Scores]) -> dict[str, Estimate]:
        """See uslm.evaluation.scores."""
        return summarize(scores, self.generator)


def speech_section(
    spoken: Sequence[Spoken], folder: Path, listener: Listener
) -> tuple[Section, list[dict[str, Any]]]:
    """Scores of what was spoken, all and by voice; and every utterance by itself."""
    prompts = {s.prompt: waveform_at(folder / s.prompt, JUDGE_RATE) for s in spoken}
    voices = {name: listener.embed(waveform) for name, waveform in prompts.items()}
    samples = [
        Sample(
            name=each.audio,
            waveform=waveform_at(folder / each.audio, JUDGE_RATE),
            text=each.text,
            voice=voices[each.prompt],
        )
        for each in spoken
    ]
    scores = judge(samples, listener.judges)
    by_speaker: defaultdict[str, list[Scores]] = defaultdict(list)
    for each, score in zip(spoken, scores, strict=True):
        by_speaker[each.speaker].append(score)
    rows = {"all": listener.summarize(scores)}
    rows |= {f"voice {name}": listener.summarize(row) for name, row in by_speaker.items()}
    note = (
        f"{len(samples)} utterances, {sum(s.seconds for s in spoken):.0f} s, "
        f"{len(by_speaker)} voices. The speaker cosine is to the prompt."
    )
    failed = sum(bool(each.error) for each in spoken)
    note += f" {failed} of them failed and are silent." if failed else ""
    section = Section(title="Speech from text, in unseen voices", note=note, rows=rows)
    utterances = [_utterance(*pair) for pair in zip(spoken, scores, strict=True)]
    return section, utterances


def _utterance(spoken: Spoken, score: Scores) -> dict[str, Any]:
    return {
        "audio": spoken.audio,
        "speaker": spoken.speaker,
        "text": spoken.text,
        "reference": score.words.reference,
        "heard": score.words.hypothesis,
        "wer": round(score.words.wer, 4),
        **{name: round(value, 4) for name, value in score.values.items()},
        "seed": spoken.seed,
        "seconds": round(spoken.seconds, 3),
        "stop_reasons": list(spoken.stop_reasons),
        "attempts": spoken.attempts,
        **({"error": spoken.error} if spoken.error else {}),
    }


def voices_section(
    pairs: Sequence[tuple[Recording, Recording]],
    voices: Sequence[VoiceChoice],
    speaker_model: SpeakerModel,
    generator: torch.Generator,
) -> Section:
    """What real voices reach: one speaker against himself, and against others."""
    embedded = [
        tuple(speaker_model(listen(r, JUDGE_RATE).waveform[0]) for r in pair) for pair in pairs
    ]
    prompts = {v.speaker: speaker_model(listen(v.prompt, JUDGE_RATE).waveform[0]) for v in voices}
    others = prompts | {pair[0].speaker: e[0] for pair, e in zip(pairs, embedded, strict=True)}
    means, nearest = [], []
    for speaker, prompt in prompts.items():
        strangers = [voice for name, voice in others.items() if name != speaker]
        if strangers:
            mean, most = impostors(prompt, strangers)
            means.append(mean)
            nearest.append(most)
    rows = {}
    if embedded:
        same = [cosine(first, second) for first, second in embedded]
        rows["same speaker, another recording"] = {"cosine": estimate(same, generator=generator)}
    if means:
        rows["other speakers"] = {"cosine": estimate(means, generator=generator)}
        rows[f"nearest of {len(others) - 1} other speakers"] = {
            "cosine": estimate(nearest, generator=generator)
        }
    return Section(
        title="What real voices reach",
        note="Speaker cosine between recordings of people: the ceiling and the floor for speech.",
        rows=rows,
    )


def parts_sections(
    tts: ZeroShotTTS,
    clips: Mapping[str, Sequence[Recording]],
    voices: Sequence[VoiceChoice],
    listener: Listener,
    seed: int,
) -> dict[str, Section]:
    """Codec alone, stage 2 from true units, units alone, on held-out recordings by source."""
    bundle, rate = tts.bundle, tts.sample_rate
    prompts = [tts.create_voice(listen(v.prompt, rate), v.prompt.text or None) for v in voices]
    vectors = [listener.embed(listen(v.prompt, JUDGE_RATE).waveform[0]) for v in voices]
    rows: dict[str, dict[str, Estimate]] = {}
    unit_rows: dict[str, dict[str, Estimate]] = {}
    for source, recordings in clips.items():
        real, coded, revoiced, errors = [], [], [], []
        for i, recording in enumerate(recordings):
            waveform = listen(recording, rate).waveform
            phonemes = tts.frontend(recording.text)
            heard = _at_judges(waveform, rate)
            vector, place = listener.embed(heard), i % len(prompts)
            name, text = recording.id, recording.text
            real.append(Sample(name=name, waveform=heard, text=text))
            again = _at_judges(codec_alone(bundle.tokenizer, waveform), rate)
            coded.append(Sample(name=name, waveform=again, text=text, voice=vector))
            draw = torch.Generator().manual_seed(seed + i)
            other = stage2_alone(bundle, waveform, phonemes.text_ids, prompts[place], draw)
            revoiced.append(
                Sample(
                    name=name,
                    waveform=_at_judges(other, rate),
                    text=text,
                    voice=vectors[place],
                )
            )
            errors.append(phoneme_errors(bundle.tokenizer, waveform, bundle.phoneme_ids(phonemes)))
        steps = (
            ("recordings as they are", real),
            ("codec alone", coded),
            ("stage 2 from true units", revoiced),
        )
        for words, samples in steps:
            rows[f"{source}: {words}"] = listener.summarize(judge(samples, listener.judges))
        wrong, of = zip(*errors, strict=True)
        per = estimate(wrong, of, generator=listener.generator)
        unit_rows[source] = {"per": per}
    return {
        "parts": Section(
            title="Each part alone",
            note=(
                "Held-out recordings, by source. Codec alone: encoded and decoded; the cosine is "
                "to the recording. Stage 2 from true units: the units of the recording spoken in "
                "another voice; the cosine is to that voice's prompt."
            ),
            rows=rows,
        ),
        "units": Section(
            title="Units alone",
            note="Phonemes that the recogniser on the units gets wrong, on the same recordings.",
            rows=unit_rows,
        ),
    }


def speed_section(spoken: Sequence[Spoken], generator: torch.Generator) -> Section:
    """Seconds of work for each second of speech; below 1 is faster than speaking."""
    done = [each for each in spoken if each.timings]
    seconds = [each.seconds for each in done]

    def factor(stage: str) -> Estimate:
        return estimate([s.timings[stage] for s in done], seconds, generator=generator)

    rows: dict[str, dict[str, Estimate]] = {}
    if done:
        first = estimate([s.timings["first_audio"] for s in done], generator=generator)
        rows["all"] = {"real_time_factor": factor("total"), "first_audio": first}
        for stage in STAGES:
            if any(each.timings[stage] for each in done):
                rows[STAGE_WORDS[stage]] = {"real_time_factor": factor(stage)}
    return Section(
        title="Speed",
        note="Real-time factor: seconds of work for a second of speech, one utterance at a time.",
        rows=rows,
    )


def _at_judges(waveform: torch.Tensor, sample_rate: int) -> torch.Tensor:
    return resample(waveform, sample_rate, JUDGE_RATE)[0]
