"""Every option of every sub-command: its value, its default, its line of help."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from uslm.voices.stock import DEFAULT_STOCK_VOICE, stock_voices
from uslm_app.cli.option_types import named, number, one_of, stream_or_file, whole

FORMATS = ("wav", "wav-float", "flac", "ogg", "opus", "mp3", "aac", "m4a", "raw")
BACKENDS = ("torch", "onnx")
DTYPES = ("float32", "bfloat16", "float16")
PROMPT_HELP = (
    "recording of the voice, 3 to 10 s: wav, flac, ogg, mp3, any rate and channels; "
    "- reads standard input"
)
VOICE_HELP = f"name of a voice, kept or of uslm's own ({', '.join(stock_voices())}), or its file"
PROMPT_TEXT_HELP = "what is said in the prompt (default: recognised from the audio)"
SEED: dict[str, Any] = {
    "type": whole(0, 2**63 - 1),
    "metavar": "N",
    "help": "same seed, same speech (default: drawn, and reported)",
}


def add_say(parser: ArgumentParser) -> None:
    """Options of `uslm say`."""
    text = parser.add_argument_group("text")
    text.add_argument("said", nargs="?", metavar="TEXT", help="what to say; - reads standard input")
    text.add_argument("--text", metavar="TEXT", help="the same, for scripts")
    text.add_argument(
        "--file",
        metavar="FILE",
        help="text file (UTF-8); - or nothing at all reads a piped standard input",
    )
    text.add_argument(
        "--language",
        metavar="CODE",
        help="language of the text: en, de-DE, pt_BR, ... (default: the model's own)",
    )
    add_any_language(text)
    text.add_argument(
        "--lexicon", metavar="FILE", help="your own pronunciations, one a line: WORD<tab>RESPELLING"
    )
    text.add_argument(
        "--max-chars",
        type=whole(0),
        default=200_000,
        metavar="N",
        help="refuse longer texts (default 200000, some 3.5 hours of speech); 0: no limit",
    )
    add_voice(parser, f"voice (one of the two; {DEFAULT_STOCK_VOICE} if none is given)")
    add_manner(parser)
    add_script(parser)
    add_output(parser, "speech", default="speech.wav, or with a number where that exists")
    parser.add_argument(
        "--sidecar",
        action="store_true",
        help="also write OUT.json: seed, segments, timings, settings",
    )
    parser.add_argument("--srt", metavar="FILE", help="also write subtitles, as SubRip")
    parser.add_argument("--vtt", metavar="FILE", help="also write subtitles, as WebVTT")
    parser.add_argument(
        "--timestamps",
        action="store_true",
        help="say in --sidecar and --json when each word is said",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="check everything, show the segments, load no model"
    )
    parser.add_argument(
        "--speed",
        type=number(0.25, 4),
        metavar="X",
        help="0.25 to 4: slower or faster at the same pitch (default 1)",
    )
    add_watermark(parser)
    add_sampling(parser)
    verify = parser.add_argument_group("verified speech")
    verify.add_argument(
        "--verify",
        action="store_true",
        help="verify each segment, regenerate bad ones, keep the best",
    )
    verify.add_argument("--retries", type=whole(0, 20), metavar="N", help="draws beyond the first")
    add_model(parser)
    parser.add_argument(
        "--backend",
        type=one_of(BACKENDS),
        default="torch",
        metavar="NAME",
        help="torch, or onnx: a folder of uslm export, as --model, on ONNX Runtime without PyTorch "
        "(needs uslm[onnx])",
    )
    add_common(parser)


def add_export(parser: ArgumentParser) -> None:
    """Options of `uslm export`."""
    parser.add_argument("model", metavar="MODEL", help="default, a folder or a Hub repository")
    parser.add_argument(
        "--format",
        type=one_of(("onnx", "browser")),
        default="onnx",
        metavar="NAME",
        help="what to write: onnx, graphs for ONNX Runtime; or browser, a page that clones and "
        "speaks without a server (default onnx)",
    )
    parser.add_argument("--out", required=True, metavar="FOLDER", help="folder to write")
    parser.add_argument(
        "--precision",
        type=one_of(("float32", "int8")),
        metavar="NAME",
        help="of the weights of linear layers: float32, or int8, less than half as large and a "
        "little rougher (default: float32 for onnx, int8 for browser)",
    )
    parser.add_argument("--force", action="store_true", help="replace the folder's files")
    add_common(parser)


def add_convert(parser: ArgumentParser) -> None:
    """Options of `uslm convert`."""
    parser.add_argument("--source", required=True, metavar="AUDIO", help="what is said, and how")
    add_voice(parser)
    add_manner(parser)
    parser.add_argument(
        "--imitate",
        choices=("timbre", "style", "both"),
        default="timbre",
        help="what is taken from the voice: how it sounds, its manner of speaking (vevo only), or "
        "both (default: timbre)",
    )
    add_output(parser, "speech")
    parser.add_argument(
        "--sidecar", action="store_true", help="also write OUT.json: seed, timings, settings"
    )
    add_watermark(parser)
    parser.add_argument("--seed", **SEED)
    add_model(parser)
    add_common(parser)


def add_sing(parser: ArgumentParser) -> None:
    """Options of `uslm sing`."""
    score = parser.add_argument_group("score")
    score.add_argument(
        "--score",
        required=True,
        metavar="SCORE",
        help="melody of one voice: .mid (needs uslm[score]), .musicxml, .xml or .mxl",
    )
    score.add_argument(
        "--lyrics",
        metavar="TEXT",
        help="a syllable for each note: Twin-kle lit-tle star, and _ for a note that holds the "
        "syllable before (default: those of the score)",
    )
    score.add_argument(
        "--transpose",
        type=number(-60, 60),
        default=0.0,
        metavar="X",
        help="move all notes by so many half-tones (default 0)",
    )
    add_voice(parser)
    add_output(parser, "song")
    parser.add_argument(
        "--sidecar", action="store_true", help="also write OUT.json: seed, timings, settings"
    )
    add_watermark(parser)
    parser.add_argument("--seed", **SEED)
    model = parser.add_argument_group("model")
    model.add_argument(
        "--model", required=True, metavar="FOLDER", help="the system that train_make_a_voice leaves"
    )
    add_device(model)
    add_common(parser)


def add_enhance(parser: ArgumentParser) -> None:
    """Options of `uslm enhance`."""
    parser.add_argument("--audio", required=True, metavar="AUDIO", help="the noisy recording")
    add_output(parser, "speech")
    parser.add_argument(
        "--sidecar", action="store_true", help="also write OUT.json: seed, codes, timings"
    )
    parser.add_argument("--seed", **SEED)
    model = parser.add_argument_group("model")
    model.add_argument(
        "--model", required=True, metavar="FOLDER", help="the system that train_gense leaves"
    )
    add_device(model)
    add_common(parser)


def add_continue(parser: ArgumentParser) -> None:
    """Options of `uslm continue`."""
    parser.add_argument(
        "--prompt", required=True, metavar="AUDIO", help="recording that is to go on"
    )
    parser.add_argument(
        "--lm",
        required=True,
        metavar="FOLDER",
        help="speech language model, as train_speech_lm leaves it, of the units of --model",
    )
    parser.add_argument(
        "--seconds",
        type=number(0, 120, above=True),
        default=5.0,
        metavar="X",
        help="longest continuation (default 5); the model may end before",
    )
    parser.add_argument(
        "--only-new", action="store_true", help="write what follows, without the recording"
    )
    add_output(parser, "speech")
    parser.add_argument(
        "--sidecar", action="store_true", help="also write OUT.json: seed, units, timings, settings"
    )
    add_watermark(parser)
    add_sampling(parser)
    add_model(parser)
    add_common(parser)


def add_answer(parser: ArgumentParser) -> None:
    """Options of `uslm answer`."""
    question = parser.add_argument_group("question (one of the two)")
    question.add_argument("--audio", metavar="AUDIO", help="the question, as a recording")
    question.add_argument("--text", metavar="TEXT", help="the question, in writing")
    add_voice(parser, "voice (default: that of the recorded question)")
    add_output(parser, "speech")
    parser.add_argument(
        "--sidecar", action="store_true", help="also write OUT.json: the text, seed, timings"
    )
    add_watermark(parser)
    parser.add_argument("--seed", **SEED)
    model = parser.add_argument_group("model")
    model.add_argument(
        "--model", required=True, metavar="FOLDER", help="the system that train_dual_speech leaves"
    )
    add_device(model)
    add_common(parser)


def add_watermark_detect(parser: ArgumentParser) -> None:
    """Options of `uslm watermark detect`."""
    parser.add_argument("file", metavar="AUDIO", help="recording to search")
    add_common(parser)


def add_encode(parser: ArgumentParser) -> None:
    """Options of `uslm encode`."""
    parser.add_argument("--audio", required=True, metavar="AUDIO", help="recording to encode")
    parser.add_argument("--out", required=True, metavar="CODES", help="codes file: X.safetensors")
    parser.add_argument(
        "--codebooks",
        type=whole(1, 1024),
        metavar="N",
        help="use the first N codebooks only, for a lower bit rate (default: all)",
    )
    parser.add_argument("--force", action="store_true", help="replace the output if it exists")
    add_tokenizer(parser)
    add_common(parser)


def add_decode(parser: ArgumentParser) -> None:
    """Options of `uslm decode`."""
    parser.add_argument(
        "--codes", required=True, metavar="CODES", help="codes file of uslm encode: X.safetensors"
    )
    add_output(parser, "audio")
    add_tokenizer(parser)
    add_common(parser)


def add_bench(parser: ArgumentParser) -> None:
    """Options of `uslm bench`."""
    parser.add_argument(
        "--text", metavar="TEXT", help="sentence to speak (default: a built-in one)"
    )
    parser.add_argument(
        "--prompt", metavar="AUDIO", help="voice to speak with (default: one of random codes)"
    )
    parser.add_argument(
        "--repeats",
        type=whole(1, 100),
        default=3,
        metavar="N",
        help="runs of each measurement; the median counts (default 3)",
    )
    parser.add_argument(
        "--batch",
        type=whole(2, 64),
        default=8,
        metavar="N",
        help="rows to compare with a single one (default 8)",
    )
    parser.add_argument("--seed", **SEED)
    add_model(parser)
    add_common(parser)


def add_voice(parser: ArgumentParser, title: str = "voice (one of the two)") -> None:
    """Options of whose voice it is."""
    voice = parser.add_argument_group(title)
    voice.add_argument("--prompt", metavar="AUDIO", help=PROMPT_HELP)
    voice.add_argument("--voice", metavar="VOICE", help=VOICE_HELP)
    voice.add_argument("--prompt-text", metavar="TEXT", help=PROMPT_TEXT_HELP)


def add_manner(parser: ArgumentParser) -> None:
    """Options of whose manner of speaking it is, where that is another's."""
    manner = parser.add_argument_group("manner of another voice (vevo only)")
    manner.add_argument(
        "--manner",
        metavar="VOICE",
        help="who gives the accent, pace and mood, where the voice above gives only how it sounds: "
        "a kept voice, a voice file or a recording",
    )
    manner.add_argument(
        "--manner-text",
        metavar="TEXT",
        help="what is said in the recording of --manner (default: recognised from the audio)",
    )


