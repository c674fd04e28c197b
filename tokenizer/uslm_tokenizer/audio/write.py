"""Write audio to a file or a pipe, at once or chunk by chunk; a half-written file never stays.

with StreamWriter("speech.wav", 16_000) as writer:
    for chunk in chunks:
        writer.write(chunk)
"""

from jaxtyping import Float
from torch import Tensor

from uslm_tokenizer.audio.output import AudioTarget
from uslm_tokenizer.audio.sample_writer import FORMATS as FORMATS
from uslm_tokenizer.audio.sample_writer import SUFFIXES as SUFFIXES
from uslm_tokenizer.audio.sample_writer import SampleWriter
from uslm_tokenizer.audio.sample_writer import output_format as output_format


def write_audio(
    target: AudioTarget,
    waveform: Float[Tensor, "1 n"],
    sample_rate: int,
    *,
    format: str | None = None,
    force: bool = False,
) -> None:
    """Write a whole waveform; the same samples as StreamWriter gives, chunk by chunk."""
    with StreamWriter(target, sample_rate, format=format, force=force) as writer:
        writer.write(waveform)


class StreamWriter(SampleWriter):
    """A `SampleWriter` that takes tensors."""

    def write(self, chunk: Float[Tensor, "1 n"]) -> bool:
        """Append a chunk; False once nobody reads any more, so that the caller may stop."""
        return self.write_samples(chunk.detach().cpu().float().reshape(-1).numpy())
