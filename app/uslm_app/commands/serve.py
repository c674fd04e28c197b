"""`uslm serve`: speech over HTTP. Here, what costs no time."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from uslm.voices.names import default_folder, voice_names
from uslm.voices.stock import stock_voices
from uslm_app.cli.console import Console
from uslm_app.cli.exit_codes import UsageError
from uslm_app.cli.given import ServeOptions
from uslm_app.cli.inputs import check_file
from uslm_app.server.settings import OPENAI_VOICES, ServeSettings
from uslm_tokenizer.errors import EnvironmentProblem


def run(options: ServeOptions, console: Console) -> None:
    """Check the options and take the port; then load the model and serve."""
    settings = ServeSettings(
        host=options.host,
        port=options.port,
        wyoming=options.wyoming,
        token=_token(options),
        max_chars=options.max_chars,
        max_upload_bytes=int(options.max_upload_mb * 2**20),
        any_language=options.any_language,
        voice_aliases=_aliases(options),
        strict=options.strict,
        allowed_origins=tuple(options.allow_origin),
        change_voices=not options.fixed_voices,
        finish_seconds=options.finish_seconds,
    )
    if options.voices is not None and not Path(options.voices).is_dir():
        raise UsageError(f"--voices must be a folder, but {options.voices!r} is none")

    if options.conversation is not None and not Path(options.conversation).is_dir():
        raise UsageError(f"--conversation must be a folder, but {options.conversation!r} is none")
    if find_spec("fastapi") is None or find_spec("uvicorn") is None:
        raise EnvironmentProblem("uslm serve needs more packages: pip install 'uslm[serve]'")
    if options.replicas is None and options.ray_address is not None:
        raise UsageError("--ray-address is of use with --replicas alone")
    if options.replicas is not None and find_spec("ray") is None:
        raise EnvironmentProblem("--replicas needs one more package: pip install 'uslm[cluster]'")
    if options.wyoming is not None and find_spec("wyoming") is None:
        raise EnvironmentProblem("--wyoming needs one more package: pip install 'uslm[wyoming]'")
    from uslm_app.actions.serving import serve

    serve(settings, options, console)


def _aliases(options: ServeOptions) -> dict[str, str]:
    """OpenAI's names, and those given; each must mean a voice that is there."""
    folder = default_folder() if options.voices is None else Path(options.voices)
    known = {*voice_names(folder), *stock_voices()}
    for name, voice in options.voice_alias:
        if voice not in known:
            raise UsageError(
                f"--voice-alias {name}={voice}: there is no voice {voice!r}; "
                f"there are {', '.join(sorted(known))}"
            )
    return OPENAI_VOICES | dict(options.voice_alias)


def _token(options: ServeOptions) -> str | None:
    """From a file or the environment: what is on a command line, the whole machine can read."""
    if options.token_file is None:
        return os.environ.get("USLM_API_KEY") or None
    check_file(options.token_file, "the token file")
    try:
        return Path(options.token_file).read_text("ascii").strip()
    except UnicodeDecodeError:
        raise UsageError("the token must be of printable ASCII characters") from None
