"""The frame in which each symbol of each utterance begins, found once for a corpus."""

import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from uslm.models.base import AcousticModel
from uslm.systems.two_stage.conv_regressor import ConvRegressor
from uslm.systems.two_stage.nar import AcousticLM
from uslm.systems.two_stage.regressor import AcousticRegressor
from uslm.voices.alignment import align_ctc
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.tokens import TokenCorpus
from uslm_tokenizer.codecs.source_filter.model import SourceFilterCodec
from uslm_tokenizer.codecs.unit_codec.model import UnitCodec
from uslm_tokenizer.codecs.unit_tokenizer.model import UnitTokenizer
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.precision import fast_dtype
from uslm_tokenizer.whole_files import write_atomically

logger = logging.getLogger(__name__)


class Alignments:
    """Starts of the symbols of those utterances whose text fits their speech."""

    def __init__(self, path: Path) -> None:
        stored = np.load(path)
        self._starts, self._ends = stored["starts"], np.cumsum(stored["counts"])
        self._place = {int(index): i for i, index in enumerate(stored["indices"])}

    def __contains__(self, index: int) -> bool:
        return index in self._place

    def __getitem__(self, index: int) -> Int[Tensor, " s"]:
        place = self._place[index]
        begin = self._ends[place - 1] if place else 0
        return torch.from_numpy(self._starts[begin : self._ends[place]].astype(np.int64))


def align(
    corpus: Corpus,
    tokens: TokenCorpus,
    recognizer: UnitTokenizer | None,
    indices: NDArray[np.int64],
    folder: Path,
) -> Alignments:
    """Open the alignments in `folder`; find them first if they are not there, or are others'.

    Where a corpus tells the duration of each symbol, that is taken; elsewhere the recogniser,
    which must be given then, listens to the units (CTC, Graves et al. 2006).
    """
    corpus.check_phonemes("alignments", "choose a kind of model that needs none: semantic_lm ...")
    wanted = [header["sha"] for header in corpus.headers] + [tokens.header.tokenizer]
    mark = hashlib.sha256(json.dumps([wanted, indices.tolist()]).encode()).hexdigest()[:16]
    path = folder / f"alignments-{mark}.npz"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        every = ((i, _starts(corpus, tokens, recognizer, i)) for i in indices.tolist())
        found = {index: starts for index, starts in every if starts}
        logger.info("%d of %d utterances are aligned", len(found), len(indices))
        columns = {
            "indices": np.array(list(found)),
            "counts": np.array([len(starts) for starts in found.values()]),
            "starts": np.array([frame for starts in found.values() for frame in starts]),
        }
        write_atomically(path, lambda part: _save(part, columns))
    return Alignments(path)


def align_for(
    model: AcousticModel,
    codec: UnitCodec | SourceFilterCodec | None,
    corpus: Corpus,
    tokens: TokenCorpus,
    indices: NDArray[np.int64],
    folder: Path,
) -> Alignments | None:
    """The alignments of those utterances that have a text, if this stage 2 looks at them."""
    conditioned = isinstance(model, (AcousticRegressor, AcousticLM)) and (
        model.config.condition_on_alignment
    )
    if not (conditioned or isinstance(model, ConvRegressor)):
        return None
    texts = np.array([i for i in indices if len(corpus.text_ids[int(i)])], dtype=np.int64)
    listener = None if codec is None else codec.units
    if all(corpus.utterances[int(i)].durations for i in texts):
        return align(corpus, tokens, None, texts, folder)
    if not isinstance(listener, UnitTokenizer):
        raise ConfigError(
            "tokenizer must name a codec that recognises phonemes: a conv_regressor, or a model "
            "with condition_on_alignment, learns from alignments, which the corpus does not tell"
        )
    return align(corpus, tokens, listener, texts, folder)


def _save(path: Path, columns: dict[str, NDArray[np.int64]]) -> None:
    with path.open("wb") as file:
        np.savez(file, **columns)  # type: ignore[arg-type]


def _starts(
    corpus: Corpus, tokens: TokenCorpus, recognizer: UnitTokenizer | None, index: int
) -> list[int] | None:
    utterance = corpus.utterances[index]
    if utterance.durations:
        seconds = np.cumsum(utterance.durations)[:-2]
        frames = seconds * corpus.sample_rate / tokens.header.hop_length
        return [int(frame) for frame in frames]
    assert recognizer is not None
    units, device = tokens.codes(index)[:1], recognizer.device
    dtype = fast_dtype(device)
    with torch.no_grad(), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        logits = recognizer.phoneme_logits(units.to(device))[0]
    return align_ctc(logits, corpus.text_ids[index].tolist())
