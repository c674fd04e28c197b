"""What a hosted Space runs: the demo, from a copy of the repository that is not installed."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tokenizer"), str(ROOT / "demo")]

from uslm_demo.app import main  # noqa: E402 (found by the lines above)

if __name__ == "__main__":
    sys.exit(main(["--examples", str(ROOT / "examples"), *sys.argv[1:]]))
