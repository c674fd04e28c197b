"""Errors on the page: a sentence for whoever caused them, never a traceback."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import gradio as gr

from uslm.serving.utterance import EngineError
from uslm_tokenizer.errors import EnvironmentProblem, GenerationError, UserError

P = ParamSpec("P")
T = TypeVar("T")

EXPECTED = (UserError, EnvironmentProblem, GenerationError, EngineError)
"""What visitors are told; anything else is a bug, and stays one."""


def shown(handler: Callable[P, Iterator[T]]) -> Callable[P, Iterator[T]]:
    """The same generator, whose expected errors become messages."""

    @wraps(handler)
    def run(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        try:
            yield from handler(*args, **kwargs)
        except EXPECTED as error:
            # Gradio shows messages as HTML, and ours quote what people wrote.
            raise gr.Error(html.escape(str(error)), print_exception=False) from error

    return run


def field(check: Callable[[], object]) -> dict[str, Any]:
    """Answer of `gr.validate` about a field: it is right, or the message of the check beside it."""
    try:
        check()
    except EXPECTED as error:
        message = str(error)
        return _answer(message[:1].upper() + message[1:])
    return _answer()


def fine() -> dict[str, Any]:
    """A field that nothing can be wrong with."""
    return _answer()


def _answer(message: str = "") -> dict[str, Any]:
    answer: dict[str, Any] = gr.validate(not message, message)
    return answer
