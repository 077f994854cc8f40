"""The training loop: one file, to be read from top to bottom."""

import logging
import math
import os
import sys
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, cast

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from harmonizer.data import Triplet
from harmonizer.errors import InputError, TrainingError, warn
from harmonizer.files import write_atomically
from harmonizer.imaging.saving import save_image
from harmonizer.inference.runtime import resolve_device
from harmonizer.training.batches import Batch, batches, lost_workers_explained
from harmonizer.training.build import (
    NEW_STARTS,
    build_model,
    check_single_pictures,
    parameter_groups,
    set_training_mode,
    settle,
)
from harmonizer.training.config import TrainConfig
from harmonizer.training.losses import Loss, build_loss
from harmonizer.training.pictures import listed, training_pictures, validation_pictures
from harmonizer.training.run_folder import (
    CHECKPOINT_FILE,
    Log,
    load_checkpoint,
    only_run_in,
    open_board,
    read_progress,
    restore_optimizer,
    save_checkpoint,
)
from harmonizer.training.schedule import learning_rate_factor
from harmonizer.training.stopping import stop_signals
from harmonizer.training.team import Team, joined_team
from harmonizer.training.validation import COLUMNS, draw_panel, predict, validate
from harmonizer.zoo.manifest import ModelInfo
from harmonizer.zoo.publish import save_model

# What to do about numbers that are none.
_DIVERGED = (
    "the last checkpoint is kept. Lower learning_rate, set clip_gradient, or use precision = "
    "'float32'"
)
_logger = logging.getLogger("harmonizer.training")

CONFIG_FILE = "config.toml"
MODEL_FOLDER = "model"
BEST_FOLDER = "best"

# What may differ between a run and its continuation, because the result does not depend on it.
_FREE_TO_CHANGE = {
    *("output", "workers", "device", "log_every", "validate_every", "checkpoint_every", "panel"),
    *("tensorboard", "compile", "channels_last", "validation"),
}


@dataclass(frozen=True)
class TrainResult:
    """What came of a run.

    Attributes:
        model: The folder of the trained model, as `Harmonizer.from_pretrained` takes it; the
            weights' running average if the run kept one.
        step: Updates that were made.
        finished: False if the run was stopped by a signal; it goes on from its checkpoint.
        metrics: The last validation.
    """

    model: Path
    step: int
    finished: bool
    metrics: Mapping[str, float]


def train(config: TrainConfig, *, resume: bool = False) -> TrainResult:
    """Train a network.

    Writes into the folder `config.output`: `config.toml`, `checkpoint.pth`, `log.csv`,
    `validation.csv`, `panels/`, and the models `model/` (the last) and `best/` (the lowest fMSE in
    validation), which `Harmonizer.from_pretrained` loads. Once all is read, SIGTERM and SIGINT end
    the run after the step in hand, with a checkpoint. Under `torchrun`, all processes share each
    batch.

    Args:
        config: The run.
        resume: Go on from the checkpoint in `config.output`. On one machine's CPU the run continues
            bit for bit.

    Raises:
        InputError: The configuration or the data are not right, or there is a checkpoint already
            and `resume` is not set, or none and it is.
        TrainingError: The loss is no number any more; the last checkpoint is kept.
        OSError: A file cannot be written in the end.
    """
    config = settle(config)
    device = resolve_device(config.device)
    # Whatever device the program around makes its tensors on; a context costs compiled steps time.
    here = nullcontext() if torch.get_default_device().type == "cpu" else torch.device("cpu")
    # It may have switched gradients off, too, or reduced its own arithmetic.
    learning, exact = torch.inference_mode(False), torch.autocast(device.type, enabled=False)
    with here, learning, exact, joined_team(device) as team:
        if device.type == "cuda" and team.size > 1:
            device = torch.device("cuda", team.local_rank)
        run = _Run(config, device, team, resume=resume)  # until here nothing is lost by an end
        with stop_signals() as stop, run.in_its_folder():
            return run.go(stop)


