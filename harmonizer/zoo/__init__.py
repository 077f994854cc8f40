"""The model zoo: which weights exist, where they come from, and how they are checked."""

from harmonizer.zoo.convert import convert_state_dict, load_backbone_weights

__all__ = ["convert_state_dict", "load_backbone_weights"]
