"""The command, as far as it comes without a page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from uslm_demo import page
from uslm_demo.app import build_app, main
from uslm_demo.engine import Engine
from uslm_tokenizer.errors import EnvironmentProblem


def test_help_comes_at_once() -> None:
    code = (
        "import sys\n"
        "from uslm_demo.app import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as exit: assert exit.code == 0\n"
        "assert not {'torch', 'gradio', 'numpy'} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "usage" in result.stdout


def test_what_is_missing_is_said_before_anything_is_served(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--model", str(tmp_path)]) == 2
    assert "not a speaking model" in capsys.readouterr().err
    assert main(["--model", str(model), "--examples", str(tmp_path / "none")]) == 2
    assert "no folder" in capsys.readouterr().err


def test_without_gradio_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uslm_demo.page", None)
    with pytest.raises(EnvironmentProblem, match=r"uslm\[demo\]"):
        build_app(Engine())


def test_private_unless_asked(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = []
    monkeypatch.setattr(page, "serve", lambda *_, **options: served.append(options))
    assert main(["--model", str(model)]) == 0
    assert main(["--model", str(model), "--share", "--host", "0.0.0.0", "--port", "7"]) == 0
    assert served == [
        {"host": None, "port": None, "share": False},
        {"host": "0.0.0.0", "port": 7, "share": True},
    ]
