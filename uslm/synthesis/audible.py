"""Recordings in which nothing is to be heard, refused before any work."""

from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.errors import AudioError


def check_audible(audio: Audio, silent_dbfs: float) -> None:
    """AudioError of an empty, a silent or a broken recording."""
    if not audio.waveform.shape[-1]:
        raise AudioError("the recording is empty")
    if not bool(audio.waveform.isfinite().all()):
        raise AudioError("the recording holds samples that are NaN or infinite; export it anew")
    peak = 20 * float(audio.waveform.abs().max().clamp(min=1e-10).log10())
    if peak < silent_dbfs:
        raise AudioError(
            f"the recording is silent: its loudest sample is at {peak:.0f} dBFS, and must be above "
            f"{silent_dbfs:g} dBFS"
        )
