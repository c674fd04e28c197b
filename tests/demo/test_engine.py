"""One model for all, loaded once, when it is needed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from uslm.pipeline.tts import ZeroShotTTS
from uslm_demo.engine import Engine
from uslm_tokenizer.errors import MissingResource


def test_many_threads_load_the_model_once(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    load = ZeroShotTTS.from_pretrained

    def counted(*args: Any, **kwargs: Any) -> ZeroShotTTS:
        loads.append(args)
        return load(*args, **kwargs)

    monkeypatch.setattr(ZeroShotTTS, "from_pretrained", counted)
    engine = Engine(str(model))
    assert not engine.is_loaded
    with ThreadPoolExecutor(8) as pool:
        models = list(pool.map(lambda _: engine.tts(), range(8)))
    assert len(loads) == 1
    assert engine.is_loaded
    assert all(tts is models[0] for tts in models)
    assert engine.converter().converter is models[0].speaker


def test_what_the_model_says_of_itself_needs_no_weights(model: Path) -> None:
    engine = Engine(str(model))
    assert engine.settings().name == "tiny"
    assert engine.card() == "# Tiny\n\nIt babbles."
    assert not engine.is_loaded


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingResource, match="not a speaking model"):
        Engine(str(tmp_path)).settings()
