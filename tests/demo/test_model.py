"""One model for all, loaded once, when it is needed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from uslm.tts import ZeroShotTTS
from uslm_demo.model import Model
from uslm_tokenizer.errors import MissingResource


def test_many_threads_load_the_model_once(
    bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []
    load = ZeroShotTTS.from_pretrained

    def counted(*args: Any, **kwargs: Any) -> ZeroShotTTS:
        loads.append(args)
        return load(*args, **kwargs)

    monkeypatch.setattr(ZeroShotTTS, "from_pretrained", counted)
    model = Model(str(bundle_folder))
    assert not model.is_loaded
    with ThreadPoolExecutor(8) as pool:
        engines = list(pool.map(lambda _: model.engine(), range(8)))
    assert len(loads) == 1
    assert model.is_loaded
    assert all(engine is engines[0] for engine in engines)
    assert model.converter().converter is model.tts().synthesizer
    model.close()
    assert not engines[0].is_open


def test_what_the_model_says_of_itself_needs_no_weights(bundle_folder: Path) -> None:
    model = Model(str(bundle_folder))
    assert model.settings().name == "tiny"
    assert model.card() == "# Tiny\n\nIt babbles."
    assert model.frontend()("Hello.").phonemes
    assert not model.is_loaded
    model.close()


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingResource, match="not a speaking model"):
        Model(str(tmp_path)).settings()
