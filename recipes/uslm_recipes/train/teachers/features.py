"""Features of a frozen speech encoder for every utterance of a corpus, computed once and mapped."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from uslm_recipes.data.batches import pad_waveforms
from uslm_recipes.data.corpus import Corpus
from uslm_tokenizer.nn.precision import fast_dtype
from uslm_tokenizer.ssl.encoder import SSLEncoder

STATISTICS = "statistics.npz"
logger = logging.getLogger(__name__)


class TeacherFeatures:
    """float16 features [frames of all utterances, dim], as they lie on disk."""

    def __init__(self, folder: Path) -> None:
        self.features: NDArray[np.float16] = np.load(folder / "features.npy", mmap_mode="r")
        self.starts: NDArray[np.int64] = np.load(folder / "starts.npy")

    @property
    def dim(self) -> int:
        """Width of a feature."""
        return int(self.features.shape[1])

    def __getitem__(self, index: int) -> Float[Tensor, "t d"]:
        segment = self.features[self.starts[index] : self.starts[index + 1]]
        return torch.from_numpy(segment.astype(np.float32))


def teacher_features(
    corpus: Corpus,
    folder: Path,
    name_or_path: str,
    layers: tuple[int, ...],
    *,
    device: torch.device,
    seconds_per_batch: float = 120.0,
) -> TeacherFeatures:
    """Open the features in `folder`; compute them first if they are not there, or are others'."""
    wanted = {
        "corpora": [header["sha"] for header in corpus.headers],
        "teacher": name_or_path,
        "layers": list(layers),
    }
    header = folder / "teacher.json"
    kept = header.is_file() and (folder / STATISTICS).is_file()
    if kept and json.loads(header.read_text("utf-8")) == wanted:
        return TeacherFeatures(folder)
    folder.mkdir(parents=True, exist_ok=True)
    header.unlink(missing_ok=True)
    encoder = SSLEncoder.from_pretrained(name_or_path, layers=layers).to(device)
    hop, dtype = 320, fast_dtype(device)
    starts = np.concatenate([[0], np.cumsum(corpus.num_samples // hop)]).astype(np.int64)
    features = np.lib.format.open_memmap(
        folder / "features.npy", mode="w+", dtype=np.float16, shape=(int(starts[-1]), encoder.dim)
    )
    some = np.random.default_rng(0).permutation(len(corpus))[:1000]
    encoder.fit_statistics(
        (waveforms[:, 0].to(device), lengths.to(device))
        for _, waveforms, lengths in _batches(corpus, some, seconds_per_batch)
    )
    done = 0
    for indices, waveforms, lengths in _batches(corpus, np.arange(len(corpus)), seconds_per_batch):
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            batch = encoder.features(waveforms[:, 0].to(device), lengths.to(device))
        for row, index in zip(batch.float().cpu().numpy(), indices, strict=True):
            start, stop = starts[index], starts[index + 1]
            features[start:stop] = row[: stop - start]
        done += len(indices)
        logger.info("teacher features of %d of %d utterances", done, len(corpus))
    features.flush()
    np.savez(folder / STATISTICS, mean=encoder.mean.cpu(), std=encoder.std.cpu())
    np.save(folder / "starts.npy", starts)
    header.write_text(json.dumps(wanted), "utf-8")
    return TeacherFeatures(folder)


def teacher_encoder(folder: Path, name_or_path: str, layers: tuple[int, ...]) -> SSLEncoder:
    """The encoder that made the features in `folder`, with its statistics, on the CPU."""
    encoder = SSLEncoder.from_pretrained(name_or_path, layers=layers)
    with np.load(folder / STATISTICS) as kept:
        encoder.mean.copy_(torch.from_numpy(kept["mean"]))
        encoder.std.copy_(torch.from_numpy(kept["std"]))
    return encoder


def _batches(
    corpus: Corpus, indices: NDArray[np.int64], seconds_per_batch: float
) -> Iterator[tuple[list[int], Float[Tensor, "b 1 n"], Tensor]]:
    """All of `indices`, utterances of like length together."""
    order = indices[np.argsort(corpus.num_samples[indices], kind="stable")]
    limit = int(seconds_per_batch * corpus.sample_rate)
    batch: list[int] = []
    for index in map(int, order):
        if batch and (len(batch) + 1) * int(corpus.num_samples[index]) > limit:
            yield (batch, *pad_waveforms([corpus.waveform(i) for i in batch]))
            batch = []
        batch.append(index)
    if batch:
        yield (batch, *pad_waveforms([corpus.waveform(i) for i in batch]))
