"""Writes what the documents say about the code: tables of systems and parts, the commands' help.

    python docs/write_tables.py

A table stands between `<!-- table: NAME -->` and `<!-- end -->`. A test runs the same functions
and compares, so a table never says anything else than the code.
"""

from __future__ import annotations

import argparse
import html
import importlib
import inspect
import json
import pkgutil
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import uslm_tokenizer.quantize
from uslm.systems.catalogue import CATALOGUE
from uslm.systems.registry import MODELS, model_class
from uslm.voices.stock import stock_voices
from uslm_app.actions.codec_table import all_facts
from uslm_app.cli.parser import COMMANDS, command_parser
from uslm_app.server.settings import OPENAI_VOICES
from uslm_tokenizer.quantize.base import Quantizer
from uslm_tokenizer.registry import TOKENIZERS, tokenizer_class

DOCS = Path(__file__).parent
TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.S)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """In Markdown."""
    lines = (f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))
    return "\n" + "\n".join(lines) + "\n\n"


# ---- systems


def codecs() -> str:
    """Every pretrained codec: what `uslm codecs` says."""
    head = ("name", "kHz", "frames/s", "codebooks", "kbit/s", "M weights", "causal", "decodes")
    rows = (
        (
            f"`{each.name}`",
            f"{each.sample_rate / 1000:g}",
            f"{each.frame_rate:.4g}",
            f"{each.num_codebooks} x {each.codebook_size}",
            f"{each.kbit_rate:.3g}",
            f"{each.num_parameters / 1e6:.1f}",
            "yes" if each.causal else "",
            "yes" if each.decodes else "",
        )
        for each in all_facts()
        if each.name != "default"  # its card is the one place for its numbers
    )
    return table(head, rows)


def licences() -> str:
    """Every pretrained model: what it is, and whose."""
    head = ("name", "what it is", "code", "weights", "from")
    rows = []
    for name, system in CATALOGUE.systems.items():
        found = CATALOGUE.licences(name)
        rows.append(
            (
                f"`{name}`",
                system.title,
                found["code_licence"],
                found["weights_licence"],
                " ".join(_link(address) for address in found["source"].split("; ")),
            )
        )
    return table(head, rows)


def _link(address: str) -> str:
    return f"[{'/'.join(address.split('/')[-2:])}]({address})"


# ---- parts


def tokenizers() -> str:
    """The table of tokenizers."""
    return _parts({name: tokenizer_class(name) for name in TOKENIZERS})


def models() -> str:
    """The table of language models."""
    return _parts({name: model_class(name) for name in MODELS})


def quantizers() -> str:
    """All quantizers that there are."""
    package = uslm_tokenizer.quantize
    found = {}
    for each in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{each.name}")
        for _, kind in inspect.getmembers(module, inspect.isclass):
            is_own = issubclass(kind, Quantizer) and kind.__module__ == module.__name__
            if is_own and kind is not Quantizer:
                found[each.name] = kind
    return _parts(found)


def _parts(classes: Mapping[str, type]) -> str:
    shared = Counter(kind.__module__ for kind in classes.values())
    rows = []
    for name, kind in classes.items():
        is_alone = shared[kind.__module__] == 1
        said = sys.modules[kind.__module__].__doc__ if is_alone else kind.__doc__
        file = kind.__module__.partition(".")[2].replace(".", "/") + ".py"
        rows.append((f"`{name}`", first_sentence(said or ""), f"`{kind.__name__}`", f"`{file}`"))
    return table(("name", "what it is", "class", "file"), rows)


def first_sentence(text: str) -> str:
    """Of a docstring; a full stop in "et al. 2023" or in a number ends nothing."""
    text = " ".join(text.strip().partition("\n\n")[0].split())
    return re.split(r"(?<=[.])(?<!et al\.)(?<!\bv\.)\s+(?=[A-Z])", text)[0].removesuffix(".")


# ---- voices


def openai_voices() -> str:
    """Which stock voice answers to each of OpenAI's names."""
    known = stock_voices()
    rows = (
        (f"`{name}`", f"`{voice}`", known[voice].description)
        for name, voice in OPENAI_VOICES.items()
    )
    return table(("OpenAI's name", "speaks", "which is"), rows)


# ---- claims

CLAIMED_BY = ("VoxCPM", "MeLoDy", "Vevo", "DualSpeechLM")
"""Systems of continuous latents, of manners and of answers, whose claims stand beside them."""
SHOWN = {True: "shown", False: "not so here", "no difference": "no difference that could be told"}


def claims() -> str:
    """Every claim of these systems, with what the page of its effect says."""
    rows = []
    for system in CLAIMED_BY:
        for path in sorted((DOCS / "effects").glob("*.json")):
            effect = json.loads(path.read_text("utf-8"))
            if effect["paper"].startswith(system):
                link = f"[{effect['claim']}](effects/{effect['name']}.md)"
                rows.append((effect["paper"], link, SHOWN[effect["shows"]]))
    return table(("paper", "claim", "here"), rows)


# ---- commands


def commands() -> str:
    """Every command with its options."""
    return "\n" + "\n".join(map(_command, COMMANDS))


def _command(words: str) -> str:
    parser = command_parser(words)
    lines = [f"## uslm {words}", "", parser.description or ""]
    groups = [(each.title or "", each._group_actions) for each in parser._action_groups]
    # argparse has what belongs to no group in front.
    for title, options in [*(each for each in groups if each[0] != "options"), groups[1]]:
        shown = [_option(each) for each in options if each.dest != "help"]
        if shown:
            lines += ["", f"**{title.capitalize()}**", "", *shown]
    lines += ["", "```text", textwrap.dedent(COMMANDS[words].examples).rstrip(), "```", ""]
    return "\n".join(lines)


def _option(option: argparse.Action) -> str:
    value = option.metavar or ("" if option.nargs == 0 else option.dest.upper())
    value = value if isinstance(value, str) else " ".join(value)
    if option.choices is not None:
        value = "{" + ",".join(map(str, option.choices)) + "}"
    names = ", ".join(option.option_strings)
    return f"- `{' '.join(filter(None, (names, value)))}`: {html.escape(option.help or '', False)}"


TABLES = {
    each.__name__: each
    for each in (
        codecs,
        licences,
        tokenizers,
        models,
        quantizers,
        openai_voices,
        claims,
        commands,
    )
}


def written(text: str) -> str:
    """A document with its tables as they should be."""
    return TABLE.sub(lambda match: match[1] + TABLES[match[2]]() + match[3], text)


def documents() -> list[Path]:
    """Those that hold a table."""
    return [path for path in sorted(DOCS.rglob("*.md")) if TABLE.search(path.read_text("utf-8"))]


def main() -> None:
    """Write what has changed."""
    for path in documents():
        old = path.read_text("utf-8")
        if (new := written(old)) != old:
            path.write_text(new, "utf-8")
            print(f"{path.relative_to(DOCS.parent)}: written")


if __name__ == "__main__":
    main()
