"""What PyInstaller does not see by itself: weights, recipes, and modules that are imported late."""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

datas = collect_data_files("harmonizer")
hiddenimports = collect_submodules("harmonizer")
