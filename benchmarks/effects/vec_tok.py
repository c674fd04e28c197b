"""Effects: an utterance's mean holds the voice; off, back and replaced (Vec-Tok)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import torch
from effect import Effect, Measured, Setting
from effect_codec import FRAME_RATE, phoneme_errors, seeded
from effect_told import speaker_told
from torch import Tensor

from uslm.evaluation.suites.baseline import MelUnits, MelUnitsConfig
from uslm.evaluation.suites.downstream import probe_label
from uslm.evaluation.suites.encoded import EncodedSet, EncodedSpeech
from uslm.evaluation.suites.probe import ProbeConfig
from uslm.evaluation.suites.speech_set import LabelledSpeech, SpeechSet
from uslm.systems.vec_tok.model import InverseKMeans, InverseKMeansConfig
from uslm_tokenizer.codecs.kmeans_units.speaker_mean import less_mean, replace_mean, utterance_mean
from uslm_tokenizer.nn.padding import pad_right
from uslm_tokenizer.quantize import kmeans

MELS, SIZE, ROWS, PROMPT = 40, 100, 12, 40
"""Mel bands; centroids; rows of a step; frames of a prompt."""
OFF = ("mean taken off", "as they are", "another speaker's mean taken off")
BACK = ("prompt of the speaker", "no prompt", "prompt of another speaker")
HIDDEN = ("mean replaced", "as they are", "mean of another utterance of the speaker")
Vectors = Sequence[Tensor]


def run_voice(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Share of the speaker that one unit tells."""
    found = {}
    for arm, units in _units(setting.speech, seed, setting.broken).items():
        found[arm] = speaker_told(units)
    return found


