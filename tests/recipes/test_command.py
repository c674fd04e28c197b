"""How commands end: one line and a stable exit code."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from uslm_recipes.command import run_command
from uslm_recipes.loop import TrainingDiverged
from uslm_tokenizer.errors import ConfigError, EnvironmentProblem, MissingResource


def raising(problem: BaseException) -> Callable[[], None]:
    def action() -> None:
        raise problem

    return action


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (ConfigError("odd\nvalue"), 1),
        (PermissionError(13, "no", "file"), 1),
        (MissingResource("gone"), 2),
        (EnvironmentProblem("no package"), 3),
        (TrainingDiverged("NaN"), 4),
        (KeyboardInterrupt(), 130),
    ],
)
def test_errors_become_one_line(
    problem: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("uslm-x", raising(problem)) == code
    reported = capsys.readouterr()
    assert (
        reported.err.startswith("uslm-x: ") and reported.err.count("\n") == 1 and not reported.out
    )


def test_our_own_mistakes_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError):
        run_command("uslm-x", raising(AssertionError()))
    monkeypatch.setenv("USLM_DEBUG", "1")
    with pytest.raises(ConfigError):
        run_command("uslm-x", raising(ConfigError("odd")))
    assert run_command("uslm-x", lambda: None) == 0
