"""Make-A-Voice: trained here, published without weights."""

from uslm.systems.entry import Entry, Pipeline

ENTRY = Entry(
    models={
        "make_a_voice_lm": "uslm.systems.make_a_voice.model:MakeAVoiceLM",
        "code_vocoder": "uslm.systems.make_a_voice.vocoder:CodeVocoder",
    },
    pipeline=Pipeline(
        load="uslm.systems.make_a_voice.pipeline:load_make_a_voice",
        settings="uslm.systems.make_a_voice.pipeline:make_a_voice_settings",
        text="uslm.systems.make_a_voice.pipeline:make_a_voice_text",
        imitates="uslm.systems.make_a_voice.pipeline:make_a_voice_imitates",
        tiny="uslm.systems.make_a_voice.tiny:save_tiny_make_a_voice",
    ),
)
