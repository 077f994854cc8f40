"""The model zoo: which weights exist, where they come from, and how they are checked."""

from harmonizer.zoo.convert import convert_state_dict

__all__ = ["convert_state_dict"]
