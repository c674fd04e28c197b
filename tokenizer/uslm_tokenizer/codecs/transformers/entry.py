"""EnCodec, DAC, Mimi and X-Codec as the package transformers reads them."""

from typing import Any

from uslm_tokenizer.codecs.entry import Entry
from uslm_tokenizer.pretrained.catalogue import System
from uslm_tokenizer.pretrained.source import MAIN, HubFile

MODELS = {
    "encodec": "uslm_tokenizer.codecs.transformers.model:Encodec",
    "dac": "uslm_tokenizer.codecs.transformers.model:Dac",
    "mimi": "uslm_tokenizer.codecs.transformers.model:Mimi",
    "xcodec": "uslm_tokenizer.codecs.transformers.model:XCodec",
}


def pretrained(
    title: str,
    repo: str,
    model: str,
    source: str,
    licence: str = "MIT",
    weights_licence: str = "not stated",
    *,
    revision: str = MAIN,
    **config: Any,
) -> System:
    """One of those on the Hub, whose folder is used as it is."""
    names = ("config.json", "preprocessor_config.json", "model.safetensors")
    return System(
        title=title,
        kind="tokenizer",
        ready=tuple(HubFile(repo=repo, path=name, revision=revision) for name in names),
        model=MODELS[model],
        config=config,
        source=source,
        code_licence=licence,
        weights_licence=weights_licence,
    )


def dac(title: str, repo: str, sample_rate: int, num_codebooks: int, strides: list[int]) -> System:
    """One of the published DACs."""
    return pretrained(
        title,
        repo,
        "dac",
        "https://github.com/descriptinc/descript-audio-codec",
        "MIT",
        "MIT",
        sampling_rate=sample_rate,
        n_codebooks=num_codebooks,
        downsampling_ratios=strides,
    )


ENTRY = Entry(
    models=MODELS,
    pretrained={
        "encodec-24khz": pretrained(
            "EnCodec, 24 kHz",
            "facebook/encodec_24khz",
            "encodec",
            "https://github.com/facebookresearch/encodec",
            revision="c1dbe2ae3f1de713481a3b3e7c47f357092ee040",
        ),
        "dac-16khz": dac("DAC, 16 kHz", "descript/dac_16khz", 16_000, 12, [2, 4, 5, 8]),
        "dac-24khz": dac("DAC, 24 kHz", "descript/dac_24khz", 24_000, 32, [2, 4, 5, 8]),
        "dac-44khz": dac("DAC, 44.1 kHz", "descript/dac_44khz", 44_100, 9, [2, 4, 8, 8]),
        "mimi": pretrained(
            "Mimi, of Moshi",
            "kyutai/mimi",
            "mimi",
            "https://github.com/kyutai-labs/moshi",
            "MIT and Apache-2.0",
            "CC BY 4.0",
            revision="89091b3e466eb6a9d11e537bf26b144f194978f7",
        ),
        "xcodec": pretrained(
            "X-Codec, HuBERT, LibriSpeech",
            "hf-audio/xcodec-hubert-librispeech",
            "xcodec",
            "https://github.com/zhenye234/xcodec",
            "no licence file",
        ),
    },
)
