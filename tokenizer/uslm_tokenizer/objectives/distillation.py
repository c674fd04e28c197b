"""Distillation of a teacher's features, as in SpeechTokenizer and DM-Codec.

Their sum (Zhang et al. 2023): feature matching + adversarial + mel + 10 commitment + 500 samples
+ 120 distillation, with the rules "hifi_gan" of waveform.py.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from uslm_tokenizer.objectives.waveform import common


def distillation_loss(
    features: Float[Tensor, "b t d"], teacher: Float[Tensor, "b s d"]
) -> Float[Tensor, ""]:
    """Each dimension is to run like the teacher's over time: -log sigmoid of their cosine."""
    features, teacher = common(features, teacher)
    return -F.logsigmoid(F.cosine_similarity(features, teacher, dim=1)).mean()


def frame_distillation_loss(
    features: Float[Tensor, "b t d"], teacher: Float[Tensor, "b s d"], similarity_weight: float
) -> Float[Tensor, ""]:
    """Each frame is to equal the teacher's, in value and, so weighted, in direction."""
    features, teacher = common(features, teacher)
    similarity = F.logsigmoid(F.cosine_similarity(features, teacher, dim=2)).mean()
    return F.l1_loss(features, teacher) - similarity_weight * similarity
