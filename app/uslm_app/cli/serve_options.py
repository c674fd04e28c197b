"""The options of `uslm serve`."""

from __future__ import annotations

from argparse import ArgumentParser

from uslm_app.cli.option_types import address, named, number, whole
from uslm_app.cli.options import add_any_language, add_common, add_model, add_watermark


def add_serve(parser: ArgumentParser) -> None:
    """Options of `uslm serve`."""
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS",
        help="address to listen at (default 127.0.0.1, this machine only); others need a token",
    )  # fmt: skip
    parser.add_argument(
        "--port", type=whole(0, 65_535), default=8000, metavar="N",
        help="port to listen at (default 8000); 0: any that is free",
    )  # fmt: skip
    parser.add_argument(
        "--wyoming", type=address, metavar="[ADDRESS:]PORT",
        help="answer the Wyoming protocol of Home Assistant there, too; it knows no token, so who "
        "reaches the address may speak (default address: 127.0.0.1)",
    )  # fmt: skip
    parser.add_argument(
        "--conversation", metavar="FOLDER",
        help="hold conversations in full duplex, too, with the Moshi of this folder (a WebSocket, "
        "/v1/conversation)",
    )  # fmt: skip
    parser.add_argument(
        "--token-file", metavar="FILE",
        help="file with the token that clients must show (default: the variable USLM_API_KEY)",
    )  # fmt: skip
    parser.add_argument(
        "--voices", metavar="FOLDER",
        help="folder of voice files (default: the one of uslm voice; USLM_VOICES)",
    )  # fmt: skip
    parser.add_argument(
        "--voice-alias", type=named, action="append", default=[], metavar="NAME=VOICE",
        help="who speaks when a client asks for the voice NAME, kept or of uslm's own; may be "
        "repeated (default: OpenAI's names mean voices of uslm's own)",
    )  # fmt: skip
    parser.add_argument(
        "--fixed-voices", action="store_true", help="voices cannot be uploaded or deleted"
    )
    parser.add_argument(
        "--strict", action="store_true",
        help="refuse unknown fields of requests (default: ignored, and named in a header)",
    )  # fmt: skip
    parser.add_argument(
        "--allow-origin", action="append", default=[], metavar="URL",
        help="let pages of this site ask, as https://example.org; may be repeated (CORS)",
    )  # fmt: skip
    add_watermark(parser)
    parser.add_argument(
        "--language", metavar="CODE", help="language of the texts (default: the model's)"
    )
    add_any_language(parser)
    _add_limits(parser)
    _add_replicas(parser)
    add_model(parser)
    add_common(parser)


def _add_limits(parser: ArgumentParser) -> None:
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--slots", type=whole(1, 256), default=8, metavar="N",
        help="sentences that are spoken at a time, in one batch (default 8)",
    )  # fmt: skip
    limits.add_argument(
        "--queue", type=whole(0, 10_000), default=16, metavar="N",
        help="requests beyond so many that wait for turns; one more is refused (default 16)",
    )  # fmt: skip
    limits.add_argument(
        "--max-chars", type=whole(1), default=4096, metavar="N",
        help="longest text of a request (default 4096)",
    )  # fmt: skip
    limits.add_argument(
        "--max-upload-mb", type=number(0, 1024, above=True), default=10, metavar="X",
        help="largest upload, megabytes (default 10)",
    )  # fmt: skip
    limits.add_argument(
        "--max-seconds", type=number(0, 86_400, above=True), default=300, metavar="X",
        help="a request that takes longer is given up (default 300)",
    )  # fmt: skip
    limits.add_argument(
        "--max-conversations", type=whole(1, 256), default=1, metavar="N",
        help="conversations that are held at a time (default 1)",
    )  # fmt: skip
    limits.add_argument(
        "--finish-seconds", type=number(0, 3600), default=30, metavar="X",
        help="time to finish in, once it is to stop (default 30)",
    )  # fmt: skip


def _add_replicas(parser: ArgumentParser) -> None:
    replicas = parser.add_argument_group("several machines")
    replicas.add_argument(
        "--replicas", type=whole(1, 10_000), metavar="N",
        help="have so many processes, on the machines of a Ray cluster, speak (uslm[cluster])",
    )  # fmt: skip
    replicas.add_argument(
        "--ray-address", metavar="ADDRESS",
        help="address of the cluster, or auto (default: one is started on this machine)",
    )  # fmt: skip
    replicas.add_argument(
        "--replica-cpus", type=number(0, 1024), default=1, metavar="X",
        help="processors that are set aside for each (default 1)",
    )  # fmt: skip
    replicas.add_argument(
        "--replica-gpus", type=number(0, 64), default=0, metavar="X",
        help="GPUs of the same; a fraction shares one (default 0)",
    )  # fmt: skip
