"""The four ways of Vevo from one object and from the command line; manner and timbre of two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import soundfile
import torch

from uslm import VoiceConverter, VoiceImitation, ZeroShotTTS
from uslm.systems.two_stage.tiny import speech_like
from uslm.systems.vevo.pipeline import Vevo
from uslm.systems.vevo.settings import CONTENT, MEL, TIMBRE_UNITS
from uslm.systems.vevo.tiny import save_tiny_vevo, tiny_vevo
from uslm.systems.voxcpm.tiny import save_tiny_voxcpm
from uslm.voices.prompt import VoicePrompt
from uslm_app.cli import main
from uslm_tokenizer.audio.write import write_audio
from uslm_tokenizer.errors import ConfigError, UserError

SOURCE = speech_like(1.5, seed=4)


@pytest.fixture(scope="module")
def vevo() -> Vevo:
    return tiny_vevo()


@pytest.fixture(scope="module")
def imitation(vevo: Vevo) -> VoiceImitation:
    return VoiceImitation(vevo)


@pytest.fixture(scope="module")
def voices(imitation: VoiceImitation) -> tuple[VoicePrompt, VoicePrompt]:
    first = imitation.create_voice(speech_like(2.0, seed=1), "This is a test.")
    other = imitation.create_voice(speech_like(1.6, seed=2), "Words of another voice.")
    return replace(first, name="one"), replace(other, name="two")


def test_each_way_is_what_the_parts_make(
    vevo: Vevo, imitation: VoiceImitation, voices: tuple[VoicePrompt, VoicePrompt]
) -> None:
    one, _ = voices
    converter = VoiceConverter(vevo)
    for given, way in (
        ({"timbre": one}, "timbre"),
        ({"manner": one}, "style"),
        ({"manner": one, "timbre": one}, "both"),
    ):
        made = imitation.imitate(audio=SOURCE, seed=2, **given)
        wanted = converter.convert(SOURCE, one, imitate=way, seed=2)  # type: ignore[arg-type]
        assert torch.equal(made.waveform, wanted.waveform) and made.settings == {"imitate": way}
    spoken = imitation.imitate(text="Hello.", manner=one, timbre=one, seed=2)
    assert torch.equal(spoken.waveform, ZeroShotTTS(vevo).generate("Hello.", one, seed=2).waveform)


def test_manner_and_timbre_of_two_voices(
    imitation: VoiceImitation, voices: tuple[VoicePrompt, VoicePrompt]
) -> None:
    """The units are those of the manner's voice, the frames go on from the timbre's."""
    one, two = voices
    for source in ({"audio": SOURCE}, {"text": "Hello."}):
        mixed, alone, other = (
            imitation.imitate(manner=a, timbre=b, seed=2, **source)  # type: ignore[arg-type]
            for a, b in ((one, two), (one, one), (two, two))
        )
        assert torch.equal(mixed.units, alone.units)
        assert not torch.equal(mixed.units, other.units)
        assert mixed.waveform.shape == alone.waveform.shape
        assert not torch.equal(mixed.waveform, alone.waveform)


def test_a_mixed_voice_is_kept_and_checked(
    vevo: Vevo, voices: tuple[VoicePrompt, VoicePrompt], tmp_path: Path
) -> None:
    one, two = voices
    mixed = vevo.mixed_voice(one, two)
    assert mixed.name == "one as two"
    assert torch.equal(mixed.extras[MEL], two.extras[MEL])
    assert torch.equal(mixed.extras[CONTENT], one.extras[CONTENT])
    loaded = VoicePrompt.load(mixed.save(tmp_path / "mixed.safetensors"))
    vevo.check_voice(loaded)
    spoken = [ZeroShotTTS(vevo).generate("Hello.", v, seed=1).waveform for v in (mixed, loaded)]
    assert torch.equal(*spoken)
    short = {**mixed.extras, TIMBRE_UNITS: mixed.extras[TIMBRE_UNITS][:-1]}
    with pytest.raises(ConfigError, match="create it again"):
        vevo.check_voice(replace(mixed, extras=short))
    wrong = {**mixed.extras, TIMBRE_UNITS: mixed.extras[TIMBRE_UNITS] + 10_000}
    with pytest.raises(UserError, match="codes must lie"):
        vevo.check_voice(replace(mixed, extras=wrong))


def test_what_cannot_be_imitated_is_told(
    imitation: VoiceImitation, voices: tuple[VoicePrompt, VoicePrompt], tmp_path: Path
) -> None:
    one, two = voices
    with pytest.raises(UserError, match="give a text or a recording, and not both"):
        imitation.imitate(manner=one)
    with pytest.raises(UserError, match="give a text or a recording, and not both"):
        imitation.imitate(text="Hello.", audio=SOURCE, manner=one)
    with pytest.raises(UserError, match="give a voice whose manner or timbre"):
        imitation.imitate(audio=SOURCE)
    with pytest.raises(UserError, match="converts no voices"):
        VoiceImitation.from_pretrained(save_tiny_voxcpm(tmp_path))
    default = VoiceImitation.from_pretrained("default")
    voice = default._tts.stock_voice()
    with pytest.raises(UserError, match="takes manner and timbre from one voice"):
        default.imitate(text="Hello.", manner=voice, timbre=replace(voice, name="other"))
    assert two.name == "two"


def test_all_four_ways_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "vevo").mkdir()
    folder = save_tiny_vevo(tmp_path / "vevo")
    source, prompt = tmp_path / "source.wav", tmp_path / "prompt.wav"
    write_audio(source, SOURCE.waveform, SOURCE.sample_rate)
    write_audio(prompt, speech_like(2.0, seed=1).waveform, 16_000)
    of = ["--model", str(folder), "--prompt", str(prompt), "--seed", "1", "--quiet"]
    made = {}
    for way in ("timbre", "style", "both"):
        out = tmp_path / f"{way}.wav"
        given = ["convert", *of, "--source", str(source), "--imitate", way, "--out", str(out)]
        assert main(given) == 0
        made[way] = soundfile.read(out)[0].tobytes()
    out = tmp_path / "said.wav"
    assert main(["say", *of, "--prompt-text", "Yes.", "--text", "Hello.", "--out", str(out)]) == 0
    made["text"] = soundfile.read(out)[0].tobytes()
    assert len(set(made.values())) == 4
