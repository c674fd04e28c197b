"""Whatever recording comes: it is made a prompt, or refused with a message that says why."""

import io
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from uslm.voices import speech_activity as activity
from uslm.voices.length import cut_words
from uslm.voices.prompt_preprocessing import PreparedPrompt, PromptPolicy, examine_prompt
from uslm_tokenizer.audio.read import Audio, read_audio, resample
from uslm_tokenizer.errors import AudioError, ConfigError

RATE = 16_000
EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.wav"))
VOICE = read_audio(EXAMPLES[0]).waveform[0].numpy()
LOOK = PromptPolicy(refuse=False)


def audio(samples: np.ndarray, rate: int = RATE) -> Audio:
    return Audio(torch.from_numpy(np.asarray(samples, np.float32))[None], rate)


def noise(seconds: float, level_dbfs: float, seed: int = 0) -> np.ndarray:
    samples = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return samples * 10 ** (level_dbfs / 20)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE))


def tone(seconds: float, hertz: float) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)


def codes(prompt: PreparedPrompt) -> set[str]:
    return {finding.code for finding in prompt.findings}


def long_voice(repeats: int = 4, pause: float = 0.5) -> np.ndarray:
    return np.concatenate([np.concatenate([VOICE, silence(pause)]) for _ in range(repeats)])


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_good_prompts(path: Path) -> None:
    prompt = examine_prompt(read_audio(path), text="as it is")
    assert prompt.findings == ()
    assert prompt.text == "as it is"
    assert 4 < prompt.seconds < 8


def test_the_same_recording_gives_the_same_prompt() -> None:
    first, second = examine_prompt(audio(VOICE)), examine_prompt(audio(VOICE))
    assert torch.equal(first.waveform, second.waveform)
    assert first.findings == second.findings


def test_a_long_stereo_mp3_at_48_khz_works() -> None:
    long = np.concatenate([long_voice(5), silence(3)])
    at_48 = resample(torch.from_numpy(long.astype(np.float32))[None], RATE, 48_000)[0].numpy()
    file = io.BytesIO()
    soundfile.write(file, np.stack([at_48, 0.5 * at_48], axis=1), 48_000, format="MP3")
    prompt = examine_prompt(read_audio(file, max_seconds=20.0))
    assert prompt.sample_rate == RATE
    assert prompt.seconds <= 12
    cut = next(finding for finding in prompt.findings if finding.code == "cut")
    assert cut.message.startswith(f"{len(long) / RATE:.1f} s long, of which at most 12 s")


@pytest.mark.parametrize("gain_db", [-30, -12, 0, 6])
def test_speech_comes_to_one_level_and_never_beyond_the_peak(gain_db: float) -> None:
    louder = VOICE * 10 ** (gain_db / 20) * (0.4 / np.abs(VOICE).max())
    prompt = examine_prompt(audio(louder))
    level = activity.speech_level(activity.frame_levels(prompt.waveform[0].numpy(), RATE))
    peak_db = 20 * np.log10(float(prompt.waveform.abs().max()))
    assert peak_db < -1 + 1e-3
    assert abs(level + 23.5) < 0.3 or peak_db > -1.1


def test_silence_at_the_ends_goes_and_a_margin_stays() -> None:
    padded = np.concatenate([silence(1.5), VOICE, silence(2.5)])
    padded = padded + noise(len(padded) / RATE, -70)
    prompt = examine_prompt(audio(padded))
    alone = examine_prompt(audio(VOICE))
    assert codes(prompt) == {"trimmed"}
    assert prompt.kept[0] == pytest.approx(1.5 + alone.kept[0], abs=0.15)
    assert prompt.kept[1] == pytest.approx(1.5 + alone.kept[1], abs=0.25)
    assert prompt.seconds == pytest.approx(prompt.kept[1] - prompt.kept[0], abs=1e-3)


def test_a_constant_offset_goes() -> None:
    prompt = examine_prompt(audio(0.5 * VOICE + 0.2))
    assert "offset" in codes(prompt)
    assert abs(float(prompt.waveform.mean())) < 1e-3


def test_a_long_prompt_is_cut_at_a_pause() -> None:
    prompt = examine_prompt(audio(long_voice()))
    assert prompt.seconds <= 12
    assert float(prompt.waveform[0, -800:].abs().max()) < 0.01
    cut = next(finding for finding in prompt.findings if finding.code == "cut")
    assert cut.severity == "info" and "up to a pause of 0." in cut.message


