"""What a run writes beside its models: its state, to go on from, and its logs."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from harmonizer.errors import InputError, WeightsCorruptedError
from harmonizer.files import RowTable, write_atomically
from harmonizer.zoo.sources import read_released

CHECKPOINT_FILE = "checkpoint.pth"


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
        raise InputError(f"there is no checkpoint {path} to go on from; start without --resume")
    try:
        return read_released(path)
    except WeightsCorruptedError as error:
        raise InputError(f"the checkpoint {path} is damaged: {error}") from error


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
