"""Probes find what is there, controls find nothing, and renaming codes changes nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from uslm.evaluation.suites.alignment import (
    align_text,
    info_nce,
    log_likelihood,
    pairwise_likelihoods,
    vclub,
)
from uslm.evaluation.suites.baseline import MelUnits, permuted
from uslm.evaluation.suites.compression import (
    ROUND_TRIPS,
    WAYS,
    code_vectors,
    compressor,
    kept_frames,
)
from uslm.evaluation.suites.downstream import chance, probe_label, probe_phonemes
from uslm.evaluation.suites.encoded import CodebookRange, EncodedSet
from uslm.evaluation.suites.preservation import preserve
from uslm.evaluation.suites.probe import (
    Batch,
    ProbeConfig,
    TokenProbe,
    first_seen,
    train_probe,
)
from uslm.evaluation.suites.robustness import ALTERATIONS, gain, noise, token_changes
from uslm.evaluation.suites.speech_set import SAMPLE_RATE, SpeechSet
from uslm.evaluation.suites.stream import predict_stream
from uslm.evaluation.suites.unit_vocoder import train_vocoder
from uslm.evaluation.suites.use import code_use
from uslm.systems.two_stage.tiny import tiny_bundle
from uslm_tokenizer.errors import UserError

FIRST, SECOND = CodebookRange(start=0, stop=1), CodebookRange(start=1, stop=2)


def with_random_codes(encoded: EncodedSet) -> EncodedSet:
    """Tokens of nothing."""
    draw = torch.Generator().manual_seed(0)

    def rows(given):  # type: ignore[no-untyped-def]
        size = encoded.codebook_size
        return tuple(
            replace(row, codes=torch.randint(size, row.codes.shape, generator=draw))
            for row in given
        )

    return replace(encoded, train=rows(encoded.train), test=rows(encoded.test))


def test_text_is_found_in_tokens_and_only_in_its_own(
    encoded: EncodedSet, small: ProbeConfig
) -> None:
    part, config = encoded.of(FIRST), replace(small, steps=160)
    true = align_text(part, config, seed=0)
    other = align_text(part, config, seed=0, shuffle_text=True)
    bounds = [sum(each.information) / sum(each.phonemes) for each in (true, other)]
    assert bounds[0] > 0.5, "the tokens tell of the phonemes"
    assert abs(bounds[1]) < 0.2 * bounds[0], "the control does not"
    assert sum(true.errors) < 0.8 * sum(true.phonemes)
    lower = [sum(each.lower) / len(each.lower) for each in (true, other)]
    assert 0.5 < lower[0] <= math.log(12) + 1e-4 and lower[1] < 0.5


def test_a_permuted_codebook_changes_nothing(encoded: EncodedSet, small: ProbeConfig) -> None:
    """Not a bit, however long it is trained: neither what is found nor what is merged."""
    mixed = permuted(encoded, torch.Generator().manual_seed(3))
    assert not torch.equal(mixed.train[0].codes, encoded.train[0].codes)
    plain, renamed = (align_text(each, small, seed=0) for each in (encoded, mixed))
    assert renamed == plain and sum(plain.errors) < 0.9 * sum(plain.phonemes)
    guides = [code_vectors(each) for each in (encoded, mixed)]
    for row, other in zip(encoded.test, mixed.test, strict=True):
        assert torch.equal(guides[0][row.codes[0]], guides[1][other.codes[0]])
    config = replace(small, steps=20)
    for way in ("merging", "pruning"):
        found = [
            probe_phonemes(
                each, config, seed=0, compressor=compressor(way, 0.5, guide, config, seed=0)
            )
            for each, guide in zip((encoded, mixed), guides, strict=True)
        ]
        assert found[0] == found[1]
    speakers = [probe_label(each, "speaker", config, seed=0) for each in (encoded, mixed)]
    assert speakers[0] == speakers[1]


def test_gradients_are_clipped_the_same_whatever_codes_are_called(small: ProbeConfig) -> None:
    """A norm over the rows of a codebook in another order is another number, in its last bit."""
    draw = torch.Generator().manual_seed(0)
    codes = [torch.randint(200, (2, 40), generator=draw) for _ in range(24)]
    order = torch.randperm(200, generator=draw)
    wanted = torch.randn(24, 40, 3, generator=draw)
    made = []
    for rows in (codes, [order[row] for row in codes]):

        def loss(probe: TokenProbe, batch: Batch) -> torch.Tensor:
            scores = probe(batch.codes, batch.lengths)
            return 1000 * (scores - wanted[list(batch.rows)]).square().mean()

        probe = train_probe(small, rows, loss, codebook_size=200, num_classes=3, seed=0)
        made.append(probe(torch.stack(rows), torch.full((24,), 40)))
    assert torch.equal(*made)


def test_codes_are_numbered_as_they_come() -> None:
    """3 first, then 0 and 2; 1 never."""
    codes = [torch.tensor([[3, 0]]), torch.tensor([[3, 2, 0]])]
    assert first_seen(codes, 4).tolist() == [[1, 3, 2, 0]]


def test_ctc_by_hand() -> None:
    """Two frames, one symbol: x-, -x, xx; and a text that is too long has no likelihood."""
    scores = torch.tensor([[[1.0, 2.0, 0.5], [0.3, 0.1, 0.9]]])
    p, q = scores[0].softmax(-1)
    wanted = (p[1] * q[0] + p[0] * q[1] + p[1] * q[1]).log()
    texts = [torch.tensor([1])]
    torch.testing.assert_close(log_likelihood(scores, torch.tensor([2]), texts), wanted[None])
    long = [torch.tensor([1, 1, 1])]
    assert float(log_likelihood(scores, torch.tensor([2]), long)) == -math.inf


def test_bounds_of_a_known_table() -> None:
    table = torch.tensor([[-1.0, -9.0], [-7.0, -3.0]])
    assert sum(vclub(table)) / 2 == pytest.approx(-2 - (-20 / 4))
    expected = [math.log(2 / (1 + math.exp(-6))), math.log(2 / (1 + math.exp(-6)))]
    assert info_nce(table) == pytest.approx(expected)
    impossible = torch.tensor([[-1.0, -math.inf], [-7.0, -3.0]])
    assert all(math.isfinite(value) for value in vclub(impossible) + info_nce(impossible))
    scores = torch.randn(2, 6, 4)
    texts = [torch.tensor([1, 2]), torch.tensor([3])]
    table = pairwise_likelihoods(scores, torch.tensor([6, 4]), texts)
    torch.testing.assert_close(
        table[1, :1], log_likelihood(scores[1:, :4], torch.tensor([4]), texts[:1])
    )


def test_phonemes_of_unseen_people(encoded: EncodedSet, small: ProbeConfig) -> None:
    first = encoded.of(FIRST)
    found = probe_phonemes(first, small, seed=0)
    assert found.rate < 0.5
    assert probe_phonemes(first, small, seed=0, shuffle_labels=True).rate > 0.75
    assert probe_phonemes(with_random_codes(first), small, seed=0).rate > 0.75
    assert probe_phonemes(first, small, seed=0, share=0.06).rate > found.rate
    assert len(found.errors) == len(encoded.test) and probe_phonemes(first, small, seed=0) == found


def test_speakers_of_unseen_utterances(encoded: EncodedSet, small: ProbeConfig) -> None:
    guess = chance([*encoded.train, *encoded.test], "speaker")
    assert guess == pytest.approx(7 / 8)
    assert probe_label(encoded, "speaker", small, seed=0).rate < guess - 0.2
    assert probe_label(with_random_codes(encoded), "speaker", small, seed=0).rate > guess - 0.25
    with pytest.raises(UserError, match="'emotion' needs two classes"):
        probe_label(encoded, "emotion", small, seed=0)


def test_padding_is_not_heard(encoded: EncodedSet, small: ProbeConfig) -> None:
    probe = TokenProbe(small, 2, 32, 5)
    torch.nn.init.normal_(probe.embeddings)
    codes, lengths = torch.randint(32, (2, 2, 30)), torch.tensor([30, 11])
    with torch.no_grad():
        torch.testing.assert_close(
            probe(codes, lengths)[1, :11], probe(codes[1:, :, :11], lengths[1:])[0]
        )
        torch.testing.assert_close(
            probe.whole(codes, lengths)[1], probe.whole(codes[1:, :, :11], lengths[1:])[0]
        )


@pytest.mark.parametrize("way", WAYS)
def test_compression_loses(way: str, encoded: EncodedSet, small: ProbeConfig) -> None:
    """Half as many tokens still tell phonemes; one in 24, which spans several, does not."""
    first = encoded.of(FIRST)
    guide = code_vectors(first)

    def errors(kept: float) -> float:
        made = compressor(way, kept, guide, small, seed=0)
        return probe_phonemes(first, small, seed=0, compressor=made).rate

    half = errors(0.5)
    assert half < 0.65 and half < errors(1 / 24)


def test_order_can_be_predicted(encoded: EncodedSet, small: ProbeConfig) -> None:
    config = replace(small, learning_rate=5e-3)

    def saved(given: EncodedSet) -> float:
        found = predict_stream(given, config, seed=0)
        return (sum(found.unigram) - sum(found.cross_entropy)) / sum(found.frames)

    assert saved(encoded.of(FIRST)) > 0.5, "nats a frame"
    assert saved(with_random_codes(encoded.of(FIRST))) < 0.05


def test_the_stream_is_causal(small: ProbeConfig) -> None:
    from uslm.evaluation.suites.stream import CausalProbe

    model = CausalProbe(small, 2, 8)
    codes = torch.randint(8, (1, 2, 20))
    changed = codes.clone()
    changed[:, :, 12:] = (changed[:, :, 12:] + 1) % 8
    with torch.no_grad():
        torch.testing.assert_close(model(codes)[:, :, :13], model(changed)[:, :, :13])
        assert not torch.allclose(model(codes)[:, :, 13], model(changed)[:, :, 13])


def test_alterations_change_what_they_should(units: MelUnits, speech: SpeechSet) -> None:
    three = speech.test[:3]

    def changes(name: str) -> float:
        return token_changes(units, three, ALTERATIONS[name], seed=0).rate

    assert changes("gain") < 0.05, "its features have no loudness"
    assert changes("noise") > 0.1
    assert changes("mp3") > 0 and changes("pitch") > 0
    wave, draw = three[0].waveform, torch.Generator()
    ratio = (noise(wave, draw) - wave).square().mean() / wave.var()
    assert float(10 * ratio.log10()) == pytest.approx(-20, abs=0.5)
    torch.testing.assert_close(gain(wave, draw) * 2, wave, rtol=0.01, atol=1e-6)


def test_use_is_counted(encoded: EncodedSet) -> None:
    rows = code_use(encoded)
    assert rows["mel"]["bit_rate"].value == 50 * 2 * 5
    assert rows["mel"]["token_rate"].value == 100
    assert rows["mel, codebook 1 without repeats"]["token_rate"].value < 50
    assert 0.9 < rows["mel, codebook 1"]["codes_used"].value <= 1


def test_decoded_speech_is_compared(speech: SpeechSet) -> None:
    row = preserve(tiny_bundle().tokenizer, speech.test[:2], generator=torch.Generator())
    assert {"stoi", "mel_distance"} <= set(row) and "wer" not in row


def test_units_are_resynthesised_by_a_vocoder_of_their_own(
    units: MelUnits, encoded: EncodedSet, speech: SpeechSet
) -> None:
    """What it learns is what its own units say: other codes sound otherwise."""
    sizes = {"codebook_size": 32, "sample_rate": SAMPLE_RATE, "hop_length": 320, "seed": 0}
    vocoder = train_vocoder(encoded.train, steps=60, **sizes)
    again = train_vocoder(encoded.train, steps=1, **sizes)
    codes = encoded.test[0].codes[None]
    assert vocoder(codes).shape == (1, 1, codes.shape[2] * 320)

    def distance(decode: Any) -> float:
        draw = torch.Generator().manual_seed(0)
        return preserve(units, speech.test[:4], generator=draw, decode=decode)["mel_distance"].value

    learnt, unlearnt, mixed = (
        distance(each) for each in (vocoder, again, lambda codes: vocoder(codes.flip(2)))
    )
    assert learnt < 0.8 * unlearnt and learnt < mixed


def test_frames_that_stand_for_others(encoded: EncodedSet, small: ProbeConfig) -> None:
    """As many frames, fewer of them different; in order, and inside the utterance."""
    codes, guide = encoded.test[0].codes, code_vectors(encoded)
    for way in ROUND_TRIPS:
        for kept in (1.0, 0.25):
            places = kept_frames(compressor(way, kept, guide, small, seed=0), codes)
            assert len(places) == codes.shape[1] and (places.diff() >= 0).all()
            assert len(places.unique()) == math.ceil(kept * len(places))
    assert torch.equal(
        kept_frames(compressor("pooling", 0.25, guide, small, seed=0), codes[:, :8]),
        torch.tensor([2] * 4 + [6] * 4),  # of 0 .. 3 and 4 .. 7 the middle, halves to even
    )