def test_without_any_pause_the_cut_is_warned_of() -> None:
    levels = activity.frame_levels(VOICE, RATE)
    speech = activity.find_speech(levels)
    segments = [VOICE[160 * a : 160 * b] for a, b in activity.spans(speech)]
    dense = np.concatenate(segments * 6)
    prompt = examine_prompt(audio(dense), policy=PromptPolicy(max_seconds=4.0))
    cut = next(finding for finding in prompt.findings if finding.code == "cut")
    assert prompt.seconds <= 4
    assert ("no pause" in cut.message) == (cut.severity == "warning")


def test_text_is_cut_with_the_audio() -> None:
    long = long_voice()
    text = "one two three four five six"
    places = [(word, 3.0 * i, 3.0 * i + 2.8) for i, word in enumerate(text.split())]
    received: list[int] = []

    def align(waveform: torch.Tensor, text: str) -> list[tuple[str, float, float]]:
        received.append(waveform.shape[-1])
        return places

    prompt = examine_prompt(audio(long), text=f"  {text}\n", align=align)
    assert prompt.text is not None and text.startswith(prompt.text)
    words = prompt.text.split()
    assert 2 <= len(words) <= 4
    assert places[len(words) - 1][2] <= prompt.seconds + 0.05  # the last word is whole
    assert prompt.seconds <= places[len(words)][1] + 0.05  # the next one is not begun
    assert received[0] > 12 * RATE  # the aligner sees what the whole text belongs to
    assert "text_cut" in codes(prompt)


def test_text_that_cannot_be_cut_is_dropped_aloud() -> None:
    prompt = examine_prompt(audio(long_voice()), text="far too many words for what is left")
    assert prompt.text is None
    assert {"cut", "text_dropped"} <= codes(prompt)
    none_found = examine_prompt(audio(long_voice()), text="words", align=lambda *_: [])
    assert none_found.text is None


def test_text_of_a_file_read_in_part_is_dropped() -> None:
    file = io.BytesIO()
    soundfile.write(file, long_voice(2), RATE, format="WAV")
    part = read_audio(file, max_seconds=float(len(VOICE) / RATE))
    assert "text_dropped" in codes(examine_prompt(part, text="of the whole file"))


def test_words_are_never_cut_in_two() -> None:
    words = [("a", 0.0, 1.0), ("b", 1.2, 2.0), ("c", 2.0, 3.0)]
    assert cut_words(words, 9.0) == (["a", "b", "c"], 9.0)
    assert cut_words(words, 1.6) == (["a"], 1.1)
    assert cut_words(words, 2.5) == (["a", "b"], 2.0)
    assert cut_words(words, 1.1) == (["a"], 1.1)
    assert cut_words(words, 0.5) == ([], 0.5)
    assert cut_words([], 0.5) == ([], 0.5)


