"""The command, as far as it comes without a page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from uslm.voices.names import default_folder
from uslm_demo import app, page
from uslm_demo.app import build_app, main
from uslm_demo.model import Model
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
    bundle_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--model", str(tmp_path)]) == 2
    assert "not a speaking model" in capsys.readouterr().err
    assert main(["--model", str(bundle_folder), "--examples", str(tmp_path / "none")]) == 2
    assert "no folder" in capsys.readouterr().err


def test_without_gradio_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uslm_demo.page", None)
    with pytest.raises(EnvironmentProblem, match=r"uslm\[demo\]"):
        build_app(Model())


@pytest.fixture
def served(
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The options of each page that was built, and of how it was served."""
    built: list[dict[str, Any]] = []
    served: list[dict[str, Any]] = []
    monkeypatch.setattr(app, "build_app", lambda *_, **options: built.append(options))
    monkeypatch.setattr(page, "serve", lambda *_, **options: served.append(options))
    return built, served


def test_private_unless_asked(served: Any) -> None:
    _, launched = served
    assert main([]) == 0
    assert main(["--share", "--host", "0.0.0.0", "--port", "7"]) == 0
    assert launched == [
        {"host": None, "port": None, "share": False},
        {"host": "0.0.0.0", "port": 7, "share": True},
    ]


def test_strangers_get_voices_of_their_own(
    served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, _ = served
    for arguments in ([], ["--host", "localhost"], ["--share"], ["--host", "0.0.0.0"]):
        main(arguments)
    main(["--share", "--voices", str(tmp_path), "--codec", "a", "--codec", "b"])
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    main([])
    monkeypatch.delenv("GRADIO_SERVER_NAME")
    monkeypatch.setenv("SPACE_ID", "someone/uslm")
    main([])
    mine = default_folder()
    assert [each["voices"] for each in built] == [mine, mine, None, None, tmp_path, None, None]
    assert built[4]["codecs"] == ["a", "b"]
