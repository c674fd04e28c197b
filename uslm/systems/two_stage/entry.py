"""The default system: models of ours, put together in a bundle."""

from uslm.systems.entry import Entry

ENTRY = Entry(
    models={
        "semantic_lm": "uslm.systems.two_stage.ar:SemanticLM",
        "monotonic_lm": "uslm.systems.two_stage.monotonic:MonotonicLM",
        "acoustic_lm": "uslm.systems.two_stage.nar:AcousticLM",
        "acoustic_regressor": "uslm.systems.two_stage.regressor:AcousticRegressor",
        "conv_regressor": "uslm.systems.two_stage.conv_regressor:ConvRegressor",
    },
)
