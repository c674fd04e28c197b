"""A Python that has imported PyTorch before it is asked: half the cost of a command of the recipes.

`python warm_python.py serve SOCKET` waits; `python -IS warm_python.py ask SOCKET -m MODULE ...` has
it fork, become that command with the caller's folder, environment and output, and tells its exit
code. One command at a time.
"""

import json
import os
import socket
import sys


def serve(path: str) -> None:
    import runpy

    from torch import nn

    import uslm_recipes.bundle
    import uslm_recipes.encode
    import uslm_recipes.prepare
    import uslm_recipes.train_ar
    import uslm_recipes.train_nar
    import uslm_recipes.train_units
    import uslm_recipes.tune  # noqa: F401
    from uslm_recipes.loop import LoopConfig, make_optimizer

    make_optimizer(nn.Linear(1, 1), LoopConfig())  # this imports the other half of PyTorch
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        while True:
            asking, _ = listening.accept()
            with asking:
                text, output, _, _ = socket.recv_fds(asking, 1 << 20, 2)
                given = json.loads(text)
                child = os.fork()
                if child == 0:
                    for number, descriptor in enumerate(output, start=1):
                        os.dup2(descriptor, number)
                    os.chdir(given["folder"])
                    os.environ.clear()
                    os.environ.update(given["environment"])
                    sys.argv = ["", *given["arguments"]]
                    code = 1
                    try:
                        runpy.run_module(given["module"], run_name="__main__", alter_sys=True)
                    except SystemExit as end:
                        code = int(end.code or 0)
                    finally:
                        sys.stdout.flush()
                        sys.stderr.flush()
                        os._exit(code)
                for descriptor in output:
                    os.close(descriptor)
                _, status = os.waitpid(child, 0)
                asking.send(str(os.waitstatus_to_exitcode(status)).encode())


def ask(path: str, module: str, arguments: list[str]) -> int:
    given = {
        "module": module,
        "arguments": arguments,
        "folder": os.getcwd(),
        "environment": dict(os.environ),
    }
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        socket.send_fds(server, [json.dumps(given).encode()], [1, 2])
        return int(server.recv(16) or b"1")


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        assert sys.argv[3] == "-m"
        raise SystemExit(ask(sys.argv[2], sys.argv[4], sys.argv[5:]))
