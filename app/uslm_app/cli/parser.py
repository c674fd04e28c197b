"""The command line: its sub-commands with examples, and what to say when it is not understood."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from uslm import __version__
from uslm_app.cli import (
    batch_options,
    evaluate_options,
    models_options,
    options,
    serve_options,
    voice_options,
)
from uslm_app.cli.console import Console
from uslm_app.cli.exit_codes import UsageError
from uslm_app.cli.given import given
from uslm_app.cli.option_groups import CommonOptions
from uslm_app.cli.option_types import did_you_mean

EXIT_CODES = """\
exit codes:
  0 done   1 an option, a text or a file cannot be used   2 a file, model or voice is missing
  3 a package, device, memory or disk space is missing   4 the model failed
"""


@dataclass(frozen=True)
class Command:
    """A sub-command as `--help` shows it."""

    help: str
    add_options: Callable[[argparse.ArgumentParser], None]
    examples: str


COMMANDS = {
    "say": Command(
        "speak a text in the voice of a recording (uslm-tts is the same)",
        options.add_say,
        """\
  uslm say "Good morning."
  uslm say "Good morning." --prompt me.wav --out morning.wav
  uslm-tts --file story.txt --voice anna.safetensors --out story.mp3 --verify --seed 7
  uslm-tts --file play.txt --script --voice-for ben=ben.wav --voice anna --out play.wav
  echo "Straight to the speakers." | uslm-tts --prompt me.wav --out - | aplay
""",
    ),
    "batch": Command(
        "speak many texts, a file each; goes on where it was stopped",
        batch_options.add_batch,
        """\
  uslm batch jobs.jsonl --out spoken
  uslm batch jobs.csv --out spoken --voice ben --format mp3 --json > report.jsonl

jobs.jsonl holds one job a line, of which only the text must be there:
  {"text": "Good morning."}
  {"text": "Good night.", "name": "night", "voice": "ben", "seed": 7, "speed": 0.9}
  {"text": "In my voice.", "prompt": "me.wav", "format": "mp3"}
""",
    ),
    "convert": Command(
        "say a recording again in another voice",
        options.add_convert,
        "  uslm convert --source mine.wav --prompt theirs.flac --out mine-as-theirs.wav\n",
    ),
    "sing": Command(
        "sing a score in the voice of a recording, with a model that was trained to",
        options.add_sing,
        """\
  uslm sing --score song.mid --lyrics "Twin-kle, twin-kle, lit-tle star" --prompt me.wav \\
      --model runs/acoustic/system --out song.wav
  uslm sing --score song.musicxml --voice anna --model runs/acoustic/system --out song.wav
""",
    ),
    "enhance": Command(
        "take the noise of a recording away, with a model that was trained to",
        options.add_enhance,
        "  uslm enhance --audio noisy.wav --model runs/speaker/system --out clean.wav\n",
    ),
    "continue": Command(
        "go on from a recording, in its voice, with a speech language model",
        options.add_continue,
        "  uslm continue --prompt speech.wav --lm runs/lm/model --out more.wav --seed 7\n",
    ),
    "answer": Command(
        "answer a question in text and speech, with a model that was trained to",
        options.add_answer,
        """\
  uslm answer --audio question.wav --model runs/decoder/system --out answer.wav
  uslm answer --text "Who is it?" --voice ben --model runs/decoder/system --out answer.wav
""",
    ),
    "encode": Command(
        "turn audio into codes",
        options.add_encode,
        "  uslm encode --audio speech.wav --out speech.safetensors\n",
    ),
    "decode": Command(
        "turn codes back into audio",
        options.add_decode,
        "  uslm decode --codes speech.safetensors --out again.wav\n",
    ),
    "voice create": Command(
        "make a voice out of a recording, and keep it by name",
        voice_options.add_voice_create,
        """\
  uslm voice create --prompt anna.wav --licence "CC BY 4.0" --consent "Anna agreed, by letter"
  uslm-tts --text "Hello." --voice anna --out hello.wav
  uslm voice create --prompt anna.wav --name Anna --out anna.safetensors
