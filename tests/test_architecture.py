"""The project in figures: `pytest tests/test_architecture.py -s` prints them; some are held.

What import-linter holds (who may import whom) is not repeated here.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from uslm.systems.entry import Entry
from uslm.systems.registry import ENTRIES, MODELS, SYSTEMS
from uslm_tokenizer.registry import CODECS, PRETRAINED, TOKENIZERS
from uslm_tokenizer.registry import ENTRIES as CODEC_ENTRIES
from uslm_tokenizer.renames import COMMANDS, CONFIG_KEYS, FILES, OPTIONS, TENSOR_NAMES

ROOT = Path(__file__).parents[1]
FOLDERS = [ROOT, *(ROOT / name for name in ("tokenizer", "recipes", "app", "demo"))]
ALLOWED_CIRCLES: set[frozenset[str]] = set()
MAX_FILES = 30
"""In one folder ..."""
NAMES_ALONE = "recipes/uslm_recipes/entry"
"""... but this: a file for each name that is typed, and nothing in it."""
LONGEST = 70
"""Lines of a function; the longest are the loops of recipes and tables of options."""
LONGEST_OF_THE_PAGE = 60


@cache
def modules() -> Mapping[str, Path]:
    """Every module of the five packages."""
    found = {}
    for folder in FOLDERS:
        for path in folder.glob("uslm*/**/*.py"):
            name = ".".join(path.relative_to(folder).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


@cache
def parsed(name: str) -> ast.Module:
    return ast.parse(modules()[name].read_text("utf-8"))


def imported(name: str) -> set[str]:
    """Modules of ours that a module imports when it runs, inside functions too."""
    found = set()
    for node in runs(parsed(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {each if each in modules() else node.module for each in whole}
    return (found & modules().keys()) - {name}


def runs(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those for type checkers."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from runs(child)


def circles(graph: Mapping[str, set[str]]) -> set[frozenset[str]]:
    """Groups of nodes that reach each other (Tarjan 1972)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: set[frozenset[str]] = set()

    def visit(name: str) -> None:
        order[name] = lowest[name] = len(order)
        stack.append(name)
        for other in graph[name]:
            if other not in order:
                visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in stack:
                lowest[name] = min(lowest[name], order[other])
        if lowest[name] == order[name]:
            place = stack.index(name)
            if len(group := frozenset(stack[place:])) > 1:
                found.add(group)
            del stack[place:]

    sys.setrecursionlimit(max(sys.getrecursionlimit(), 5_000))
    for name in graph:
        if name not in order:
            visit(name)
    return found


