"""Rows of streams for Moshi: a text in step with its speech, and another speaker beside it.

    text    PAD PAD PAD PAD EPAD h ɛ l oʊ PAD
    own     silence ....... speech ..........
    user    speech .... silence .............

In some of the rows another speaker speaks first, and is answered; in the others nobody else does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from uslm.systems.moshi.model import MoshiConfig
from uslm.systems.moshi.text_stream import Word, text_stream
from uslm.text.vocab import PHONEME_SYMBOLS
from uslm_recipes.data.alignments import Alignments
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.tokens import TokenCorpus
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import ConfigError, UserError

SPACE = PHONEME_SYMBOLS.index(" ") + 1
NUM_SYMBOLS = len(PHONEME_SYMBOLS) + 1
"""Phonemes, and the padding that no text holds."""
SILENT_FRAMES = 40
"""Frames of silence that are coded; the last of them is silence as it goes on."""


def check_fits(config: MoshiConfig, tokens: TokenCorpus, codec: AudioTokenizer) -> None:
    """Raise ConfigError unless the model's streams are codes of this codec and phonemes."""
    header = tokens.header
    if header.pitch_codebook is not None:
        raise ConfigError("tokens must be those of a codec without a pitch level, but have one")
    if codec.codebook_size != header.codebook_size or codec.num_codebooks != header.num_codebooks:
        raise ConfigError(
            f"tokenizer must be the codec that made the tokens, {header.num_codebooks} x "
            f"{header.codebook_size}, but has {codec.num_codebooks} x {codec.codebook_size}"
        )
    if config.codebook_size != header.codebook_size:
        raise ConfigError(
            f"model.codebook_size must be {header.codebook_size}, that of the tokens, "
            f"but is {config.codebook_size}"
        )
    for name in ("num_codebooks", "num_user_codebooks"):
        if getattr(config, name) > header.num_codebooks:
            raise ConfigError(
                f"model.{name} must be at most {header.num_codebooks}, those of the tokens, "
                f"but is {getattr(config, name)}"
            )
    for name in ("pad_id", "end_pad_id"):
        if not NUM_SYMBOLS <= getattr(config, name) < config.text_vocab_size:
            raise ConfigError(
                f"model.{name} must be beyond the {NUM_SYMBOLS} phonemes, "
                f"but is {getattr(config, name)}"
            )


def silence(codec: AudioTokenizer) -> Int[Tensor, "k 1"]:
    """The codes of a frame in which nothing is partner_codes."""
    waveform = torch.zeros(1, 1, SILENT_FRAMES * codec.hop_length, device=codec.device)
    return codec.encode(waveform)[0, :, -1:].cpu()


class StreamRows:
    """Utterances as rows of a `MoshiLM`."""

    def __init__(
        self,
        corpus: Corpus,
        tokens: TokenCorpus,
        alignments: Alignments,
        config: MoshiConfig,
        silent: Int[Tensor, "k 1"],
        *,
        tail_frames: int,
    ) -> None:
        """`tail_frames` of silence end each row: room for the last word's tokens."""
        self.corpus, self.tokens, self.alignments = corpus, tokens, alignments
        self.config, self.silent, self.tail_frames = config, silent, tail_frames
        self.frame_rate = corpus.sample_rate / tokens.header.hop_length

    def words(self, index: int, first_frame: int = 0) -> list[Word]:
        """Words of an utterance, as phonemes, after so many frames."""
        ids = self.corpus.text_ids[index].tolist()
        starts = self.alignments[index].tolist()
        found: list[Word] = []
        word: list[int] = []
        start, latest = 0, 0
        for symbol, frame in zip([*ids, SPACE], [*starts, 0], strict=False):
            if symbol == SPACE:
                if word:
                    latest = max(latest, start)
                    seconds = (first_frame + latest + 0.5) / self.frame_rate
                    found.append(Word(tuple(word), seconds))
                word = []
            else:
                start = start if word else frame
                word.append(symbol)
        return found

    def fits(self, index: int) -> bool:
        """Whether the text of an utterance has room beside its speech."""
        try:
            self._text(index, 0, int(self.tokens.num_frames[index]))
        except UserError:
            return False
        return True

    def row(self, index: int, partner: int | None) -> Int[Tensor, "k t"]:
        """Text, own codes, user's codes; a `partner` speaks before."""
        config, own = self.config, self.tokens.codes(index)
        partner_codes = self.silent[:, :0] if partner is None else self.tokens.codes(partner)
        before, spoken = partner_codes.shape[1], own.shape[1]

        def quiet(frames: int) -> Int[Tensor, "k _"]:
            return self.silent.expand(-1, frames)

        own = torch.cat([quiet(before), own, quiet(self.tail_frames)], dim=1)
        user = torch.cat([partner_codes, quiet(spoken + self.tail_frames)], dim=1)
        text = self._text(index, before, spoken)
        return torch.cat(
            [text[None], own[: config.num_codebooks], user[: config.num_user_codebooks]]
        )

    def partner_of(
        self, index: int, candidates: Sequence[int], random: np.random.Generator
    ) -> int | None:
        """An utterance of somebody else; None where the draw falls on the same speaker."""
        chosen = int(candidates[int(random.integers(len(candidates)))])
        return None if self.corpus.speakers[chosen] == self.corpus.speakers[index] else chosen

    def _text(self, index: int, before: int, spoken: int) -> Int[Tensor, " t"]:
        return text_stream(
            self.words(index, before),
            before + spoken + self.tail_frames,
            self.frame_rate,
            pad_id=self.config.pad_id,
            end_pad_id=self.config.end_pad_id,
        )