""",
    ),
    "voice list": Command(
        "list the voices that are kept, and those that come with uslm",
        voice_options.add_voice_list,
        "  uslm voice list\n  USLM_VOICES=/srv/voices uslm voice list --json\n",
    ),
    "voice show": Command(
        "say what is in a voice",
        voice_options.add_voice_show,
        "  uslm voice show anna\n  uslm voice show anna.safetensors\n",
    ),
    "voice play": Command(
        "hear what a voice was made of",
        voice_options.add_voice_play,
        "  uslm voice play anna\n",
    ),
    "voice export": Command(
        "write a kept voice as a file, or as sound",
        voice_options.add_voice_export,
        "  uslm voice export anna --out anna.safetensors anna.wav\n",
    ),
    "voice import": Command(
        "keep a voice file by name",
        voice_options.add_voice_import,
        "  uslm voice import Anna.safetensors --name anna\n",
    ),
    "voice remove": Command(
        "delete kept voices",
        voice_options.add_voice_remove,
        "  uslm voice remove anna\n",
    ),
    "watermark detect": Command(
        "find out whether a recording carries our watermark",
        options.add_watermark_detect,
        """\
  uslm-tts --text "Hello." --voice anna --watermark --out hello.wav
  uslm watermark detect hello.wav

what it is worth:
  The mark survives MP3, Opus, trimming and changes of speed. It does not survive a neural codec,
  a small change of pitch or, always, noise; and whoever wants to can remove it, for the method is
  public. So a mark that is found says that the sound is very probably synthetic; one that is not
  found says nothing. It does not name a speaker, and it makes the sound a little worse.
""",
    ),
    "serve": Command(
        "answer requests over HTTP, as OpenAI's API has them",
        serve_options.add_serve,
        """\
  uslm serve
  USLM_API_KEY=$(openssl rand -hex 24) uslm serve --host 0.0.0.0 --voices /srv/voices
  curl 127.0.0.1:8000/v1/audio/speech -H "Content-Type: application/json" \\
       -d '{"model": "default", "voice": "anna", "input": "Hello."}' --output hello.mp3
""",
    ),
    "models list": Command(
        "list the pretrained models that can be had",
        models_options.add_models_list,
        "  uslm models list\n  uslm models list --here --json\n",
    ),
    "models info": Command(
        "say what a pretrained model is made of, and its licences",
        models_options.add_models_info,
        "  uslm models info maskgct\n",
    ),
    "models download": Command(
        "fetch pretrained models into the Hub's cache; goes on where it was interrupted",
        models_options.add_models_download,
        """\
  uslm models download speechtokenizer mimi
  HF_ENDPOINT=https://hub.example.org uslm models download maskgct
""",
    ),
    "models path": Command(
        "say which folder a pretrained model loads from",
        models_options.add_models_path,
        "  uslm models path speechtokenizer\n",
    ),
    "models verify": Command(
        "read downloaded files again and compare them with their hashes",
        models_options.add_models_verify,
        "  uslm models verify speechtokenizer\n",
    ),
    "models convert": Command(
        "write a pretrained model, or a checkpoint of yours, in our format",
        models_options.add_models_convert,
        """\
  uslm models convert speechtokenizer
  uslm models convert dm-codec --checkpoint DMCodec.pt --out dm-codec
  uslm models convert uslm --checkpoint lm=USLM.pt --out uslm-folder --offline
""",
    ),
    "models remove": Command(
        "delete pretrained models from this machine",
        models_options.add_models_remove,
        "  uslm models remove speechtokenizer\n",
    ),
    "codecs": Command(
        "the table of all codecs: rates, sizes, licences",
        models_options.add_codecs,
        "  uslm codecs\n  uslm codecs --json\n",
    ),
    "export": Command(
        "write a model for runtimes other than PyTorch",
        options.add_export,
        """\
  uslm export default --format onnx --out default-onnx
  uslm export default --format onnx --precision int8 --out default-int8
  uslm export default --format browser --out page
  uslm-tts --backend onnx --model default-int8 --text "Hello." --prompt me.wav --out hello.wav
