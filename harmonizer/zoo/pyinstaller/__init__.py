"""Tell PyInstaller, by the entry point `pyinstaller40`, where its hook for this package lies."""

from pathlib import Path


def hook_folders() -> list[str]:
    """Return the folders that hold hooks."""
    return [str(Path(__file__).parent)]
