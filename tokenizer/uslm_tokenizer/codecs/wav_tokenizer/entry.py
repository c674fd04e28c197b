"""WavTokenizer as published."""

from uslm_tokenizer.codecs.entry import Entry, pretrained_tokenizer
from uslm_tokenizer.pretrained.catalogue import System, Weights
from uslm_tokenizer.pretrained.source import MAIN, HubFile

REPO = "novateur/WavTokenizer"


def pretrained(title: str, frame_rate: int, repo: str, path: str, revision: str = MAIN) -> System:
    """One of those published."""
    weights = Weights(
        key_mapping="wav_tokenizer",
        file=HubFile(repo=repo, path=path, revision=revision),
        config=f"wavtokenizer_{frame_rate}",
    )
    return pretrained_tokenizer(f"WavTokenizer, {title}, {frame_rate} Hz", weights)


ENTRY = Entry(
    models={"wav_tokenizer": "uslm_tokenizer.codecs.wav_tokenizer.model:WavTokenizer"},
    key_mappings={"wav_tokenizer": "uslm_tokenizer.codecs.wav_tokenizer.checkpoint:WAV_TOKENIZER"},
    pretrained={
        "wavtokenizer-small-75": pretrained(
            "small", 75, REPO, "WavTokenizer_small_320_24k_4096.ckpt"
        ),
        "wavtokenizer-small-40": pretrained(
            "small", 40, REPO, "WavTokenizer_small_600_24k_4096.ckpt"
        ),
        "wavtokenizer-medium-speech-75": pretrained(
            "medium, speech",
            75,
            f"{REPO}-medium-speech-75token",
            "wavtokenizer_medium_speech_320_24k_v2.ckpt",
            "8858552e69270816d6aeb37bfcf3b770769d4899",
        ),
        "wavtokenizer-medium-music-75": pretrained(
            "medium, music and audio",
            75,
            f"{REPO}-medium-music-audio-75token",
            "wavtokenizer_medium_music_audio_320_24k_v2.ckpt",
            "1bcbe86db88fc1f1f86c7ea192e791b3ede17da2",
        ),
        "wavtokenizer-large-speech-75": pretrained(
            "large, speech",
            75,
            f"{REPO}-large-speech-75token",
            "wavtokenizer_large_speech_320_24k_v2.ckpt",
            "9ecf0f435d6f8a75390457f31c6ed8f5f0d1af1b",
        ),
        "wavtokenizer-large-unify-40": pretrained(
            "large, all sounds",
            40,
            f"{REPO}-large-unify-40token",
            "wavtokenizer_large_unify_600_24k.ckpt",
            "7dc47a9450ce71cab736434b7645604013ca028b",
        ),
    },
)
