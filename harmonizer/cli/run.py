"""Harmonize a picture, or many: the arguments of `harmonizer run`."""

from pathlib import Path

from harmonizer.cli.options import (
    Commands,
    add_cutouts,
    add_masks,
    shared,
    strengths,
    whole_number,
)
from harmonizer.cli.run_files import FORMATS, run_files


def add_run(commands: Commands) -> None:
    """Add the command to the command line."""
    run = commands.add_parser(
        "run",
        parents=shared("--model", "--device", "--force", "--light", "--color"),
        help="harmonize a picture, or many",
        description="Harmonize a picture, or many with a folder of masks; or a cut-out with "
        "transparency on a background (--on). "
        "The mask's white (255, or 1) is the foreground to change.",
        epilog="In folders, the mask of a.jpg is a.png, a_mask.png, a-mask.png, mask_a.png or "
        "a.jpg.png (any image format, any case). What the "
        "output folder already holds is skipped, so a stopped job can be started again. "
        "Metadata (ICC profile, EXIF, XMP, resolution) is kept.",
    )
    run.add_argument(
        "images",
        type=Path,
        nargs="+",
        metavar="IMAGE",
        help="a composite, several, a pattern such as 'photos/*.jpg', a folder, or - for stdin",
    )
    run.add_argument(
        "mask",
        type=Path,
        metavar="MASK",
        help="its mask (which may be that of several), a folder of masks, or - for stdin; "
        "none with --on",
    ).required = False  # with --on; `run_files` asks for it else
    run.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="OUT",
        help="the file to write, its ending says which format, or - for stdout; for several "
        "pictures, a folder (default for one picture: IMAGE_harmonized beside it)",
    )
    add_cutouts(run, background="picture").add_argument(
        "--cutout-only",
        action="store_true",
        help="write the harmonized foreground alone, with transparency, as large as the whole "
        "picture: a layer for an editor",
    )
    run.add_argument(
        "--strength",
        type=strengths,
        default=[1.0],
        metavar="S",
        help="from 0, no change, to 1, the full change (default: 1); several, such as 0.3,0.6,1, "
        "draw a strip of them to choose from",
    )
    run.add_argument(
        "--format",
        choices=FORMATS,
        help="the format to write (default: what OUT ends in, else that of IMAGE)",
    )
    run.add_argument(
        "--quality",
        type=whole_number(1, 100),
        metavar="Q",
        help="of JPEG and WebP, 1 to 100 (default: 95, and lossless WebP); others are lossless",
    )
    run.add_argument(
        "--depth",
        type=int,
        choices=(8,),
        help="write 8 bits a channel, such as a TIFF of 16 as JPEG (default: those of IMAGE)",
    )
    run.add_argument(
        "--lut",
        type=Path,
        metavar="CUBE",
        help="also write the change of one picture's foreground as a 3-D lookup table (.cube), for "
        "Photoshop, Resolve, Affinity, ffmpeg",
    )
    add_masks(run)
    run.add_argument(
        "-r",
        "--recursive",
        action="store_true",
        help="of a folder, take the folders in it, too, and keep them in the folders of masks and "
        "results",
    )
    run.add_argument(
        "--page",
        type=whole_number(1),
        metavar="N",
        help="which picture of a file that holds several, from 1 (default: the first or main one; "
        "animations are refused)",
    )
    run.add_argument(
        "--max-megapixels",
        type=whole_number(1),
        metavar="N",
        help="take pictures of up to N million pixels without a warning, and refuse those of more "
        "than 2 N, which may be made to exhaust memory (default: 89, as Pillow has it)",
    )
    speed = run.add_argument_group("speed")
    speed.add_argument(
        "--backend",
        choices=("auto", "opencv", "torch", "onnx", "openvino"),
        default="auto",
        help="what runs the network (default: auto, which is opencv for bundled models on the CPU, "
        "else torch); onnx and openvino are for many pictures on a CPU",
    )
    speed.add_argument(
        "--dtype",
        choices=("auto", "float32", "bfloat16", "float16"),
        default="auto",
        help="the network's arithmetic (default: auto, which is float32)",
    )
    speed.add_argument(
        "--batch-size",
        type=whole_number(1),
        metavar="N",
        help="of many pictures, how many the network takes at a time (default: 8 on a GPU, else 1)",
    )
    speed.add_argument(
        "--workers",
        type=whole_number(1),
        metavar="N",
        help="threads that read and write many pictures (default: one for each core, up to 8, and "
        "one more); N + 2 * BATCH_SIZE pictures are in memory at a time",
    )
    run.set_defaults(command=run_files, usage_error=run.error)
