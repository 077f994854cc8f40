"""How long until a cached model is ready, whole process, and what the time goes to.

    python benchmarks/loading.py

Each line is a process of its own, started several times in turn. Given is the median and, without
the start of Python, the ratio to importing torch. Compare lines of one run only.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

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
    }


def seconds(program: str) -> float:
    """Wall-clock time of one process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "w18"
        info = replace(model_info("idih-hrnet-w18"), sources=())
        Harmonizer(build_network("idih-hrnet-w18"), info, device="cpu").save_pretrained(saved)
        measured = programs(saved)
        times: dict[str, list[float]] = {label: [] for label in measured}
        for _ in range(ROUNDS):
            for label, program in measured.items():
                times[label].append(seconds(program))
    medians = {label: statistics.median(values) for label, values in times.items()}
    base, torch_alone = medians["python"], medians["import torch"] - medians["python"]
    print(f"{'':36}{'seconds':>8}{'of torch':>10}")
    for label, value in medians.items():
        print(f"{label:36}{value:8.2f}{(value - base) / torch_alone:9.2f}x")


if __name__ == "__main__":
    main()
