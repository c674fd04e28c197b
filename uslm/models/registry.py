"""The table of language models: one line each, imported only when asked for."""

from importlib import import_module
from pathlib import Path

from uslm_tokenizer.errors import UserError
from uslm_tokenizer.hub import PretrainedModel, read_description, resolve

MODELS = {
    "semantic_lm": "uslm.systems.two_stage.ar:SemanticLM",
    "monotonic_lm": "uslm.systems.two_stage.monotonic:MonotonicLM",
    "acoustic_lm": "uslm.systems.two_stage.nar:AcousticLM",
    "valle_ar": "uslm.systems.valle.ar:ValleAR",
    "valle_nar": "uslm.systems.valle.nar:ValleNAR",
    "valle": "uslm.systems.valle.model:Valle",
    "acoustic_regressor": "uslm.systems.two_stage.regressor:AcousticRegressor",
    "conv_regressor": "uslm.systems.two_stage.conv_regressor:ConvRegressor",
    "maskgct_t2s": "uslm.systems.maskgct.model:MaskGCTTextToSemantic",
    "maskgct_s2a": "uslm.systems.maskgct.model:MaskGCTSemanticToAcoustic",
    "vevo_lm": "uslm.systems.vevo.lm:VevoLM",
    "flow_matching": "uslm.systems.vevo.flow_matching:FlowMatching",
}


def model_class(name: str) -> type[PretrainedModel]:
    """The class that the table names so."""
    if name not in MODELS:
        raise UserError(f"no model named {name!r}; there are {sorted(MODELS)}")
    module, _, attribute = MODELS[name].partition(":")
    loaded: type[PretrainedModel] = getattr(import_module(module), attribute)
    return loaded


def load_model(name_or_path: str | Path) -> PretrainedModel:
    """Any saved model, whichever class its config.json names."""
    folder = resolve(name_or_path)
    return model_class(read_description(folder)["model_type"]).from_pretrained(folder)
