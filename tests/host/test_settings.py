"""What a program has set for itself changes no answer, bit for bit, and is as it was afterwards."""

from collections.abc import Iterator

import pytest
from programs import program
from small_networks import small_idih

ANSWERS = """
import hashlib
from harmonizer import compose

def digest(array):
    array = array.numpy() if isinstance(array, torch.Tensor) else np.asarray(array)
    return f"{array.dtype} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"

def answers(folder):
    tensor = torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(mask)
    for model in (load(os.environ["SMALL"]), load(), load(backend="opencv")):
        yield model.fingerprint()
        unit = (image / 255).astype(np.float32)
        for kind in (image, image.astype(np.uint16) * 257, unit, unit.astype(np.float16)):
            yield digest(model(kind, mask))
            yield digest(model(kind, mask * np.float32(0.3), strength=0.5))
        yield digest(model(*tensor))
        yield digest(torch.from_numpy(model.predict(image, mask)))
        model.color_transform(image, mask).to_cube(folder / "change.cube")
        yield hashlib.sha256((folder / "change.cube").read_bytes()).hexdigest()
        yield from map(digest, model.harmonize_batch([image] * 3, [mask] * 3))
        model.save_pretrained(folder / "model")
        yield load(str(folder / "model")).fingerprint()
        yield hashlib.sha256((folder / "model" / "model.safetensors").read_bytes()).hexdigest()
    cut = np.dstack([image, (mask * 255).astype(np.uint8)])
    yield from map(digest, compose(cut, image[::2, ::2], scale=0.4))

def print_answers():
    import pathlib, tempfile
    with tempfile.TemporaryDirectory() as folder:
        print("\\n".join(answers(pathlib.Path(folder))))
"""

# Together where one would not hide another.
SETTINGS = {
    "half floats": "torch.set_default_dtype(torch.float16)",
    "doubles": "torch.set_default_dtype(torch.float64); np.seterr(all='raise')",
    "many": """
import decimal, warnings
warnings.simplefilter("error")
decimal.getcontext().prec = 3
torch.set_default_dtype(torch.bfloat16)
torch.set_default_device("meta")
torch.use_deterministic_algorithms(True)
torch.set_grad_enabled(False)
torch.manual_seed(7)
np.random.seed(7)
np.set_printoptions(precision=2)
torch.set_printoptions(precision=2)
""",
}
STATE = (
    "(torch.get_default_dtype(), torch.get_default_device(), np.geterr(), "
    "torch.is_grad_enabled(), torch.are_deterministic_algorithms_enabled(), "
    "torch.initial_seed(), torch.get_rng_state().numpy().tobytes(), "
    "np.random.get_state()[1].tobytes(), torch.get_num_threads())"
)


@pytest.fixture(scope="module", autouse=True)
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A model that answers with a picture, for all programs."""
    place = str(tmp_path_factory.mktemp("small"))
    small_idih().save_pretrained(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALL", place)
        yield


@pytest.fixture(scope="module")
def plain() -> str:
    return program(ANSWERS + "print_answers()")


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_changes_nothing(setting: str, plain: str) -> None:
    found = program(f"""{ANSWERS}
{SETTINGS[setting]}
before = {STATE}
print_answers()
assert before == {STATE}
""")
    assert found == plain


def test_commas_in_numbers(plain: str) -> None:
    """A program that sets its locale to one where 0.5 is 0,5."""
    found = program(f"""{ANSWERS}
import locale
for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "ru_RU.UTF-8"):
    try:
        locale.setlocale(locale.LC_ALL, name)
        break
    except locale.Error:
        pass
else:
    raise SystemExit(print("no such locale"))
print_answers()
""")
    if found == "no such locale\n":
        pytest.skip("there is no locale with commas here")
    assert found == plain


def test_warnings_as_errors_from_the_start(plain: str) -> None:
    """`python -W error`, which holds for the imports, too."""
    assert program(f"{ANSWERS}\nprint_answers()", "-W", "error") == plain


def test_an_evaluation_leaves_the_start_of_processes_open() -> None:
    """What a bar of progress takes for its lock would settle it for the program around."""
    program("""
import multiprocessing
import tempfile
from pathlib import Path
from PIL import Image
from harmonizer.evaluation import evaluate
folder = Path(tempfile.mkdtemp())
for name, pixels in (("composite", image), ("mask", mask), ("real", image)):
    Image.fromarray(pixels).save(folder / f"a_{name}.png")
assert len(evaluate(["composite"], folder, workers=1).rows) == 1
multiprocessing.set_start_method("spawn")
""")
