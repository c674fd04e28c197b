"""Frozen encoders: a frame every 320 samples, padding has no influence, transformers' numbers."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from torch.nn.functional import pad

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.ssl.encoder import SSLConfig, SSLEncoder
from uslm_tokenizer.ssl.front_ends import WhisperLogMel, kaldi_mel_filters, slaney_mel_filters
from uslm_tokenizer.ssl.tiny_backbones import TINY_HUBERT

BLOCKS: dict[str, object] = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
CONVOLUTIONS: dict[str, object] = {
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
STABLE: dict[str, object] = {"do_stable_layer_norm": True, "feat_extract_norm": "layer"}
WHISPER: dict[str, object] = {
    "model_type": "whisper",
    "d_model": 16,
    "encoder_layers": 3,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "max_source_positions": 100,
    "vocab_size": 20,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
BACKBONES: dict[str, dict[str, object]] = {
    "hubert": {"model_type": "hubert", **BLOCKS, **CONVOLUTIONS},
    "hubert-large": {"model_type": "hubert", **BLOCKS, **CONVOLUTIONS, **STABLE},
    "wav2vec2": {"model_type": "wav2vec2", **BLOCKS, **CONVOLUTIONS},
    "wavlm": {"model_type": "wavlm", **BLOCKS, **CONVOLUTIONS},
    "wav2vec2-bert": {"model_type": "wav2vec2-bert", **BLOCKS},
    "whisper": WHISPER,
}
every_backbone = pytest.mark.parametrize("name", BACKBONES)
# WavLM hands PyTorch's attention masks of two types; that is between those two.
pytestmark = pytest.mark.filterwarnings("ignore:.*mismatched key_padding_mask:UserWarning")


def audio(n: int = 4000) -> Tensor:
    return torch.randn(2, n, generator=torch.Generator().manual_seed(1)) * 0.1


def build(name: str, layers: tuple[int, ...] = (1, 3), **options: Any) -> SSLEncoder:
    normalise = "hubert" in name
    return SSLEncoder(
        SSLConfig(backbone=BACKBONES[name], layers=layers, normalise_waveform=normalise, **options)
    )


@every_backbone
@pytest.mark.parametrize("n", [320, 639, 4000])
def test_a_frame_for_every_whole_hop(name: str, n: int) -> None:
    features, mask = build(name)(audio(n)[:, None], torch.tensor([n, n // 2]))
    assert features.shape == (2, n // 320, 16) and mask.sum(1).tolist() == [n // 320, n // 2 // 320]
    assert not features[~mask].any()


@every_backbone
def test_padding_has_no_influence(name: str) -> None:
    encoder = build(name)
    noisy = audio()
    noisy[1, 1500:] = 9.0
    batch = encoder.features(noisy, torch.tensor([4000, 1500]))
    alone = encoder.features(audio()[1:, :1500])
    torch.testing.assert_close(batch[1:, :4], alone, atol=1e-4, rtol=1e-4)


@every_backbone
def test_statistics_standardise_every_layer(name: str) -> None:
    encoder = build(name, layers=(2,))
    lengths = torch.tensor([4000, 2000])
    encoder.fit_statistics([(audio()[:1], lengths[:1]), (audio()[1:], lengths[1:])])
    features, mask = encoder(audio()[:, None], lengths)
    frames = features[mask]
    torch.testing.assert_close(frames.mean(0), torch.zeros(16), atol=1e-4, rtol=0)
    deviation = frames.std(0, correction=0)
    torch.testing.assert_close(deviation, 1 - 1e-3 / encoder.std[0], atol=1e-3, rtol=0)


@every_backbone
def test_never_trained(name: str) -> None:
    encoder = build(name).train()
    assert not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert not encoder.features(audio().requires_grad_()).requires_grad


@pytest.mark.parametrize("name", ["hubert", "hubert-large", "wav2vec2", "wavlm"])
def test_layers_are_those_of_transformers(name: str) -> None:
    encoder = build(name)
    options = {key: value for key, value in BACKBONES[name].items() if key != "model_type"}
    config = transformers.AutoConfig.for_model(str(BACKBONES[name]["model_type"]), **options)
    model = transformers.AutoModel.from_config(config).eval()
    model.load_state_dict(encoder.backbone.state_dict())
    waveform = audio()[:, :3840]
    if encoder.config.normalise_waveform:
        deviation = waveform.var(1, correction=0, keepdim=True) + 1e-7
        waveform = (waveform - waveform.mean(1, keepdim=True)) / deviation.sqrt()
    with torch.no_grad():
        expected = model(pad(waveform, (40, 40)), output_hidden_states=True)
    for layers, hidden in ((1,), expected.hidden_states[1]), ((3,), expected.last_hidden_state):
        one = build(name, layers=layers)
        kept = one.backbone.state_dict().keys()
        one.backbone.load_state_dict({k: v for k, v in model.state_dict().items() if k in kept})
        torch.testing.assert_close(one.features(audio()[:, :3840]), hidden, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("n", [720, 4000, 4160])
def test_without_padding_w2v_bert_is_that_of_transformers(n: int) -> None:
    encoder = build("wav2vec2-bert", layers=(2,), padding="none")
    extractor = transformers.SeamlessM4TFeatureExtractor()
    inputs = extractor(audio(n)[0].numpy(), sampling_rate=16_000, return_tensors="pt")
    options = {k: v for k, v in BACKBONES["wav2vec2-bert"].items() if k != "model_type"}
    model = transformers.Wav2Vec2BertModel(transformers.Wav2Vec2BertConfig(**options)).eval()
    missing = model.load_state_dict(encoder.backbone.state_dict(), strict=False).missing_keys
    assert all(key.startswith("encoder.layers.2.") for key in missing)
    with torch.no_grad():
        hidden = model(**inputs, output_hidden_states=True).hidden_states[2]
    features, mask = encoder(audio(n)[:1, None])
    assert bool(mask.all())
    torch.testing.assert_close(features, hidden, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["hubert", "wav2vec2-bert"])
def test_without_padding_there_is_a_frame_less(name: str) -> None:
    kept, counts = build(name).backbone.state_dict(), {}
    waveform, lengths = audio(4160), torch.tensor([4160, 3000])
    for padding in ("both", "end", "none"):
        encoder = build(name, padding=padding)
        encoder.backbone.load_state_dict(kept)
        features, mask = encoder(waveform[:, None], lengths)
        counts[padding] = mask.sum(1).tolist()
        alone = encoder.features(waveform[1:, :3000])
        torch.testing.assert_close(features[1:, : alone.shape[1]], alone, atol=1e-4, rtol=1e-4)
    assert counts == {"both": [13, 9], "end": [13, 9], "none": [12, 9]}


def test_whisper_by_hand_is_the_whisper_of_transformers() -> None:
    encoder = build("whisper", layers=(3,))
    waveform = audio(32_000)
    with torch.no_grad():
        expected: Any = encoder.backbone(WhisperLogMel()(waveform))
    torch.testing.assert_close(encoder.features(waveform), expected.last_hidden_state)


def test_long_audio_goes_through_whisper_in_windows() -> None:
    encoder = build("whisper")
    long = audio(70_000)
    whole = encoder.features(long, torch.tensor([70_000, 40_000]))
    assert whole.shape == (2, 218, 16)
    torch.testing.assert_close(whole[:1, :100], encoder.features(long[:1, :32_000]))


def test_mel_filters_are_those_of_transformers() -> None:
    reference = pytest.importorskip("transformers.audio_utils").mel_filter_bank
    slaney = reference(201, 80, 0, 8000, 16_000, norm="slaney", mel_scale="slaney")
    kaldi = reference(257, 80, 20, 8000, 16_000, mel_scale="kaldi", triangularize_in_mel_space=True)
    for ours, theirs in (
        (slaney_mel_filters(80, n_fft=400), slaney),
        (kaldi_mel_filters(80, n_fft=512), kaldi),
    ):
        torch.testing.assert_close(ours.T.double(), torch.tensor(theirs), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["hubert", "whisper"])
def test_a_transformers_folder(name: str, tmp_path: Path) -> None:
    options = {key: value for key, value in BACKBONES[name].items() if key != "model_type"}
    config = transformers.AutoConfig.for_model(name, **options)
    model = transformers.AutoModel.from_config(config).half()
    model.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"do_normalize": true}')
    encoder = SSLEncoder.from_pretrained(str(tmp_path), layers=(2,))
    again = SSLEncoder(encoder.config)
    again.load_state_dict(encoder.state_dict())
    assert encoder.config.normalise_waveform
    assert torch.equal(again.features(audio()), encoder.features(audio()))
    assert encoder.features(audio()).dtype == torch.float32


def test_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="model_type must be one of"):
        SSLConfig(backbone={"model_type": "bert"}, layers=(1,))
    with pytest.raises(ValueError, match="layers must be at most 3"):
        build("hubert", layers=(4,))
    with pytest.raises(ValueError, match="at least 320 samples, but has 100"):
        build("hubert").features(audio(100))
    with pytest.raises(ValueError, match="no speech encoder"):
        SSLEncoder.from_pretrained(str(tmp_path / "nothing"), layers=(1,))


def test_an_encoder_of_another_frame_rate_is_refused() -> None:
    fast = {**TINY_HUBERT, "conv_stride": [5, 2, 2, 2, 2, 2, 1]}
    with pytest.raises(
        ConfigError, match=r"each 320 samples, 50 per second, .* for each 160, 100 per second"
    ):
        SSLEncoder(SSLConfig(backbone=fast, layers=(1,)))
