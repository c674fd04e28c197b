"""MeLoDy: trained here, published nowhere."""

from uslm.systems.entry import Entry, Pipeline

ENTRY = Entry(
    models={
        "melody_lm": "uslm.systems.melody.model:MelodyLM",
        "melody_diffusion": "uslm.systems.melody.model:DualPath",
    },
    pipeline=Pipeline(
        load="uslm.systems.melody.pipeline:load_melody",
        settings="uslm.systems.melody.pipeline:melody_settings",
        text="uslm.systems.melody.pipeline:melody_text",
        tiny="uslm.systems.melody.tiny:save_tiny_melody",
    ),
)
