"""Columns of data sets: one function each way, row by row, and with `datasets` itself."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.codecs.unit_codec.model import UnitCodec
from uslm_tokenizer.columns import decode_column, encode_column
from uslm_tokenizer.errors import AudioError, UserError


@pytest.fixture(scope="module")
def codec() -> AudioTokenizer:
    torch.manual_seed(0)
    return UnitCodec(UnitCodec.tiny_config()).eval()


def samples(num_samples: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(0, 0.1, num_samples).astype(np.float32)


def wav(array: np.ndarray[Any, Any], rate: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, array, rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


def test_every_form_of_a_row_gives_the_codes_of_its_recording(codec: AudioTokenizer) -> None:
    array = samples(16_000)
    wanted = codec.encode(torch.from_numpy(array)[None, None])[0].tolist()
    forms: list[Mapping[str, Any]] = [
        {"array": array, "sampling_rate": 16_000},
        {"bytes": wav(array, 16_000), "path": None},
    ]
    encode = encode_column(codec)
    for form in forms:
        assert encode({"audio": form, "text": "beside it"}) == {"codes": wanted}


def test_another_rate_is_resampled(codec: AudioTokenizer) -> None:
    row = {"sound": {"array": samples(24_000), "sampling_rate": 24_000}}
    codes = encode_column(codec, "sound", "units")(row)["units"]
    assert np.shape(codes) == (codec.num_codebooks, 50)


def test_codes_become_sound_again(codec: AudioTokenizer) -> None:
    codes = encode_column(codec)({"audio": {"array": samples(6_400), "sampling_rate": 16_000}})
    made = decode_column(codec)(codes)["audio"]
    assert made["sampling_rate"] == 16_000
    wanted = codec.decode(torch.tensor(codes["codes"])[None])[0, 0].numpy()
    assert np.array_equal(made["array"], wanted)


def test_what_is_wrong_with_a_row_is_named(codec: AudioTokenizer) -> None:
    with pytest.raises(UserError, match=r"a column 'audio', but has \['sound'\]"):
        encode_column(codec)({"sound": None})
    with pytest.raises(AudioError, match="audio must be"):
        encode_column(codec)({"audio": 7})
    with pytest.raises(UserError, match="codes must be"):
        decode_column(codec)({"codes": [1, 2, 3]})
    with pytest.raises(UserError, match="codes must lie in"):
        decode_column(codec)({"codes": [[10**6]] * codec.num_codebooks})


def test_a_data_set_goes_there_and_back(codec: AudioTokenizer) -> None:
    datasets = pytest.importorskip("datasets")
    sounds = [wav(samples(4_000 + 320 * i, seed=i), 16_000) for i in range(3)]
    rows = [{"bytes": sound, "path": None} for sound in sounds]
    dataset = datasets.Dataset.from_dict({"audio": rows, "text": list("abc")})
    # Without a name of its own for the result, the functions are hashed, and with them all that
    # watches over shapes in tests: minutes.
    coded = dataset.map(encode_column(codec), remove_columns="audio", new_fingerprint="coded")
    assert coded.column_names == ["text", "codes"]
    assert [np.shape(codes)[1] for codes in coded["codes"]] == [13, 14, 15]
    decoded = coded.map(decode_column(codec), remove_columns="codes", new_fingerprint="decoded")
    assert len(decoded[1]["audio"]["array"]) == 14 * 320
