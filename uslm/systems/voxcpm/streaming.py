"""VoxCPM handing on its patches while it makes them: what was heard stays, what was not is redrawn.

    made      1  2  3  4  5  6 ... 24 25 26        patches
    heard     1  1  2  2  3  3 ... 12 13 14

At first every second patch is kept back, until as many are as a repetition is long: one that is
noticed was never heard, and is redrawn from what was heard. Speech that has to be cut because it
does not end was heard, so it stays.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.systems.voxcpm.generation import Limits, PatchSteps, draw
from uslm.systems.voxcpm.model import VoxCPM
from uslm.systems.voxcpm.settings import VoxCPMSettings
from uslm_tokenizer.codecs.vae.model import VAECodec


@dataclass(frozen=True, kw_only=True, eq=False)
class Settled:
    """Patches that stay, whatever comes."""

    new: Float[Tensor, "n p c"]
    """Those that were settled last; there may be none."""
    stop_reason: str | None = None
    """As of `Spoken`; None while there is more to come."""
    attempts: int = 1
    """Draws so far."""


def settled_patches(
    model: VoxCPM,
    text: Int[Tensor, " s"],
    prompt: Float[Tensor, "n p c"],
    how: PatchSteps,
    limits: Limits,
    generators: Sequence[torch.Generator],
) -> Iterator[Settled]:
    """Patches as they are settled, after each one that is made; a generator for each draw."""
    heard: list[Tensor] = []
    for attempt, generator in enumerate(generators, 1):
        for spoken in draw(model, text, prompt, how, limits, generator, before=heard):
            reason, count = spoken.stop_reason, len(spoken.patches)
            if reason is None:
                count -= min(count // 2, limits.loop_length)
            new = spoken.patches[len(heard) : count]
            heard += new
            redrawn = reason == "loop" and attempt < len(generators)
            yield Settled(
                new=torch.stack(new) if new else prompt[:0],
                stop_reason=None if redrawn else reason,
                attempts=attempt,
            )
        if not redrawn:
            return


class PatchDecoder:
    """Samples of patches as they come, as they sound after the end of a prompt; both ends fade."""

    def __init__(
        self, codec: VAECodec, prompt: Float[Tensor, "n p c"], settings: VoxCPMSettings
    ) -> None:
        self._codec = codec
        self._context = prompt[len(prompt) - min(len(prompt), settings.context_patches) :]
        self._state = codec.init_state(1) if codec.causal else None
        hop = prompt.shape[1] * codec.hop_length
        self._fader = Fader(min(round(settings.fade_seconds * codec.sample_rate), hop // 2))
        self._skipped = len(self._context) * hop
        self._waiting = self._context
        self._device = codec.device

    def push(self, patches: Float[Tensor, "n p c"], is_final: bool) -> Float[Tensor, "1 m"]:
        """The next samples, on the CPU; a codec that sees what follows gives all at the end."""
        self._waiting = torch.cat([self._waiting, patches])
        if self._state is None and not is_final:
            return torch.zeros(1, 0)
        if not len(self._waiting):  # a decoder that has begun keeps nothing back
            return self._fader.push(torch.zeros(1, 0), is_final)
        latents = self._waiting.flatten(0, 1).T[None].to(self._device)
        self._waiting = self._waiting[:0]
        with torch.no_grad():
            if self._state is None:
                samples = self._codec.decode_latents(latents)
            else:
                samples = self._codec.decode_chunk(latents, self._state, is_final=is_final)
        waveform = samples[0].float().cpu()
        skipped = min(self._skipped, waveform.shape[1])
        self._skipped -= skipped
        return self._fader.push(waveform[:, skipped:], is_final)


class Fader:
    """From silence and to silence within so many samples, as they come."""

    def __init__(self, count: int) -> None:
        self._ramp = torch.arange(count) / max(1, count)
        self._place = 0
        self._kept = torch.zeros(1, 0)  # what may be the end

    def push(self, waveform: Float[Tensor, "1 n"], is_final: bool) -> Float[Tensor, "1 m"]:
        """Samples that are known not to be the end; or all, where it is."""
        rising = self._ramp[self._place : self._place + waveform.shape[1]]
        self._place += waveform.shape[1]
        waveform = waveform.clone()
        waveform[:, : len(rising)] *= rising
        held = torch.cat([self._kept, waveform], dim=1)
        if is_final:
            falling = self._ramp.flip(0)[-held.shape[1] :] if held.shape[1] else self._ramp[:0]
            held[:, held.shape[1] - len(falling) :] *= falling
            return held
        ready = max(0, held.shape[1] - len(self._ramp))
        self._kept = held[:, ready:]
        return held[:, :ready]
