"""Image harmonization: change a pasted foreground's colours until it belongs to its background.

`harmonize("composite.png", "mask.png")` does the whole job in one call; `Harmonizer` loads a model
once for many pictures.
"""

from typing import TYPE_CHECKING

from harmonizer._version import __version__

if TYPE_CHECKING:
    from harmonizer.imaging.comparison import show_comparison
    from harmonizer.imaging.compositing import compose
    from harmonizer.jobs.video import harmonize_video
    from harmonizer.lifting import Strength
    from harmonizer.pipeline import Harmonizer, harmonize, harmonize_cutout
    from harmonizer.zoo.manifest import ModelInfo, list_models, model_info

__all__ = [
    "Harmonizer",
    "ModelInfo",
    "Strength",
    "__version__",
    "compose",
    "harmonize",
    "harmonize_cutout",
    "harmonize_video",
    "list_models",
    "model_info",
    "show_comparison",
]

# Torch takes seconds to import; what needs it is imported when it is first asked for.
_HOME = {
    "Harmonizer": "harmonizer.pipeline",
    "harmonize": "harmonizer.pipeline",
    "harmonize_cutout": "harmonizer.pipeline",
    "Strength": "harmonizer.lifting",
    "ModelInfo": "harmonizer.zoo.manifest",
    "list_models": "harmonizer.zoo.manifest",
    "model_info": "harmonizer.zoo.manifest",
    "compose": "harmonizer.imaging.compositing",
    "harmonize_video": "harmonizer.jobs.video",
    "show_comparison": "harmonizer.imaging.comparison",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
