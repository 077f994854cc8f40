"""The model zoo: which weights exist, where they come from, and how they are checked."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harmonizer.zoo.convert import convert_state_dict, load_backbone_weights

__all__ = ["convert_state_dict", "load_backbone_weights"]


def __getattr__(name: str) -> object:
    # Converting needs torch; knowing which models exist does not.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from harmonizer.zoo import convert

    return getattr(convert, name)
