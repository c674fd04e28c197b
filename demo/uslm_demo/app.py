"""The command `uslm-demo`: a page on this machine to speak, convert and look at tokens with."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from uslm_demo.engine import Engine
from uslm_tokenizer.errors import EnvironmentProblem, MissingResource, UserError

if TYPE_CHECKING:
    import gradio as gr

    from uslm_demo.speaking import Limits

SOUNDS = (".wav", ".flac", ".ogg", ".opus", ".mp3")


def build_app(
    engine: Engine | None = None, limits: Limits | None = None, examples: Path | None = None
) -> gr.Blocks:
    """The page, ready for `launch` or to be rendered inside another.

    `examples` is a folder of recordings that visitors may try. Raises MissingResource where there
    is no such model; its weights are loaded when they are first needed.
    """
    try:
        from uslm_demo.page import make_page
        from uslm_demo.speaking import Limits
    except ImportError as problem:
        raise EnvironmentProblem(
            f'the demo needs gradio ({problem}): pip install "uslm[demo]"'
        ) from problem

    return make_page(engine or Engine(), limits or Limits(), _sounds(examples))


def main(arguments: Sequence[str] | None = None) -> int:
    """`uslm-demo`: returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        page = build_app(Engine(options.model, device=options.device), examples=options.examples)
        from uslm_demo.page import serve
        from uslm_demo.speaking import Limits

        serve(page, Limits(), host=options.host, port=options.port, share=options.share)
    except MissingResource as error:
        return _fail(2, error)
    except UserError as error:
        return _fail(1, error)
    except (EnvironmentProblem, OSError) as error:  # OSError: the port is taken
        return _fail(3, error)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("uslm-demo", description=(__doc__ or "").partition(": ")[2])
    parser.add_argument("--model", default="default", help="name, folder or Hub repository")
    parser.add_argument("--device", default="cpu", help="cpu (the default), cuda or mps")
    parser.add_argument(
        "--host",
        help="address to listen on; 127.0.0.1 unless the environment has GRADIO_SERVER_NAME. "
        "Whoever can reach the page can use it: it asks for no password",
    )
    parser.add_argument("--port", type=int, help="the first free one from 7860 unless given")
    parser.add_argument(
        "--share", action="store_true", help="open a public tunnel through gradio.live"
    )
    parser.add_argument(
        "--examples", type=Path, metavar="FOLDER", help="recordings that visitors may try"
    )
    return parser


def _sounds(folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    if not folder.is_dir():
        raise MissingResource(f"there is no folder {str(folder)!r}")
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SOUNDS)


def _fail(code: int, error: Exception) -> int:
    print(f"uslm-demo: error: {error}", file=sys.stderr)
    return code
