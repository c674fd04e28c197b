"""Recordings to codes and back, of any length, window by window."""

from __future__ import annotations

from uslm.output.streaming_decoder import StreamingDecoder
from uslm_app.actions import engine
from uslm_app.actions.codes_file import CodesFile, CodesInfo
from uslm_app.cli.console import Console
from uslm_app.cli.given import DecodeOptions, EncodeOptions
from uslm_app.cli.outputs import AudioTarget
from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.audio.write import StreamWriter, output_format
from uslm_tokenizer.weight_hash import weight_hash

STEP_SECONDS = 30
"""How much is decoded, and written, at once."""


def encode(options: EncodeOptions, console: Console) -> CodesFile:
    """Codes of the recording that the options name."""
    recording = read_audio(options.audio)
    for warning in recording.source.warnings if recording.source else ():
        console.warn(warning)
    tokenizer = engine.load_tokenizer(options.tokenizer, options)
    if options.codebooks is not None:
        tokenizer.use_codebooks(options.codebooks)
    waveform = recording.resampled(tokenizer.sample_rate).waveform
    info = CodesInfo(
        tokenizer=tokenizer.model_type,
        tokenizer_hash=weight_hash(tokenizer=tokenizer),
        sample_rate=tokenizer.sample_rate,
        frame_rate=tokenizer.frame_rate,
        codebook_size=tokenizer.codebook_size,
        num_samples=waveform.shape[-1],
        source=options.audio,
    )
    return CodesFile(tokenizer.encode_long(waveform), info)


def decode(target: AudioTarget, options: DecodeOptions) -> tuple[float, int]:
    """Write what the codes sound like; returns its seconds and sample rate."""
    format = output_format(target, options.format)
    file = CodesFile.load(options.codes)
    tokenizer = engine.load_tokenizer(options.tokenizer, options)
    file.fit(tokenizer)
    decoder = StreamingDecoder(tokenizer)
    left, num_frames = file.info.num_samples, file.codes.shape[1]
    step = max(1, round(STEP_SECONDS * tokenizer.frame_rate))
    with StreamWriter(target, tokenizer.sample_rate, format=format, force=options.force) as writer:
        for start in range(0, num_frames, step):
            is_final = start + step >= num_frames
            samples = decoder.push(file.codes[:, start : start + step], is_final)[:, :left]
            left -= samples.shape[1]
            if not writer.write(samples):
                raise BrokenPipeError
    return writer.seconds, tokenizer.sample_rate