BURSTS = np.sin(2 * np.pi * 2 * np.arange(5 * RATE) / RATE) > 0
REFUSED: dict[str, tuple[Callable[[], np.ndarray], str]] = {
    "nothing": (lambda: silence(0.0), r"too short: 0\.00 s in all"),
    "a tenth": (lambda: VOICE[:1500], r"too short: 0\.09 s in all; at least 1 s are needed"),
    "half a second": (lambda: VOICE[RATE : RATE + RATE // 2], r"too short: 0\.\d+ s of speech"),
    "a word in silence": (
        lambda: np.concatenate([silence(2), VOICE[RATE : RATE + RATE // 2], silence(2)]),
        r"too short: 0\.\d+ s of speech in 4\.50 s",
    ),
    "zeros": (lambda: silence(5), r"silent: its loudest part is at -100 dBFS"),
    "near zeros": (lambda: noise(5, -85), r"silent: its loudest part is at -8\d dBFS"),
    "white noise": (lambda: noise(5, -20), r"no speech: it is steady as a hum, a tone or noise"),
    "faint noise": (lambda: noise(5, -50), r"no speech: it is steady"),
    "a tone": (lambda: tone(5, 440), r"no speech: it is steady"),
    "hum": (lambda: tone(5, 50) + tone(5, 100) / 2, r"no speech: it is steady"),
    "bursts of noise": (lambda: noise(5, -20) * BURSTS, r"no speech: it is one and the same sound"),
    "clicks": (lambda: noise(5, -10) * (np.arange(5 * RATE) % 9000 < 100), r"no speech|silent"),
    "NaN": (lambda: np.where(np.arange(len(VOICE)) < 7, np.nan, VOICE), r"7 samples are NaN"),
    "infinite": (lambda: np.where(np.arange(len(VOICE)) < 2, np.inf, VOICE), r"2 samples are NaN"),
    "hard clipped": (lambda: np.clip(VOICE * 300, -1, 1), r"clipped: \d\d\.\d % of the samples"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_a_prompt_is_refused(case: str) -> None:
    make, message = REFUSED[case]
    with pytest.raises(AudioError, match=message) as caught:
        examine_prompt(audio(make()))
    assert str(caught.value).startswith("the prompt: ")
    assert "\n" not in str(caught.value)


WARNED: dict[str, tuple[Callable[[], np.ndarray], str, str]] = {
    "clipped": (
        lambda: np.clip(VOICE / np.abs(VOICE).max() * 1.6, -1, 1),
        "clipped",
        r"clipped: \d\.\d % of the samples",
    ),
    "noisy": (
        lambda: VOICE + noise(len(VOICE) / RATE, -31),
        "noisy",
        r"noisy: speech is \d dB above the noise, 12 dB or more",
    ),
    "quiet": (lambda: VOICE * 0.01, "quiet", r"very quiet: speech at -6\d dBFS"),
    "short": (lambda: VOICE[RATE : 3 * RATE], "short", r"short: [12]\.\d s of speech"),
}


@pytest.mark.parametrize("case", WARNED)
def test_what_will_suffer_is_warned_of(case: str) -> None:
    make, code, message = WARNED[case]
    prompt = examine_prompt(audio(make()))
    found = {finding.code: finding for finding in prompt.findings}
    assert found[code].severity == "warning"
    assert re.match(message, found[code].message)


def test_who_insists_gets_the_errors_as_findings() -> None:
    prompt = examine_prompt(audio(noise(5, -20)), policy=LOOK)
    assert [f.severity for f in prompt.findings if f.code == "no_speech"] == ["error"]
    assert prompt.waveform.shape[-1] > 0


def test_errors_name_the_file(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "hush.wav", silence(3), RATE)
    with pytest.raises(AudioError, match=r"hush\.wav': silent"):
        examine_prompt(read_audio(tmp_path / "hush.wav"))


def test_what_the_reader_mended_is_said_again() -> None:
    file = io.BytesIO()
    soundfile.write(file, np.stack([VOICE, -VOICE], axis=1), RATE, format="WAV")
    prompt = examine_prompt(read_audio(file))
    assert codes(prompt) == {"file"}
    assert "opposite phase" in prompt.findings[0].message


@pytest.mark.parametrize("snr", [0, 5, 10])
def test_the_noise_estimate_is_right(snr: float) -> None:
    power = 10 * np.log10(np.mean(VOICE**2))
    noisy = VOICE + noise(len(VOICE) / RATE, power - snr)
    assert activity.signal_to_noise(activity.frame_levels(noisy, RATE)) == pytest.approx(snr, abs=2)


@pytest.mark.parametrize("sample_rate", [8_000, 16_000, 24_000, 48_000])
def test_any_model_rate(sample_rate: int) -> None:
    prompt = examine_prompt(audio(VOICE), sample_rate=sample_rate)
    assert prompt.sample_rate == sample_rate
    assert prompt.seconds == pytest.approx(len(VOICE) / RATE, abs=0.3)
    assert "no_speech" not in codes(prompt)


def test_a_policy_is_checked() -> None:
    with pytest.raises(ConfigError, match=r"must hold, but they are 1\.0, 3\.0, 2\.0 and 60\.0"):
        PromptPolicy(max_seconds=2.0)


def test_ten_seconds_are_examined_at_once() -> None:
    ten_seconds = audio(np.concatenate([VOICE, VOICE, VOICE])[: 10 * RATE])
    examine_prompt(ten_seconds)
    start = time.process_time()
    examine_prompt(ten_seconds)
    assert time.process_time() - start < 1.0  # 25 ms on an idle core
