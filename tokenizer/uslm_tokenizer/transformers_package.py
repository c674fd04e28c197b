"""The package transformers, imported on first use as it takes seconds; its configs made plain."""

from typing import Any

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


def network_shape(config: Any) -> dict[str, object]:
    """What of a configuration differs from the family's usual one, and matters to the network."""
    return {key: v for key, v in config.to_diff_dict().items() if key not in NOT_SHAPE}
