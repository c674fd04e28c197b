"""The progress bar, where somebody looks: on a terminal."""

from __future__ import annotations

import sys
from typing import Any

from uslm_recipes.loop.config import LoopConfig, fraction_done
from uslm_recipes.loop.progress import Progress


class Bar:
    """Share of the run that is over, with the time that is left."""

    def __init__(
        self, config: LoopConfig, progress: Progress, *, shown: bool | None = None
    ) -> None:
        """`shown` is whether standard error is a terminal, unless given."""
        from tqdm import tqdm

        self._config, self._progress = config, progress
        self._told: dict[str, float] = {}
        self._bar: Any = tqdm(
            total=100.0,
            initial=100 * fraction_done(progress, config),
            disable=not (sys.stderr.isatty() if shown is None else shown),
            bar_format="{l_bar}{bar}| {elapsed}<{remaining}{postfix}",
            dynamic_ncols=True,
            leave=False,
        )

    def update(self, **values: float) -> None:
        """Move on to where the run is; `values` stand after the bar from now on."""
        if self._bar.disable:
            return
        self._told |= values
        shown = {name: f"{value:.4g}" for name, value in self._told.items()}
        self._bar.set_postfix({"step": self._progress.step, **shown}, refresh=False)
        self._bar.update(100 * fraction_done(self._progress, self._config) - self._bar.n)

    def close(self) -> None:
        """Take it off the screen."""
        self._bar.close()

    @staticmethod
    def print_above(line: str) -> None:
        """Print a line to standard output without tearing a bar."""
        from tqdm import tqdm

        tqdm.write(line, file=sys.stdout)
        sys.stdout.flush()
