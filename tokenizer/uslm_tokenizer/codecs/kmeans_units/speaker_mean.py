"""Mean of an utterance's features: much of the voice is in it, little of what is said.

Vec-Tok (Zhu et al. 2023, arXiv 2310.07246) takes it off before k-means. Put in the place of
another's it hides who speaks, as far as the mean alone says that.
"""

from jaxtyping import Bool, Float
from torch import Tensor


def utterance_mean(
    features: Float[Tensor, "b t d"], mask: Bool[Tensor, "b t"]
) -> Float[Tensor, "b d"]:
    """Mean over the frames that are real; zero where there is none."""
    real = mask[..., None]
    return (features * real).sum(1) / real.sum(1).clamp(min=1)


def less_mean(
    features: Float[Tensor, "b t d"], mask: Bool[Tensor, "b t"]
) -> Float[Tensor, "b t d"]:
    """The features without their mean."""
    return features - utterance_mean(features, mask)[:, None]


def replace_mean(
    features: Float[Tensor, "b t d"], mask: Bool[Tensor, "b t"], mean: Float[Tensor, "*b d"]
) -> Float[Tensor, "b t d"]:
    """The features with another mean in the place of theirs: one for all, or one for each row."""
    target = mean.expand(len(features), -1)
    return less_mean(features, mask) + target[:, None]
