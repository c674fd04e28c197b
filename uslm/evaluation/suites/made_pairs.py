"""Sets of pairs from our own voices and data: words, grammar, endings, and what has to stay.

What other sets ask of read lists (ZeroSpeech's sWUGGY and sBLIMP, StoryCloze) is made here of a few
words and patterns, and spoken by voices of ours; so figures are of these sets alone. What SALMon
asks is spliced from recordings: both of a pair are, so that a splice by itself tells nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from uslm.evaluation.suites.pairs import Pair
from uslm.evaluation.suites.speech_set import SAMPLE_RATE, LabelledSpeech
from uslm_tokenizer.audio.write import write_audio
from uslm_tokenizer.errors import UserError

WORDS = (
    "table", "window", "garden", "river", "summer", "winter", "dinner", "button", "lemon",
    "sister", "morning", "market", "paper", "number", "doctor", "candle", "pepper", "yellow",
    "village", "kitten", "butter", "letter", "silver", "lantern", "monkey", "rabbit", "basket",
    "pocket", "ticket", "carpet", "forest", "desert", "captain", "soldier", "farmer", "hammer",
)  # fmt: skip
"""Of two parts each; parts of different words make words that are none."""
EXIST = ("garter", "pater", "barter", "better", "pebble", "rabble", "button", "litter")
"""Words that could be made so."""
SUBJECTS = {
    "dog": ("barks", "bark"), "bird": ("sings", "sing"), "child": ("sleeps", "sleep"),
    "teacher": ("smiles", "smile"), "farmer": ("works", "work"), "singer": ("waits", "wait"),
}  # fmt: skip
PLURALS = {"child": "children"}
PLACES = ("near the door", "in the garden", "by the river")
STORIES = (
    ("It rained all day. Anna forgot her umbrella.", "She came home with wet clothes."),
    ("The bread was in the oven too long.", "The kitchen smelled of smoke."),
    ("Ben studied every night for his exam.", "He passed it with a good grade."),
    ("The car made a strange noise and stopped.", "They had to walk to the garage."),
    ("Mary planted seeds in the spring.", "In summer her garden was full of flowers."),
    ("The dog saw the open door.", "It ran out into the street."),
    ("He lost his key on the way home.", "He had to climb in through the window."),
    ("The team scored in the last minute.", "The fans jumped up and cheered."),
)
"""Beginnings and ends; the wrong end is that of another story."""
Speak = Callable[[str, int], Float[Tensor, "1 n"]]
"""A text and a seed -> its sound at SAMPLE_RATE."""


@dataclass(frozen=True, kw_only=True)
class TextPair:
    """Two texts to be spoken, after a beginning that both share."""

    kind: str
    name: str
    true: str
    false: str
    beginning: str = ""


def word_pairs() -> list[TextPair]:
    """Each word against one of its first part and another's second."""
    cuts = {word: _cut(word) for word in WORDS}
    found = []
    for place, word in enumerate(WORDS):
        for step in range(1, len(WORDS)):
            made = cuts[word][0] + cuts[WORDS[(place + 7 * step) % len(WORDS)]][1]
            if made not in (*WORDS, *EXIST) and abs(len(made) - len(word)) <= 1:
                found.append(TextPair(kind="words", name=word, true=word, false=made))
                break
    return found


def sentence_pairs() -> list[TextPair]:
    """A verb that agrees with its noun, across a place, against one that does not."""
    found = []
    for (noun, verbs), place in product(SUBJECTS.items(), PLACES):
        for plural in (False, True):
            subject = PLURALS.get(noun, f"{noun}s") if plural else noun
            right, wrong = (verbs[1], verbs[0]) if plural else verbs
            texts = [f"The {subject} {place} {verb}." for verb in (right, wrong)]
            name = f"{subject} {place}"
            found.append(TextPair(kind="sentences", name=name, true=texts[0], false=texts[1]))
    return found


def story_pairs() -> list[TextPair]:
    """The end of a story against that of the next."""
    found = []
    for place, (beginning, end) in enumerate(STORIES):
        other = STORIES[(place + 1) % len(STORIES)][1]
        found.append(
            TextPair(
                kind="stories", name=f"story {place}", true=end, false=other, beginning=beginning
            )
        )
    return found


TEXTS: Mapping[str, Callable[[], list[TextPair]]] = {
    "words": word_pairs,
    "sentences": sentence_pairs,
    "stories": story_pairs,
}
"""Sets that are spoken, by kind."""


def speak_pairs(
    texts: Sequence[TextPair], voices: Mapping[str, Speak], folder: Path, *, seed: int = 0
) -> list[Pair]:
    """Every pair in every voice, both of it with the same seed; a beginning is spoken once."""
    found = []
    for number, (text, voice) in enumerate(product(texts, voices)):
        speak = voices[voice]
        before = speak(text.beginning, seed + number) if text.beginning else torch.zeros(1, 0)
        paths = []
        for which, said in (("true", text.true), ("false", text.false)):
            waveform = torch.cat([before, speak(said, seed + number)], dim=1)
            paths.append(_write(waveform, folder / text.kind / f"{number:04}-{which}.wav"))
        start = before.shape[1] / SAMPLE_RATE
        found.append(
            Pair(
                kind=text.kind, name=text.name, true=paths[0], false=paths[1], starts=(start, start)
            )
        )
    return found


