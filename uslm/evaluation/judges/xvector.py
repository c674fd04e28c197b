"""Speaker models of transformers (WavLM, wav2vec 2.0, ... with an x-vector head): a voice's vector.

seed-tts-eval's own model, a fine-tuned WavLM-large, is published as pickled code of another toolkit
and is not among them: similarities of two models cannot be compared, so a report names its model.
"""

import json
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from uslm_tokenizer.environment import check_torchaudio
from uslm_tokenizer.errors import EnvironmentProblem, MissingResource
from uslm_tokenizer.hub import is_network_fault
from uslm_tokenizer.transformers_package import import_transformers

MIN_SAMPLES = 8_000
"""What is shorter is repeated: the head's convolutions need some frames."""


class XVector:
    """A waveform of 16 kHz -> a vector that stands for the voice."""

    def __init__(self, model: Any, *, normalize: bool) -> None:
        """`normalize`: whether the model wants waveforms of mean 0 and variance 1."""
        self._model, self._normalize = model, normalize

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | PathLike[str], *, device: str | torch.device = "cpu"
    ) -> "XVector":
        """Load a folder or a repository of the Hub."""
        transformers = import_transformers("the speaker model needs")
        check_torchaudio()
        build = transformers.AutoModelForAudioXVector
        transformers.utils.logging.disable_progress_bar()
        try:
            model = build.from_pretrained(name_or_path)
            path = transformers.utils.cached_file(str(name_or_path), "preprocessor_config.json")
            settings = json.loads(Path(path).read_text("utf-8"))
        except (OSError, ValueError) as problem:
            reason = str(problem).strip().splitlines()[0]
            if is_network_fault(problem):
                what = f"the speaker model {str(name_or_path)!r}"
                raise EnvironmentProblem(f"cannot reach the Hub for {what}: {reason}") from problem
            raise MissingResource(f"no speaker model {str(name_or_path)!r}: {reason}") from problem
        return cls(model.eval().to(device), normalize=bool(settings.get("do_normalize", True)))

    @torch.inference_mode()
    def __call__(self, waveform: Float[Tensor, " n"]) -> Float[Tensor, " d"]:
        samples = waveform.detach().float().to(self._model.device)
        samples = samples.repeat(max(1, -(-MIN_SAMPLES // len(samples))))
        if self._normalize:
            samples = (samples - samples.mean()) / (samples.var(correction=0) + 1e-7).sqrt()
        vector: Tensor = self._model(samples[None]).embeddings[0]
        return vector.float().cpu()
