"""DualSpeechLM: trained here, published without weights."""

from uslm.systems.entry import Entry, Pipeline

ENTRY = Entry(
    models={
        "dual_lm": "uslm.systems.dual_speech.model:DualLM",
        "dual_decoder": "uslm.systems.dual_speech.decoder:DualDecoder",
    },
    pipeline=Pipeline(
        load="uslm.systems.dual_speech.pipeline:load_dual_speech",
        settings="uslm.systems.dual_speech.pipeline:dual_speech_settings",
        text="uslm.systems.dual_speech.pipeline:dual_speech_text",
        tiny="uslm.systems.dual_speech.tiny:save_tiny_dual_speech",
    ),
)
