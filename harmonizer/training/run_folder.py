"""What a run writes beside its models: its state, to go on from, and its logs."""

import io
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from filelock import FileLock, Timeout

from harmonizer.errors import InputError, WeightsCorruptedError
from harmonizer.files import write_atomically
from harmonizer.files.tables import RowTable
from harmonizer.zoo.sources import read_released

CHECKPOINT_FILE = "checkpoint.pth"


@contextmanager
def only_run_in(folder: Path) -> Generator[None]:
    """Keep other processes from running in a folder; what one that was killed left is no matter.

    Raises:
        InputError: Another run is there.
    """
    held: AbstractContextManager[object]
    try:
        held = FileLock(folder / ".lock").acquire(timeout=0)
    except Timeout as error:
        raise InputError(
            f"another run is writing into {folder}; wait for its end, or choose another output"
        ) from error
    except NotImplementedError:  # some folders of other machines know no locks
        held = nullcontext()
    with held:
        yield


def save_checkpoint(folder: Path, state: Mapping[str, Any]) -> None:
    """Write the state of a run; the previous one stays until the new one is whole.

    It is made of tensors, numbers, texts, and lists and dicts of them.
    """
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_atomically(folder / CHECKPOINT_FILE, buffer.getvalue())


def load_checkpoint(folder: Path) -> dict[str, Any]:
    """Read the state of a run, running no code that the file may hold.

    Raises:
        InputError: There is none, or it is damaged.
    """
    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        if path.exists():
            raise InputError(f"{path} is no file; remove it")
        raise InputError(f"there is no checkpoint {path} to go on from; start without --resume")
    try:
        return read_released(path)
    except WeightsCorruptedError as error:
        raise InputError(f"the checkpoint {path} is damaged: {error}") from error


def read_progress(state: Mapping[str, Any], total: int) -> tuple[int, float, dict[str, float]]:
    """Return how far the run of a checkpoint is: its step, its best fMSE, and its last validation.

    `total` is how many steps the run has.

    What is none of these is not printed: a few lists in each other may be a text without end.

    Raises:
        LookupError: One of them is not there.
        ValueError: One is not what a run writes.
    """
    step, best = state["step"], state["best"]
    if type(step) is not int or not 0 <= step <= total:
        raise ValueError(f"its step is no whole number from 0 to {total}")
    if not isinstance(best, int | float) or not best >= 0:  # infinite before the first validation
        raise ValueError("its best fMSE is no number of at least 0")
    if not isinstance(state["metrics"], dict):
        raise ValueError("its last validation is no table")
    metrics = cast(dict[str, Any], state["metrics"])
    if not all(isinstance(value, int | float) for value in metrics.values()):
        raise ValueError("its last validation is no table of numbers")
    if metrics and not {"fmse", "composite_fmse"} <= set(metrics):
        raise ValueError(f"its last validation lacks an fMSE: {metrics}")
    return step, best, metrics


@torch.no_grad()
def restore_optimizer(
    optimizer: torch.optim.Optimizer, state: Mapping[str, Any], step: int
) -> None:
    """Give Adam the moments of a checkpoint; its settings stay, for the configuration has them.

    `step` is that of the checkpoint: from the first on there are moments.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: They are not what Adam keeps of these
            weights.
    """
    settings = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state["state"], "param_groups": settings})
    if step and not optimizer.state:
        raise ValueError(f"the optimizer has no moments, and the run is at step {step}")
    for parameter, moments in cast(dict[torch.Tensor, Any], optimizer.state).items():
        for key, like in (
            ("step", torch.tensor(0)),
            ("exp_avg", parameter),
            ("exp_avg_sq", parameter),
        ):
            kept = moments[key]
            if not isinstance(kept, torch.Tensor) or kept.shape != like.shape:
                raise ValueError(f"the optimizer's {key} is no tensor of {tuple(like.shape)}")
            if kept.layout != torch.strided or not bool(kept.isfinite().all()):
                raise ValueError(f"the optimizer's {key} is NaN or infinite")
            if key != "exp_avg" and bool((kept < 0).any()):
                raise ValueError(f"the optimizer's {key} is below 0")
            # Adam writes as many numbers as a weight has, and in its order, from where each begins:
            # what says one number again and again, or shares another's, is given its own memory.
            own = torch.empty_like(like, dtype=kept.dtype, device=kept.device)
            moments[key] = own.copy_(kept)


class Log:
    """Rows of numbers by step, in a CSV file and, if wanted, in TensorBoard.

    A run that goes on from a checkpoint forgets the rows after it, and writes them again.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        columns: tuple[str, ...],
        step: int,
        board: Any,  # noqa: ANN401
    ) -> None:
        """Open the log of a run that goes on after `step`, or begins if that is 0.

        `name` is the file's, without ending, and the group's in TensorBoard, of which `board` is
        what `open_board` returned; `columns` is what a row holds besides the step.
        """
        self.name, self.columns, self.board = name, columns, board
        self.table = RowTable(folder / f"{name}.csv", ("step", *columns))
        before = [row for row in self.table.read() if row[0].isdecimal() and int(row[0]) <= step]
        self.table.begin(before if step else ())

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append a row."""
        self.table.append([[step, *(values[column] for column in self.columns)]])
        if self.board is not None:
            for column in self.columns:
                self.board.add_scalar(f"{self.name}/{column}", values[column], step)


def open_board(folder: Path, wanted: bool) -> Any:  # noqa: ANN401 - TensorBoard has no types
    """Open TensorBoard's log in the run's folder, or return None if it is not wanted."""
    if not wanted:
        return None
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError as error:
        raise InputError(
            "tensorboard = true needs TensorBoard: pip install 'image-harmonizer[train]'"
        ) from error
    return SummaryWriter(str(folder / "tensorboard"))
