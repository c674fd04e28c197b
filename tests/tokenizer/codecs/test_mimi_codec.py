"""Our Mimi: equal to transformers' number for number, streams as it codes at once, and trains."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from uslm_tokenizer.codecs.mimi.checkpoint import MIMI, read_config
from uslm_tokenizer.codecs.mimi.model import MimiCodec, MimiCodecConfig
from uslm_tokenizer.codecs.transformers.model import Mimi
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.objectives.distillation import frame_distillation_loss
from uslm_tokenizer.pretrained.key_mapping import load_pretrained
from uslm_tokenizer.pretrained.mappings import recognise
from uslm_tokenizer.registry import PRETRAINED

HOP = 320


def audio(b: int, n: int, seed: int = 0) -> Tensor:
    return 0.3 * torch.randn(b, 1, n, generator=torch.Generator().manual_seed(seed))


def build(**quantizer: Any) -> MimiCodec:
    """Its codebooks lie where the latents do, so that all of them are used."""
    torch.manual_seed(0)
    tiny = MimiCodec.tiny_config()
    codec = MimiCodec(replace(tiny, quantizer=replace(tiny.quantizer, **quantizer))).eval()
    codec.initialize(audio(4, 40 * HOP), torch.Generator().manual_seed(0))
    return codec


@pytest.fixture(scope="module")
def theirs() -> Any:
    """The small network of transformers, of random weights and codebooks."""
    from transformers import MimiConfig, MimiModel

    torch.manual_seed(0)
    config = MimiConfig(**Mimi.tiny_config().backbone | {"sliding_window": 7})
    model = MimiModel(config).eval()
    for name, tensor in model.named_buffers():
        if name.endswith("embed_sum"):
            torch.nn.init.normal_(tensor)
        elif name.endswith("cluster_usage"):
            torch.nn.init.uniform_(tensor, 0.2, 3.0)
    for name, tensor in model.named_parameters():
        if name.endswith(".scale"):  # 0.01 as published: the transformers would hardly matter
            torch.nn.init.uniform_(tensor, 0.5, 1.5)
    return model


def ours_of(theirs: Any) -> MimiCodec:
    state = theirs.state_dict()
    assert recognise(state, PRETRAINED.key_mappings) == ["mimi"]
    model = load_pretrained(MIMI, state, read_config(theirs.config.to_dict()))
    assert isinstance(model, MimiCodec)
    return model


@pytest.mark.parametrize("n", [1, 319, 12 * HOP, 21 * HOP + 5])
def test_it_is_transformers_number_for_number(theirs: Any, n: int) -> None:
    ours, waveform = ours_of(theirs), audio(2, n)
    with torch.no_grad():
        latents = theirs.encoder(waveform).latents
        torch.testing.assert_close(ours._latents(waveform), latents, atol=1e-5, rtol=1e-4)
        codes = theirs.encode(waveform).audio_codes
        decoded = theirs.decode(codes).audio_values
    assert torch.equal(ours.encode(waveform), codes)
    torch.testing.assert_close(ours.decode(codes), decoded, atol=1e-5, rtol=1e-4)
    if n > 20 * HOP:
        assert len(codes.unique()) > 8


def test_the_names_of_the_published_file_are_known_too(theirs: Any) -> None:
    """It has no modules for the two halves."""
    flat = {
        name.removeprefix("encoder." if "encoder." in name else "decoder.")
        if "_transformer." in name or "sample." in name
        else name.replace("encoder_seanet.", "").replace("decoder_seanet.", ""): tensor
        for name, tensor in theirs.state_dict().items()
    }
    assert "encoder_transformer.layers.0.mlp.fc1.weight" in flat
    model = load_pretrained(MIMI, flat, read_config(theirs.config.to_dict()))
    assert isinstance(model, MimiCodec)
    assert torch.equal(model.encode(audio(1, 999)), ours_of(theirs).encode(audio(1, 999)))


def test_the_published_config_is_the_default() -> None:
    from transformers import MimiConfig

    wanted = MimiCodecConfig()
    assert read_config(MimiConfig().to_dict()) == wanted
    assert MimiConfig().frame_size == wanted.network.hop_length * wanted.frame_stride
    with pytest.raises(ConfigError, match="pad_mode of a Mimi must be 'constant'"):
        read_config(MimiConfig(pad_mode="reflect").to_dict())


@pytest.mark.parametrize("chunks", [[HOP] * 30, [1, 7, HOP - 8, 3 * HOP, 26 * HOP], [30 * HOP]])
def test_a_stream_is_coded_as_the_whole(chunks: list[int]) -> None:
    codec, waveform = build(), audio(2, sum(chunks) + 13)
    state = codec.start_encoding(2)
    parts = waveform[..., :-13].split(chunks, dim=-1)
    codes = [codec.encode_chunk(chunk, state) for chunk in parts]
    if chunks[0] == HOP:
        assert [part.shape[-1] for part in codes] == [1] * 30  # each frame as soon as it is there
    codes.append(codec.encode_chunk(waveform[..., -13:], state, is_final=True))
    whole = codec.encode(waveform)
    assert torch.equal(torch.cat(codes, dim=-1), whole)
    assert len(whole.unique()) > 12 and whole.shape[-1] > 2 * codec.config.context // 2


@pytest.mark.parametrize("chunks", [[1] * 30, [3, 1, 26], [30]])
def test_a_stream_is_decoded_frame_by_frame_as_the_whole(chunks: list[int]) -> None:
    codec = build()
    codes = codec.encode(audio(2, 30 * HOP))
    state, made = codec.start_decoding(2), []
    for chunk in codes.split(chunks, dim=-1):
        made.append(codec.decode_chunk(chunk, state))
        assert made[-1].shape[-1] == chunk.shape[-1] * HOP
    torch.testing.assert_close(torch.cat(made, dim=-1), codec.decode(codes), atol=1e-5, rtol=1e-4)


def test_a_frame_sees_no_further_back_than_the_context() -> None:
    codec = build()
    before = torch.randn(1, 16, 40)
    after = before.clone()
    after[..., :20] = 0
    one, other = (codec.decoder_transformer.whole(each) for each in (before, after))
    seen = codec.config.context  # of one layer
    assert torch.equal(one[..., 20 + seen - 1 :], other[..., 20 + seen - 1 :])
    assert not torch.equal(one[..., 20 + seen - 2], other[..., 20 + seen - 2])


def test_training_reaches_every_weight_and_moves_the_codebooks() -> None:
    codec = build().train()
    before = codec.quantizer.acoustic.stack.levels[0].embedding.clone()
    made = codec(audio(2, 10 * HOP), torch.Generator().manual_seed(0))
    assert made.waveform.shape == (2, 1, 10 * HOP)
    (made.waveform.square().mean() + made.quantized.loss).backward()
    for name, parameter in codec.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.abs().sum() > 0), name
    assert not torch.equal(codec.quantizer.acoustic.stack.levels[0].embedding, before)


def test_a_teacher_shapes_the_semantic_codebook_alone() -> None:
    codec = build().train()
    made = codec(audio(2, 10 * HOP), torch.Generator().manual_seed(0))
    features = made.quantized.levels[0].transpose(1, 2)
    frame_distillation_loss(features, torch.randn(2, 10, 16), 1.0).backward()
    for part, reached in (("semantic", True), ("acoustic", False)):
        stack = getattr(codec.quantizer, part)
        assert all((p.grad is not None) is reached for p in stack.parameters()), part
    assert all(p.grad is not None for p in codec.encoder.parameters())
    assert all(p.grad is None for p in codec.decoder.parameters())


def test_both_stacks_code_the_latents_themselves() -> None:
    codec = build()
    latents = codec._latents(audio(1, 20 * HOP))
    quantizer = codec.quantizer
    codes = quantizer.encode(latents)
    assert torch.equal(codes[:, 1:], quantizer.acoustic.encode(latents, 3))
    made = quantizer(latents)
    assert torch.equal(made.codes, codes)
    torch.testing.assert_close(made.latents, quantizer.decode(codes))
    torch.testing.assert_close(sum(made.levels), made.latents)
    codec.use_codebooks(2)
    assert torch.equal(codec.encode(audio(1, 20 * HOP)), codes[:, :2])
    codec.use_codebooks(1)
    assert codec.decode(codes[:, :1]).shape == (1, 1, 20 * HOP)
    for count in (0, 5):
        with pytest.raises(UserError, match=f"from 1 to 4, but is {count}"):
            codec.use_codebooks(count)


def test_latents_of_some_rows_pass_unquantized() -> None:
    codec = build(unquantized_share=0.5)
    latents = codec._latents(audio(32, 4 * HOP)).detach()
    made = codec.quantizer.train()(latents, generator=torch.Generator().manual_seed(0)).latents
    passed = (made == latents).flatten(1).all(dim=1)
    assert 8 < int(passed.sum()) < 24
    made = codec.quantizer.eval()(latents).latents
    assert not bool((made == latents).flatten(1).all(dim=1).any())


def test_wrong_configs_are_named() -> None:
    tiny = MimiCodec.tiny_config()
    with pytest.raises(ConfigError, match="causal must be true"):
        replace(tiny, network=replace(tiny.network, causal=False))
    with pytest.raises(ConfigError, match=r"num_semantic must be from 1 to 3.*but is 4"):
        replace(tiny.quantizer, num_semantic=4)
    with pytest.raises(ConfigError, match=r"must be a multiple of num_heads, 3, but is 16"):
        replace(tiny, num_heads=3)