class _Run:
    """The state of a run; `go` is the loop."""

    def __init__(
        self, config: TrainConfig, device: torch.device, team: Team, *, resume: bool
    ) -> None:
        self.config, self.device, self.team = config, device, team
        if config.batch_size % (team.size * config.accumulate):
            raise InputError(
                f"a batch of {config.batch_size} cannot be shared by {team.size} processes in "
                f"{config.accumulate} parts each"
            )
        self.folder = Path(config.output)
        self.measures_anew = False
        saved = self._read_checkpoint(resume)

        self.network, self.info = build_model(config)
        if config.batch_size == team.size * config.accumulate:
            check_single_pictures(self.network, config)
        self.network.to(device)
        # The compiler for CPUs orders memory by the pictures; the optimizer copies such weights.
        if config.channels_last and not (config.compile and device.type == "cpu"):
            self.network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.average = deepcopy(self.network).eval().requires_grad_(False) if config.ema else None
        self.optimizer = torch.optim.Adam(
            parameter_groups(self.network, config),
            betas=config.betas,
            eps=config.epsilon,
            fused=True,  # one pass over the weights in place of a dozen
        )
        reduced = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(config.precision)
        # What it has rounded, it would keep until the outermost such context ends, that of the
        # program around, say: later steps would compute with the weights of the first one.
        self.autocast = torch.autocast(
            device.type, reduced, enabled=reduced is not None, cache_enabled=False
        )
        # Only float16 needs its gradients scaled; everywhere else the scaler does nothing.
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "float16")
        loss = build_loss(config.loss, config.min_area, config.harm_weight)
        self.loss: Loss = torch.compile(loss) if config.compile else loss
        torch.manual_seed(config.seed + 1 + team.rank)  # dropout differs between processes

        self.pictures = training_pictures(config)
        self.listed = listed(self.pictures)  # once: there may be many
        self.validation: Sequence[Triplet] = validation_pictures(config) if team.leads else ()
        self.total = config.steps or config.epochs * (len(self.pictures) // config.batch_size)
        self.step, self.best, self.metrics = 0, math.inf, dict[str, float]()
        self.begins = saved is None
        if saved is not None:
            with self._sound_checkpoint():
                self._restore(saved)

    @contextmanager
    def in_its_folder(self) -> Generator[None]:
        """Make the folder, once all is read, and keep other runs out of it."""
        if not self.team.leads:
            yield
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with only_run_in(self.folder):
            if self.begins:
                self._refuse_a_run()  # one may have come and gone while all was read
                write_atomically(self.folder / CONFIG_FILE, self.config.to_toml())
            yield

    # --- the loop ---------------------------------------------------------------------------------

    def go(self, stop: threading.Event) -> TrainResult:
        config = self.config
        board = open_board(self.folder, config.tensorboard) if self.team.leads else None
        columns = ("epoch", "loss", "learning_rate", "images_per_second")
        log = scores = None
        if self.team.leads:
            log = Log(self.folder, "log", columns, self.step, board)
            scores = Log(self.folder, "validation", COLUMNS, self.step, board)
        step_network: nn.Module = self.network
        if self.team.size > 1:
            step_network = DistributedDataParallel(step_network)
        if config.compile:
            step_network = cast(nn.Module, torch.compile(step_network))
        set_training_mode(self.network, config.model.freeze)
        data = batches(
            self.pictures,
            self.info.preprocessing,
            batch_size=config.batch_size,
            steps=range(self.step, self.total),
            seed=config.seed,
            workers=config.workers,
            part=self.team.rank,
            parts=self.team.size,
            channels_last=config.channels_last,
        )
        progress = tqdm(
            total=self.total,
            initial=self.step,
            unit="step",
            disable=None if self.team.leads and sys.stderr else True,
        )
        # Fine-tuning is judged by what it starts from, and a run that had ended by its end.
        fine_tunes = config.model.start not in NEW_STARTS
        at_once = self.measures_anew if self.step == self.total else fine_tunes and self.step == 0
        if scores is not None and self.validation and at_once:
            self._validate(scores)
        recent: list[torch.Tensor] = []
        since = time.perf_counter()
        with lost_workers_explained(), closing(data), progress:
            for batch in data:
                rate = self._set_learning_rate()
                on_device = batch.to(self.device)
                recent.append(self._update(step_network, on_device))
                self.step += 1
                progress.update()
                ended = self.step == self.total
                stopped = self.team.any(stop.is_set())

                if self.step % config.log_every == 0 or ended or stopped:
                    losses = [float(self.team.mean(loss)) for loss in recent]
                    if not all(map(math.isfinite, losses)):
                        raise TrainingError(
                            f"the loss became {next(x for x in losses if not math.isfinite(x))} "
                            f"before step {self.step}; {_DIVERGED}"
                        )
                    now = time.perf_counter()
                    speed = len(recent) * config.batch_size / (now - since)
                    if log is not None:
                        row = {
                            "epoch": self.step * config.batch_size / len(self.pictures),
                            "loss": float(np.mean(losses)),
                            "learning_rate": rate,
                            "images_per_second": speed,
                        }
                        with self._going_on_without("line of the log"):
                            log.write(self.step, row)
                    progress.set_postfix(loss=f"{np.mean(losses):.4f}")
                    recent, since = [], now

                due = config.validate_every and self.step % config.validate_every == 0
                if scores is not None and self.validation and (due or ended):
                    self._validate(scores)
                    since = time.perf_counter()
                if self.step % config.checkpoint_every == 0 or ended or stopped:
                    self._check_weights()
                    self._checkpoint(must=ended or stopped)
                if stopped:
                    break
        finished = self.step >= self.total
        if self.team.leads:
            # Where a run was stopped, the last validation was of other weights.
            info = self._described(self.metrics if finished else {})
            save_model(self._result(), info, self.folder / MODEL_FOLDER)
        if board is not None:
            board.close()
        if finished and self.metrics and self.metrics["fmse"] >= self.metrics["composite_fmse"]:
            warn(
                f"the last validation left an fMSE of {self.metrics['fmse']:.1f}, and leaving the "
                f"composites alone leaves {self.metrics['composite_fmse']:.1f}: the trained model "
                "is of no use yet. Train with a lower learning_rate or for more steps"
            )
        return TrainResult(self.folder / MODEL_FOLDER, self.step, finished, self.metrics)

    def _update(self, step_network: nn.Module, batch: Batch) -> torch.Tensor:
        """Make one update of the weights, and return the loss before it."""
        config = self.config
        parts = zip(
            batch.composite.chunk(config.accumulate),
            batch.mask.chunk(config.accumulate),
            batch.target.chunk(config.accumulate),
            strict=True,
        )
        total = torch.zeros((), device=self.device)
        for number, (composite, mask, target) in enumerate(parts, start=1):
            # Processes only have to agree on the gradients once they are complete.
            waiting = nullcontext
            if number < config.accumulate and isinstance(step_network, DistributedDataParallel):
                waiting = cast(Any, step_network).no_sync
            with waiting():
                with self.autocast:
                    answer = step_network(composite, mask)
                loss = self.loss(answer.float(), target, mask, composite) / config.accumulate
                self.scaler.scale(loss).backward()
            total += loss.detach()
        if config.clip_gradient:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), config.clip_gradient)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            _follow(self.average, self.network, config.ema, self.step)
        return total

    def _set_learning_rate(self) -> float:
        factor = learning_rate_factor(self.config, self.step, self.total)
        rate = self.config.learning_rate * factor
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["multiplier"]
        return rate

    def _result(self) -> nn.Module:
        return self.network if self.average is None else self.average

    def _check_weights(self) -> None:
        """Refuse to keep weights that are no numbers: the loss is only looked at now and then."""
        if not all(bool(parameter.isfinite().all()) for parameter in self.network.parameters()):
            raise TrainingError(
                f"the weights became NaN or infinite before step {self.step}; {_DIVERGED}"
            )

    # --- validation, checkpoints ------------------------------------------------------------------

    def _validate(self, scores: Log) -> None:
        network = self._result()
        training = network.training
        network.eval()
        preprocessing = self.info.preprocessing
        self.metrics = dict(validate(network, self.validation, preprocessing, self.device))
        with self._going_on_without("line of the validation"):
            scores.write(self.step, self.metrics)
        shown = self.validation[: self.config.panel]
        if shown:
            panel = draw_panel(shown, predict(network, shown, preprocessing, self.device))
            folder = self.folder / "panels"
            with self._going_on_without("panel"):
                folder.mkdir(exist_ok=True)
                save_image(panel, folder / f"step_{self.step:08d}.png")
        if self.metrics["fmse"] < self.best:
            with self._going_on_without("best model"):
                save_model(network, self._described(self.metrics), self.folder / BEST_FOLDER)
                self.best = self.metrics["fmse"]
        if training:
            set_training_mode(self.network, self.config.model.freeze)

    def _described(self, measured: Mapping[str, float]) -> ModelInfo:
        config = self.config
        trained_on = self.info.trained_on  # of what the run starts from
        if self.step:
            trained_on = (
                f"{self.step * config.batch_size:,} composites in {self.step:,} steps, from "
                f"{len(self.pictures):,} pictures"
            )
        metrics: tuple[Mapping[str, Any], ...] = ()
        if measured:
            metrics = (
                {
                    "data": f"{len(self.validation)} validation pictures of the run",
                    "protocol": f"{config.size} x {config.size}, float, unrounded",
                    "source": "measured",
                    "command": "harmonizer train",
                    "values": {"validation": measured},
                },
            )
        return replace(self.info, trained_on=trained_on, metrics=metrics)

    def _checkpoint(self, *, must: bool) -> None:
        if not self.team.leads:
            return
        state = {
            "config": self.config.to_toml(),
            "files": self.listed,
            "step": self.step,
            "best": self.best,
            "metrics": self.metrics,
            "network": self.network.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        with nullcontext() if must else self._going_on_without("checkpoint"):
            save_checkpoint(self.folder, state)

    @contextmanager
    def _going_on_without(self, what: str) -> Generator[None]:
        """Go on without what the disk has no room for now: it may have at the next step."""
        try:
            yield
        except OSError as error:
            _logger.warning("no %s at step %d: %s", what, self.step, error)

    def _read_checkpoint(self, resume: bool) -> dict[str, Any] | None:
        """Read where the run stands; None if it begins."""
        if resume:
            saved = load_checkpoint(self.folder)
            with self._sound_checkpoint():
                self._compare_configuration(saved["config"])
            return saved
        self._refuse_a_run()
        return None

    def _refuse_a_run(self) -> None:
        if (self.folder / CHECKPOINT_FILE).exists():
            raise InputError(
                f"{self.folder} holds a run already; go on with it (--resume, resume=True), or "
                "choose another output"
            )

    @contextmanager
    def _sound_checkpoint(self) -> Generator[None]:
        """Refuse a whole checkpoint with something else in it than a run of this configuration."""
        try:
            yield
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            if isinstance(error, InputError):
                raise
            path = self.folder / CHECKPOINT_FILE
            reason = f"{type(error).__name__}: {error}"
            raise InputError(f"the checkpoint {path} is damaged: {reason}") from error

    def _compare_configuration(self, saved: str) -> None:
        # Read as a configuration: a key that a later version added has its default in both.
        both = (saved, self.config.to_toml())
        before, now = (vars(settle(TrainConfig.parse_toml(text))) for text in both)
        changed = [key for key in now if key not in _FREE_TO_CHANGE and before[key] != now[key]]
        if changed:
            own = f"its own configuration, {self.folder / CONFIG_FILE}"
            self._refuse_another(f"another {', '.join(changed)}", own)
        self.measures_anew = before["validation"] != now["validation"]
        if self.measures_anew:
            warn("validation is on other pictures than before; the best model is sought anew")

    def _refuse_another(self, run: str, own: str) -> NoReturn:
        model = os.path.join(".", self.folder, MODEL_FOLDER)  # noqa: PTH118 - a path, not a name
        raise InputError(
            f"the run in {self.folder} was started with {run}; go on with {own}, or start a new "
            f'run from its model: start = "{model}"'
        )

    def _restore(self, saved: dict[str, Any]) -> None:
        if saved.get("files", self.listed) != self.listed:  # earlier versions wrote none
            self._refuse_another(f"other pictures than the {len(self.pictures):,} here", "them")
        self.step, self.best, self.metrics = read_progress(saved, self.total)
        if self.measures_anew:  # figures of other pictures are none to compare with
            self.best, self.metrics = math.inf, {}
        for network, name in ((self.network, "network"), (self.average, "average")):
            if network is not None:
                network.load_state_dict(saved[name])
                if not all(bool(value.isfinite().all()) for value in network.state_dict().values()):
                    raise ValueError(f"its weights ({name}) are NaN or infinite")
        restore_optimizer(self.optimizer, saved["optimizer"], self.step)
        self.scaler.load_state_dict(saved["scaler"])
        torch.set_rng_state(saved["random"])
        if saved["random_cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(saved["random_cuda"])


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the running average of the weights (EMA) towards the network's."""
    # At the start the average would remember the random weights for too long.
    decay = min(decay, (1 + step) / (10 + step))
    pairs = zip(average.state_dict().values(), network.state_dict().values(), strict=True)
    for kept, new in pairs:
        if kept.is_floating_point():
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)
