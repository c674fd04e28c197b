"""What NumPy does in place of PyTorch between two graphs is the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from uslm.generate.sampling import Sampling, draw_rows
from uslm.generate.sampling import sample as torch_sample
from uslm.onnx import sampling
from uslm.onnx.acoustic import median_pitch, relative_pitches
from uslm.onnx.random_numbers import Uniform
from uslm.onnx.semantic import TextPosition
from uslm.onnx.synthesizer import OnnxSynthesizer
from uslm.synthesis.seeds import generator
from uslm.systems.two_stage import voice_row
from uslm.systems.two_stage.alignment_cache import AlignmentCache
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.monotonic import MonotonicLM
from uslm.systems.two_stage.tiny import speech_like
from uslm.tts import ZeroShotTTS
from uslm_tokenizer.errors import AudioError


@pytest.mark.parametrize("seed", [0, 1, 2**32 + 1, 2**63 - 1])
def test_random_numbers_are_pytorchs(seed: int) -> None:
    uniform, wanted = Uniform(seed, "semantic"), generator(seed, "semantic")
    for _ in range(700):  # more than one state of the twister
        assert uniform() == float(torch.rand(1, 1, dtype=torch.float64, generator=wanted))


@pytest.mark.parametrize(
    "config",
    [
        Sampling(temperature=0.0),
        Sampling(temperature=0.8, top_k=0, top_p=1.0),
        Sampling(temperature=1.3, top_k=5, top_p=1.0),
        Sampling(temperature=0.9, top_k=0, top_p=0.6),
        Sampling(temperature=0.7, top_k=12, top_p=0.9, repetition_penalty=1.4),
    ],
)
def test_tokens_are_drawn_as_pytorch_draws_them(config: Sampling) -> None:
    logits = 3 * torch.randn(200, 40)
    recent = [torch.randint(40, (10,)).tolist() for _ in logits]
    uniform, other = Uniform(5, "x"), generator(5, "x")
    found = [
        sampling.sample(row.numpy(), config, uniform, seen)
        for row, seen in zip(logits, recent, strict=True)
    ]
    wanted = [
        int(torch_sample(row[None], config, [other], [seen]))
        for row, seen in zip(logits, recent, strict=True)
    ]
    assert found == wanted
    assert len(set(found)) > 10


def test_pitches_are_drawn_as_pytorch_draws_them() -> None:
    logits, config = torch.randn(100, 14), Sampling(pitch_temperature=0.7)
    uniform, other = Uniform(6, "x"), generator(6, "x")
    found = [sampling.sample_pitch(row.numpy(), config, uniform) for row in logits]
    assert found == [int(draw_rows(row[None] / 0.7, [other])) for row in logits]
    greedy = Sampling(pitch_temperature=0.0)
    assert sampling.sample_pitch(logits[0].numpy(), greedy, uniform) == int(logits[0].argmax())


def test_the_text_position_goes_where_the_caches_goes() -> None:
    moves = torch.rand(60, 5).mul(3).softmax(dim=1)
    cache = AlignmentCache(stored=torch.zeros(1, 2, 1, 1, 1, 1), valid=torch.ones(1, 1).bool())
    cache.begin_reading(torch.zeros(1, 21, 4), [20])
    position = TextPosition(20, 0.8)
    for step, row in enumerate(moves.tolist()):
        if step == 4:
            position.move_to(9)
            cache.begin_speaking([9])
        position.move(row)
        cache.move([row], [True], 0.8)
        assert (position.place, position.spoken) == (
            cache.pointer.places[0],
            cache.pointer.spoken[0],
        )
        assert position.may_end == (cache.pointer.spoken[0] >= 20)
    assert position.place == 20


@pytest.mark.parametrize("pitches", [[0, 0], [0, 5, 9, 0, 30, 2], [7], [4, 8]])
def test_pitches_are_relative_to_the_same_median(bundle: Bundle, pitches: list[int]) -> None:
    model, values = bundle.semantic, torch.tensor(pitches)
    assert isinstance(model, MonotonicLM)
    reach = model.config.pitch_reach
    assert relative_pitches(values.numpy(), reach) == model.relative_pitch(values).tolist()
    assert median_pitch(values.numpy()) == voice_row.median_pitch(values)


@pytest.mark.parametrize(("seconds", "rate"), [(2.5, 16_000), (9.0, 16_000), (3.0, 22_050)])
def test_a_recording_becomes_the_same_voice(
    tts: ZeroShotTTS, synthesizer: OnnxSynthesizer, tmp_path: Path, seconds: float, rate: int
) -> None:
    """Short, too long, and of another rate."""
    path = tmp_path / "speech.wav"
    silence = np.zeros(rate // 2, dtype=np.float32)
    speech = speech_like(seconds, rate).waveform[0].numpy()
    soundfile.write(path, np.concatenate([silence, speech, silence]), rate, subtype="FLOAT")
    found, findings = synthesizer.create_voice(path)
    wanted = tts.create_voice(path)
    assert found.name == wanted.name
    assert np.array_equal(found.codes, wanted.codes.numpy())
    assert found.spoken is not None
    assert np.array_equal(found.spoken, wanted.extras["spoken"].numpy())
    # That silence was taken away and the level changed is said by the other only.
    wanted_codes = [each.code for each in wanted.findings if each.code not in ("trimmed", "level")]
    assert [each.code for each in findings] == wanted_codes


def test_the_transcript_places_the_symbols(
    tts: ZeroShotTTS, synthesizer: OnnxSynthesizer, tmp_path: Path
) -> None:
    path = tmp_path / "speech.wav"
    soundfile.write(path, speech_like(3.0).waveform[0].numpy(), 16_000, subtype="FLOAT")
    found, _ = synthesizer.create_voice(path, "This is a test.", name="anna")
    wanted = tts.create_voice(path, "This is a test.", name="anna")
    assert found.name == "anna"
    assert found.text_ids.tolist() == wanted.text_ids.tolist()
    assert found.num_spoken_frames == wanted.num_spoken_frames
    assert found.spoken is not None
    assert np.array_equal(found.spoken, wanted.extras["spoken"].numpy())


def test_silence_makes_no_voice(synthesizer: OnnxSynthesizer, tmp_path: Path) -> None:
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(32_000, dtype=np.float32), 16_000)
    with pytest.raises(AudioError):
        synthesizer.create_voice(path)
