"""Vevo as published."""

from dataclasses import replace

from uslm.systems.entry import Entry, Pipeline, single_part
from uslm_tokenizer.codecs.amphion import PHONES, VEVO_CONTENT, VEVO_STYLE, vevo_file
from uslm_tokenizer.pretrained.catalogue import Part, System


def part(name: str, key_mapping: str, folder: str, config: str) -> Part:
    """A model of its repository."""
    return single_part(name, key_mapping, vevo_file(f"{folder}/model.safetensors"), config)


LM_FOLDER, ACOUSTIC = "contentstyle_modeling", "acoustic_modeling"

ENTRY = Entry(
    models={
        "vevo_lm": "uslm.systems.vevo.lm:VevoLM",
        "flow_matching": "uslm.systems.vevo.flow_matching:FlowMatching",
    },
    key_mappings={
        "vevo_flow": "uslm.systems.vevo.checkpoint:VEVO_FLOW",
        "vevo_lm": "uslm.systems.vevo.checkpoint:VEVO_LM",
    },
    pretrained=System(
        title="Vevo: text or speech in another voice and style, by flow matching",
        kind="speech",
        parts=(
            replace(VEVO_STYLE, name="style"),
            # Without an encoder of its own: it uses the style's.
            Part(name="content", components=VEVO_CONTENT.components[-1:]),
            part("phone_lm", "vevo_lm", f"{LM_FOLDER}/PhoneToVq8192", "vevo_ar_phone_to_vq8192"),
            part("content_lm", "vevo_lm", f"{LM_FOLDER}/Vq32ToVq8192", "vevo_ar_vq32_to_vq8192"),
            part("flow", "vevo_flow", f"{ACOUSTIC}/Vq8192ToMels", "vevo_flow_matching"),
            part("vocoder", "vevo_vocoder", f"{ACOUSTIC}/Vocoder", "vevo_vocoder"),
        ),
        files={"vocab.json": PHONES},
    ),
    pipeline=Pipeline(
        load="uslm.systems.vevo.pipeline:load_vevo",
        settings="uslm.systems.vevo.pipeline:vevo_settings",
        text="uslm.systems.vevo.pipeline:vevo_text",
        tiny="uslm.systems.vevo.tiny:save_tiny_vevo",
        imitates="uslm.systems.vevo.pipeline:vevo_imitates",
    ),
)
