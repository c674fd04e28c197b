"""GenSE: trained here, published without weights."""

from uslm.systems.entry import Entry, Pipeline

ENTRY = Entry(
    models={"gense_lm": "uslm.systems.gense.model:GenseLM"},
    pipeline=Pipeline(
        load="uslm.systems.gense.pipeline:load_gense",
        settings="uslm.systems.gense.pipeline:gense_settings",
        imitates="uslm.systems.gense.pipeline:gense_imitates",
        tiny="uslm.systems.gense.tiny:save_tiny_gense",
    ),
)
