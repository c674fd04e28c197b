"""Sources of the tokenizers of MaskGCT and Vevo, which Amphion published."""

from dataclasses import replace

from uslm_tokenizer.pretrained.catalogue import Part, SpeechEncoder, Weights
from uslm_tokenizer.pretrained.source import HubFile, Source, WebFile

AMPHION = "d3de90f02e7f1c7dbc24b04d52fe1b8ef438effe"
MASKGCT = "265c6cef07625665d0c28d2faafb1415562379dc"
VEVO = "7edf4640c400c20542aa39c45b63f60e6c7baba0"
"""The commits of Amphion's code, and of the weights on the Hub."""


def code_file(path: str, sha256: str) -> WebFile:
    """A file that came with the code."""
    address = f"https://raw.githubusercontent.com/open-mmlab/Amphion/{AMPHION}/{path}"
    return WebFile(url=address, sha256=sha256)


PHONES = code_file(
    "models/tts/maskgct/g2p/g2p/vocab.json",
    "0f5c44e05f79df8ae4fd77d7772950436a8bacc83d134fdf0ae3c72412b5676a",
)
"""The phonemes that MaskGCT and Vevo read, and their ids."""


def maskgct_file(path: str) -> HubFile:
    """A file of MaskGCT's weights."""
    return HubFile(repo="amphion/MaskGCT", path=path, revision=MASKGCT)


def vevo_file(path: str) -> HubFile:
    """A file of Vevo's weights."""
    return HubFile(repo="amphion/Vevo", path=path, revision=VEVO)


W2V_BERT = SpeechEncoder(
    repo="facebook/w2v-bert-2.0",
    revision="da985ba0987f70aaeb84a80f2851cfac8c697a7b",
    backbone={"model_type": "wav2vec2-bert"},
    layer=17,
    padding="end",
    statistics=code_file(
        "models/tts/maskgct/ckpt/wav2vec2bert_stats.pt",
        "c9c176c2b8850ab2e3ba828bbfa969deaf4566ce55db5f2687b8430b87526ad2",
    ),
)

HUBERT_LARGE = SpeechEncoder(
    repo="facebook/hubert-large-ll60k",
    revision="ff022d095678a2995f3c49bab18a96a9e553f782",
    backbone={
        "model_type": "hubert",
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "feat_extract_norm": "layer",
        "conv_bias": True,
        "do_stable_layer_norm": True,
    },
    layer=18,
    padding="none",
    weights="pytorch_model.bin",
    statistics=code_file(
        "models/vc/vevo/config/hubert_large_l18_mean_std.npz",
        "84115dd2ad3a44526b8e75e173956e41805ba540704acd735f302889a83067b4",
    ),
)


def units(encoder: SpeechEncoder, key_mapping: str, file: Source, config: str) -> Part:
    """A codec of an encoder's features, with the encoder in front."""
    codec = Weights(key_mapping=key_mapping, file=file, config=config)
    return Part(
        name="semantic",
        components=(encoder, codec),
        model="uslm_tokenizer.codecs.ssl_units.model:SSLUnits",
    )


MASKGCT_SEMANTIC = units(
    W2V_BERT,
    "repcodec",
    maskgct_file("semantic_codec/model.safetensors"),
    "maskgct_semantic_codec",
)

MASKGCT_ACOUSTIC = Part(
    name="acoustic",
    components=(
        Weights(
            key_mapping="maskgct_encoder",
            file=maskgct_file("acoustic_codec/model.safetensors"),
            config="maskgct_acoustic_encoder",
        ),
        Weights(
            key_mapping="maskgct_decoder",
            file=maskgct_file("acoustic_codec/model_1.safetensors"),
            config="maskgct_acoustic_decoder",
        ),
    ),
    model="uslm_tokenizer.codecs.maskgct.model:MaskGCTCodec",
)

VEVO_STYLE = units(
    HUBERT_LARGE,
    "repcodec",
    vevo_file("tokenizer/vq8192/model.safetensors"),
    "maskgct_semantic_codec",
)

VEVO_CONTENT = units(
    replace(HUBERT_LARGE, statistics=None),  # it was trained on what the layer gives
    "vevo_content",
    vevo_file("tokenizer/vq32/hubert_large_l18_c32.pkl"),
    "vevo_content_tokenizer_c32",
)
