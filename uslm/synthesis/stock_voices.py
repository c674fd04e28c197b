"""Stock voices for any model: as they are kept, or else made again from their recordings."""

from dataclasses import replace

from uslm.synthesis.protocols import FrontEnd, VoiceMaker
from uslm.voices.prompt import VoicePrompt
from uslm.voices.stock import stock_voice
from uslm.voices.store import load_stock_voice
from uslm_tokenizer.errors import ConfigError


def stock_voice_for(maker: VoiceMaker, frontend: FrontEnd, name: str) -> VoicePrompt:
    """The stock voice of that name, in codes that the model reads.

    The files hold codes of the default model's tokenizer, which serve every model that has it. Any
    other model makes the voice again, of the recording that comes with it. Raises MissingResource
    if there is no such voice.
    """
    stock = stock_voice(name)
    voice = load_stock_voice(name)
    try:
        maker.check_voice(voice)
    except ConfigError:
        made = maker.create_voice(frontend, stock.recording, stock.transcript, name=name)
        return replace(made, licence=voice.licence, consent=voice.consent)
    return voice
