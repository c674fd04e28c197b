"""`uslm watermark detect`: whether a recording carries our watermark."""

from __future__ import annotations

from uslm_app.cli.console import Console
from uslm_app.cli.inputs import check_file
from uslm_app.cli.option_groups import FileOptions


def run(options: FileOptions, console: Console) -> None:
    """Read, search, and say what was found, not what it would mean."""
    check_file(options.file, "the recording")

    from uslm.output.watermark import THRESHOLD, Perth, detect
    from uslm_tokenizer.audio.read import read_audio

    recording = read_audio(options.file)
    for warning in recording.source.warnings if recording.source else ():
        console.warn(warning)
    found = detect(Perth.from_package(), recording.waveform, recording.sample_rate)
    share = found.marked_share
    if options.json:
        windows = [
            {"begin": round(begin, 3), "end": round(end, 3), "score": round(score, 4)}
            for begin, end, score in found.windows
        ]
        console.json(
            {
                "file": options.file,
                "found": share > 0,
                "score": round(found.score, 4),
                "marked_share": round(share, 4),
                "threshold": THRESHOLD,
                "windows": windows,
            }
        )
        return
    where = "in all of it" if share == 1 else f"in {share:.0%} of it"
    console.result(
        f"{options.file}: {f'watermark found {where}' if share else 'no watermark found'}, "
        f"score {found.score:.2f} of 1"
    )
