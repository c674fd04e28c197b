"""Text as it comes, and SSML: what a caller of the speaking model may rely on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.errors import TextError

TEXT = "This one is the first of all. Here is the second one too. [pause:0.5] And a third."


def words(text: str) -> Iterator[str]:
    for word in text.split(" "):
        yield f"{word} "


@pytest.mark.parametrize("speed", [1.0, 1.25])
def test_fragments_make_the_samples_of_the_whole(
    tts: ZeroShotTTS, voice: VoicePrompt, speed: float
) -> None:
    whole = tts.generate(TEXT, voice, seed=7, speed=speed)
    chunks = list(tts.stream(words(TEXT), voice, seed=7, speed=speed))
    assert torch.equal(torch.cat([chunk.waveform for chunk in chunks], dim=1), whole.waveform)
    facts = chunks[-1].facts
    assert facts is not None and facts.text.split() == TEXT.split()


def test_speech_begins_before_the_text_is_over(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    over = False

    def slowly() -> Iterator[str]:
        nonlocal over
        yield from words(TEXT)
        over = True

    stream = tts.stream(slowly(), voice, seed=7)
    for chunk in stream:
        if chunk.waveform.numel():
            break
    assert not over
    list(stream)
    assert over


def test_progress_counts_what_came(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    counts: list[tuple[int, int]] = []
    for _ in tts.stream(
        words(TEXT), voice, seed=7, on_segment=lambda done, n: counts.append((done.index, n))
    ):
        pass
    assert counts == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.parametrize(
    ("fragments", "words"),
    [
        (["", " "], "must have something to say"),
        (["*** "], "must have something to say"),
        (["Guten Morgen, ", "wie geht es dir und ", "ich bin auch nicht da."], "German"),
        (["Hello there, my friend. ", None], "NoneType"),
    ],
)
def test_fragments_that_cannot_be_said_are_refused(
    tts: ZeroShotTTS, voice: VoicePrompt, fragments: list[str], words: str
) -> None:
    stream = tts.stream(iter(fragments), voice, seed=7)
    with pytest.raises(TextError, match=words):
        list(stream)


def test_ssml_changes_pauses_and_rate_alone(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    first, second = "This one is the first of all.", "Here is the second one too."
    plain = tts.generate(f"{first} [pause:1] {second}", voice, seed=7)
    text = f"<speak>{first} <break time='1s'/> <prosody rate='200%'>{second}</prosody></speak>"
    marked = tts.generate(text, voice, seed=7)
    assert [segment.text for segment in marked.segments] == [first, second]
    assert torch.equal(marked.codes, plain.codes)

    def seconds(index: int) -> list[float]:
        return [
            speech.segments[index].end_seconds - speech.segments[index].start_seconds
            for speech in (plain, marked)
        ]

    assert seconds(0)[0] == pytest.approx(seconds(0)[1], abs=0.2)
    assert seconds(1)[1] == pytest.approx(seconds(1)[0] / 2, abs=0.2)
    assert marked.segments[1].start_seconds - marked.segments[0].end_seconds >= 1


def test_foreign_ssml_is_refused_by_its_text(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    text = "<speak><s>Guten Morgen, wie geht es dir</s><s>ich bin auch nicht da</s></speak>"
    with pytest.raises(TextError, match="German"):
        tts.generate(text, voice, seed=7)


def test_ssml_in_fragments_may_speak_about_ssml(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    """What is said of it is no SSML once more."""
    text = "<speak>&lt;speak is what it begins with, they said.</speak>"
    whole = tts.generate(text, voice, seed=7)
    chunks = list(tts.stream(iter([text[:9], text[9:]]), voice, seed=7))
    assert torch.equal(torch.cat([chunk.waveform for chunk in chunks], dim=1), whole.waveform)