""",
    ),
    "evaluate": Command(
        "measure how well a model speaks, and how much a codec leaves of speech",
        evaluate_options.add_evaluate,
        """\
  uslm evaluate --list meta.lst --recognizer openai/whisper-large-v3 --out evaluation \\
      --speaker-model microsoft/wavlm-base-plus-sv
  uslm evaluate --list meta.lst --speech theirs --recognizer openai/whisper-base --out theirs-eval
  uslm evaluate --recordings clips/*.wav --out codec
""",
    ),
    "bench": Command(
        "measure speed and memory on this machine",
        options.add_bench,
        "  uslm bench --threads 2\n  uslm bench --json > bench.json\n",
    ),
    "completion": Command(
        "print what a shell sources to complete commands and options",
        options.add_completion,
        """\
  source <(uslm completion bash)
  uslm completion zsh > ~/.zfunc/_uslm
  uslm completion fish > ~/.config/fish/completions/uslm.fish
  uslm completion fish --of uslm-tts > ~/.config/fish/completions/uslm-tts.fish
""",
    ),
}


def parse(arguments: Sequence[str], console: Console) -> CommonOptions:
    """The options of one command; raises UsageError.

    Raises SystemExit where help or the version was asked for, and is printed.
    """
    with contextlib.redirect_stdout(console.stdout):
        words = find_command(arguments)
        if not words:
            main_parser().parse_args(["--version" if "--version" in arguments else "--help"])
            raise AssertionError("only --help and --version are left, and they exit")
        parser = command_parser(words)
        rest = arguments[len(words.split()) :]
        _check_options(rest, parser)
        found, unknown = parser.parse_known_args(rest)
    if unknown:
        raise UsageError(f"{unknown[0]!r} belongs to no option; quote a text of several words")
    return given(words, found)


def main_parser() -> argparse.ArgumentParser:
    """Parser of `uslm` itself, for its help."""
    lines = [f"  {words:<18}{command.help}" for words, command in COMMANDS.items()]
    parser = _Parser(
        prog="uslm",
        usage="uslm [-h] [--version] COMMAND ...",
        description="Speak any text in the voice of a short recording.",
        epilog="commands:\n" + "\n".join(lines) + "\n\n" + EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"uslm {__version__}")
    return parser


def command_parser(words: str) -> argparse.ArgumentParser:
    """The parser of one command."""
    command = COMMANDS[words]
    parser = _Parser(
        prog=f"uslm {words}",
        description=f"{command.help[0].upper()}{command.help[1:]}.",
        epilog=f"examples:\n{command.examples}\n{EXIT_CODES}",
    )
    command.add_options(parser)
    parser.add_argument("--version", action="version", version=f"uslm {__version__}")
    return parser


def find_command(arguments: Sequence[str]) -> str:
    """The command that the arguments begin with; empty for `--help` and `--version`."""
    first = arguments[0] if arguments else ""
    if first in ("-h", "--help", "--version"):
        return ""
    if first.startswith("-"):
        raise UsageError(f"{first} comes after a command, as in: uslm say {first} ...")
    actions = [words for words in COMMANDS if words.startswith(f"{first} ")]
    words = " ".join(arguments[:2]) if actions else first
    if words in COMMANDS:
        return words
    if actions and arguments[1:2] in (["-h"], ["--help"]):
        return ""
    what = f"there is no command {words!r}" if words else "no command is given"
    choices = f"; there are: {', '.join(actions or COMMANDS)}"
    raise UsageError(what + (choices if actions else did_you_mean(words, COMMANDS) or choices))


class _Parser(argparse.ArgumentParser):
    """Raises where argparse would print its usage and exit with 2."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **settings
        )

    def error(self, message: str) -> NoReturn:
        words = message.removeprefix("argument ").replace(": must be", " must be", 1)
        raise UsageError(f"{words}; see {self.prog} --help")


def _check_options(arguments: Sequence[str], parser: argparse.ArgumentParser) -> None:
    """Refuse unknown options; argparse would first ask for required ones, and hide a typo."""
    known = parser._option_string_actions
    for argument in arguments:
        option = argument.partition("=")[0]
        if argument == "--":
            return
        if argument.startswith("--") and " " not in option and option not in known:
            hint = did_you_mean(option, known) or f"; see {parser.prog} --help"
            raise UsageError(f"{parser.prog} has no option {option}{hint}")
