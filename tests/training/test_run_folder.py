"""A run's tables survive the moment at which it was killed."""

from pathlib import Path

import pytest
import torch

from harmonizer.training.run_folder import Log, restore_optimizer

WHOLE = b"step,loss\n1,0.5\n2,0.25\n"


@pytest.mark.parametrize(
    "left",
    [
        pytest.param(b"3,0.125\n4,0.1\n", id="rows after the checkpoint"),
        pytest.param(b"2", id="cut in the step"),
        pytest.param(b"2,0.2", id="cut in the number"),
        pytest.param(b"2,", id="cut before the number"),
        pytest.param(b"2\n", id="a row that lacks a field"),
        pytest.param(b"\0\0\0\0\n", id="zeros, as a power cut leaves them"),
        pytest.param(b"\xff,0.5\n", id="no text"),
    ],
)
def test_a_resumed_log_holds_whole_rows_up_to_the_checkpoint(left: bytes, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(WHOLE + left)
    log = Log(tmp_path, "log", ("loss",), 2, None)
    assert log.table.path.read_bytes() == WHOLE
    log.write(3, {"loss": 0.125})
    assert log.table.path.read_bytes() == WHOLE + b"3,0.125\n"


def test_a_new_run_forgets_the_log_of_another(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(WHOLE)
    assert Log(tmp_path, "log", ("loss",), 0, None).table.path.read_bytes() == b"step,loss\n"


@pytest.mark.parametrize("form", ["plain", "repeated", "turned", "shared"])
def test_moments_have_memory_of_their_own_in_the_order_of_the_weights(form: str) -> None:
    """Adam writes as many numbers as a weight has from where they begin, past the end of one."""
    weight = torch.nn.Parameter(torch.zeros(3, 4, 5, 5).to(memory_format=torch.channels_last))
    optimizer = torch.optim.Adam([weight], fused=True)
    kept = torch.full(weight.shape, 0.5)
    if form == "repeated":
        kept = torch.full((1,), 0.5).as_strided(weight.shape, (0, 0, 0, 0))
    elif form == "turned":
        kept = torch.full((5, 5, 4, 3), 0.5).permute(3, 2, 1, 0)
    second = kept if form == "shared" else kept.clone(memory_format=torch.preserve_format)
    if form == "repeated":
        second = kept[:1, :1].expand_as(weight)
    moments = {"step": torch.tensor(3.0), "exp_avg": kept, "exp_avg_sq": second}
    restore_optimizer(optimizer, {"state": {0: moments}}, 3)
    held = [optimizer.state[weight][key] for key in ("exp_avg", "exp_avg_sq")]
    for one in held:
        assert one.stride() == weight.stride()
        assert one.untyped_storage().nbytes() >= 4 * weight.numel()
        assert torch.equal(one, torch.full(weight.shape, 0.5))
    assert held[0].data_ptr() != held[1].data_ptr()
    weight.grad = torch.ones_like(weight)
    optimizer.step()


def test_a_run_under_way_has_moments() -> None:
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(3))])
    restore_optimizer(optimizer, {"state": {}}, 0)
    with pytest.raises(ValueError, match="no moments, and the run is at step 3"):
        restore_optimizer(optimizer, {"state": {}}, 3)
