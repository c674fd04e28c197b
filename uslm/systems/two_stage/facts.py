"""Facts of a model of ours from its folder, and how it reads texts, without its weights."""

from pathlib import Path

from uslm.models.folders import BUNDLE_FILE, VOCAB_FILE
from uslm.systems.two_stage.config import BundleConfig
from uslm.text.frontend import TextFrontend
from uslm.text.lexicon import Lexicon
from uslm.text.vocab import PhonemeVocab, SentencePieceVocab, TextVocab
from uslm_tokenizer.config import from_dict
from uslm_tokenizer.errors import ConfigError, MissingResource, UserError
from uslm_tokenizer.json_files import check_format, read_mapping

FORMAT = 1


def read_bundle_config(folder: Path) -> BundleConfig:
    """The config in bundle.json, without loading any weights."""
    path = folder / BUNDLE_FILE
    if not path.is_file():
        raise MissingResource(f"{folder} holds no {BUNDLE_FILE}; it is not a speaking model")
    description = read_mapping(path)
    check_format({"format": description.pop("format", None)}, FORMAT, path)
    try:
        return from_dict(BundleConfig, description)
    except UserError as problem:
        raise ConfigError(f"{path}: {problem}") from problem


def read_bundle_frontend(
    folder: Path, *, language: str | None = None, lexicon: Lexicon | None = None
) -> TextFrontend:
    """The front end of a model, without loading any weights."""
    config = read_bundle_config(folder)
    return make_frontend(config, read_vocab(folder, config), language, lexicon)


def read_vocab(folder: Path, config: BundleConfig) -> TextVocab:
    """The table of what stage 1 reads."""
    if config.frontend.vocab == "sentencepiece":
        return SentencePieceVocab.load(folder / VOCAB_FILE)
    return PhonemeVocab()


def make_frontend(
    config: BundleConfig, vocab: TextVocab, language: str | None, lexicon: Lexicon | None
) -> TextFrontend:
    """The front end for a language, the model's own unless given."""
    return TextFrontend(
        language=language or config.language,
        vocab=vocab,
        lexicon=lexicon,
        normalize=config.frontend.normalize,
    )