def add_script(parser: ArgumentParser) -> None:
    """Options of who else speaks."""
    script = parser.add_argument_group("several voices")
    script.add_argument(
        "--script",
        action="store_true",
        help="after [anna] in the text the kept voice anna speaks, until the next such mark; "
        "what stands before the first one is said by --prompt or --voice",
    )
    script.add_argument(
        "--voice-for",
        type=named,
        action="append",
        default=[],
        metavar="NAME=VOICE",
        help="who speaks after [NAME], where it is no kept voice of that name: another kept "
        "voice, a voice file or a recording; may be repeated, means --script",
    )


def add_any_language(group: Any) -> None:
    """Whether other languages than the model's are refused."""
    group.add_argument(
        "--any-language",
        action="store_true",
        help="speak texts in languages that the model was not trained on, too (badly)",
    )


def add_output(parser: ArgumentParser, what: str, *, default: str = "") -> None:
    """Options of where the sound goes; needed unless there is a `default` (its line of help)."""
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out",
        required=not default,
        type=stream_or_file,
        metavar="OUT",
        help=f"{what} file: .wav .flac .ogg .opus .mp3 .aac .m4a .raw; - streams to standard output"
        + (f" (default: {default})" if default else ""),
    )
    output.add_argument(
        "--format",
        type=one_of(FORMATS),
        metavar="NAME",
        help=f"one of {', '.join(FORMATS)} (default: by the suffix; wav for -)",
    )
    output.add_argument("--force", action="store_true", help="replace the output if it exists")


