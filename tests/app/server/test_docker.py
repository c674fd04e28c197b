"""What the Docker files promise. No engine is here to run them: it is their text that is read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from uslm_app.cli.parser import command_parser

ROOT = Path(__file__).parents[3]
DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))


def instructions(path: Path) -> list[tuple[str, str]]:
    """The instructions of the last stage: what is run."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    found = re.findall(r"^([A-Z]+)\s+(.+)$", "\n".join(lines).replace("\\\n", " "), re.M)
    last = max(index for index, (word, _) in enumerate(found) if word == "FROM")
    return found[last:]


def one(path: Path, word: str) -> str:
    (found,) = [rest for name, rest in instructions(path) if name == word]
    return found


def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    return found


def test_there_is_one_for_each_kind_of_machine() -> None:
    assert [path.name for path in DOCKERFILES] == ["cpu.Dockerfile", "cuda.Dockerfile"]
    used = {each["build"]["dockerfile"] for each in services().values()}
    assert used == {f"docker/{path.name}" for path in DOCKERFILES}


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_is_not_root_and_says_how_it_is(path: Path) -> None:
    user = one(path, "USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    words = [word for word, _ in instructions(path)]
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert f"--uid {user.partition(':')[0]} " in one(path, "RUN")
    health = one(path, "HEALTHCHECK")
    assert "/health" in health and "--timeout=" in health
    probe = json.loads(health[health.index("[") :])
    compile(probe[2], "probe", "exec")


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_starts_a_command_that_there_is(path: Path) -> None:
    program, command, *options = json.loads(one(path, "ENTRYPOINT"))
    assert (program, command) == ("uslm", "serve")
    parsed = command_parser("serve").parse_args([*options, *services()["cpu"]["command"]])
    assert parsed.host == "0.0.0.0" and str(parsed.port) == one(path, "EXPOSE")
    assert parsed.token_file == "/run/secrets/token"
    # No secret is baked in.
    assert "USLM_API_KEY=" not in path.read_text()


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_holds_what_the_wheel_is_made_of(path: Path) -> None:
    kept = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"
    }
    assert all((ROOT / name).exists() for name in kept)
    packages = re.search(r"packages = \[(.*?)\]", (ROOT / "pyproject.toml").read_text(), re.S)
    assert packages is not None
    wanted = {name.partition("/")[0] for name in re.findall(r'"(.+?)"', packages[1])}
    assert wanted | {"pyproject.toml", "README.md", "LICENSE", "constraints.txt"} == kept
    assert "[serve,watermark]" in path.read_text()  # all that `uslm serve` can be asked for


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_a_container_is_kept_from_what_it_does_not_need(name: str) -> None:
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["pids_limit"] and "privileged" not in service
    (volume,) = service["volumes"]
    assert volume.endswith(":/voices")  # the only place where it writes
    seconds = command_parser("serve").get_default("finish_seconds")
    assert int(service["stop_grace_period"].rstrip("s")) > seconds


def manifests() -> dict[str, Any]:
    text = (ROOT / "docker" / "kubernetes.yaml").read_text()
    return {each["kind"]: each for each in yaml.safe_load_all(text)}


def test_kubernetes_starts_what_the_image_holds() -> None:
    pod = manifests()["Deployment"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    image = ROOT / "docker" / "cpu.Dockerfile"
    _, _, *options = json.loads(one(image, "ENTRYPOINT"))
    parsed = command_parser("serve").parse_args([*options, *container["args"]])
    [port] = container["ports"]
    assert parsed.port == port["containerPort"]
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert Path(parsed.token_file).is_relative_to(mounts["token"]["mountPath"])
    assert mounts.keys() == {volume["name"] for volume in pod["volumes"]}
    assert str(pod["securityContext"]["runAsUser"]) == one(image, "USER").partition(":")[0]
    assert pod["terminationGracePeriodSeconds"] > parsed.finish_seconds
    assert mounts["voices"]["readOnly"] and parsed.fixed_voices
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": "/health", "port": port["name"]}


def test_kubernetes_parts_fit_together() -> None:
    found = manifests()
    template = found["Deployment"]["spec"]["template"]
    labels = template["metadata"]["labels"]
    assert found["Service"]["spec"]["selector"] == labels
    assert found["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    [port] = found["Service"]["spec"]["ports"]
    assert port["targetPort"] == template["spec"]["containers"][0]["ports"][0]["name"]
    [claim] = [each for each in template["spec"]["volumes"] if each["name"] == "voices"]
    wanted = claim["persistentVolumeClaim"]["claimName"]
    assert found["PersistentVolumeClaim"]["metadata"]["name"] == wanted
    assert found["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteMany"]
