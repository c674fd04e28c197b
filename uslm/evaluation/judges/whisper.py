"""Whisper as a judge: greedy, English, in windows as long as the speech.

Transformers' own pipeline always encodes 30 s, and its feature extractor fails beside a broken
torchaudio. Here a clip is padded to the next five seconds only; where the result looks like a loop
or a guess, the clip is heard again in the full window that Whisper was trained with.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from uslm_tokenizer.errors import EnvironmentProblem, MissingResource
from uslm_tokenizer.hub import is_network_fault
from uslm_tokenizer.nn.precision import fast_dtype
from uslm_tokenizer.ssl.front_ends import SAMPLE_RATE, WhisperLogMel
from uslm_tokenizer.ssl.whisper import layer_outputs
from uslm_tokenizer.transformers_package import import_transformers, transformers_class

FULL_SECONDS = 30
STEP_SECONDS = 5
SPARE_SECONDS = 1.5
"""Silence after the speech, at least: Whisper expects some."""
MAX_TOKENS = 220
MIN_LOG_PROBABILITY = -0.5
MAX_COMPRESSION = 2.2
MAX_WORDS_PER_SECOND = 4.5


@dataclass(frozen=True)
class _Recognized:
    text: str
    log_probability: float
    """Mean over the tokens."""

    def is_doubtful(self, seconds: float) -> bool:
        """Whether it looks like a loop, a guess, or more than anybody says in that time."""
        data = self.text.encode() or b" "
        return (
            self.log_probability < MIN_LOG_PROBABILITY
            or len(data) / len(zlib.compress(data)) > MAX_COMPRESSION
            or len(self.text.split()) > MAX_WORDS_PER_SECOND * seconds + 4
        )


class WhisperRecognizer:
    """Waveforms of 16 kHz -> English text; what is heard does not depend on the batch."""

    def __init__(self, model: Any, tokenizer: Any, *, batch_size: int = 8) -> None:
        """`model` is a WhisperForConditionalGeneration, `tokenizer` what belongs to it."""
        self._model, self._tokenizer, self._batch_size = model, tokenizer, batch_size
        self._mel = WhisperLogMel(model.config.num_mel_bins).to(model.device)
        self._prompt: list[int] = list(tokenizer.prefix_tokens)
        self._end: int = tokenizer.eos_token_id
        settings = model.generation_config
        self._never: list[int] = list(settings.suppress_tokens or [])
        self._not_first: list[int] = list(settings.begin_suppress_tokens or [])

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | PathLike[str],
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | None = None,
    ) -> "WhisperRecognizer":
        """Load a folder or a repository of the Hub; on a CPU in what is fast there, else in
        float16."""
        transformers = import_transformers("Whisper needs")
        build = transformers_class("WhisperForConditionalGeneration", "Whisper needs")
        read = transformers.WhisperTokenizer
        transformers.utils.logging.disable_progress_bar()
        on_cpu = torch.device(device).type == "cpu"
        dtype = dtype or (fast_dtype("cpu") if on_cpu else torch.float16)
        try:
            model = build.from_pretrained(name_or_path, torch_dtype=dtype)
            multilingual = model.config.vocab_size >= 51_865
            tokenizer = read.from_pretrained(
                name_or_path,
                language="en" if multilingual else None,
                task="transcribe" if multilingual else None,
                clean_up_tokenization_spaces=False,
            )
        except (OSError, ValueError) as problem:
            reason = str(problem).strip().splitlines()[0]
            if is_network_fault(problem):
                what = f"the Whisper model {str(name_or_path)!r}"
                raise EnvironmentProblem(f"cannot reach the Hub for {what}: {reason}") from problem
            raise MissingResource(f"no Whisper model {str(name_or_path)!r}: {reason}") from problem
        return cls(model.eval().to(device), tokenizer)

    def normalize(self, text: str) -> str:
        """Whisper's English normaliser: case, punctuation, spelling, numbers, contractions."""
        plain = text.replace("\u2019", "'").replace("\u2014", " ").replace("\u2013", " ")
        return " ".join(str(self._tokenizer.normalize(plain)).split())

    def __call__(self, waveforms: Sequence[Float[Tensor, " _"]]) -> list[str]:
        """The text of each; more than 30 s are cut at the quietest place."""
        segments = [
            (number, segment)
            for number, waveform in enumerate(waveforms)
            for segment in _split(waveform.detach().cpu().float())
        ]
        recognized = self._recognize([segment for _, segment in segments])
        texts: list[list[str]] = [[] for _ in waveforms]
        for (number, _), each in zip(segments, recognized, strict=True):
            texts[number].append(each.text)
        return [" ".join(parts).strip() for parts in texts]

    def _recognize(self, waveforms: Sequence[Tensor]) -> list[_Recognized]:
        seconds = [len(waveform) / SAMPLE_RATE for waveform in waveforms]
        windows = [_window(length) for length in seconds]
        recognized = self._recognize_in(waveforms, windows)
        again = [
            i
            for i, each in enumerate(recognized)
            if windows[i] < FULL_SECONDS and each.is_doubtful(seconds[i])
        ]
        second = self._recognize_in([waveforms[i] for i in again], [FULL_SECONDS] * len(again))
        for i, each in zip(again, second, strict=True):
            recognized[i] = each
        return recognized

    def _recognize_in(
        self, waveforms: Sequence[Tensor], windows: Sequence[int]
    ) -> list[_Recognized]:
        """Clips of one window together; a batch never changes how a clip is padded."""
        recognized: dict[int, _Recognized] = {}
        order = sorted(range(len(waveforms)), key=lambda i: (windows[i], len(waveforms[i])))
        while order:
            window = windows[order[0]]
            batch = [i for i in order[: self._batch_size] if windows[i] == window]
            order = order[len(batch) :]
            results = self._decode([waveforms[i] for i in batch], window)
            recognized.update(zip(batch, results, strict=True))
        return [recognized[i] for i in range(len(waveforms))]

    @torch.inference_mode()
    def _decode(self, waveforms: Sequence[Tensor], window: int) -> list[_Recognized]:
        from transformers import DynamicCache, EncoderDecoderCache
        from transformers.modeling_outputs import BaseModelOutput

        device, count = self._model.device, len(waveforms)
        outputs = BaseModelOutput(last_hidden_state=self._encode(waveforms, window))
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        tokens = torch.tensor([self._prompt] * count, device=device)
        limits = torch.tensor([10 * len(w) // SAMPLE_RATE + 20 for w in waveforms], device=device)
        done = torch.zeros(count, dtype=torch.bool, device=device)
        total = torch.zeros(count, device=device)
        said: list[Tensor] = []
        while len(said) < MAX_TOKENS and not bool(done.all()):
            result = self._model(
                encoder_outputs=outputs,
                decoder_input_ids=tokens,
                past_key_values=cache,
                use_cache=True,
            )
            logits = result.logits[:, -1].float()
            logits[:, self._never] = -torch.inf
            logits[:, self._end + 1 :] = -torch.inf
            if not said:
                logits[:, self._not_first] = -torch.inf
            best, chosen = logits.log_softmax(-1).max(-1)
            chosen = chosen.masked_fill(done, self._end)
            total += best.masked_fill(done, 0.0)
            said.append(chosen)
            done |= (chosen == self._end) | (len(said) >= limits)
            tokens = chosen[:, None]
        rows = torch.stack(said, dim=1).tolist()
        return [self._heard(row, float(sum_)) for row, sum_ in zip(rows, total, strict=True)]

    def _heard(self, tokens: list[int], log_probability: float) -> _Recognized:
        kept = tokens[: tokens.index(self._end)] if self._end in tokens else tokens
        text = self._tokenizer.decode(kept, skip_special_tokens=True).strip()
        return _Recognized(text, log_probability / (len(kept) + 1))

    def _encode(self, waveforms: Sequence[Tensor], window: int) -> Float[Tensor, "b t d"]:
        """Encoder outputs of clips in a window of their own length, not of 30 s."""
        size = window * SAMPLE_RATE
        padded = torch.stack([F.pad(w[:size], (0, max(0, size - len(w)))) for w in waveforms])
        mel = self._mel(padded.to(self._model.device)).to(self._model.dtype)
        *_, encoded = layer_outputs(self._model.model.encoder, mel)
        return encoded


def _window(seconds: float) -> int:
    """Whole steps of five seconds that hold the clip and some silence."""
    steps = -int(-(seconds + SPARE_SECONDS) // STEP_SECONDS)
    return min(FULL_SECONDS, steps * STEP_SECONDS)


def _split(waveform: Float[Tensor, " n"]) -> list[Tensor]:
    """Segments of 30 s at most, cut at the quietest fifth of a second of the last 12."""
    most, width = FULL_SECONDS * SAMPLE_RATE, SAMPLE_RATE // 5
    if len(waveform) <= most:
        return [waveform]
    first = most * 3 // 5
    energy = waveform[first:most].square().unfold(0, width, width // 4).mean(1)
    cut = first + int(energy.argmin()) * (width // 4) + width // 2
    return [waveform[:cut], *_split(waveform[cut:])]
