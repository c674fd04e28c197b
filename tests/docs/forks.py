"""Commands without the wait: a process that has PyTorch imported already forks for each of them.

    python forks.py SOCKET       # the process; says `ready` once it is
    python forks.py SOCKET NAME ARGUMENT...    # runs a command in a fork of it, as if it were it

The second form imports nothing heavy, so that a page of commands costs what its models cost.
"""

from __future__ import annotations

import json
import os
import runpy
import select
import signal
import socket
import sys
from contextlib import suppress
from importlib import import_module, reload
from importlib.metadata import entry_points

HEAVY = (
    "phonemizer",
    "soundfile",
    "soxr",
    "torch",
    "torch._dynamo",  # models on the meta device ask for it
    "transformers",
    "uslm.pipeline.conversion",
    "uslm.pipeline.tts",
    "uslm_app.cli",
    "uslm_tokenizer.acoustic.unit_codec",
)


def wait_for_commands(path: str) -> None:
    """The process that forks."""
    for name in HEAVY:
        import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        print("ready", flush=True)
        # Standard input ends with whoever started this, however they end.
        while sys.stdin not in select.select([listening, sys.stdin], [], [])[0]:
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                become(connection)
            connection.close()


def become(connection: socket.socket) -> None:
    """Run what is asked for with the asker's folder, environment and standard streams."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, streams, _, _ = socket.recv_fds(connection, 2**20, 3)
    asked = json.loads(message)
    for place, stream in enumerate(streams):
        os.dup2(stream, place)
        os.close(stream)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.path[1:1] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    reload(import_module("huggingface_hub.constants"))  # it reads the environment
    connection.sendall(f"{os.getpid()}\n".encode())
    try:
        code = run(asked["command"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    with suppress(ValueError):  # they may be closed already
        sys.stdout.flush()
        sys.stderr.flush()
    connection.sendall(f"{code}\n".encode())
    os._exit(code)


def run(command: list[str]) -> int:
    """A command of ours, `python -m MODULE` or `python FILE`."""
    name, *rest = command
    if name == "python":
        if rest[0] == "-m":
            sys.argv = rest[1:]
            sys.path.insert(0, os.getcwd())
            runpy.run_module(rest[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = rest
            runpy.run_path(rest[0], run_name="__main__")
        return 0
    sys.argv = command
    (found,) = entry_points(group="console_scripts", name=name)
    return int(found.load()() or 0)


def ask(path: str, command: list[str]) -> int:
    """Have a command run, and take its exit code; signals reach it."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        asked = {"command": command, "folder": os.getcwd(), "environment": dict(os.environ)}
        socket.send_fds(connection, [json.dumps(asked).encode()], [0, 1, 2])
        answers = connection.makefile()
        process = int(answers.readline())
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, lambda number, frame: os.kill(process, number))
        return int(answers.readline() or 1)


if __name__ == "__main__":
    socket_path, *rest = sys.argv[1:]
    if rest:
        sys.exit(ask(socket_path, rest))
    wait_for_commands(socket_path)
