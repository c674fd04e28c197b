"""USLM as published, and VALL-E, whose network it is."""

from uslm.systems.entry import Entry, Pipeline, single_part
from uslm_tokenizer.codecs.speech_tokenizer.entry import SPEECH_TOKENIZER
from uslm_tokenizer.pretrained.catalogue import System
from uslm_tokenizer.pretrained.source import HubFile

FILES, REPO = "USLM_libritts", "fnlp/USLM"

ENTRY = Entry(
    models={
        "valle_ar": "uslm.systems.valle.ar:ValleAR",
        "valle_nar": "uslm.systems.valle.nar:ValleNAR",
        "valle": "uslm.systems.valle.model:Valle",
    },
    key_mappings={"valle": "uslm.systems.valle.checkpoint:VALLE"},
    pretrained=System(
        title="USLM: VALL-E on the codes of SpeechTokenizer",
        kind="speech",
        parts=(
            SPEECH_TOKENIZER,
            single_part(
                "lm", "valle", HubFile(repo=REPO, path=f"{FILES}/USLM.pt"), "uslm", entry="model"
            ),
        ),
        files={
            "symbols.k2symbols": HubFile(repo=REPO, path=f"{FILES}/unique_text_tokens.k2symbols")
        },
    ),
    pipeline=Pipeline(
        load="uslm.systems.valle.pipeline:load_uslm",
        settings="uslm.systems.valle.pipeline:uslm_settings",
        text="uslm.systems.valle.pipeline:uslm_text",
        tiny="uslm.systems.valle.tiny:save_tiny_folder",
    ),
)
