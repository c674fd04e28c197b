"""A vocoder of units, trained for a fixed budget: what units alone keep can be heard through it.

SLMTokBench asks for words and voice after resynthesis; units have no decoder of their own. One for
each tokenizer, all of one size and budget, compares them. It is small and learns for minutes: the
numbers compare units, and say little of what a vocoder of the usual size would make of them.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm.evaluation.suites.encoded import EncodedSpeech
from uslm.evaluation.suites.speech_set import SAMPLE_RATE
from uslm_tokenizer.audio.read import resample
from uslm_tokenizer.nn.vocos import Vocos, VocosConfig
from uslm_tokenizer.objectives.waveform import MultiResolutionSTFTLoss

DIM, LAYERS = 128, 4
CROP_SECONDS, BATCH = 0.64, 8
LEARNING_RATE = 2e-3


class UnitVocoder(nn.Module):
    """Codes [b, k, t] -> waveform, through the sum of their embeddings."""

    def __init__(self, num_codebooks: int, codebook_size: int, hop_length: int) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(
            nn.Embedding(codebook_size, DIM) for _ in range(num_codebooks)
        )
        self.vocos = Vocos(
            VocosConfig(
                in_dim=DIM, dim=DIM, hidden_dim=3 * DIM, num_layers=LAYERS,
                n_fft=2 * (2 * hop_length // 2 * 2), hop_length=hop_length,
            )
        )  # fmt: skip

    def forward(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b 1 n"]:
        """n = t * hop_length."""
        rows = [
            table(codebook)
            for table, codebook in zip(self.embeddings, codes.unbind(1), strict=True)
        ]
        made: Tensor = self.vocos(torch.stack(rows).sum(0).transpose(1, 2))
        return made


def train_vocoder(
    rows: Sequence[EncodedSpeech],
    *,
    codebook_size: int,
    sample_rate: int,
    hop_length: int,
    steps: int,
    seed: int,
) -> UnitVocoder:
    """Crops of the utterances and their codes, for so many steps. The global random state stays."""
    frames = max(1, round(CROP_SECONDS * sample_rate / hop_length))
    waveforms = [resample(row.speech.waveform, SAMPLE_RATE, sample_rate) for row in rows]
    lengths = [
        min(row.codes.shape[1], waveform.shape[1] // hop_length)
        for row, waveform in zip(rows, waveforms, strict=True)
    ]
    long_enough = [i for i, length in enumerate(lengths) if length >= frames]
    assert long_enough, "no utterance is as long as a crop"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vocoder = UnitVocoder(len(rows[0].codes), codebook_size, hop_length).train()
    loss_of = MultiResolutionSTFTLoss(sample_rate)
    optimizer = torch.optim.Adam(vocoder.parameters(), LEARNING_RATE, betas=(0.8, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=steps + 1, pct_start=0.1
    )
    draw = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        places = torch.randint(len(long_enough), (BATCH,), generator=draw).tolist()
        shares = torch.rand(BATCH, generator=draw).tolist()
        codes, real = [], []
        for place, share in zip(places, shares, strict=True):
            i = long_enough[place]
            first = int(share * (lengths[i] - frames + 1))
            codes.append(rows[i].codes[:, first : first + frames])
            real.append(waveforms[i][:, first * hop_length : (first + frames) * hop_length])
        optimizer.zero_grad()
        loss_of(vocoder(torch.stack(codes)), torch.stack(real)).backward()
        nn.utils.clip_grad_norm_(vocoder.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return vocoder.eval().requires_grad_(False)