def run_content(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Phonemes that a probe reads off the same units."""
    units = _units(setting.speech, seed, None)
    return {arm: phoneme_errors(each, setting, seed) for arm, each in units.items()}


def run_back(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Distance of the vectors that come back from the true ones."""
    speech, steps = setting.speech, setting.steps(300, 2000)
    train, test = _vectors(speech)
    centroids = _centroids([_less(x) for x in train], seed)
    config = InverseKMeansConfig(
        codebook_size=SIZE, feature_dim=MELS, dim=64, num_heads=4, num_layers=2
    )
    found = {}
    for arm in BACK:
        model: InverseKMeans = seeded(seed, lambda: InverseKMeans(config)).train()
        model.centroids.copy_(centroids)
        optimizer, draw = torch.optim.AdamW(model.parameters(), 2e-3), _draw(seed)
        cut = arm == "no prompt" or (setting.broken == "prompt cut off" and arm == BACK[0])
        for _ in range(steps):
            picks = torch.randint(len(train), (ROWS,), generator=draw).tolist()
            others = torch.randint(len(train), (ROWS,), generator=draw).tolist()
            rows = [train[i] for i in picks]
            prompts = [train[i] for i in others] if arm == BACK[2] else rows
            loss = _back(model, rows, prompts, centroids, draw, cut=cut)[0]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found[arm] = _distances(model.eval(), test, speech.test, centroids, arm, cut)
    return found


def _distances(
    model: InverseKMeans,
    vectors: Vectors,
    speech: Sequence[LabelledSpeech],
    centroids: Tensor,
    arm: str,
    cut: bool,
) -> Measured:
    totals, sizes = [], []
    for place, x in enumerate(vectors):
        other = _other(place, speech, same=False)
        prompt = vectors[other] if arm == BACK[2] else x
        with torch.no_grad():
            _, made, wanted = _back(model, [x], [prompt], centroids, None, cut=cut)
        totals.append(float((made - wanted).square().mean(1).sum()))
        sizes.append(float(len(wanted)))
    return Measured(totals=tuple(totals), sizes=tuple(sizes))


def _back(
    model: InverseKMeans,
    rows: Vectors,
    prompts: Vectors,
    centroids: Tensor,
    draw: torch.Generator | None,
    *,
    cut: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss, vectors and their targets: the frames after PROMPT, the first of which prompt."""
    target, mask = pad_right([x[PROMPT:] for x in rows])
    units, _ = pad_right([_encode(_less(x), centroids)[PROMPT:] for x in rows])
    prompt = torch.stack([x[:PROMPT] for x in prompts])
    prompt = prompt[:, :0] if cut else prompt
    real = torch.ones(prompt.shape[:2], dtype=torch.bool)
    made = model(units, mask, prompt, real, draw)
    return model.loss(made, target, mask), made[mask], target[mask]


def run_hidden(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Speakers that a probe reads off units of the vectors, as they are and with other means."""
    config = ProbeConfig(
        dim=48, kernel_size=1, num_layers=1, steps=setting.steps(150, 600), learning_rate=1e-2,
        batch_size=32,
    )  # fmt: skip
    found = {}
    for arm, units in _replaced(setting.speech, seed, setting.broken).items():
        made = probe_label(units, "speaker", config, seed=seed)
        found[arm] = Measured(totals=made.errors, sizes=made.questions)
    return found


def _replaced(speech: SpeechSet, seed: int, broken: str | None) -> Mapping[str, EncodedSet]:
    """Units of vectors with one mean for all, their own, or one of the same speaker."""
    train, test = _vectors(speech)
    centroids = _centroids(train, seed)
    one = torch.cat(list(train)).mean(0)

    def changed(arm: str) -> Callable[[Vectors, Sequence[LabelledSpeech], int], Tensor]:
        def change(rows: Vectors, given: Sequence[LabelledSpeech], i: int) -> Tensor:
            if arm == "as they are" or (arm == HIDDEN[0] and broken == "mean kept"):
                return rows[i]
            mean = one if arm == HIDDEN[0] else _mean(rows[_other(i, given, same=True)])
            mask = torch.ones(1, len(rows[i]), dtype=torch.bool)
            return replace_mean(rows[i][None], mask, mean)[0]

        return change

    return {arm: _encoded(speech, train, test, centroids, changed(arm)) for arm in HIDDEN}


@lru_cache(maxsize=8)
def _units(speech: SpeechSet, seed: int, broken: str | None) -> Mapping[str, EncodedSet]:
    """k-means units of vectors, and of what is left without a mean."""
    train, test = _vectors(speech)
    found = {}
    for arm in OFF:

        def change(
            rows: Vectors, given: Sequence[LabelledSpeech], i: int, arm: str = arm
        ) -> Tensor:
            spoiled = arm == OFF[0] and broken == "another's mean"
            if arm == OFF[2] or spoiled:
                return rows[i] - _mean(rows[_other(i, given, same=False)])
            return _less(rows[i]) if arm == OFF[0] else rows[i]

        centroids = _centroids([change(train, speech.train, i) for i in range(len(train))], seed)
        found[arm] = _encoded(speech, train, test, centroids, change)
    return found


def _encoded(
    speech: SpeechSet,
    train: Vectors,
    test: Vectors,
    centroids: Tensor,
    change: Callable[[Vectors, Sequence[LabelledSpeech], int], Tensor],
) -> EncodedSet:
    def coded(rows: Vectors, given: Sequence[LabelledSpeech]) -> tuple[EncodedSpeech, ...]:
        return tuple(
            EncodedSpeech(codes=_encode(change(rows, given, i), centroids)[None], speech=each)
            for i, each in enumerate(given)
        )

    return EncodedSet(
        name="units", train=coded(train, speech.train), test=coded(test, speech.test),
        frame_rate=FRAME_RATE, codebook_size=len(centroids), num_codebooks=1,
    )  # fmt: skip


def _other(place: int, speech: Sequence[LabelledSpeech], *, same: bool) -> int:
    """The next utterance of the same speaker, or of another; if there is none, itself."""
    mine = speech[place].labels["speaker"]
    for step in range(1, len(speech)):
        other = (place + step) % len(speech)
        if (speech[other].labels["speaker"] == mine) == same:
            return other
    return place


@lru_cache(maxsize=2)
def _vectors(speech: SpeechSet) -> tuple[Vectors, Vectors]:
    """Log-mel frames, with the mean that MelUnits would take off, of a common scale."""
    mel = MelUnits(MelUnitsConfig(num_mels=MELS)).mel
    train, test = (
        [mel(row.waveform[None])[0] for row in rows] for rows in (speech.train, speech.test)
    )
    together = torch.cat(train)
    mean, scale = together.mean(0), together.std()
    return [(x - mean) / scale for x in train], [(x - mean) / scale for x in test]


def _centroids(rows: Vectors, seed: int) -> Tensor:
    draw, frames = _draw(seed), torch.cat(list(rows))
    some = frames[torch.randperm(len(frames), generator=draw)[: 100 * SIZE]]
    return kmeans.fit(some, SIZE, iterations=20, generator=draw)


def _encode(vectors: Tensor, centroids: Tensor) -> Tensor:
    return kmeans.nearest(vectors, centroids)[0]


def _less(vectors: Tensor) -> Tensor:
    return less_mean(vectors[None], torch.ones(1, len(vectors), dtype=torch.bool))[0]


def _mean(vectors: Tensor) -> Tensor:
    return utterance_mean(vectors[None], torch.ones(1, len(vectors), dtype=torch.bool))[0]


def _draw(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


PAPER = "Vec-Tok (Zhu et al. 2023)"
NOTE = "The vectors are log-mel frames. "
EFFECTS = (
    Effect(
        name="vec_tok_voice",
        claim="Without the utterance's mean, k-means units tell less of the speaker",
        paper=PAPER,
        arms=OFF,
        measure="share of what there is to know of an unseen speaker that one unit tells",
        better="less",
        margin=0.01,
        breaks=("another's mean",),
        run=run_voice,
        note=NOTE + "Whether content goes with it is an effect of its own.",
    ),
    Effect(
        name="vec_tok_content",
        claim="Without the utterance's mean, k-means units tell more of the phonemes",
        paper="nobody; the mean might hold content, too",
        arms=OFF,
        measure="frames with a wrong phoneme, by a probe of the units, unseen speakers",
        better="less",
        margin=0.01,
        breaks=("labels shuffled",),
        run=run_content,
        note=NOTE,
    ),
    Effect(
        name="inverse_kmeans",
        claim="A prompt gives units their vectors back",
        paper=PAPER,
        arms=BACK,
        measure="squared distance to the true vectors, of unseen speakers, in their variance",
        better="less",
        margin=0.01,
        breaks=("prompt cut off",),
        run=run_back,
        note=NOTE + "The prompt is the first 0.8 seconds; the model is two transformer layers.",
    ),
    Effect(
        name="mean_replaced",
        claim="One mean for all hides who speaks",
        paper=PAPER,
        arms=HIDDEN,
        measure="utterances whose speaker a probe takes for another, from units of the vectors",
        better="more",
        margin=0.05,
        breaks=("mean kept",),
        run=run_hidden,
        note=NOTE + "The probe sees units alone, of one k-means of the vectors as they are.",
    ),
)
