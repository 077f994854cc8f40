"""What the library could be made to run: nothing that came as data."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "harmonizer").rglob("*.py"))
# What turns data into code, and what starts programs.
RUNS_CODE = {"eval", "exec", "compile", "__import__"}
UNPICKLES = {"pickle.load", "pickle.loads", "pickle.Unpickler", "numpy.load", "np.load"}
FORBIDDEN = {"marshal", "shelve", "dill", "cloudpickle", "joblib", "subprocess", "yaml"}


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in nodes(path):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def imports(path: Path) -> Iterator[tuple[str, ast.AST]]:
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module), node
            yield from ((f"{node.module}.{alias.name}", node) for alias in node.names)


def test_torch_load_never_unpickles_code() -> None:
    found = 0
    for path in SOURCES:
        for name, call in calls(path):
            if name == "torch.load":
                options = {one.arg: ast.unparse(one.value) for one in call.keywords}
                assert options.get("weights_only") == "True", f"{path}:{call.lineno}"
                found += 1
            assert name not in (
                "torch.jit.load",
                "torch.hub.load",
                "torch.hub.load_state_dict_from_url",
            )
    assert found >= 2  # released state dicts, and checkpoints


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_data_becomes_code(path: Path) -> None:
    for name, call in calls(path):
        assert name not in RUNS_CODE | UNPICKLES, f"{path}:{call.lineno} calls {name}"
        options = {one.arg: ast.unparse(one.value) for one in call.keywords}
        assert options.get("allow_pickle", "False") == "False", f"{path}:{call.lineno}"
        assert options.get("shell", "False") == "False", f"{path}:{call.lineno}"
    for name, node in imports(path):
        assert name.partition(".")[0] not in FORBIDDEN, f"{path}:{node} imports {name}"
        # `pickle` is imported for the name of an exception alone.
        assert not name.startswith("pickle.") or name == "pickle.UnpicklingError", path


def test_ctypes_opens_nothing_but_the_process_itself() -> None:
    found = 0
    for path in SOURCES:
        for name, node in imports(path):
            assert not name.startswith("ctypes."), f"{path}:{node} imports {name}"
        for node in nodes(path):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "ctypes":
                assert node.attr == "CDLL", f"{path}:{node.lineno}"
                found -= 1
        for name, call in calls(path):
            if name == "ctypes.CDLL":
                assert ast.unparse(call) == "ctypes.CDLL(None)", f"{path}:{call.lineno}"
                found += 1
    assert found == 0  # each mention is such a call


def test_pickle_is_only_the_name_of_an_exception() -> None:
    for path in SOURCES:
        for node in nodes(path):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle":
                assert node.attr == "UnpicklingError", f"{path}:{node.lineno}"
