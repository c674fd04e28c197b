"""`uslm export --format browser`, as far as it needs no browser."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from uslm.systems.two_stage.tiny import tiny_pitched_bundle
from uslm_app.browser import npm_packages
from uslm_app.browser.npm_packages import fetch_packages
from uslm_app.browser.site import write_site
from uslm_tokenizer.errors import ConfigError, EnvironmentProblem


def fake_npm(folder: Path, script: str) -> None:
    """A program of that name."""
    path = folder / "npm"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(stat.S_IRWXU)


def test_without_npm_it_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentProblem, match=r"npm is missing; install Node\.js"):
        fetch_packages(tmp_path / "vendor")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'npm error 404 not there' >&2; exit 1", "does not fetch .* 404 not there"),
        ('touch "$5/a.tgz"', "gives another onnxruntime-web"),
        ("exit 0", "does not fetch .* no word"),
    ],
    ids=["fails", "another", "nothing"],
)
def test_what_npm_gives_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    fake_npm(tmp_path, script)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(EnvironmentProblem, match=message):
        fetch_packages(tmp_path / "vendor")
    assert list((tmp_path / "vendor").iterdir()) == []


def test_every_package_says_its_licence() -> None:
    assert {each.name for each in npm_packages.PACKAGES} == {"onnxruntime-web", "phonemizer"}
    assert all(each.licence and each.files for each in npm_packages.PACKAGES)


def test_a_model_that_goes_on_from_its_prompt_is_refused(tmp_path: Path) -> None:
    bundle = tiny_pitched_bundle()
    with pytest.raises(ConfigError, match="the units of a prompt, which the page for browsers"):
        write_site(bundle, tmp_path / "page")
    assert not (tmp_path / "page").exists()
