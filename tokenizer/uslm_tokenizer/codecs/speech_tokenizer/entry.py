"""SpeechTokenizer as published, and DM-Codec, whose network it is."""

from dataclasses import replace

from uslm_tokenizer.codecs.entry import Entry, pretrained_tokenizer
from uslm_tokenizer.pretrained.catalogue import Part, Weights
from uslm_tokenizer.pretrained.source import HandFile, HubFile

REPO, FOLDER = "fnlp/SpeechTokenizer", "speechtokenizer_hubert_avg"
ANYGPT = "fnlp/AnyGPT-speech-modules"

SPEECH_TOKENIZER = Part(
    name="codec",
    components=(
        Weights(
            key_mapping="speech_tokenizer",
            file=HubFile(repo=REPO, path=f"{FOLDER}/SpeechTokenizer.pt"),
            config=HubFile(repo=REPO, path=f"{FOLDER}/config.json"),
            usual_config="speechtokenizer_elu",
        ),
    ),
)

ENTRY = Entry(
    models={"speech_tokenizer": "uslm_tokenizer.codecs.speech_tokenizer.model:SpeechTokenizer"},
    key_mappings={
        "speech_tokenizer": "uslm_tokenizer.codecs.speech_tokenizer.checkpoint:SPEECH_TOKENIZER"
    },
    pretrained={
        "speechtokenizer": pretrained_tokenizer(
            "SpeechTokenizer, ELU, LibriSpeech", SPEECH_TOKENIZER
        ),
        "speechtokenizer-snake": pretrained_tokenizer(
            "SpeechTokenizer, Snake, of AnyGPT",
            Weights(
                key_mapping="speech_tokenizer",
                file=HubFile(repo=ANYGPT, path="speechtokenizer/ckpt.dev"),
                config=HubFile(repo=ANYGPT, path="speechtokenizer/config.json"),
                usual_config="speechtokenizer_snake",
            ),
        ),
        "dm-codec": replace(
            pretrained_tokenizer(
                "DM-Codec, the network of SpeechTokenizer",
                Weights(
                    key_mapping="speech_tokenizer",
                    file=HandFile(
                        address="https://github.com/mubtasimahasan/DM-Codec (Google Drive)"
                    ),
                    config="speechtokenizer_elu",
                ),
            ),
            source="https://github.com/mubtasimahasan/DM-Codec",
            code_licence="Apache-2.0",
        ),
    },
)