def add_watermark(parser: ArgumentParser) -> None:
    """Whether the sound is marked."""
    parser.add_argument(
        "--watermark",
        action="store_true",
        help="mark the sound inaudibly as synthetic (needs uslm[watermark]; see uslm watermark "
        "detect --help for what it is worth)",
    )


def add_sampling(parser: ArgumentParser) -> None:
    """Options of how stage 1 draws."""
    sampling = parser.add_argument_group("sampling")
    sampling.add_argument("--seed", **SEED)
    sampling.add_argument(
        "--temperature",
        type=number(0, 5),
        metavar="X",
        help="0 to 5; 0 always takes the likeliest (default: the model's own)",
    )
    sampling.add_argument(
        "--top-k",
        type=whole(0),
        metavar="N",
        help="draw from the N likeliest; 0: from all (default: the model's)",
    )
    sampling.add_argument(
        "--top-p",
        type=number(0, 1, above=True),
        metavar="X",
        help="draw from the likeliest that together reach X; 1: all (default: the model's)",
    )


def add_model(parser: ArgumentParser) -> None:
    """Options of the model, and of where it runs."""
    model = parser.add_argument_group("model")
    model.add_argument(
        "--model",
        default="default",
        metavar="NAME",
        help="folder or Hub repository (default: the embedded model)",
    )
    add_device(model)
    model.add_argument(
        "--dtype",
        type=one_of(DTYPES),
        metavar="NAME",
        help=f"precision, one of {', '.join(DTYPES)} (default float32)",
    )


