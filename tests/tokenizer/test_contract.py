"""What every tokenizer of the table keeps: nothing here names one."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import AudioError, ConfigError, UserError
from uslm_tokenizer.registry import TOKENIZERS, load_tokenizer, tokenizer_class


@pytest.fixture(params=TOKENIZERS)
def tokenizer(request: pytest.FixtureRequest) -> AudioTokenizer:
    torch.manual_seed(0)
    found = tokenizer_class(request.param)
    return found(found.tiny_config()).eval()


def audio(b: int, n: int, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(b, 1, n, generator=torch.Generator().manual_seed(seed))


def codes_of(tokenizer: AudioTokenizer, b: int, t: int) -> Tensor:
    shape = (b, tokenizer.num_codebooks, t)
    source = torch.Generator().manual_seed(0)
    return torch.randint(tokenizer.codebook_size, shape, generator=source)


def frames(tokenizer: AudioTokenizer, n: int) -> int:
    return -(-n // tokenizer.hop_length)


def test_it_is_found_under_its_own_name(tokenizer: AudioTokenizer) -> None:
    assert tokenizer_class(tokenizer.model_type) is type(tokenizer)
    assert tokenizer.frame_rate == tokenizer.sample_rate / tokenizer.hop_length


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UserError, match="no tokenizer named 'nonesuch'"):
        tokenizer_class("nonesuch")


@pytest.mark.parametrize("n", [1, 319, 320, 321, 5000])
def test_codes_have_the_promised_shape_and_range(tokenizer: AudioTokenizer, n: int) -> None:
    codes = tokenizer.encode(audio(2, n))
    assert codes.shape == (2, tokenizer.num_codebooks, frames(tokenizer, n))
    assert int(codes.min()) >= 0
    assert int(codes.max()) < tokenizer.codebook_size


def test_the_same_waveform_gives_the_same_codes(tokenizer: AudioTokenizer) -> None:
    assert torch.equal(tokenizer.encode(audio(1, 4000)), tokenizer.encode(audio(1, 4000)))


def test_a_row_of_a_batch_equals_the_row_alone(tokenizer: AudioTokenizer) -> None:
    waveform = audio(3, 4000)
    together = tokenizer.encode(waveform)
    for row in range(3):
        assert torch.equal(tokenizer.encode(waveform[row : row + 1])[0], together[row])


def test_codes_of_a_causal_tokenizer_do_not_depend_on_what_follows(
    tokenizer: AudioTokenizer,
) -> None:
    if not tokenizer.causal:
        pytest.skip("it sees the future")
    hop, kept = tokenizer.hop_length, 16  # EnCodec mirrors its first frames in front of them
    differ = False
    for scale in (1, 1000):  # random weights may give one code to all that is softer
        waveform = scale * audio(1, 24 * hop)
        changed = waveform.clone()
        changed[:, :, kept * hop :] = 0.3 * scale * audio(1, (24 - kept) * hop, seed=1)
        one, other = tokenizer.encode(waveform), tokenizer.encode(changed)
        assert torch.equal(one[:, :, :kept], other[:, :, :kept])
        differ |= not torch.equal(one, other)
    assert differ


@pytest.mark.parametrize("length", [320, 1500, 3999])
def test_padding_does_not_change_the_codes_of_a_row(tokenizer: AudioTokenizer, length: int) -> None:
    waveform = audio(2, 4000)
    noise = waveform.clone()
    noise[1, :, length:] = 0.5  # whatever lies after a row's end is not heard
    lengths, count = torch.tensor([4000, length]), frames(tokenizer, length)
    alone = tokenizer.encode(waveform[1:, :, :length])[0]
    for padded in (waveform, noise):
        assert torch.equal(tokenizer.encode(padded, lengths)[1, :, :count], alone)


@pytest.mark.parametrize("t", [1, 2, 30])
def test_decoding_gives_a_hop_of_samples_for_each_frame(tokenizer: AudioTokenizer, t: int) -> None:
    codes = codes_of(tokenizer, 2, t)
    if not tokenizer.can_decode:
        with pytest.raises(UserError):
            tokenizer.decode(codes)
        return
    waveform = tokenizer.decode(codes)
    assert waveform.shape == (2, 1, t * tokenizer.hop_length)
    assert bool(waveform.isfinite().all())
    torch.testing.assert_close(tokenizer.decode(codes[1:])[0], waveform[1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("n", [1, 640, 4001])
def test_encode_and_decode_restore_the_length_in_whole_frames(
    tokenizer: AudioTokenizer, n: int
) -> None:
    if tokenizer.can_decode:
        waveform = tokenizer.decode(tokenizer.encode(audio(1, n)))
        assert waveform.shape[-1] == frames(tokenizer, n) * tokenizer.hop_length


def test_a_decoded_frame_depends_on_no_more_than_is_said(tokenizer: AudioTokenizer) -> None:
    context = tokenizer.decoder_context_frames
    if context is None:
        pytest.skip("it does not say")
    hop, t = tokenizer.hop_length, 3 * context + 2
    codes, middle = codes_of(tokenizer, 1, t), t // 2
    other = codes.clone()
    if not tokenizer.decodes_from_start:
        other[..., : middle - context] = 0
    other[..., middle + context + 1 :] = 0
    one, two = tokenizer.decode(codes), tokenizer.decode(other)
    span = slice(middle * hop, (middle + 1) * hop)
    torch.testing.assert_close(one[..., span], two[..., span], atol=1e-6, rtol=1e-5)


def test_another_device_encodes_and_makes_the_same(
    tokenizer: AudioTokenizer, fake_device: torch.device
) -> None:
    waveform, lengths, codes = audio(2, 4000), torch.tensor([4000, 1500]), codes_of(tokenizer, 2, 5)
    received = tokenizer.encode(waveform, lengths)
    made = tokenizer.decode(codes) if tokenizer.can_decode else None
    tokenizer.to(fake_device)
    there = tokenizer.encode(waveform.to(fake_device), lengths.to(fake_device))
    assert there.device == fake_device and torch.equal(there.cpu(), received)
    if made is not None:
        torch.testing.assert_close(tokenizer.decode(codes.to(fake_device)).cpu(), made)


def test_a_loaded_tokenizer_equals_the_saved_one(tokenizer: AudioTokenizer, tmp_path: Path) -> None:
    loaded = load_tokenizer(tokenizer.save_pretrained(tmp_path))
    assert type(loaded) is type(tokenizer)
    assert loaded.config == tokenizer.config
    assert not loaded.training
    assert torch.equal(loaded.encode(audio(2, 4000)), tokenizer.encode(audio(2, 4000)))


def test_another_model_type_is_refused(tokenizer: AudioTokenizer, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace(tokenizer.model_type, "nonesuch"))
    with pytest.raises(UserError, match="nonesuch"):
        load_tokenizer(tmp_path)
    with pytest.raises(ConfigError, match="nonesuch"):
        type(tokenizer).from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "waveform",
    [
        torch.zeros(1, 1, 0),
        torch.full((1, 1, 4000), float("nan")),
        torch.full((1, 1, 4000), float("inf")),
    ],
    ids=["empty", "NaN", "infinite"],
)
def test_a_bad_waveform_is_refused(tokenizer: AudioTokenizer, waveform: Tensor) -> None:
    with pytest.raises(AudioError, match="waveform must"):
        tokenizer.encode(waveform)


def test_a_waveform_of_two_channels_is_refused(tokenizer: AudioTokenizer) -> None:
    # Asked at the check itself: in tests, signatures refuse wrong shapes first.
    with pytest.raises(AudioError, match=r"\[b, 1, n\]"):
        tokenizer.check_waveform(torch.zeros(1, 2, 4000))


@pytest.mark.parametrize("wrong", ["too large", "negative", "levels"])
def test_bad_codes_are_refused(tokenizer: AudioTokenizer, wrong: str) -> None:
    codes = codes_of(tokenizer, 1, 5)
    if wrong == "levels":
        codes = torch.cat([codes, codes], dim=1)
    else:
        codes[0, 0, 3] = -1 if wrong == "negative" else tokenizer.codebook_size
    with pytest.raises(UserError, match="codes must"):
        tokenizer.check_codes(codes)
    if tokenizer.can_decode and wrong != "levels":
        with pytest.raises(UserError, match="codes must"):
            tokenizer.decode(codes)
