"""The tables about a model of ours alone: what real voices reach, and each part by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from uslm.evaluation.metrics.bootstrap import Estimate, estimate
from uslm.evaluation.metrics.scores import Sample, judge
from uslm.evaluation.metrics.similarity import SpeakerModel, cosine, impostors
from uslm.evaluation.report.report import Section
from uslm.evaluation.suites.codec import resynthesize
from uslm.evaluation.suites.sections import JUDGE_RATE, Scorer, at_judges
from uslm.systems.two_stage.bundle import bundle_of
from uslm.tts import ZeroShotTTS
from uslm_recipes.data.recording import Recording
from uslm_recipes.evaluating.held_out import VoiceChoice, read_recording
from uslm_recipes.evaluating.stage_errors import phoneme_errors, stage2_alone


def voices_section(
    pairs: Sequence[tuple[Recording, Recording]],
    voices: Sequence[VoiceChoice],
    speaker_model: SpeakerModel,
    generator: torch.Generator,
) -> Section:
    """Section of what real voices reach: one speaker against himself, and against others."""
    embedded = [
        tuple(speaker_model(read_recording(r, JUDGE_RATE).waveform[0]) for r in pair)
        for pair in pairs
    ]
    prompts = {
        v.speaker: speaker_model(read_recording(v.prompt, JUDGE_RATE).waveform[0]) for v in voices
    }
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
    scorer: Scorer,
    seed: int,
) -> dict[str, Section]:
    """Codec alone, stage 2 from true units, units alone, on held-out recordings by source."""
    bundle, rate = bundle_of(tts.synthesizer), tts.sample_rate
    prompts = [
        tts.create_voice(read_recording(v.prompt, rate), v.prompt.text or None) for v in voices
    ]
    vectors = [scorer.embed(read_recording(v.prompt, JUDGE_RATE).waveform[0]) for v in voices]
    rows: dict[str, dict[str, Estimate]] = {}
    unit_rows: dict[str, dict[str, Estimate]] = {}
    for source, recordings in clips.items():
        real, coded, converted, errors = [], [], [], []
        for i, recording in enumerate(recordings):
            waveform = read_recording(recording, rate).waveform
            phonemes = tts.frontend(recording.text)
            judged = at_judges(waveform, rate)
            vector, place = scorer.embed(judged), i % len(prompts)
            name, text = recording.id, recording.text
            real.append(Sample(name=name, waveform=judged, text=text))
            again = at_judges(resynthesize(bundle.tokenizer, waveform), rate)
            coded.append(Sample(name=name, waveform=again, text=text, voices=_likeness(vector)))
            draw = torch.Generator().manual_seed(seed + i)
            other = stage2_alone(bundle, waveform, phonemes.text_ids, prompts[place], draw)
            converted.append(
                Sample(
                    name=name,
                    waveform=at_judges(other, rate),
                    text=text,
                    voices=_likeness(vectors[place]),
                )
            )
            errors.append(phoneme_errors(bundle.tokenizer, waveform, bundle.phoneme_ids(phonemes)))
        steps = (
            ("recordings as they are", real),
            ("codec alone", coded),
            ("stage 2 from true units", converted),
        )
        for words, samples in steps:
            rows[f"{source}: {words}"] = scorer.summarize(judge(samples, scorer.judges))
        wrong, of = zip(*errors, strict=True)
        per = estimate(wrong, of, generator=scorer.generator)
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


def _likeness(vector: torch.Tensor | None) -> dict[str, torch.Tensor]:
    return {} if vector is None else {"cosine": vector}
