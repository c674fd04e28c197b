"""The Whisper loop with a tiny random model: windows, batches, limits; and what it is fed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from uslm.evaluation.judges.loading import load_judges, load_speaker_model
from uslm.evaluation.judges.whisper import WhisperRecognizer, _split, _window
from uslm_tokenizer.errors import MissingResource, UserError

END = 50


class Letters:
    """A tokenizer that writes every token as a word."""

    eos_token_id = END
    prefix_tokens = (51, 52)

    def decode(self, tokens: Iterable[int], skip_special_tokens: bool) -> str:
        assert skip_special_tokens
        return " ".join(f"w{token}" for token in tokens)

    def normalize(self, text: str) -> str:
        return text.lower()


@pytest.fixture(scope="module")
def model() -> Any:
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    torch.manual_seed(3)
    config = WhisperConfig(
        vocab_size=60, d_model=16, encoder_layers=1, decoder_layers=1, num_mel_bins=80,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16,
        decoder_ffn_dim=16, pad_token_id=END, bos_token_id=END, eos_token_id=END,
        decoder_start_token_id=51, suppress_tokens=[], begin_suppress_tokens=[END],
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config).eval()
    model.generation_config.suppress_tokens = [7]
    model.generation_config.begin_suppress_tokens = [END]
    return model


def noise(seconds: float, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(int(16_000 * seconds), generator=torch.Generator().manual_seed(seed))


def test_what_is_heard_does_not_depend_on_the_batch(model: Any) -> None:
    clips = [noise(0.4), noise(1.2, 1), noise(6.0, 2)]
    together = WhisperRecognizer(model, Letters(), batch_size=2)(clips)
    alone = [WhisperRecognizer(model, Letters())([clip])[0] for clip in clips]
    assert together == alone
    assert all(text for text in together), "the first token may not be the end"


def test_never_says_what_is_suppressed_and_stops_in_time(model: Any) -> None:
    (text,) = WhisperRecognizer(model, Letters())([noise(0.5)])
    words = text.split()
    assert "w7" not in words
    assert all(int(word[1:]) < END for word in words)
    assert len(words) <= 10 * 0.5 + 20


def test_nothing_to_hear_is_nothing_to_do(model: Any) -> None:
    assert WhisperRecognizer(model, Letters())([]) == []


def test_encoder_by_hand_equals_transformers(model: Any) -> None:
    recognizer = WhisperRecognizer(model, Letters())
    clip = noise(2.0)
    with torch.no_grad():
        ours = recognizer._encode([clip], 30)
        padded = torch.nn.functional.pad(clip, (0, 30 * 16_000 - len(clip)))
        theirs = model.model.encoder(recognizer._mel(padded[None])).last_hidden_state
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("seconds", "window"), [(0.1, 5), (3.5, 5), (3.6, 10), (28.0, 30), (30.0, 30)]
)
def test_window_holds_the_clip_and_some_silence(seconds: float, window: int) -> None:
    assert _window(seconds) == window


def test_long_audio_is_cut_where_it_is_quiet_and_nothing_is_lost() -> None:
    long = noise(65.0)
    long[25 * 16_000 : 26 * 16_000] = 0
    segments = _split(long)
    assert torch.equal(torch.cat(segments), long)
    assert all(len(segment) <= 30 * 16_000 for segment in segments)
    assert 25 <= len(segments[0]) / 16_000 <= 26


def test_judges_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingResource, match="no recogniser folder"):
        load_judges(tmp_path / "nothing")
    with pytest.raises(MissingResource, match="no Whisper model"):
        load_judges(tmp_path)
    with pytest.raises(MissingResource, match="no weights"):
        load_speaker_model(str(tmp_path / "nothing.pt"))
    with pytest.raises(UserError, match="'ecapa'"):
        load_speaker_model("ecapa")
