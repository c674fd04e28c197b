"""Two codecs on one clip."""

from __future__ import annotations

from pathlib import Path

import pytest

from uslm_demo.comparing import CodecChoice, Codecs, comparison
from uslm_demo.model import Model
from uslm_demo.widgets.sounds import Sounds
from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.errors import UserError


def test_a_lower_bit_rate_is_seen(model: Model, bundle_folder: Path, recording: Path) -> None:
    named = str(bundle_folder / "tokenizer")
    codecs = Codecs(model, [named])
    assert codecs.names == ["tiny codec", named]
    clip = read_audio(recording, max_seconds=1.0)
    whole = codecs.code(clip, CodecChoice(name="tiny codec"))
    units = codecs.code(clip, CodecChoice(name="tiny codec", num_codebooks=1))
    assert len(units.codes) == 1
    assert whole.bit_rate == pytest.approx(len(whole.codes) * units.bit_rate)
    assert "kbit/s" in str(units)
    again = codecs.code(clip, CodecChoice(name=named))
    assert again.codes.equal(whole.codes)
    view = comparison(clip, [whole, units], Sounds())
    assert len(view["sounds"]) == 3
    assert [track["label"] for track in view["tracks"]][:5] == [
        "clip", "clip mel", "A", "A mel", "A units",
    ]  # fmt: skip
    assert view["tracks"][-1]["label"] == "B units"
    assert view["end"] == pytest.approx(1.0)


def test_the_lowest_bit_rate_of_each_codec(model: Model) -> None:
    assert Codecs(model).fewest_codebooks("tiny codec") == 1
    default = Codecs(Model())
    (name,) = default.names
    assert default.fewest_codebooks(name) == 3  # units, pitch, and one codebook of the sound


def test_only_what_was_named_is_loaded(model: Model, recording: Path) -> None:
    codecs = Codecs(model)
    clip = read_audio(recording, max_seconds=1.0)
    with pytest.raises(UserError, match="no codec '/etc'"):
        codecs.code(clip, CodecChoice(name="/etc"))
    with pytest.raises(UserError, match="codebooks must be from 1"):
        codecs.code(clip, CodecChoice(name="tiny codec", num_codebooks=99))
