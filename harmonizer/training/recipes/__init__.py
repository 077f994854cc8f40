"""Runs to repeat or to extend: TOML files.

There is one for each row of the paper's tables 1 and 3, and one for each stage of this project's
own weights, `*-open-*`.
"""

from importlib import resources

from harmonizer.errors import InputError


def list_recipes() -> list[str]:
    """Return the names of the recipes."""
    files = resources.files(__package__ or __name__).iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def read_recipe(name: str) -> str:
    """Return a recipe's text, which `TrainConfig.parse_toml` reads.

    Args:
        name: One of `list_recipes()`.

    Raises:
        InputError: There is no such recipe.
    """
    if name not in list_recipes():
        raise InputError(
            f"there is no recipe {name!r}; the recipes are {', '.join(list_recipes())}"
        )
    return (resources.files(__package__ or __name__) / f"{name}.toml").read_text("utf-8")
