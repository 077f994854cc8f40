"""Packages that only some users need."""

from importlib import import_module
from typing import Any

from harmonizer.errors import InputError


def import_extra(module: str, extra: str) -> Any:  # noqa: ANN401 - it may not be there to look at
    """Import a module of a package that comes with an extra.

    Args:
        module: What to import.
        extra: The extra's name in `pip install 'image-harmonizer[extra]'`.

    Raises:
        InputError: It is not installed; the message says how to.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise InputError(
            f"this needs {module}: pip install 'image-harmonizer[{extra}]' ({error})"
        ) from error
