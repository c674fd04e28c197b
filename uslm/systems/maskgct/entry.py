"""MaskGCT as published."""

from uslm.systems.entry import Entry, Pipeline, single_part
from uslm_tokenizer.codecs.amphion import (
    MASKGCT_ACOUSTIC,
    MASKGCT_SEMANTIC,
    PHONES,
    maskgct_file,
)
from uslm_tokenizer.pretrained.catalogue import Part, System


def part(name: str, key_mapping: str, path: str, config: str) -> Part:
    """A model of its repository."""
    return single_part(name, key_mapping, maskgct_file(f"{path}/model.safetensors"), config)


ENTRY = Entry(
    models={
        "maskgct_t2s": "uslm.systems.maskgct.model:MaskGCTTextToSemantic",
        "maskgct_s2a": "uslm.systems.maskgct.model:MaskGCTSemanticToAcoustic",
    },
    key_mappings={
        "maskgct_t2s": "uslm.systems.maskgct.checkpoint:T2S",
        "maskgct_s2a": "uslm.systems.maskgct.checkpoint:S2A",
    },
    pretrained=System(
        title="MaskGCT: text to units to codes, by unmasking",
        kind="speech",
        parts=(
            MASKGCT_SEMANTIC,
            MASKGCT_ACOUSTIC,
            part("t2s", "maskgct_t2s", "t2s_model", "maskgct_t2s"),
            part("s2a_first", "maskgct_s2a", "s2a_model/s2a_model_1layer", "maskgct_s2a_1layer"),
            part("s2a_rest", "maskgct_s2a", "s2a_model/s2a_model_full", "maskgct_s2a_full"),
        ),
        files={"vocab.json": PHONES},
    ),
    pipeline=Pipeline(
        load="uslm.systems.maskgct.pipeline:load_maskgct",
        settings="uslm.systems.maskgct.pipeline:maskgct_settings",
        text="uslm.systems.maskgct.pipeline:maskgct_text",
        tiny="uslm.systems.maskgct.tiny:save_tiny_maskgct",
    ),
)