def add_tokenizer(parser: ArgumentParser) -> None:
    """Options of the tokenizer, and of where it runs."""
    model = parser.add_argument_group("model")
    model.add_argument(
        "--tokenizer",
        metavar="NAME",
        help="tokenizer: a folder, a Hub repository or a pretrained name such as mimi "
        "(default: the embedded model's)",
    )
    add_device(model)


def add_device(group: Any) -> None:
    """Options of where a model runs."""
    group.add_argument(
        "--device",
        default="cpu",
        metavar="NAME",
        help="cpu, cuda, cuda:1, mps, or auto: the fastest that there is (default cpu)",
    )
    group.add_argument(
        "--threads",
        type=whole(1, 1024),
        metavar="N",
        help="CPU threads (default: as many as there are idle cores)",
    )


def add_completion(parser: ArgumentParser) -> None:
    """Options of `uslm completion`."""
    shells = ("bash", "zsh", "fish")
    parser.add_argument("shell", metavar="SHELL", type=one_of(shells), help=", ".join(shells))
    commands = ("uslm", "uslm-tts")
    parser.add_argument(
        "--of", type=one_of(commands), default="uslm", metavar="NAME",
        help=f"which command: {' or '.join(commands)} (default uslm)",
    )  # fmt: skip
    add_common(parser)


def add_common(parser: ArgumentParser) -> None:
    """Options of every command."""
    parser.add_argument("--json", action="store_true", help="report as one line of JSON")
    parser.add_argument("--quiet", action="store_true", help="no remarks, warnings or progress")
    parser.add_argument("--debug", action="store_true", help="show tracebacks and libraries' noise")
