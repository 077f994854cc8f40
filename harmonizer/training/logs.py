"""What a run writes down: tables that spreadsheets read, and TensorBoard's."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harmonizer.errors import InputError
from harmonizer.files import write_atomically


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
        """Open the log.

        Args:
            folder: The run's folder.
            name: The file's name without ending, and the group's in TensorBoard.
            columns: What a row holds, besides the step.
            step: Rows after this step are dropped.
            board: What `open_board` returned.
        """
        self.path = folder / f"{name}.csv"
        self.name, self.columns, self.board = name, columns, board
        kept = self._read(step) if step and self.path.is_file() else []
        table = io.StringIO(newline="")
        csv.writer(table).writerows([["step", *columns], *kept])
        write_atomically(self.path, table.getvalue().encode())

    def _read(self, last: int) -> list[list[str]]:
        """The rows up to a step, without what a killed process left of a row."""
        text = self.path.read_bytes().decode(errors="replace")
        ended = text[: text.rfind("\n") + 1]  # a line without an end was cut off
        return [
            row
            for row in csv.reader(io.StringIO(ended, newline=""))
            if len(row) == 1 + len(self.columns) and row[0].isdecimal() and int(row[0]) <= last
        ]

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append a row; floats are written so that they can be read back exactly."""
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow([step, *(repr(values[column]) for column in self.columns)])
        if self.board is not None:
            for column in self.columns:
                self.board.add_scalar(f"{self.name}/{column}", values[column], step)


def open_board(folder: Path, wanted: bool) -> Any:  # noqa: ANN401 - TensorBoard has no types
    """Open TensorBoard's log in the run's folder, or return None if it is not wanted.

    Raises:
        InputError: It is wanted, but TensorBoard is not installed.
    """
    if not wanted:
        return None
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError as error:
        raise InputError(
            "tensorboard = true needs TensorBoard: pip install 'image-harmonizer[train]'"
        ) from error
    return SummaryWriter(str(folder / "tensorboard"))
