"""All published models, the tokenizers and those that speak: files, pins, and their parts."""

from dataclasses import replace

from uslm.systems.layouts import LAYOUTS
from uslm_tokenizer.codecs.amphion import (
    MASKGCT_ACOUSTIC,
    MASKGCT_SEMANTIC,
    VEVO_CONTENT,
    VEVO_STYLE,
    code_file,
    maskgct_file,
    vevo_file,
)
from uslm_tokenizer.codecs.catalogue import SPEECH_TOKENIZER
from uslm_tokenizer.codecs.catalogue import SYSTEMS as TOKENIZERS
from uslm_tokenizer.pretrained.catalogue import Catalogue, Part, System, Weights
from uslm_tokenizer.pretrained.source import HubFile

PHONES = code_file(
    "models/tts/maskgct/g2p/g2p/vocab.json",
    "0f5c44e05f79df8ae4fd77d7772950436a8bacc83d134fdf0ae3c72412b5676a",
)
"""The phonemes that MaskGCT and Vevo read, and their ids."""


def part(name: str, layout: str, file: HubFile, config: str, entry: str = "") -> Part:
    """A model of one file."""
    return Part(name=name, pieces=(Weights(layout=layout, file=file, config=config, entry=entry),))


def maskgct(name: str, layout: str, path: str, config: str) -> Part:
    """A model of MaskGCT."""
    return part(name, layout, maskgct_file(path), config)


def vevo(name: str, layout: str, folder: str, config: str) -> Part:
    """A model of Vevo."""
    return part(name, layout, vevo_file(f"{folder}/model.safetensors"), config)


SYSTEMS: dict[str, System] = {
    **TOKENIZERS,
    "uslm": System(
        title="USLM: VALL-E on the codes of SpeechTokenizer",
        kind="speech",
        parts=(
            SPEECH_TOKENIZER,
            part(
                "lm",
                "valle",
                HubFile(repo="fnlp/USLM", path="USLM_libritts/USLM.pt"),
                "uslm",
                entry="model",
            ),
        ),
        files={
            "symbols.k2symbols": HubFile(
                repo="fnlp/USLM", path="USLM_libritts/unique_text_tokens.k2symbols"
            )
        },
    ),
    "maskgct": System(
        title="MaskGCT: text to units to codes, by unmasking",
        kind="speech",
        parts=(
            MASKGCT_SEMANTIC,
            MASKGCT_ACOUSTIC,
            maskgct("t2s", "maskgct_t2s", "t2s_model/model.safetensors", "maskgct_t2s"),
            maskgct(
                "s2a_first",
                "maskgct_s2a",
                "s2a_model/s2a_model_1layer/model.safetensors",
                "maskgct_s2a_1layer",
            ),
            maskgct(
                "s2a_rest",
                "maskgct_s2a",
                "s2a_model/s2a_model_full/model.safetensors",
                "maskgct_s2a_full",
            ),
        ),
        files={"vocab.json": PHONES},
    ),
    "vevo": System(
        title="Vevo: text or speech in another voice and style, by flow matching",
        kind="speech",
        parts=(
            replace(VEVO_STYLE, name="style"),
            # Without an encoder of its own: it hears the style's.
            Part(name="content", pieces=VEVO_CONTENT.pieces[-1:]),
            vevo(
                "phone_lm",
                "vevo_lm",
                "contentstyle_modeling/PhoneToVq8192",
                "vevo_ar_phone_to_vq8192",
            ),
            vevo(
                "content_lm",
                "vevo_lm",
                "contentstyle_modeling/Vq32ToVq8192",
                "vevo_ar_vq32_to_vq8192",
            ),
            vevo("flow", "vevo_flow", "acoustic_modeling/Vq8192ToMels", "vevo_flow_matching"),
            vevo("vocoder", "vevo_vocoder", "acoustic_modeling/Vocoder", "vevo_vocoder"),
        ),
        files={"vocab.json": PHONES},
    ),
}

CATALOGUE = Catalogue(systems=SYSTEMS, layouts=LAYOUTS)
