"""Whether a model speaks the language of a text."""

from uslm.synthesis.protocols import FrontEnd, SynthesizerSettings
from uslm.text.language import check_language
from uslm.text.script import spoken_text


def check_text_language(text: str, frontend: FrontEnd, settings: SynthesizerSettings) -> None:
    """Raise TextError, naming what the model speaks, if the text is in no language of its."""
    check_spoken_language(spoken_text(text), frontend, settings)


def check_spoken_language(spoken: str, frontend: FrontEnd, settings: SynthesizerSettings) -> None:
    """`check_text_language` of what is said of a text, without marks and mark-up."""
    languages = settings.languages or (settings.language,)
    check_language(spoken, frontend.language, languages, settings.name)
