"""The default model's card says what its weights do: rows of it are made again and compared.

Words are not judged here: that takes Whisper, which no package brings. Voices come from
`../shared/speech`, beside the checkout, or from the folder `SPEECH`; without it there is nothing to
measure with.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from uslm.evaluation.judges.dnsmos import Dnsmos
from uslm.evaluation.judges.resemblyzer import Resemblyzer
from uslm.evaluation.metrics.scores import Judges
from uslm.evaluation.report.report import Report
from uslm.tts import ZeroShotTTS
from uslm_recipes.commands import evaluate as command

ROOT = Path(__file__).parents[1]
CARD = ROOT / "uslm" / "assets" / "default" / "README.md"
SPEECH = Path(os.environ.get("SPEECH", ROOT.parent / "shared" / "speech"))
ROWS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("speech", "all", {"cosine": "speaker cosine", "dnsmos_p808": "P.808"}),
    ("parts", "kokoro: codec alone", {"cosine": "speaker cosine", "dnsmos_p808": "P.808"}),
    ("parts", "kokoro: stage 2 from true units", {"cosine": "speaker cosine"}),
    ("units", "kokoro", {"per": "phoneme error rate, %"}),
)
"""Section and row of the report, and its measures with their columns on the card."""


def silent(waveforms: Sequence[Tensor]) -> list[str]:
    """A recogniser that understands nothing."""
    return [""] * len(waveforms)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """An evaluation as the card's, by the judges that packages bring."""
    if not SPEECH.is_dir():
        pytest.skip("there are no recordings beside the checkout")
    missing = [
        name for name in ("resemblyzer", "speechmos", "webrtcvad") if find_spec(name) is None
    ]
    if missing:
        assert not os.environ.get("CI"), f"run.py installs {missing} for tests"
        pytest.skip(f"needs {missing}")
    judges = Judges(
        recognizer=silent,
        normalize=str,
        speaker_model=Resemblyzer.from_package(),
        quality_model=Dnsmos.from_package(),
    )
    manifests = [str(SPEECH / name) for name in ("manifest.jsonl", "kokoro.jsonl")]
    out = str(tmp_path_factory.mktemp("evaluation"))
    words = ["--recognizer", "silent", "--clip-sources", "kokoro", "--out", out, "--manifest"]
    given = command.parser().parse_args([*words, *manifests])
    return command.evaluate(ZeroShotTTS.from_pretrained("default"), judges, given)


def on_card(row: str, column: str) -> tuple[float, float, float]:
    """A value of the card, and its interval."""
    header: list[str] = []
    for line in CARD.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if line.startswith("| |"):
            header = [cell.strip() for cell in line.strip("|").split("|")][1:]
        elif cells[0] == row and column in header:
            cell = [cell.strip() for cell in line.strip("|").split("|")][1:][header.index(column)]
            found = re.fullmatch(r"([\d.]+) \[([\d.]+), ([\d.]+)\]", cell)
            assert found, f"{row}, {column}: {cell!r}"
            return float(found[1]), float(found[2]), float(found[3])
    raise AssertionError(f"the card has no {column} of {row!r}")


@pytest.mark.timeout(900)
def test_rows_are_what_the_weights_do(report: Report) -> None:
    """In one test: processes that test side by side would each speak it all."""
    for section, row, measures in ROWS:
        found: Any = report.sections[section].rows[row]
        for measure, column in measures.items():
            value, low, high = on_card(row, column)
            again = found[measure].value * (100 if column.endswith("%") else 1)
            assert low <= value <= high
            assert low <= again <= high, f"{row}, {column}: {again} is not in [{low}, {high}]"
