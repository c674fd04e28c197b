"""Options of `uslm say` that the ONNX backend knows; the others are refused."""

from __future__ import annotations

from uslm_app.cli.exit_codes import UsageError
from uslm_app.cli.given import SayOptions
from uslm_tokenizer.errors import MissingResource

UNKNOWN = (
    "manner", "manner_text", "script", "voice_for", "srt", "vtt", "timestamps", "dry_run", "speed",
    "watermark", "verify", "retries", "dtype",
)  # fmt: skip


def check_onnx_options(options: SayOptions) -> None:
    """Raise UsageError where something is asked for that only PyTorch can do."""
    given = [name for name in UNKNOWN if getattr(options, name) not in (None, False, ())]
    if options.device != "cpu":
        given.append("device")
    if given:
        option = "--" + given[0].replace("_", "-")
        raise UsageError(f"{option} does not go with --backend onnx; leave one of them out")
    if options.model == "default":
        raise MissingResource(
            "--backend onnx needs an exported model; make one with uslm export default --format "
            "onnx --out FOLDER, and give --model FOLDER"
        )
