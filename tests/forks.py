"""Commands without the wait: a process that has PyTorch imported already forks for each of them.

    python forks.py serve SOCKET MODULE...       # imports the modules, then says `ready`;
                                                 # of MODULE:FUNCTION, the function is called
    python forks.py ask SOCKET NAME ARGUMENT...  # runs a command in a fork, as if it were it

The second form imports nothing heavy, so that a page of commands costs what its models cost. Who
asks and goes away takes the command along, and all that it has started.
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
from types import FrameType
from typing import Any

GRACE_SECONDS = 5
"""That a command has to end in, once it is told to."""


def serve(path: str, modules: list[str]) -> None:
    """The process that forks."""
    for name in modules:
        module, _, function = name.partition(":")
        loaded = import_module(module)
        if function:
            getattr(loaded, function)()
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
                os._exit(mind(connection))
            connection.close()


def mind(connection: socket.socket) -> int:
    """Run what is asked for in a process group of its own; tell its id, then its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, streams, _, _ = socket.recv_fds(connection, 2**20, 3)
    over, running = os.pipe()  # its other end closes with the command
    command = os.fork()
    if command == 0:
        os.close(over)
        connection.close()
        os.setsid()
        os._exit(become(json.loads(message), streams))
    for each in (*streams, running):
        os.close(each)
    connection.sendall(f"{command}\n".encode())
    waiting: list[Any] = [over, connection]
    if over not in select.select(waiting, [], [])[0]:  # nobody listens any more
        with suppress(ProcessLookupError):
            os.killpg(command, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
    with suppress(OSError):
        connection.sendall(f"{code if code >= 0 else 128 - code}\n".encode())  # as shells do
    return 0


def become(asked: dict[str, Any], streams: list[int]) -> int:
    """Run a command with the asker's folder, environment and standard streams."""
    for place, stream in enumerate(streams):
        os.dup2(stream, place)
        os.close(stream)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.path[1:1] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    if constants := sys.modules.get("huggingface_hub.constants"):
        reload(constants)  # it reads the environment
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
    return code


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

        def pass_on(number: int, frame: FrameType | None) -> None:
            with suppress(ProcessLookupError):
                os.kill(process, number)
            signal.alarm(GRACE_SECONDS)  # which ends this process, and with it the command

        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, pass_on)
        return int(answers.readline() or 1)


if __name__ == "__main__":
    what, address, *others = sys.argv[1:]
    if what == "ask":
        sys.exit(ask(address, others))
    serve(address, others)
