"""The pretrained tokenizers: which files they are, and where they come from.

A revision is pinned where a commit is known from public records of its use; what has none stays
at the commit of its first download. Hashes come with the download, from the Hub.
"""

from dataclasses import replace
from typing import Any

from uslm_tokenizer.codecs.amphion import (
    MASKGCT_ACOUSTIC,
    MASKGCT_SEMANTIC,
    VEVO_CONTENT,
    VEVO_STYLE,
)
from uslm_tokenizer.pretrained.catalogue import Catalogue, Component, Part, System, Weights
from uslm_tokenizer.pretrained.registry import KEY_MAPPINGS
from uslm_tokenizer.pretrained.source import MAIN, HandFile, HubFile, Source, WebFile

SPEECH_TOKENIZER = Part(
    name="codec",
    components=(
        Weights(
            key_mapping="speech_tokenizer",
            file=HubFile(
                repo="fnlp/SpeechTokenizer", path="speechtokenizer_hubert_avg/SpeechTokenizer.pt"
            ),
            config=HubFile(
                repo="fnlp/SpeechTokenizer", path="speechtokenizer_hubert_avg/config.json"
            ),
            usual_config="speechtokenizer_elu",
        ),
    ),
)


def tokenizer(title: str, part: Part | Component) -> System:
    """A system of one model."""
    if not isinstance(part, Part):
        part = Part(name="tokenizer", components=(part,))
    return System(title=title, kind="tokenizer", parts=(part,))


