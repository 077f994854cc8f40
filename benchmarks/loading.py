"""What a process costs until a cached model is ready, or a picture harmonized.

    python benchmarks/loading.py

Each line is a process of its own, started several times in turn. Given is the median of its CPU
time and, without the start of Python, the ratio to importing torch; and its most memory. Compare
lines of one run only.
"""

import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from made_up import sides, write_picture

from harmonizer import Harmonizer, model_info
from harmonizer.networks import build_network

ROUNDS = 5
LOAD = "from harmonizer import Harmonizer; Harmonizer.from_pretrained({!r}, device='cpu')"


def programs(saved: Path) -> dict[str, str]:
    """What is measured: a label and a program."""
    return {
        "python": "pass",
        "import harmonizer": "import harmonizer",
        "list_models()": "import harmonizer; harmonizer.list_models()",
        "import torch": "import torch",
        "import torch, cv2, PIL.Image": "import torch, cv2, PIL.Image",
        "import huggingface_hub's download": "from huggingface_hub import hf_hub_download",
        "import harmonizer.pipeline": "import harmonizer.pipeline",
        "load the bundled model": LOAD.format(None),
        "load idih-hrnet-w18 (75 MB)": LOAD.format(str(saved)),
        **{
            f"harmonizer run, {megapixels} megapixels, {ending}": run(saved, megapixels, ending)
            for megapixels, ending in ((1, "jpg"), (12, "jpg"), (12, "png"))
        },
    }


def run(folder: Path, megapixels: int, ending: str) -> str:
    """A program that harmonizes a file."""
    image, mask, out = (folder / f"{name}{megapixels}.{ending}" for name in "imo")
    mask = mask.with_suffix(".png")
    write_picture(image, mask, *sides(megapixels))
    arguments = ["run", *map(str, (image, mask, "-o", out, "--force"))]
    return f"from harmonizer.cli import main; assert not main({arguments})"


def cost(program: str) -> tuple[float, float]:
    """CPU seconds of one process, and its most memory in MiB."""
    program = (
        f"{program}\n"
        "import resource; usage = resource.getrusage(resource.RUSAGE_SELF)\n"
        "peak = open('/proc/self/status').read().split('VmHWM:')[1].split()[0]\n"
        "print(usage.ru_utime + usage.ru_stime, int(peak) / 1024)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE)
    seconds, megabytes = map(float, done.stdout.split()[-2:])
    return seconds, megabytes


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "w18"
        info = replace(model_info("idih-hrnet-w18"), sources=())
        Harmonizer(build_network("idih-hrnet-w18"), info, device="cpu").save_pretrained(saved)
        measured = programs(saved)
        times: dict[str, list[float]] = {label: [] for label in measured}
        memory: dict[str, float] = {}
        for _ in range(ROUNDS):
            for label, program in measured.items():
                seconds, memory[label] = cost(program)
                times[label].append(seconds)
    medians = {label: statistics.median(values) for label, values in times.items()}
    base, torch_alone = medians["python"], medians["import torch"] - medians["python"]
    print(f"{'':36}{'seconds':>8}{'of torch':>10}{'MiB':>6}")
    for label, value in medians.items():
        ratio = (value - base) / torch_alone
        print(f"{label:36}{value:8.2f}{ratio:9.2f}x{memory[label]:6.0f}")


if __name__ == "__main__":
    main()
