"""Put a trained model's weights into the package, in float16, and print its manifest entry.

    python tools/bundle_model.py runs/idih-open-4/model

Run it from the root of a checkout. It says by how much float16 changes the answers.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save

from harmonizer.files import write_atomically
from harmonizer.zoo.integrity import sha256_of
from harmonizer.zoo.loader import load_model
from harmonizer.zoo.manifest import ModelInfo
from harmonizer.zoo.publish import describe
from harmonizer.zoo.sources import FetchOptions


def to_float16(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The weights in float16, but for vectors: a variance of batch norm can be beyond its range."""
    return {
        key: (value.half() if value.is_floating_point() and value.dim() > 1 else value).contiguous()
        for key, value in network.state_dict().items()
    }


@torch.inference_mode()
def rounding_error(network: torch.nn.Module, info: ModelInfo, weights: Path) -> float:
    """Largest difference that float16 makes to answers to noise, in grey levels of 255."""
    generator = np.random.default_rng(0)
    height, width = info.preprocessing.input_size
    picture = generator.integers(0, 256, (height, width, 3), np.uint8)
    image = torch.from_numpy(info.preprocessing.to_network(picture, 255))[None]
    mask = torch.zeros(1, 1, height, width)
    mask[..., height // 4 : -height // 4, width // 4 : -width // 4] = 1
    before = network(image, mask)
    state = {key: value.float() for key, value in load_file(weights).items()}
    network.load_state_dict(state, strict=True)
    change = (network(image, mask) - before).abs().amax(dim=(0, 2, 3)).numpy()
    return float((change * np.array(info.preprocessing.std)).max() * 255)


def main() -> None:
    """Bundle a model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="what training or save_pretrained wrote")
    chosen = parser.parse_args()
    network, info = load_model(chosen.folder, None, FetchOptions(local_files_only=True))
    file = f"weights/{info.name}.safetensors"
    path = Path("harmonizer/zoo") / file
    write_atomically(path, save(to_float16(network), metadata={"format": "pt"}))
    print(f"{path}: {path.stat().st_size:,} bytes")
    print(f"float16 changes answers by {rounding_error(network, info, path):.3f} of 255 at most")

    source = {
        "kind": "bundled",
        "file": file,
        "sha256": sha256_of(path),
        "size": path.stat().st_size,
    }
    entry = describe(info) | {"status": "bundled", "sources": [source], "aliases": []}
    print(json.dumps(entry, indent=2))


if __name__ == "__main__":
    main()
