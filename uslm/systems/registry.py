"""The table of systems: a line each; what there is to know of one stands in its folder's entry."""

from pathlib import Path

from uslm.systems.entry import Entry
from uslm_tokenizer.addresses import load_address
from uslm_tokenizer.errors import UserError
from uslm_tokenizer.hub import PretrainedModel, read_description, resolve

SYSTEMS = {
    "two_stage": "uslm.systems.two_stage.entry:ENTRY",
    "uslm": "uslm.systems.valle.entry:ENTRY",
    "maskgct": "uslm.systems.maskgct.entry:ENTRY",
    "vevo": "uslm.systems.vevo.entry:ENTRY",
    "lst": "uslm.systems.lst.entry:ENTRY",
    "vec_tok": "uslm.systems.vec_tok.entry:ENTRY",
    "moshi": "uslm.systems.moshi.entry:ENTRY",
    "voxcpm": "uslm.systems.voxcpm.entry:ENTRY",
    "melody": "uslm.systems.melody.entry:ENTRY",
    "gense": "uslm.systems.gense.entry:ENTRY",
    "dual_speech": "uslm.systems.dual_speech.entry:ENTRY",
    "make_a_voice": "uslm.systems.make_a_voice.entry:ENTRY",
}
"""Name, as commands take it, to the address of its entry."""

ENTRIES: dict[str, Entry] = {name: load_address(address) for name, address in SYSTEMS.items()}
MODELS = {name: address for entry in ENTRIES.values() for name, address in entry.models.items()}
"""Kind of model, as config.json names it, to "module:Class"."""


def model_class(name: str) -> type[PretrainedModel]:
    """The class that the table names so."""
    if name not in MODELS:
        raise UserError(f"no model named {name!r}; there are {sorted(MODELS)}")
    loaded: type[PretrainedModel] = load_address(MODELS[name])
    return loaded


def load_model(name_or_path: str | Path) -> PretrainedModel:
    """Any saved model, whichever class its config.json names."""
    folder = resolve(name_or_path)
    return model_class(read_description(folder)["model_type"]).from_pretrained(folder)


def outline_model(folder: Path) -> PretrainedModel:
    """A saved model without its weights, see `PretrainedModel.outline`."""
    return model_class(read_description(folder)["model_type"]).outline(folder)
