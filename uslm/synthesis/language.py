"""Whether a model speaks the language of a text."""

from uslm.synthesis.protocols import FrontEnd, SynthesizerSettings
from uslm.text.language import check_language
from uslm.text.script import spoken_text


def check_text_language(text: str, frontend: FrontEnd, settings: SynthesizerSettings) -> None:
    """Raise TextError, naming what the model speaks, if the text is in no language of its."""
    languages = settings.languages or (settings.language,)
    check_language(spoken_text(text), frontend.language, languages, settings.name)
