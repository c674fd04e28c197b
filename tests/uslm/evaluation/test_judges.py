"""Judges by name: anything that can be called, and x-vector models of transformers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from uslm.evaluation.judges.loading import load_callable, load_judges, load_speaker_model
from uslm.evaluation.metrics.similarity import cosine
from uslm_tokenizer.errors import MissingResource, UserError


@pytest.fixture
def judges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of the user's own."""
    (tmp_path / "own_judges.py").write_text(
        "def hear(waveforms): return ['Hello, World'] * len(waveforms)\n"
        "def voice(waveform): return waveform[:4]\n"
        "NUMBER = 5\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("judges")
def test_anything_can_judge() -> None:
    judges = load_judges("own_judges:hear", "own_judges:voice", normalizer="seed-tts-eval")
    [received] = judges.recognizer([torch.zeros(3)])
    assert judges.normalize(received) == "hello world"
    assert judges.speaker_model is not None
    assert judges.speaker_model(torch.arange(8.0)).tolist() == [0, 1, 2, 3]
    with pytest.raises(UserError, match="only Whisper brings a normaliser"):
        load_judges("own_judges:hear")


@pytest.mark.usefixtures("judges")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such_module:hear", "cannot be imported"),
        ("own_judges:nothing", "cannot be imported"),
        ("own_judges:NUMBER", "something to call, but is 5"),
    ],
)
def test_what_cannot_be_called_is_refused(name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        load_callable(name)


@pytest.fixture(scope="module")
def wavlm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WavLM with an x-vector head and random weights, as it would be published."""
    import transformers

    config = transformers.WavLMConfig(
        vocab_size=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, conv_dim=(8, 8), conv_kernel=(10, 4), conv_stride=(160, 2),
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2, xvector_output_dim=12,
        tdnn_dim=(16, 16), tdnn_kernel=(3, 1), tdnn_dilation=(1, 1), mask_time_prob=0.0,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("wavlm")
    torch.manual_seed(0)
    transformers.WavLMForXVector(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True}))
    return folder


def test_x_vectors_of_transformers(wavlm: Path) -> None:
    model = load_speaker_model(str(wavlm))
    draw = torch.Generator().manual_seed(0)
    one, other = torch.randn(2, 24_000, generator=draw).unbind()
    vector = model(one)
    assert vector.shape == (12,)
    assert cosine(vector, model(3 * one + 0.1)) == pytest.approx(1, abs=1e-4), "normalised"
    assert cosine(vector, model(other)) < 0.99999
    assert model(one[:500]).shape == (12,), "short speech is repeated"


def test_a_speaker_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingResource, match="no speaker model"):
        load_speaker_model(str(tmp_path))
    with pytest.raises(UserError, match="but is 'ecapa'"):
        load_speaker_model("ecapa")
