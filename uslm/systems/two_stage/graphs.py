"""Both stages as graphs without state, of one row, to be exported to other runtimes.

    text ids ---> TextGraph ---> symbols
    unit, symbol, cache ---> StepGraph ---> logits, moves, cache
    state, unit, pitches ---> PitchGraph ---> logits
    prompt ---> VoiceGraph ---> memory
    frames, memory ---> BlockGraph ---> codes

What lies between them is arithmetic of single numbers: drawing, and moving along the text.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm.generate.codebooks import nearest_codes
from uslm.models.voice_memory import VoiceMemory
from uslm.systems.two_stage.conv_regressor import UNIT, ConvRegressor, VoicedBatch
from uslm.systems.two_stage.monotonic import MonotonicLM
from uslm_tokenizer.nn.attention import Rotary


class TextGraph(nn.Module):
    """Text ids, the end among them -> what stage 1 sees of each symbol."""

    def __init__(self, model: MonotonicLM) -> None:
        super().__init__()
        self.model = model

    def forward(self, text_ids: Int[Tensor, "1 s"]) -> Float[Tensor, "s d"]:
        positions = torch.arange(text_ids.shape[1])[None]
        symbols: Tensor = self.model.text_encoder(self.model.text_embedding(text_ids), positions)
        return symbols[0]


class StepGraph(nn.Module):
    """One unit more: its id, the symbol that it is of, its place, and of each layer the keys and
    values so far -> logits of the next unit, probabilities of moving by 0, 1, ... symbols, the
    state that the pitch is drawn at, and the keys and values with it."""

    def __init__(self, model: MonotonicLM) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        unit: Int[Tensor, "1"],
        symbol: Float[Tensor, "1 d"],
        position: Int[Tensor, "1"],
        *cache: Float[Tensor, "1 h _ dh"],
    ) -> tuple[Tensor, ...]:
        """The cache is keys and values of the first layer, of the second, ...; it comes out in the
        same order, one place longer."""
        model, decoder = self.model, self.model.decoder
        x = (model.unit_embedding(unit) + symbol)[:, None]
        grown = _GrowingCache(cache)
        rotary = Rotary.at(position[:, None], decoder.head_dim)
        for layer, block in enumerate(decoder.blocks):
            x = block(x, rotary, cache=grown, layer=layer)
        hidden = decoder.norm(x)[:, 0]
        shares = model.to_advance(hidden).softmax(dim=-1)
        return model.to_logits(hidden), shares, hidden, *grown.tensors


class _GrowingCache:
    """As much of a `KVCache` as a layer's attention asks for, on tensors that are replaced."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.tensors = list(tensors)

    def append(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        for place, new in ((2 * layer, keys), (2 * layer + 1, values)):
            self.tensors[place] = torch.cat([self.tensors[place], new], dim=2)
        return self.tensors[2 * layer], self.tensors[2 * layer + 1]


class PitchGraph(nn.Module):
    """The state at which a unit was drawn, the unit, and the pitches before -> logits of its
    pitch."""

    def __init__(self, model: MonotonicLM) -> None:
        super().__init__()
        assert model.pitch_head is not None
        self.head = model.pitch_head

    def forward(
        self, hidden: Float[Tensor, "1 d"], unit: Int[Tensor, "1"], history: Int[Tensor, "1 h"]
    ) -> Float[Tensor, "1 p"]:
        logits: Tensor = self.head(hidden, unit, history)
        return logits


class VoiceGraph(nn.Module):
    """Codes of a prompt, the symbol that each frame is of (-1: not known), and what was fitted to
    the voice -> what stage 2 looks at while it fills frames."""

    def __init__(self, model: ConvRegressor) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        codes: Int[Tensor, "k p"],
        spoken: Int[Tensor, " p"],
        pooled_shift: Float[Tensor, " d"],
    ) -> tuple[Tensor, ...]:
        """Pooled voice, frames, their latents, which of them count, then keys and values of each
        layer of attention."""
        # One frame of padding, as in `voiced_batch`: a convolution needs some length.
        prompts = nn.functional.pad(codes[None], (0, 1))
        spoken_ids = nn.functional.pad(spoken[None], (0, 1), value=-1)
        mask = nn.functional.pad(torch.ones_like(spoken[None]), (0, 1)) > 0
        memory = self.model.read_prompts(
            VoicedBatch(
                codes=prompts,
                frame_mask=mask,
                is_target=mask,
                spoken_ids=spoken_ids,
                prompts=prompts,
                prompt_mask=mask,
                prompt_spoken_ids=spoken_ids,
                pooled_shift=pooled_shift[None],
                output_shift=pooled_shift[None],
            )
        )
        return memory.pooled, memory.encoded, memory.latents, memory.mask, *memory.keys_values


class BlockGraph(nn.Module):
    """Units and pitches of some frames, the first of which are known whole, and a voice's memory
    -> all codes of these frames."""

    def __init__(self, model: ConvRegressor) -> None:
        super().__init__()
        self.model = model
        self._num_rows = 1 if model.config.unit_weight == 1 else 2

    def forward(
        self,
        codes: Int[Tensor, "k t"],
        spoken: Int[Tensor, " t"],
        num_context: Int[Tensor, "1"],
        output_shift: Float[Tensor, " e"],
        pooled: Float[Tensor, "1 d"],
        encoded: Float[Tensor, "1 p d"],
        latents: Float[Tensor, "1 p e"],
        mask: Tensor,
        *keys_values: Float[Tensor, "1 2 h p dh"],
    ) -> Int[Tensor, "k t"]:
        """`mask` tells which frames of the memory count, [1, p]."""
        weight, count = self.model.config.unit_weight, self._num_rows
        rows = codes[None].expand(count, -1, -1)
        if count > 1:
            # As `predict`, but side by side: so no weight is used twice, and none is stored twice.
            units = torch.where(spoken >= 0, self.model.hidden_unit, codes[UNIT])
            rows = torch.stack([codes, torch.cat([units[None], codes[1:]])])
        is_target = (torch.arange(codes.shape[1]) >= num_context).expand(count, -1)
        spoken_ids, shift = spoken.expand(count, -1), output_shift.expand(count, -1)
        memory = VoiceMemory(
            pooled.expand(count, -1),
            [each.expand(count, -1, -1, -1, -1) for each in keys_values],
            encoded.expand(count, -1, -1),
            latents.expand(count, -1, -1),
            mask.expand(count, -1),
        )
        batch = VoicedBatch(
            codes=rows,
            frame_mask=torch.ones_like(is_target),
            is_target=is_target,
            spoken_ids=spoken_ids,
            prompts=rows,
            prompt_mask=is_target,  # these are in the memory
            prompt_spoken_ids=spoken_ids,
            pooled_shift=shift,
            output_shift=shift,
            memory=memory,
        )
        predicted = self.model(batch)
        mixed = predicted[0]
        if count > 1:
            mixed = weight * predicted[0] + (1 - weight) * predicted[1]
            mixed = torch.where(spoken[:, None] >= 0, mixed, predicted[0])
        mixed = self.model.sharpened(mixed)
        levels = nearest_codes(mixed, list(self.model.vectors.float()))
        return torch.cat([codes[: self.model.num_given_codebooks], levels])
