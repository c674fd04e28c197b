"""The command `uslm-demo`: a page on this machine to try a model with."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from uslm import __version__
from uslm_demo.guard import is_public
from uslm_demo.limits import Limits
from uslm_demo.model import Model
from uslm_tokenizer.errors import EnvironmentProblem, MissingResource, UserError

if TYPE_CHECKING:
    import gradio as gr

SOUNDS = (".wav", ".flac", ".ogg", ".opus", ".mp3")


def build_app(
    model: Model | None = None,
    limits: Limits | None = None,
    *,
    examples: str | Path | None = None,
    voices: str | Path | None = None,
    codecs: Sequence[str] = (),
) -> gr.Blocks:
    """The page, ready for `launch` or to be rendered inside another.

    `examples` is a folder of recordings that visitors may try. `voices` is the folder of voices
    that all visitors use and change; without it each has voices of his own, while he is there.
    `codecs` can be compared, beside the model's own. Raises MissingResource where there is no
    such model; its weights are loaded when they are first needed.
    """
    try:
        from uslm_demo.comparing import Codecs
        from uslm_demo.context import Context
        from uslm_demo.page import make_page
        from uslm_demo.session_voices import SessionVoices
    except ImportError as problem:
        raise EnvironmentProblem(
            f'the demo needs gradio ({problem}): pip install "uslm[demo]"'
        ) from problem
    from uslm.voices.store import VoiceStore

    model = model or Model()
    context = Context(
        model=model,
        limits=limits or Limits(),
        session_voices=SessionVoices(None if voices is None else VoiceStore(voices)),
        codecs=Codecs(model, codecs),
        examples=_sounds(examples),
    )
    return make_page(context)


def main(arguments: Sequence[str] | None = None) -> int:
    """`uslm-demo`: returns the exit code."""
    options = _parser().parse_args(arguments)
    model = Model(options.model, device=options.device, threads=options.threads,
        any_language=options.any_language,
    )  # fmt: skip
    try:
        page = build_app(
            model, examples=options.examples, voices=_voices(options), codecs=options.codec
        )
        from uslm_demo.page import serve

        serve(page, Limits(), host=options.host, port=options.port, share=options.share)
    except MissingResource as error:
        return _fail(2, error)
    except UserError as error:
        return _fail(1, error)
    except (EnvironmentProblem, OSError) as error:  # OSError: the port is taken
        return _fail(3, error)
    finally:
        model.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("uslm-demo", description=(__doc__ or "").partition(": ")[2])
    parser.add_argument("--model", default="default", help="name, folder or Hub repository")
    parser.add_argument("--device", default="cpu", help="cpu (the default), cuda, mps or auto")
    parser.add_argument(
        "--threads",
        type=int,
        choices=range(1, 1025),
        metavar="N",
        help="CPU threads (default: as many as there are idle cores)",
    )
    parser.add_argument(
        "--any-language",
        action="store_true",
        help="speak texts in languages that the model was not trained on, too (badly)",
    )
    parser.add_argument("--version", action="version", version=f"uslm {__version__}")
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
    parser.add_argument(
        "--voices",
        type=Path,
        metavar="FOLDER",
        help="voices that all visitors use and change. Yours, the ones of `uslm voice`, unless "
        "others can reach the page: then each visitor has their own, while they are there",
    )
    parser.add_argument(
        "--codec",
        action="append",
        default=[],
        metavar="NAME",
        help="a codec to compare the model's own with: a pretrained one (see `uslm codecs`), "
        "a folder or a Hub repository; may be given more than once",
    )
    return parser


def _voices(options: argparse.Namespace) -> Path | None:
    """The folder of voices; nobody's where strangers could delete what is in it."""
    if options.voices is not None:
        return Path(options.voices)
    if is_public(options.host, options.share):
        return None
    from uslm.voices.names import default_folder

    return default_folder()


def _sounds(folder: str | Path | None) -> list[Path]:
    if folder is None:
        return []
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingResource(f"there is no folder {str(folder)!r}")
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SOUNDS)


def _fail(code: int, error: Exception) -> int:
    print(f"uslm-demo: error: {error}", file=sys.stderr)
    return code
