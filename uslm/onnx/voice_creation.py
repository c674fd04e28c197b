"""From a recording to a voice: the graph `encoder`, F0, and which symbol each frame is of."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from uslm.onnx.config import OnnxConfig
from uslm.onnx.graphs import Array, Graphs
from uslm.onnx.prompt_audio import prepare_prompt, read_recording
from uslm.onnx.voice import Voice
from uslm.text.frontend import TextFrontend
from uslm.voices.ctc_path import best_ctc_path
from uslm.voices.policy import Finding, PromptPolicy
from uslm_tokenizer.codecs.source_filter.f0 import f0_of


def create_voice(
    graphs: Graphs,
    frontend: TextFrontend,
    recording: str | Path,
    text: str | None = None,
    *,
    name: str | None = None,
) -> tuple[Voice, tuple[Finding, ...]]:
    """The voice, and what was noticed about the recording; `text` is what is said in it."""
    config = graphs.config
    most = max(config.semantic_prompt_frames, config.acoustic_prompt_frames)
    policy = prompt_policy(config)
    known = None if text is None else frontend(text).text_ids
    prompt = prepare_prompt(*read_recording(recording, policy), config.codec.sample_rate, policy)
    findings = prompt.findings
    if known is not None and prompt.is_cut:
        known = None
        findings += (
            Finding(
                code="text_dropped",
                severity="warning",
                message="the transcript is not used: only a part of the recording is; give "
                f"{policy.max_seconds:g} s or less, with the words said in them",
            ),
        )
    codes, scores = encode(graphs, prompt.samples)
    codes, scores = codes[:, :most], scores[:most]
    limit = min(codes.shape[1], config.semantic_prompt_frames)
    ids = recognize(scores) if known is None else list(known)
    starts = best_ctc_path(scores, ids) if ids else None
    text_ids, num_frames = ids, codes.shape[1]
    if known is None or (starts is None and num_frames > limit):
        text_ids, num_frames = recognize(scores[:limit]), limit
    elif num_frames > limit:
        assert starts is not None
        text_ids, num_frames = ids[: sum(start < limit for start in starts)], limit
    voice = Voice(
        name=name or Path(recording).stem or "voice",
        codes=codes,
        text_ids=np.array(text_ids, dtype=np.int64),
        num_spoken_frames=num_frames,
        spoken=None if starts is None else _by_frame(ids, starts, codes.shape[1]),
    )
    return voice, findings


def prompt_policy(config: OnnxConfig) -> PromptPolicy:
    """The rules for a recording, of which the model reads no more than it is given of a prompt."""
    usual = PromptPolicy()
    most = max(config.semantic_prompt_frames, config.acoustic_prompt_frames)
    seconds = most * config.codec.hop_length / config.codec.sample_rate
    return replace(
        usual,
        max_seconds=seconds,
        good_seconds=min(usual.good_seconds, seconds),
        min_seconds=min(usual.min_seconds, seconds),
    )


def encode(
    graphs: Graphs, samples: Float[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, "k t"], Float[np.ndarray, "t v"]]:
    """All codes of a waveform, and log-probabilities of the recogniser's symbols."""
    codec = graphs.config.codec
    num_frames = -(-len(samples) // codec.hop_length)
    padded = np.zeros((num_frames + num_frames % 2) * codec.hop_length, dtype=np.float32)
    padded[: len(samples)] = samples
    units, levels, scores = graphs.encoder(padded, np.array([num_frames]))
    f0 = f0_of(
        samples.astype(np.float64), codec.sample_rate, codec.hop_length, codec.f0_floor,
        codec.f0_ceiling,
    )  # fmt: skip
    rows = [units[None, :num_frames], _pitches(graphs, f0)[None], levels[:, :num_frames]]
    return np.concatenate(rows).astype(np.int64), scores[:num_frames]


def recognize(scores: Float[np.ndarray, "t v"]) -> list[int]:
    """The phoneme ids that are recognised: best class per frame, repeats and blanks removed."""
    return [each for each, _ in groupby(scores.argmax(axis=1).tolist()) if each]


def _pitches(graphs: Graphs, f0: Float[np.ndarray, " t"]) -> Int[np.ndarray, " t"]:
    """The nearest code of each F0; 0 where F0 is 0."""
    codec = graphs.config.codec
    steps = np.log2(f0.clip(codec.lowest_f0) / np.float32(codec.lowest_f0)) * codec.steps_per_octave
    codes = 1 + np.round(steps).astype(np.int64).clip(max=codec.num_pitches - 2)
    return np.where(f0 > 0, codes, 0)


def _by_frame(ids: Sequence[int], starts: Sequence[int], num_frames: int) -> Array:
    """The symbol of each frame; what lies before the first belongs to it."""
    places = np.searchsorted(starts, np.arange(num_frames), side="right") - 1
    symbols: Array = np.array(ids, dtype=np.int64)[places.clip(min=0)]
    return symbols
