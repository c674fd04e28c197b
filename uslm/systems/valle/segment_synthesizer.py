"""Segments of text to samples, by USLM: units side by side, then each whole segment in its turn."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from uslm.generate.autoregressive import StopRule, UnitRow, in_order, speak_units
from uslm.generate.codebooks import fill_codebooks
from uslm.generate.length import LengthConfig
from uslm.generate.sampling import Sampling
from uslm.output.samples import checked_samples
from uslm.synthesis.protocols import SegmentAudio, SegmentRequest, SegmentResult
from uslm.synthesis.seeds import generator
from uslm.synthesis.timer import StageTimer
from uslm.systems.valle.generation import pretrained_row
from uslm.systems.valle.model import Valle
from uslm.systems.valle.text import WORD
from uslm.text.vocab import TextVocab
from uslm_tokenizer.base import AudioTokenizer


class UslmSegmentSynthesizer:
    """Speaks segments."""

    def __init__(
        self,
        tokenizer: AudioTokenizer,
        model: Valle,
        vocab: TextVocab,
        length: LengthConfig,
        sampling: Sampling,
        timer: StageTimer,
    ) -> None:
        self._tokenizer, self._model, self._vocab = tokenizer, model, vocab
        self._length, self._sampling, self._timer = length, sampling, timer

    def synthesize(self, requests: Sequence[SegmentRequest]) -> Iterator[SegmentAudio]:
        """The whole audio of each segment in order, each as early as it can be had."""
        rows = in_order(self._timer.each("semantic", self._speak(requests)))
        for request, row in zip(requests, rows, strict=True):
            yield self._segment_audio(request, row)

    def synthesize_batch(self, requests: Sequence[SegmentRequest]) -> list[SegmentAudio]:
        """The whole audio of each segment."""
        return list(self.synthesize(requests))

    def _speak(self, requests: Sequence[SegmentRequest]) -> Iterator[list[UnitRow]]:
        speak = torch.inference_mode()(speak_units)  # as in BundleSegmentSynthesizer
        return speak(
            self._model.ar,
            [self._text(request) for request in requests],
            [request.voice.codes[0] for request in requests],
            [self._stop_rule(request) for request in requests],
            sampling=self._sampling,
            generators=[generator(request.seed, "semantic") for request in requests],
        )

    def _text(self, request: SegmentRequest) -> Int[Tensor, " s"]:
        """Prompt and text, read as one; where the prompt ends in a punctuation mark, they are what
        the published code gets of both as one string."""
        prompt = request.voice.text_ids.tolist()
        between = self._vocab.encode(WORD)[1:-1] if len(prompt) > 2 else []
        return torch.tensor([*prompt[:-1], *between, *request.text.text_ids[1:]])

    def _stop_rule(self, request: SegmentRequest) -> StopRule:
        num_symbols, length = len(request.text.text_ids), self._length
        return StopRule(
            min_frames=max(1, length.min_frames(num_symbols)),
            max_frames=length.max_frames(num_symbols),
            end_if_likeliest=True,
        )

    @torch.no_grad()
    def _segment_audio(self, request: SegmentRequest, row: UnitRow) -> SegmentAudio:
        with self._timer.stage("acoustic"):
            filled = pretrained_row(
                self._model.config,
                self._text(request),
                len(request.voice.text_ids),
                request.voice.codes,
                row.tensor(),
            )
            [codes] = fill_codebooks(self._model.nar, [filled])
        with self._timer.stage("decode"):
            device = self._tokenizer.device
            waveform = self._tokenizer.decode(codes[None].to(device))[0].float().cpu()
        waveform = checked_samples(waveform, repr(request.text.text))
        assert row.stop_reason is not None
        result = SegmentResult(request=request, codes=codes.cpu(), stop_reason=row.stop_reason)
        return SegmentAudio(request=request, waveform=waveform, result=result)