def functions() -> Iterator[tuple[int, str, str]]:
    """Lines, module and name of each."""
    for module in modules():
        for node in ast.walk(parsed(module)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                yield node.end_lineno - node.lineno + 1, module, node.name


def package(module: str) -> str:
    """The folder that a module lies in, two names deep."""
    parts = module.split(".")
    return ".".join(parts[:2]) if len(parts) > 2 or module in packages() else parts[0]


@cache
def packages() -> frozenset[str]:
    return frozenset(name for name, path in modules().items() if path.name == "__init__.py")


def test_figures() -> None:
    """Files and lines per package; the longest functions."""
    files: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    folders: Counter[Path] = Counter()
    for module, path in modules().items():
        files[package(module)] += 1
        lines[package(module)] += len(path.read_text("utf-8").splitlines())
        folders[path.parent] += 1
    print(f"\n{'package':<32}{'files':>6}{'lines':>8}")
    for name in sorted(files):
        print(f"{name:<32}{files[name]:>6}{lines[name]:>8}")
    print(f"{'all':<32}{files.total():>6}{lines.total():>8}")
    print("longest functions:")
    for length, module, name in sorted(functions(), reverse=True)[:5]:
        print(f"{length:>6} {module}.{name}")
    folders.pop(ROOT / NAMES_ALONE)
    assert max(folders.values()) <= MAX_FILES


def test_no_circle_is_hidden_in_functions() -> None:
    graph = {name: imported(name) for name in modules()}
    found = circles(graph)
    print(f"circles: {len(found)}, allowed: {len(ALLOWED_CIRCLES)}")
    assert found == ALLOWED_CIRCLES


def test_functions_fit_a_screen() -> None:
    every = list(functions())
    assert [each for each in every if each[0] > LONGEST] == []
    page = [each for each in every if each[1].startswith("uslm_demo")]
    assert [each for each in page if each[0] > LONGEST_OF_THE_PAGE] == []


def check_folders(table: Mapping[str, str], places: Mapping[str, list[str]], folder: Path) -> None:
    """What an entry names lies in the folder of the entry, and in no other; all entries are in
    the table."""
    for name, address in table.items():
        home = address.rpartition(".")[0]
        folders = {place.partition(":")[0].rpartition(".")[0] for place in places[name]}
        print(f"{name}: {len(folders)} folder")
        assert folders == {home}
    with_entry = {path.name for path in folder.iterdir() if (path / "entry.py").is_file()}
    assert sorted(address.split(".")[2] for address in table.values()) == sorted(with_entry)


def test_a_system_is_one_folder_and_one_entry() -> None:
    places = {
        name: [*entry.models.values(), *entry.key_mappings.values(), *pipeline_of(entry)]
        for name, entry in ENTRIES.items()
    }
    check_folders(SYSTEMS, places, ROOT / "uslm/systems")


def pipeline_of(entry: Entry) -> list[str]:
    """Addresses of its functions."""
    if entry.pipeline is None:
        return []
    return [address for address in vars(entry.pipeline).values() if address]


def test_a_codec_is_one_folder_and_one_entry() -> None:
    places = {
        name: [*entry.models.values(), *entry.key_mappings.values()]
        for name, entry in CODEC_ENTRIES.items()
    }
    check_folders(CODECS, places, ROOT / "tokenizer/uslm_tokenizer/codecs")
    # Each is named once: an entry cannot take a name that another has.
    assert len(TOKENIZERS) == sum(len(entry.models) for entry in CODEC_ENTRIES.values())
    pretrained = [name for entry in CODEC_ENTRIES.values() for name in entry.pretrained]
    assert sorted(PRETRAINED.systems) == sorted(pretrained)


def test_a_system_knows_no_other() -> None:
    """Neither itself nor through what it imports; import-linter would want a list of systems."""
    graph = {name: imported(name) for name in modules()}
    folders = {address.split(".entry:")[0] for address in SYSTEMS.values()}
    for folder in folders:
        reached = {name for name in modules() if name.startswith(f"{folder}.")}
        waiting = list(reached)
        while waiting:
            new = graph[waiting.pop()] - reached
            reached |= new
            waiting.extend(new)
        others = tuple(f"{other}." for other in folders - {folder})
        assert [name for name in reached if name.startswith(others)] == []


def test_names_of_models_belong_to_one_system() -> None:
    assert len(MODELS) == sum(len(entry.models) for entry in ENTRIES.values())


def holding(pattern: str) -> dict[str, int]:
    """How often each module has what matches."""
    found: defaultdict[str, int] = defaultdict(int)
    for name, path in modules().items():
        if count := len(re.findall(pattern, path.read_text("utf-8"))):
            found[name] = count
    return dict(found)


def test_one_resolver_of_addresses_and_one_hash_of_weights() -> None:
    resolvers = holding(r"getattr\(\s*import_module\(")
    resolvers |= holding(r"import_module\(module\)")
    hashes = holding(r"state_dict\(\)[^\n]*\n(?:[^\n]*\n){0,3}[^\n]*digest\.update")
    print(f"resolvers: {sorted(resolvers)}, hashes of weights: {sorted(hashes)}")
    assert set(resolvers) == {"uslm_tokenizer.addresses"}
    assert set(hashes) == {"uslm_tokenizer.weight_hash"}


def test_parsed_options_end_at_the_command_line() -> None:
    """Beyond `cli` the app knows frozen, typed options of each command, and changes none."""
    naming = holding(r"\bNamespace\b|\bargparse\b")
    assert {name for name in naming if name.startswith("uslm_app.")} <= {
        name for name in modules() if name.startswith("uslm_app.cli.")
    }
    assert not {
        name
        for name in holding(r"\boptions\.\w+ = |setattr\(options\b|vars\(options\)\[")
        if name.startswith("uslm_app.")
    }


# ---- words

OLD_WORDS = {
    "finger": r"\b[Ff]ingers?\b|\bfinger_list\b",
    "ReadingCache, patience": r"\bReadingCache\b|\breading_cache\b|\bpatience\b",
    "Speaker = a model": r"\bSpeaker(Settings)?\b(?= ?[(:,\]`])|\b(resolve|load)_speaker\b"
    r"|\b(Published|Shared)Speaker\b|\btts\.speaker\b",
    "self.speaker, self.reader": r"\bself\.(speaker|reader)\b",
    "Reader, Job, Take, hurry": r"\b(Job|Shared|Uslm|MaskGCT|Vevo)Reader\b|\bread_batch\b"
    r"|\bclass (Job|Take|Reader)\b|\bhurry\b",
    "piece": r"(?<![A-Za-z])[Pp]ieces?(?![A-Za-z])",
    "chunk of a text": r"\bChunkReport\b|\b[Oo]n_?[Cc]hunk\b|\btext[./]chunking\b",
    "Ear, hears": r"\b[Ee]ars?\b|\bhears\b|\bcheck_hears\b|_hears_",
    "Verdict.badness": r"\bVerdict\b|\bbadness\b",
    "Copying, nothing": r"\bCopying\b|\bself\.(copying|nothing)\b",
    "sees_spoken, expected_input": r"\bsees_spoken\b|\bexpected_input\b",
    "marks": r"\bMarkedLM\b|\btwo_stage[./]marks\b|\b(start|end) marks?\b|\bmarks=\(r",
    "level": r"\b(pitch_level|level_vectors|fill_levels|first_level|level_groups|level \d)\b",
    "informed, twice": r"\b(un)?informed\b|\.twice\(",
    "late_start, starts anew": r"\blate_start\b|\bstarts? anew\b",
    "listened to": r"\b(is|are|was|were) (never )?listened to\b",
    "told, heard": r"(?<![.`\w])(told|heard)(?= = |\.\w+\()",
    "turns": r"\b_turns\b|\bturned_(first|second)\b",
    "Mates": r"\b[Mm]ates?\b",
    "adversary": r"\b[Aa]dversary\b|\bAdversaryConfig\b|\bjoins_at\b|\bteach\(|\bplaying\(run",
    "sealed": r"\b[Ss]eal(s|ed)?\b|\bput_in_place\b",
    "Drawn, Named, tune": r"\bDrawn\b(?=[\[(])|\bNamed\b(?=\()|(?<![-\w])tune\b|\bTuneRecipe\b",
    "slot of a lexicon": r"\bFIRST_SLOT\b|\b_slot\(",
    "prompt doctor, Clock": r"\bprompt_doctor\b|\b(prompt|the) doctor('s)?\b(?!\")|\brevoic\w+"
    r"|\bClock\b|\bsettle_seed\b",
    "published, Layout, Join": r"\b[Pp]ublished (models?|systems?|codecs?|tokenizers?|weights)\b"
    r"|\bload_published\b|\bunconvert\b|\bLayout\b|\bJoin\b(?=\()|\bPublished[A-Z]\w+",
    "Shelf, Manuscript": r"\b_?[Ss]helf\b|\b[Mm]anuscripts?\b",
    "pretended_gpu": r"\bpretended_gpu\b",
    "most_, least_": r"\b(most|least)_(?!common)\w+|\b(LEAST|MOST)_\w+",
    "house, tidy": r"\bof the house\b|\bthe house's\b|\bHOUSE\b|\btidy\b|\blines a room\b",
    "parts.py": r"\b(pipeline|systems|evaluating)[./]parts\b|\benglish[./]units\b"
    r"|\bvoices[./]phonemes\b",
    "a second": r"(?i)(?<!\| )\b(samples|frames|units|bits|bytes|flops|tokens|steps) a second\b",
    "behind": r"(?<!left )(?<!open )(?<!digit )\bbehind\b(?! (our|one|a small|a server|the page|the"
    r" paths|it must|every error|them\.)|$)",
    "drawn again": r"\bdrawn again\b|\b[Dd]raws? (it|them|bad \w+|what)( is bad)? again\b",
    "came to, hand in hand, lent": r"\b(it|seeds) came to\b(?! (an|its|no) end)|\bhand in hand\b"
    r"|\bmachine that is lent\b",
}
"""Private words that the field has others for: what each was, and what finds it."""
EXEMPT = {
    "tokenizer/uslm_tokenizer/renames.py": "the table of renames",
    "tests/test_architecture.py": "this list",
    "docs/changelog.md": "history",
    "docs/speed.md": "printed by benchmarks, with checksums",
    "docs/default-model.md": "the card that comes with the weights",
    "tests/tokenizer/test_renames.py": "reads what has the names of before",
    "recipes/uslm_recipes/entry/tune.py": "a command's name of before",
}
NOT_OURS = ("assets", "golden", "files", "english", "published.py", "published_sections.py")
"""Stored files, what others wrote, words of a language, benchmarks that the page on speed names."""
WORDED = (".py", ".md", ".yaml", ".yml", ".toml", ".sh", ".js", ".css", ".svg")


def worded() -> Iterator[tuple[str, str]]:
    """Files whose words are ours, and their texts."""
    folders = [
        "uslm",
        "tokenizer",
        "recipes",
        "app",
        "demo",
        "docs",
        "tests",
        "benchmarks",
        "examples",
    ]
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*"))]
    for path in [*ROOT.glob("*.md"), *paths]:
        name = path.relative_to(ROOT)
        if path.suffix not in WORDED or set(name.parts) & set(NOT_OURS) or not path.is_file():
            continue
        if name.name != "CHANGELOG.md" and name.as_posix() not in EXEMPT:
            yield name.as_posix(), path.read_text("utf-8")


def test_old_words_are_gone() -> None:
    """Each has a word of the field in its place (CONTRIBUTING, Words); stored ones are read by
    `uslm_tokenizer.renames` alone."""
    patterns = {row: re.compile(pattern, re.M) for row, pattern in OLD_WORDS.items()}
    left = [
        f"{name}:{text.count(chr(10), 0, found.start()) + 1}: {row}: {found[0]}"
        for name, text in worded()
        for row, pattern in patterns.items()
        for found in pattern.finditer(text)
    ]
    print(f"words of the old list: {len(left)}, of {len(OLD_WORDS)} rows")
    assert left == []


def test_docstrings_name_the_noun_first() -> None:
    """ "Codes of ...", not "What is asked of ..."; "Whether ..." of what is true or false."""
    found = []
    for name in modules():
        for node in ast.walk(parsed(name)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                first = (ast.get_docstring(node) or " ").split(" ")[0]
                if re.match(r"(What|How|Where|Who|Whose|Which|Why|When)\b", first):
                    found.append(f"{name}: {ast.get_docstring(node)}")
    print(f"docstrings that begin with a question: {len(found)}")
    assert found == []


def test_no_stored_name_is_given_another_meaning() -> None:
    """A name of before is no name of today in the same place, and each has one successor."""
    for tables in (CONFIG_KEYS.values(), TENSOR_NAMES.values(), [OPTIONS, COMMANDS, FILES]):
        for table in tables:
            assert not table.keys() & set(table.values())
            assert len(set(table.values())) == len(table)
