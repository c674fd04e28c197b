"""Make the stock voices again from their recordings: after a new tokenizer, or a new recording.

    python -m uslm_recipes.stock_voices

The recordings and what is known of them, `voices.json`, lie beside the voices.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from uslm.systems.two_stage.voice_row import OUTPUT, POOLED
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt
from uslm.voices.stock import CONSENT, FOLDER, StockVoice, stock_voices
from uslm_recipes.command import run_command


def make_stock_voice(tts: ZeroShotTTS, stock: StockVoice) -> VoicePrompt:
    """The voice of the recording, without what was fitted to one stage 2.

    Codes and symbols serve every model of the tokenizer; a shift that was fitted to the weights
    of one stage 2 would be wrong for the next.
    """
    voice = tts.create_voice(stock.recording, stock.transcript, name=stock.name)
    extras = {name: each for name, each in voice.extras.items() if name not in (POOLED, OUTPUT)}
    return replace(voice, extras=extras, licence=stock.licence, consent=CONSENT)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m uslm_recipes.stock_voices", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--model", default="default", help="who makes them (default: default)")
    parser.add_argument(
        "--out", type=Path, default=FOLDER, help="folder to write (default: that of the package)"
    )
    given = parser.parse_args(arguments)

    def action() -> None:
        tts = ZeroShotTTS.from_pretrained(given.model)
        given.out.mkdir(parents=True, exist_ok=True)
        for stock in stock_voices().values():
            voice = make_stock_voice(tts, stock)
            path = voice.save(given.out / stock.path.name, force=True)
            print(f"{path}: {voice.seconds:.1f} s, {path.stat().st_size:,} bytes")
            for finding in voice.findings:
                print(f"  {finding.severity}: {finding.message}")

    return run_command("stock_voices", action)


if __name__ == "__main__":
    raise SystemExit(main())
