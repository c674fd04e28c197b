"""`uslm export`: a model for runtimes other than PyTorch."""

from __future__ import annotations

from pathlib import Path

from uslm.onnx.config import Precision
from uslm_app.cli.console import Console
from uslm_app.cli.given import ExportOptions
from uslm_tokenizer.errors import AlreadyThere

USUAL_PRECISION: dict[str, Precision] = {"onnx": "float32", "browser": "int8"}
"""A page is fetched before it speaks: a smaller model is there sooner."""


def run(options: ExportOptions, console: Console) -> None:
    """Load, export, say where it is."""
    folder = Path(options.out)
    if folder.exists() and not folder.is_dir():
        raise AlreadyThere(f"{options.out!r} is a file; name a folder")
    if not options.force and folder.is_dir() and any(folder.iterdir()):
        raise AlreadyThere(f"the folder {options.out!r} is not empty; --force writes into it")

    from uslm.systems.two_stage.bundle import load_bundle
    from uslm.systems.two_stage.onnx_export import export_onnx
    from uslm_app.browser.site import write_site

    precision = options.precision or USUAL_PRECISION[options.format]
    write = {"onnx": export_onnx, "browser": write_site}[options.format]
    write(load_bundle(options.model), folder, precision=precision)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if options.json:
        console.json({"path": str(folder), "bytes": size, "precision": precision})
        return
    console.note(f"{options.model} is exported: {folder}, {size / 1e6:.1f} MB")
    if options.format == "browser":
        console.note(f"open it: python -m http.server -b 127.0.0.1 -d {folder}")
