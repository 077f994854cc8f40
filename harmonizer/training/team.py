"""Several processes on one run: what `torchrun` says, and what they tell each other."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed

from harmonizer.errors import HarmonizerError, InputError, TrainingError

# The others wait while one validates, which may take long; who has died is noticed at once. It is
# also how long they wait for each other in the beginning.
_PATIENCE = timedelta(days=1)
_VARIABLES = "RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT"
# What Gloo raises of one that has gone has no type of its own.
_GLOO = "gloo"


@dataclass(frozen=True)
class Team:
    """The processes of a run.

    Attributes:
        rank: This one's number; 0 writes the files.
        size: How many there are.
        local_rank: This one's number on its machine, and its GPU's.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def leads(self) -> bool:
        """Whether this process writes logs, checkpoints and models."""
        return self.rank == 0

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """Average a number over all processes."""
        if self.size > 1:
            value = value.clone()
            distributed.all_reduce(value)
            value /= self.size
        return value

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        if self.size == 1:
            return flag
        flags = torch.tensor(float(flag))
        if distributed.get_backend() == "nccl":
            flags = flags.cuda()
        distributed.all_reduce(flags)
        return bool(flags.item() > 0)


@contextmanager
def joined_team(device: torch.device) -> Generator[Team]:
    """Join the processes that `torchrun` started, if it did, and leave them in the end.

    Raises:
        InputError: The environment does not say what `torchrun` says.
        TrainingError: Another one of them has ended meanwhile.
    """
    team = _started()
    if team.size == 1:
        yield team
        return
    try:
        if device.type == "cuda":
            torch.cuda.set_device(team.local_rank)
        distributed.init_process_group(
            "nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE
        )
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"the {team.size} processes of this run do not find each other by {_VARIABLES} in the "
            f"environment: {error}"
        ) from error
    try:
        yield team
    except RuntimeError as error:
        gone = isinstance(error, distributed.DistError) or _GLOO in str(error)
        if isinstance(error, HarmonizerError) or not gone:
            raise
        raise TrainingError(
            "another process of this run has ended; what it said tells why. The last checkpoint is "
            "kept"
        ) from error
    finally:
        distributed.destroy_process_group()


def _started() -> Team:
    """What the environment says; some schedulers say of all that they start that it is one of 1."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return Team()
    found = [os.environ.get(name) or "0" for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")]
    try:
        rank, size, local_rank = map(int, found)
    except ValueError as error:
        raise InputError(
            f"RANK, WORLD_SIZE and LOCAL_RANK in the environment are numbers; got {found}"
        ) from error
    if not 0 <= rank < max(size, 1):
        raise InputError(
            f"RANK in the environment is from 0 to below WORLD_SIZE, {size}; got {rank}"
        )
    return Team(rank, size, local_rank) if size > 1 else Team()
