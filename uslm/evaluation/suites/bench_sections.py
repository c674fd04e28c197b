"""The tables of the bench before anything is measured: titles, and what is compared in each."""

from uslm.evaluation.report.report import Section
from uslm.evaluation.suites.probe import ProbeConfig


def empty_sections(num_seeds: int, num_decoded: int, probe: ProbeConfig) -> dict[str, Section]:
    """Every table by its key, to be filled."""
    seeds = f"{num_seeds} seeds; intervals are over the test utterances."
    budget = f"Probes of {probe.steps} steps, width {probe.dim}; {seeds}"
    return {
        "use": Section(
            title="Stream",
            note="Codes used, perplexity and rates, over all utterances of the set.",
            rows={},
        ),
        "alignment": Section(
            title="Text alignment",
            note=f"What the tokens tell of the phonemes, by a CTC probe. {budget} With the text of "
            "other utterances the bound must be near zero; a permuted codebook must change nothing."
            " vCLUB is the paper's number and may exceed the entropy of phonemes; InfoNCE is a "
            "lower bound.",
            rows={},
            drawn=("information", "phoneme_errors"),
        ),
        "preservation": Section(
            title="Information preservation",
            note=f"Recordings and their decoded tokens, {num_decoded} utterances at most. "
            "WER and speaker similarity where a recogniser and a speaker model are named. Units "
            "have no decoder: a small vocoder is trained on those of the training utterances.",
            rows={},
            drawn=("mel_distance", "stoi"),
        ),
        "stream": Section(
            title="Language model of the tokens",
            note=f"A causal network predicts the next frame. {budget}",
            rows={},
            drawn=("language_model_rate",),
        ),
        "phonemes": Section(
            title="Phonemes",
            note=f"Of people never heard in training, for each frame. {budget}",
            rows={},
            drawn=("frame_errors",),
        ),
        "labels": Section(
            title="Classes of utterances",
            note=f"Utterances never heard in training, of known classes. {budget}",
            rows={},
            drawn=("label_errors",),
        ),
        "robustness": Section(
            title="Robustness",
            note="Edits for each run of the first codebook when the sound is altered and the words "
            f"are not, {num_decoded} utterances at most.",
            rows={},
            drawn=("token_changes",),
        ),
        "compression": Section(
            title="Token compression",
            note=f"Probes of the first codebook, with a share of its tokens kept. {budget} "
            "Decoded: all codebooks, each segment as its middle frame, or as the one kept.",
            rows={},
        ),
    }