def consistency_pairs(
    rows: Sequence[LabelledSpeech], folder: Path, *, count: int = 40, seed: int = 0
) -> list[Pair]:
    """Recordings whose second half is of another recording: of the same speaker or another, of
    the same gender or the other, with the same noise or other, in the same room or another.

    Kinds for which the recordings have no labels are left out; UserError where none is left.
    """
    draw = torch.Generator().manual_seed(seed)
    found: list[Pair] = []
    for label in ("speaker", "gender"):
        found += _spliced(rows, label, folder, count, draw)
    for kind, alter in (("background", _with_noise), ("room", _in_room)):
        for number in range(min(count, len(rows))):
            first, second = _halves(rows[number].waveform)
            one, other = (int(torch.randint(2**31, (), generator=draw)) for _ in range(2))
            halves = [
                torch.cat([alter(first, one), alter(second, which)], dim=1)
                for which in (one, other)
            ]
            found.append(_pair(kind, str(number), halves, first.shape[1], folder))
    if not found:
        raise UserError("there are no recordings to make pairs of")
    return found


def _spliced(
    rows: Sequence[LabelledSpeech], label: str, folder: Path, count: int, draw: torch.Generator
) -> list[Pair]:
    known = [row for row in rows if label in row.labels]
    found: list[Pair] = []
    for row in known:
        same = [r for r in known if r.labels[label] == row.labels[label] and r is not row]
        if label == "gender":  # else the gender would say no more than the speaker
            same = [r for r in same if r.labels.get("speaker") != row.labels.get("speaker")]
        other = [r for r in known if r.labels[label] != row.labels[label]]
        if not same or not other or len(found) == count:
            continue
        first = _halves(row.waveform)[0]
        halves = []
        for group in (same, other):
            chosen = group[int(torch.randint(len(group), (), generator=draw))]
            halves.append(torch.cat([first, _halves(chosen.waveform)[1]], dim=1))
        found.append(_pair(label, row.name, halves, first.shape[1], folder))
    return found


def _pair(kind: str, name: str, halves: Sequence[Tensor], start: int, folder: Path) -> Pair:
    place = f"{kind}/{len(list((folder / kind).glob('*-true.wav'))):04}"
    true, false = (
        _write(waveform, folder / f"{place}-{which}.wav")
        for waveform, which in zip(halves, ("true", "false"), strict=True)
    )
    seconds = start / SAMPLE_RATE
    return Pair(kind=kind, name=name, true=true, false=false, starts=(seconds, seconds))


def _halves(waveform: Float[Tensor, "1 n"]) -> tuple[Tensor, Tensor]:
    """Cut where it is quietest in its middle third."""
    n, hop = waveform.shape[1], SAMPLE_RATE // 50
    third = waveform[:, n // 3 : max(n // 3 + hop, 2 * n // 3)]
    power = F.avg_pool1d(third.square()[None], hop, hop)[0, 0]
    cut = n // 3 + int(power.argmin()) * hop
    return waveform[:, :cut], waveform[:, cut:]


def _with_noise(waveform: Float[Tensor, "1 n"], which: int) -> Float[Tensor, "1 n"]:
    """Noise of a colour and a loudness of its own."""
    draw = torch.Generator().manual_seed(which)
    colour, loudness = torch.rand(2, generator=draw).tolist()
    noise = torch.randn(waveform.shape, generator=draw)
    smooth = F.avg_pool1d(noise[None], 15, 1, 7, count_include_pad=False)[0]
    mixed = colour * noise / noise.std() + (1 - colour) * smooth / smooth.std()
    level = waveform.square().mean().sqrt() * 10 ** (-(5 + 15 * loudness) / 20)
    noisy: Tensor = waveform + level * mixed
    return noisy


def _in_room(waveform: Float[Tensor, "1 n"], which: int) -> Float[Tensor, "1 n"]:
    """An echo that dies away, of a length of its own."""
    draw = torch.Generator().manual_seed(which)
    seconds = 0.05 + 0.45 * float(torch.rand((), generator=draw))
    time = torch.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    echo = 0.1 * torch.randn(len(time), generator=draw) * (-6.9 * time / seconds).exp()
    echo[0] = 1.0
    n = waveform.shape[1] + len(echo) - 1
    wet = torch.fft.irfft(torch.fft.rfft(waveform, n) * torch.fft.rfft(echo, n), n)
    echoing: Tensor = wet[:, : waveform.shape[1]] / max(1.0, float(wet.abs().max()))
    return echoing


def _write(waveform: Float[Tensor, "1 n"], path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, waveform.clamp(-1, 1), SAMPLE_RATE, force=True)
    return path


def _cut(word: str) -> tuple[str, str]:
    """A word of two syllables before its second vowel's consonant: ta-ble, mor-ning."""
    vowels = [i for i, letter in enumerate(word) if letter in "aeiouy"]
    second = next(v for v in vowels if v > vowels[0] + 1)
    return word[: second - 1], word[second - 1 :]