def of_transformers(
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
    """A codec that the package transformers reads, and we through it."""
    names = ("config.json", "preprocessor_config.json", "model.safetensors")
    return System(
        title=title,
        kind="tokenizer",
        ready=tuple(HubFile(repo=repo, path=name, revision=revision) for name in names),
        model=f"uslm_tokenizer.codecs.transformers.model:{model}",
        config=config,
        source=source,
        code_licence=licence,
        weights_licence=weights_licence,
    )


def dac(title: str, repo: str, sample_rate: int, num_codebooks: int, strides: list[int]) -> System:
    """One of the published DACs."""
    return of_transformers(
        title,
        repo,
        "Dac",
        "https://github.com/descriptinc/descript-audio-codec",
        "MIT",
        "MIT",
        sampling_rate=sample_rate,
        n_codebooks=num_codebooks,
        downsampling_ratios=strides,
    )


def wav_tokenizer(title: str, file: Source) -> System:
    """One of the published WavTokenizers; their title says the rate."""
    config = "wavtokenizer_40" if "40 Hz" in title else "wavtokenizer_75"
    return tokenizer(
        f"WavTokenizer, {title}", Weights(key_mapping="wav_tokenizer", file=file, config=config)
    )


def hifi_codec(title: str, path: str, config: str) -> System:
    """One of the published HiFi-Codecs."""
    return tokenizer(
        f"HiFi-Codec, {title}, 320 samples per frame",
        Weights(key_mapping="hifi_codec", file=huggingface(HIFI, path), config=config),
    )


def huggingface(repo: str, path: str, revision: str = MAIN) -> HubFile:
    """A file on the Hub."""
    return HubFile(repo=repo, path=path, revision=revision)


WAV = "novateur/WavTokenizer"
HIFI = "Dongchao/AcademiCodec"

SYSTEMS: dict[str, System] = {
    "speechtokenizer": tokenizer("SpeechTokenizer, ELU, LibriSpeech", SPEECH_TOKENIZER),
    "speechtokenizer-snake": tokenizer(
        "SpeechTokenizer, Snake, of AnyGPT",
        Weights(
            key_mapping="speech_tokenizer",
            file=huggingface("fnlp/AnyGPT-speech-modules", "speechtokenizer/ckpt.dev"),
            config=huggingface("fnlp/AnyGPT-speech-modules", "speechtokenizer/config.json"),
            usual_config="speechtokenizer_snake",
        ),
    ),
    "dm-codec": replace(
        tokenizer(
            "DM-Codec, the network of SpeechTokenizer",
            Weights(
                key_mapping="speech_tokenizer",
                file=HandFile(address="https://github.com/mubtasimahasan/DM-Codec (Google Drive)"),
                config="speechtokenizer_elu",
            ),
        ),
        source="https://github.com/mubtasimahasan/DM-Codec",
        code_licence="Apache-2.0",
    ),
    "wavtokenizer-small-75": wav_tokenizer(
        "small, 75 Hz", huggingface(WAV, "WavTokenizer_small_320_24k_4096.ckpt")
    ),
    "wavtokenizer-small-40": wav_tokenizer(
        "small, 40 Hz", huggingface(WAV, "WavTokenizer_small_600_24k_4096.ckpt")
    ),
    "wavtokenizer-medium-speech-75": wav_tokenizer(
        "medium, speech, 75 Hz",
        huggingface(
            f"{WAV}-medium-speech-75token",
            "wavtokenizer_medium_speech_320_24k_v2.ckpt",
            "8858552e69270816d6aeb37bfcf3b770769d4899",
        ),
    ),
    "wavtokenizer-medium-music-75": wav_tokenizer(
        "medium, music and audio, 75 Hz",
        huggingface(
            f"{WAV}-medium-music-audio-75token",
            "wavtokenizer_medium_music_audio_320_24k_v2.ckpt",
            "1bcbe86db88fc1f1f86c7ea192e791b3ede17da2",
        ),
    ),
    "wavtokenizer-large-speech-75": wav_tokenizer(
        "large, speech, 75 Hz",
        huggingface(
            f"{WAV}-large-speech-75token",
            "wavtokenizer_large_speech_320_24k_v2.ckpt",
            "9ecf0f435d6f8a75390457f31c6ed8f5f0d1af1b",
        ),
    ),
    "wavtokenizer-large-unify-40": wav_tokenizer(
        "large, all sounds, 40 Hz",
        huggingface(
            f"{WAV}-large-unify-40token",
            "wavtokenizer_large_unify_600_24k.ckpt",
            "7dc47a9450ce71cab736434b7645604013ca028b",
        ),
    ),
    "languagecodec": tokenizer(
        "Language-Codec",
        Weights(
            key_mapping="language_codec",
            file=HandFile(address="https://github.com/jishengpeng/Languagecodec (Google Drive)"),
            config="languagecodec",
        ),
    ),
    "hificodec-16k-320": hifi_codec("16 kHz", "HiFi-Codec-16k-320d", "hificodec_16k_320"),
    "hificodec-24k-320": hifi_codec("24 kHz", "HiFi-Codec-24k-320d", "hificodec_24k_320"),
    "hificodec-24k-240": tokenizer(
        "HiFi-Codec, 24 kHz, 100 Hz",
        Weights(
            key_mapping="hifi_codec",
            file=HandFile(address="https://github.com/yangdongchao/AcademiCodec"),
            config="hificodec_24k_240",
        ),
    ),
    "maskgct-semantic": tokenizer("MaskGCT's semantic codec", MASKGCT_SEMANTIC),
    "maskgct-acoustic": tokenizer("MaskGCT's acoustic codec", MASKGCT_ACOUSTIC),
    "vevo-content": tokenizer("Vevo's content tokenizer", VEVO_CONTENT),
    "vevo-style": tokenizer("Vevo's content-style tokenizer", VEVO_STYLE),
    "encodec-24khz-original": tokenizer(
        "EnCodec as its authors published it",
        Weights(
            key_mapping="encodec_24khz",
            file=WebFile(
                url="https://dl.fbaipublicfiles.com/encodec/v0/encodec_24khz-d7cc33bc.th",
                sha256="d7cc33bc",
            ),
            config="encodec_24khz",
        ),
    ),
    "encodec-48khz-original": tokenizer(
        "EnCodec as its authors published it, stereo",
        Weights(
            key_mapping="encodec_48khz",
            file=WebFile(
                url="https://dl.fbaipublicfiles.com/encodec/v0/encodec_48khz-7e698e3e.th",
                sha256="7e698e3e",
            ),
            config="encodec_48khz",
        ),
    ),
    "encodec-24khz": of_transformers(
        "EnCodec, 24 kHz",
        "facebook/encodec_24khz",
        "Encodec",
        "https://github.com/facebookresearch/encodec",
        revision="c1dbe2ae3f1de713481a3b3e7c47f357092ee040",
    ),
    "dac-16khz": dac("DAC, 16 kHz", "descript/dac_16khz", 16_000, 12, [2, 4, 5, 8]),
    "dac-24khz": dac("DAC, 24 kHz", "descript/dac_24khz", 24_000, 32, [2, 4, 5, 8]),
    "dac-44khz": dac("DAC, 44.1 kHz", "descript/dac_44khz", 44_100, 9, [2, 4, 8, 8]),
    "mimi": of_transformers(
        "Mimi, of Moshi",
        "kyutai/mimi",
        "Mimi",
        "https://github.com/kyutai-labs/moshi",
        "MIT and Apache-2.0",
        "CC BY 4.0",
        revision="89091b3e466eb6a9d11e537bf26b144f194978f7",
    ),
    "xcodec": of_transformers(
        "X-Codec, HuBERT, LibriSpeech",
        "hf-audio/xcodec-hubert-librispeech",
        "XCodec",
        "https://github.com/zhenye234/xcodec",
        "no licence file",
    ),
}

TOKENIZERS = Catalogue(systems=SYSTEMS, key_mappings=KEY_MAPPINGS)
