"""Clips of any length take the same memory."""

import subprocess
import sys
from pathlib import Path

import pytest
from made_clips import object_mask, still, write_clip
from PIL import Image

PEAK = """
import re, sys
from pathlib import Path
from harmonizer.cli import main
main(["video", *sys.argv[1:]])
print(int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it asks /proc")
def test_five_times_the_frames_take_no_more_memory(tmp_path: Path) -> None:
    Image.fromarray(object_mask()).save(tmp_path / "mask.png")
    peaks: list[int] = []
    for count in (300, 1500):
        clip = write_clip(tmp_path / f"{count}.mp4", [still()] * count, codec="libx264",
                          audio="aac")  # fmt: skip
        files = [clip, tmp_path / "mask.png", "-o", tmp_path / "out.mp4", "--force"]
        command = [sys.executable, "-c", PEAK, *map(str, files)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks.append(int(done.stdout))
    # A frame is 18 KiB: 1,200 of them would be 21 MiB.
    assert peaks[1] < peaks[0] + 10, peaks
