"""Errors on the page: a sentence for whoever caused them, never a traceback."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from functools import wraps
from typing import ParamSpec, TypeVar

import gradio as gr

from uslm_tokenizer.errors import EnvironmentProblem, GenerationError, UserError

P = ParamSpec("P")
T = TypeVar("T")


def shown(handler: Callable[P, Iterator[T]]) -> Callable[P, Iterator[T]]:
    """The same generator, whose expected errors become messages; unexpected ones stay bugs."""

    @wraps(handler)
    def run(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        try:
            yield from handler(*args, **kwargs)
        except (UserError, EnvironmentProblem, GenerationError) as error:
            # Gradio shows messages as HTML, and ours quote what people wrote.
            raise gr.Error(html.escape(str(error)), print_exception=False) from error

    return run
