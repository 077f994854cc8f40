"""Killed at the worst moment, nothing half written is ever taken for whole.

A process kills itself with SIGKILL in the middle of writing, or between writing and renaming. What
it leaves behind is looked at, and the same work is then done again in peace. (Downloads, and
training at a moment of chance: `zoo/test_released.py` and `training/test_resume.py`.)
"""

import json
import multiprocessing
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from by_rule import released_weights
from helpers import EXAMPLES, box_mask
from PIL import Image
from small_iharmony4 import write_iharmony4
from zoo_models import tiny_model

from harmonizer import Harmonizer
from harmonizer.cli import main
from harmonizer.errors import HarmonizerError
from harmonizer.imaging.image import open_image
from harmonizer.training.run_folder import CHECKPOINT_FILE, load_checkpoint, save_checkpoint

if not hasattr(signal, "SIGKILL"):
    pytest.skip("nothing kills like SIGKILL here", allow_module_level=True)

MOMENTS = ("half", "before the rename", "after the rename")
each_moment = pytest.mark.parametrize("moment", MOMENTS)

# Processes are forked from one that has imported the library already, and has no threads yet.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["harmonizer.pipeline", "harmonizer.training"])


def _wait_for_death(moment: str, count: int) -> None:
    """Make the N-th file that is written atomically the last thing that this process does."""
    sync, rename, seen = os.fsync, Path.replace, Counter[str]()

    def is_time(now: str) -> bool:
        seen[now] += 1
        return now == moment and seen[now] == count

    def deadly_sync(file: int) -> None:
        if is_time("half"):
            os.ftruncate(file, os.fstat(file).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        sync(file)

    def deadly_rename(self: Path, target: Any) -> Path:
        if is_time("before the rename"):
            os.kill(os.getpid(), signal.SIGKILL)
        renamed = rename(self, target)
        if is_time("after the rename"):
            os.kill(os.getpid(), signal.SIGKILL)
        return renamed

    os.fsync = deadly_sync
    Path.replace = deadly_rename


def _live(moment: str | None, count: int, work: Callable[..., Any], *arguments: Any) -> None:
    torch.set_num_threads(1)
    for descriptor in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    if moment is not None:
        _wait_for_death(moment, count)
    sys.exit(work(*arguments))


def _run(moment: str | None, count: int, work: Callable[..., Any], *arguments: Any) -> int | None:
    process = _processes.Process(target=_live, args=(moment, count, work, *arguments), daemon=True)
    process.start()
    process.join(120)
    return process.exitcode


def killed(moment: str, count: int, work: Callable[..., Any], *arguments: Any) -> None:
    """Let a process work until it kills itself."""
    assert _run(moment, count, work, *arguments) == -signal.SIGKILL


def in_peace(work: Callable[..., Any], *arguments: Any) -> None:
    assert _run(None, 0, work, *arguments) == 0


def command(*arguments: object) -> int:
    return main([str(one) for one in arguments])


def save_tiny(seed: int, folder: Path) -> None:
    tiny_model(seed).save_pretrained(folder)


def visible(folder: Path) -> list[str]:
    """Files under their own names; what is being written begins with a dot."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


@each_moment
def test_a_folder_run(moment: str, tmp_path: Path) -> None:
    images, masks, out = (tmp_path / name for name in ("images", "masks", "out"))
    for folder in (images, masks):
        folder.mkdir()
    for name in ("a", "b", "c"):
        pixels = np.random.default_rng(ord(name)).integers(0, 256, (40, 60, 3), np.uint8)
        Image.fromarray(pixels).save(images / f"{name}.png")
        Image.fromarray(box_mask(40, 60)).save(masks / f"{name}.png")
    # With one thread pictures are written in their order.
    arguments = ("run", images, masks, "-o", out, "--device", "cpu", "--workers", 1)
    killed(moment, 2, command, *arguments)
    done = ["a.png", "b.png"] if moment == "after the rename" else ["a.png"]
    assert visible(out) == done
    before = {name: (out / name).read_bytes() for name in done}
    assert all(open_image(content).size == (40, 60) for content in before.values())
    in_peace(command, *arguments)
    assert visible(out) == ["a.png", "b.png", "c.png"]
    assert all((out / name).read_bytes() == content for name, content in before.items())
    assert all(open_image(out / name).size == (40, 60) for name in visible(out))


@each_moment
def test_a_picture_over_an_older_one(moment: str, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    Image.new("RGB", (640, 427), "red").save(out)
    old = out.read_bytes()
    picture, mask = EXAMPLES / "composite.png", EXAMPLES / "mask.png"
    arguments = ("run", picture, mask, "-o", out, "--device", "cpu", "--force")
    killed(moment, 1, command, *arguments)
    assert (out.read_bytes() == old) == (moment != "after the rename")
    assert open_image(out).size == (427, 640)


@each_moment
@pytest.mark.parametrize("count", [1, 2, 3])
def test_saving_a_model_over_another(moment: str, count: int, tmp_path: Path) -> None:
    """Weights, card, config, in this order: in between, the folder is refused, never mixed up."""
    tiny_model(seed=0).save_pretrained(tmp_path / "model")
    killed(moment, count, save_tiny, 1, tmp_path / "model")
    old, new = (tiny_model(seed).fingerprint() for seed in (0, 1))
    position = 3 * (count - 1) + MOMENTS.index(moment)
    if position < 2 or position == 8:
        found = Harmonizer.from_pretrained(tmp_path / "model", device="cpu").fingerprint()
        assert found == (new if position == 8 else old)
    else:
        with pytest.raises(HarmonizerError, match="expected"):  # another size, or another hash
            Harmonizer.from_pretrained(tmp_path / "model", device="cpu")
    tiny_model(seed=1).save_pretrained(tmp_path / "model")
    assert Harmonizer.from_pretrained(tmp_path / "model", device="cpu").fingerprint() == new


@each_moment
def test_converting(moment: str, tmp_path: Path) -> None:
    state = {key: torch.from_numpy(one) for key, one in released_weights("idih", 1).items()}
    torch.save(state, tmp_path / "released.pth")
    arguments = ("convert", tmp_path / "released.pth", "--model", "idih", "-o", tmp_path / "model")
    killed(moment, 1, command, *arguments)
    expected = ["model.safetensors"] if moment == "after the rename" else []
    assert visible(tmp_path / "model") == expected
    with pytest.raises(HarmonizerError, match="there is no file"):  # without its config it is none
        Harmonizer.from_pretrained(tmp_path / "model", device="cpu")
    in_peace(command, *arguments, *(["--force"] if expected else []))
    Harmonizer.from_pretrained(tmp_path / "model", device="cpu")


@each_moment
def test_a_checkpoint(moment: str, tmp_path: Path) -> None:
    save_checkpoint(tmp_path, {"step": 1})
    killed(moment, 1, save_checkpoint, tmp_path, {"step": 2})
    assert visible(tmp_path) == [CHECKPOINT_FILE]
    assert load_checkpoint(tmp_path) == {"step": 2 if moment == "after the rename" else 1}


@each_moment
@pytest.mark.parametrize("count", [1, 2])
def test_an_evaluation_and_its_report(moment: str, count: int, tmp_path: Path) -> None:
    """The results come first, then the page."""
    data = write_iharmony4(tmp_path / "data")
    results, page = tmp_path / "results.json", tmp_path / "report" / "index.html"
    arguments = ("evaluate", "--data", data, "--model", "composite")
    arguments += ("--json", results, "--report", page.parent)
    killed(moment, count, command, *arguments)
    position = 3 * (count - 1) + MOMENTS.index(moment)
    assert (results.exists(), page.exists()) == (position >= 2, position == 5)
    if results.exists():
        assert json.loads(results.read_text())["models"]
    if page.exists():
        assert page.read_text().rstrip().endswith("</html>")
