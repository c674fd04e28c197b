"""The folder of a bundle: named, on the Hub, or the one that comes with the package."""

from os import PathLike
from pathlib import Path

from uslm_tokenizer.errors import MissingResource
from uslm_tokenizer.hub import hub_fault

BUNDLE_FILE = "bundle.json"
VOCAB_FILE = "text.model"
PARTS = ("tokenizer", "semantic", "acoustic")
DEFAULT = "default"


def resolve_bundle(
    name_or_path: str | PathLike[str],
    *,
    revision: str | None = None,
    local_files_only: bool = False,
) -> Path:
    """The folder of a model; a Hub repository is downloaded, or taken from the cache."""
    name = str(name_or_path)
    folder = Path(name_or_path)
    if name == DEFAULT:
        folder = Path(__file__).parents[1] / "assets" / DEFAULT
        if not (folder / BUNDLE_FILE).is_file():
            raise MissingResource(
                f"this installation came without the default model (no {folder}); "
                "name the folder or the Hub repository of another"
            )
        return folder
    if folder.is_dir():
        return folder
    if folder.exists() or name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise MissingResource(f"there is no model folder {name!r}, nor is it 'default'")
    return _download(name, revision=revision, local_files_only=local_files_only)


def _download(repo_id: str, *, revision: str | None, local_files_only: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    patterns = [BUNDLE_FILE, VOCAB_FILE, "README.md"]
    for part in PARTS:
        patterns += [f"{part}/*.json", f"{part}/*.safetensors"]
    try:
        return Path(
            snapshot_download(
                repo_id,
                revision=revision,
                local_files_only=local_files_only,
                allow_patterns=patterns,
            )
        )
    except (OSError, HFValidationError) as problem:
        raise hub_fault(repo_id, problem) from problem
