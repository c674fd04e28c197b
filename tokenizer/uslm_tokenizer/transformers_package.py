"""The package transformers, imported on first use as it takes seconds; its configs made plain."""

from typing import Any

from uslm_tokenizer.environment import check_torchaudio
from uslm_tokenizer.errors import EnvironmentProblem

NOT_SHAPE = ("_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version")
"""What a configuration holds beside the network's shape."""


def import_transformers(what: str) -> Any:
    """The package. Raises EnvironmentProblem, saying what needs it, where it is not installed."""
    try:
        import transformers
    except ImportError as problem:
        raise EnvironmentProblem(
            f"{what} the package transformers: pip install transformers"
        ) from problem
    return transformers


def transformers_class(name: str, what: str) -> Any:
    """A class of the package. Raises EnvironmentProblem where it cannot be had."""
    package = import_transformers(what)
    try:
        return getattr(package, name)
    except OSError:
        check_torchaudio()
        raise
    except (ImportError, AttributeError) as problem:
        raise EnvironmentProblem(
            f"{what} the class {name} of the package transformers, a newer one than is installed, "
            "or all that it needs: pip install --upgrade transformers"
        ) from problem


def network_shape(config: Any) -> dict[str, object]:
    """Part of a configuration that is not the family's usual one, and matters to the network."""
    return {key: v for key, v in config.to_diff_dict().items() if key not in NOT_SHAPE}
