"""espeak-ng in a process of its own, which may die without harm.

Some texts make espeak-ng 1.52 write beyond its buffers, which ends its process: 65 times "'s" in
one word do, and four characters of Devanagari. So the library is never loaded here. A text that
ends the process twice, a fresh one the second time, becomes a TextError; anything else is asked
again, as the process may die of what an earlier text has done to it.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress

from uslm_tokenizer.errors import EnvironmentProblem, TextError

LIMIT_SECONDS = 30.0
"""For one question, the loading of a language included; usual are some tenths of a millisecond."""
_SHOWN_CHARS = 60
# Isolated, so that no file of the folder that the user is in stands in for a module; the search
# path is that of this process.
_COMMAND = (
    "import sys, json; sys.path[:], limit = json.loads(sys.stdin.buffer.readline()); "
    "from uslm.text.espeak_worker import main; main(limit)"
)


class EspeakProcess:
    """The process, started when it is first asked. May be called from several threads; a fork of
    this process gets a process of its own."""

    def __init__(self, limit_seconds: float = LIMIT_SECONDS) -> None:
        self._limit_seconds = limit_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.RLock()
        self._is_known = False  # to the hooks at exit and at forks

    def phonemes(self, language: str, words: str) -> str:
        """Phonemes of words without punctuation by phonemizer, stress included."""
        return self._ask("phonemes", language, words)

    def separated(self, language: str, words: str) -> str:
        """Phones by espeak itself, with "_" between them."""
        return self._ask("separated", language, words)

    def version(self) -> str:
        """Of espeak-ng: "1.52"."""
        return self._ask("version", "", "")

    def close(self) -> None:
        """End the process; the next question starts another."""
        with self._lock:
            process, self._process = self._process, None
            if process is None:
                return
            assert process.stdin is not None and process.stdout is not None
            with suppress(OSError):
                process.stdin.close()
            try:
                process.wait(1.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()

    def _ask(self, how: str, language: str, words: str) -> str:
        question = json.dumps({"how": how, "language": language, "words": words}).encode() + b"\n"
        with self._lock:
            answer = self._exchange(question) or self._exchange(question)
        if answer is None:
            shown = words if len(words) <= _SHOWN_CHARS else words[: _SHOWN_CHARS - 3] + "..."
            raise TextError(f"text must be one that espeak-ng survives, but it dies of {shown!r}")
        if "said" in answer:
            return answer["said"]
        kind, message = answer["error"], answer["message"]
        if kind == "text":
            raise TextError(message)
        if kind == "environment":
            raise EnvironmentProblem(message)
        raise RuntimeError(f"espeak's process: {message}")

    def _exchange(self, question: bytes) -> dict[str, str] | None:
        """The answer, or None where the process has died of it."""
        try:
            process = self._process = self._process or self._start()
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(question)
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = b""
        except BaseException:  # whoever asks next must not get this answer
            self._kill()
            raise
        if not line.endswith(b"\n"):
            self._kill()
            return None
        answer: dict[str, str] = json.loads(line)
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        if not self._is_known:
            self._is_known = True
            atexit.register(self.close)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=self._let_go)
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-c", _COMMAND],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        except OSError as error:
            raise EnvironmentProblem(f"espeak's process could not be started: {error}") from error
        assert process.stdin is not None
        process.stdin.write(json.dumps([sys.path, self._limit_seconds]).encode() + b"\n")
        return process

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
        self.close()

    def _let_go(self) -> None:
        """In a fork: the process is the parent's, and so may be a thread that holds the lock."""
        process, self._process = self._process, None
        self._lock = threading.RLock()
        if process is not None:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.close()
            process.stdout.close()
            process.returncode = 0  # nobody waits for it here


ESPEAK = EspeakProcess()
"""The one that is used unless somebody wants another."""
