"""From a recording to its text alone: what each part of a model costs, in the speaker's own voice.

Every row says the same sentences in the same voices, and is given less than the row before it, so
that the difference of two rows is what one part does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from uslm.evaluation.metrics.bootstrap import Estimate
from uslm.evaluation.metrics.scores import Sample, judge
from uslm.evaluation.report.report import Section
from uslm.evaluation.suites.codec import resynthesize
from uslm.evaluation.suites.sections import JUDGE_RATE, Scorer, at_judges
from uslm.models.base import PitchedModel
from uslm.systems.two_stage.bundle import Bundle, bundle_of
from uslm.tts import ZeroShotTTS
from uslm_recipes.data.recording import Recording
from uslm_recipes.evaluating.held_out import (
    MIN_WORDS,
    is_held_out,
    length,
    read_recording,
    shuffled,
)
from uslm_recipes.evaluating.stage_errors import drawn_pitches, stage2_alone
from uslm_tokenizer.codecs.source_filter.model import SourceFilterCodec

MIN_SECONDS, MAX_SECONDS = 2.0, 10.0
"""Length of what is said again, and of the prompts."""
RECORDINGS = "recordings as they are"
VECTORS = "decoder, from true vectors"
CODES = "decoder, from true codes"
PITCHES = "stage 2, from true units and pitch"
UNITS = "stage 2, from true units, pitch drawn by stage 1"
TEXT = "both stages, from the text"


def choose_pairs(
    recordings: Iterable[Recording],
    count: int,
    *,
    sources: Sequence[str] | None,
    generator: torch.Generator,
) -> list[tuple[Recording, Recording]]:
    """Held-out recordings with a text, and of each another recording of its speaker, the prompt;
    as many of every speaker as can be, and of no sentence two."""
    by_speaker: defaultdict[str, list[Recording]] = defaultdict(list)
    for recording in recordings:
        wanted = sources is None or recording.source in sources
        if wanted and recording.text and is_held_out(recording):
            by_speaker[recording.speaker].append(recording)
    rounds: list[tuple[int, Recording, Recording]] = []
    for speaker in shuffled(sorted(by_speaker), generator):
        found = [r for r in by_speaker[speaker] if MIN_SECONDS <= length(r) <= MAX_SECONDS]
        found = shuffled(found, generator)
        pairs = zip(found, found[1:] + found[:1], strict=True)
        said = [pair for pair in pairs if len(pair[0].text.split()) >= MIN_WORDS]
        if len(found) > 1:
            rounds += [(number, *pair) for number, pair in enumerate(said)]
    chosen: dict[str, tuple[Recording, Recording]] = {}
    for _, spoken, prompt in sorted(rounds, key=lambda each: each[0]):
        chosen.setdefault(spoken.text, (spoken, prompt))
    return list(chosen.values())[:count]


def own_voice_section(
    tts: ZeroShotTTS, pairs: Sequence[tuple[Recording, Recording]], scorer: Scorer, seed: int
) -> Section:
    """Section of the rows above; of a model that draws no pitch, or has another codec, the rows
    that it cannot have are left out."""
    samples: defaultdict[str, list[Sample]] = defaultdict(list)
    for number, (recording, prompt) in enumerate(pairs):
        waveform = read_recording(recording, tts.sample_rate).waveform
        vector = scorer.embed(read_recording(recording, JUDGE_RATE).waveform[0])
        for row, made in _every_way(tts, recording.text, waveform, prompt, seed + number).items():
            sample = Sample(
                name=recording.id,
                waveform=at_judges(made, tts.sample_rate),
                text=recording.text,
                voices={} if vector is None or row == RECORDINGS else {"cosine": vector},
            )
            samples[row].append(sample)
    rows: dict[str, dict[str, Estimate]] = {
        row: scorer.summarize(judge(each, scorer.judges)) for row, each in samples.items()
    }
    speakers = len({recording.speaker for recording, _ in pairs})
    return Section(
        title="From the recording to its text, a part at a time",
        note=(
            f"{len(pairs)} held-out recordings of {speakers} speakers, made again in their own "
            "voices, from prompts of the same speakers: each row is given less than the one "
            "before. The cosine is to the recording."
        ),
        rows=rows,
    )


def _every_way(
    tts: ZeroShotTTS,
    text: str,
    waveform: Float[Tensor, "1 n"],
    prompt: Recording,
    seed: int,
) -> dict[str, Float[Tensor, "1 _n"]]:
    """The same sentence by each row's way."""
    bundle = bundle_of(tts.synthesizer)
    voice = tts.create_voice(read_recording(prompt, tts.sample_rate), prompt.text or None)
    text_ids = tts.frontend(text).text_ids

    def draw() -> torch.Generator:
        return torch.Generator().manual_seed(seed)

    made = {RECORDINGS: waveform}
    if isinstance(bundle.tokenizer, SourceFilterCodec):
        made[VECTORS] = from_vectors(bundle.tokenizer, waveform)
    made[CODES] = resynthesize(bundle.tokenizer, waveform)
    made[PITCHES] = stage2_alone(bundle, waveform, text_ids, voice, draw())
    if _draws_pitch(bundle):
        pitches = drawn_pitches(bundle, waveform, text_ids, voice, draw())
        made[UNITS] = stage2_alone(bundle, waveform, text_ids, voice, draw(), pitches)
    made[TEXT] = tts.generate(text, voice, seed=seed).waveform
    return made


@torch.no_grad()
def from_vectors(codec: SourceFilterCodec, waveform: Float[Tensor, "1 n"]) -> Float[Tensor, "1 _n"]:
    """The codec's decoder on what its encoder finds, before codes are made of it."""
    features = codec.features(waveform[None].to(codec.device))
    num_frames = features.latents.shape[1]
    made = codec.decoder.window_of(features.latents, features.f0, 0, num_frames)
    return made[0, :, : waveform.shape[-1]].cpu().clamp(-1, 1)


def _draws_pitch(bundle: Bundle) -> bool:
    model = bundle.semantic
    return (
        isinstance(model, PitchedModel)
        and model.num_pitches > 0
        and bundle.pitch_codebook is not None
    )
