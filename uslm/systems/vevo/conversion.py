"""Voice conversion by Vevo: whose timbre and whose manner, of the source's or the voice's.

imitate    units that say it                              frames of
timbre     the source's own                               the voice
style      spoken anew, as the voice would speak them     the source
both       spoken anew, as the voice would speak them     the voice
"""

from collections.abc import Iterator

import torch
from jaxtyping import Int
from torch import Tensor

from uslm.generate.autoregressive import StopRule, speak_units
from uslm.synthesis.protocols import Converted, Imitate
from uslm.synthesis.seeds import generator
from uslm.synthesis.timer import StageTimer
from uslm.systems.vevo.settings import CONTENT, MEL, VevoSettings
from uslm.systems.vevo.steps import Units, VevoParts
from uslm.systems.vevo.voices import timbre_units
from uslm.voices import speech_activity as activity
from uslm.voices.length import find_cut
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.errors import AudioError, ConfigError
from uslm_tokenizer.sequence.dedup import deduplicate

PAUSE_SECONDS = 0.1
"""How much of a pause stays with what was said before it."""


def convert(
    parts: VevoParts,
    settings: VevoSettings,
    source: Audio,
    voice: VoicePrompt,
    seed: int,
    timer: StageTimer,
    imitate: Imitate,
) -> Converted:
    """The content of `source`, with the imitated aspects of the voice."""
    if not source.waveform.shape[-1]:
        raise AudioError("the recording to convert is empty")
    with timer.stage("semantic"):
        units = parts.units(source)
        said = units.style
        if imitate != "timbre":
            said = _said_anew(parts, settings, source, units, voice, seed)
    prompt_units, prompt = timbre_units(voice), voice.extras[MEL]
    with timer.stage("acoustic"):
        if imitate == "style":
            most = int(settings.prompt_seconds * parts.style.frame_rate)
            prompt = parts.mel(source)[:most][: len(units.style)]
            prompt_units = units.style[: len(prompt)]
        frames = parts.frames(
            said, prompt_units, prompt, settings.flow, generator(seed, "acoustic")
        )
    with timer.stage("decode"):
        waveform = parts.waveform(frames)
    timer.audio()
    if imitate == "timbre":
        length = round(source.seconds * parts.vocoder.config.sample_rate)
        missing = length - waveform.shape[-1]
        waveform = torch.nn.functional.pad(waveform, (0, missing))
    return Converted(waveform=waveform, codes=said[None])


def _said_anew(
    parts: VevoParts,
    how: VevoSettings,
    source: Audio,
    units: Units,
    voice: VoicePrompt,
    seed: int,
) -> Int[Tensor, " t"]:
    """The words of the source as the voice would say them: segment by segment, cut at pauses."""
    model = parts.content_lm
    if CONTENT not in voice.extras or units.content is None:
        raise ConfigError(
            f"voice {voice.name!r} has no content units, which its manner is imitated by; "
            "create it again from its recording"
        )
    # Content units are read after the symbols of text, where the model knows both.
    shift = model.config.text_vocab_size - parts.content.codebook_size
    if shift < 0:
        raise ConfigError(
            f"content_lm reads {model.config.text_vocab_size} symbols, but there are "
            f"{parts.content.codebook_size} content units"
        )
    said = []
    for index, (start, end) in enumerate(_segments(source, how.segment_seconds)):
        span = slice(*(int(place * parts.style.frame_rate) for place in (start, end)))
        content = units.content[span]
        if not len(content):
            continue
        text = torch.cat([voice.extras[CONTENT].long(), content])
        least, most = (int(len(content) * pace) for pace in how.pace)
        stop = StopRule(min_frames=max(1, least), max_frames=most + how.length.margin_frames)
        for [row] in torch.inference_mode()(speak_units)(
            model,
            [deduplicate(text)[0] + shift],
            [voice.codes[0]],
            [stop],
            sampling=how.sampling,
            generators=[generator(seed, "semantic", index)],
        ):
            spoken = row
        said.append(spoken.tensor())
    return torch.cat(said)


def _segments(source: Audio, longest: float) -> Iterator[tuple[float, float]]:
    """Beginnings and ends of the segments of a recording, seconds."""
    levels = activity.frame_levels(source.waveform[0].numpy(force=True), source.sample_rate)
    speech = activity.find_speech(levels)
    start = 0.0
    while source.seconds - start > longest:
        cut = find_cut(levels, speech, start=start, limit=longest, margin=PAUSE_SECONDS)
        yield start, cut.seconds
        start = cut.seconds
    yield start, source.seconds
