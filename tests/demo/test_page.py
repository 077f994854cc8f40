"""The page in a browser."""

import base64
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import browser as browser
from helpers import EXAMPLES
from PIL import Image

from harmonizer import Harmonizer, Strength, compose, harmonize_cutout
from harmonizer.demo import work
from harmonizer.demo.work import Placement

pytest.importorskip("gradio", reason="the extra `demo` is not installed")

COMPOSITE, MASK = EXAMPLES / "composite.png", EXAMPLES / "mask.png"


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds} s for {what}")


# Of pictures that are loaded and whole.
_SHOWN = """
return [...document.querySelectorAll("#comparison img")]
  .filter((one) => one.complete && one.naturalWidth)
  .map((one) => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [one.naturalWidth, one.naturalHeight];
    canvas.getContext("2d").drawImage(one, 0, 0);
    return canvas.toDataURL("image/png").split(",")[1];
  });
"""


class Page:
    """The page as a person uses it."""

    def __init__(self, browser: Any, address: str) -> None:
        self.browser = browser
        browser.get(address)
        wait_for(lambda: self.all("#go-composite"), "the page")

    def all(self, selector: str) -> list[Any]:
        return self.browser.find_elements("css selector", selector)

    def open_tab(self, title: str) -> None:
        tabs = [tab for tab in self.all("button[role=tab]") if tab.text == title]
        tabs[0].click()

    def upload(self, **files: Path) -> None:
        for place, file in files.items():
            box = f"#{place.replace('_', '-')}"
            inputs = wait_for(lambda b=box: self.all(f"{b} input[type=file]"), f"the {place}")
            inputs[0].send_keys(str(file))
            wait_for(
                lambda b=box, f=file: f.stem in self.all(b)[0].text, f"the upload of {file.name}"
            )

    def text(self) -> str:
        return self.browser.find_element("css selector", "body").text

    def click(self, element: str) -> None:
        from selenium.common.exceptions import WebDriverException

        def clicked() -> bool:
            try:
                self.all(f"#{element}")[0].click()
            except WebDriverException as error:  # a thumbnail that comes moves what is below it
                if "click intercepted" not in str(error):
                    raise
                return False
            return True

        wait_for(clicked, f"{element} to lie still", 10)

    def shown(self) -> list[Any]:
        """The two pictures of the comparison as the browser has them, as pixels.

        Empty as long as one of them is not there, or not whole.
        """
        pictures = self.browser.execute_script(_SHOWN)
        opened = [Image.open(io.BytesIO(base64.b64decode(one))) for one in pictures]
        return [np.asarray(one.convert("RGB")) for one in opened] if len(opened) == 2 else []

    def shows(self, expected: Any) -> bool:
        """Whether the second picture is as expected.

        The page mixes two rounded pictures; the library rounds once.
        """
        shown = self.shown()
        return bool(shown) and np.abs(shown[1] - expected.astype(int)).max() <= 2

    def value(self, box: str) -> str:
        return self.all(f"#{box} textarea")[0].get_attribute("value")

    def set_share(self, name: str, percent: int) -> None:
        """Move a slider as a drag does: the browser reports an input."""
        (slider,) = self.all(f"#{name} input[type=range]")
        self.browser.execute_script(
            "arguments[0].value = arguments[1];"
            "arguments[0].dispatchEvent(new Event('input', {bubbles: true}));"
            "arguments[0].dispatchEvent(new Event('pointerup', {bubbles: true}));",
            slider,
            percent,
        )

    def number(self, name: str) -> float:
        """What stands beside a slider."""
        return float(self.all(f"#{name} input[type=number]")[0].get_attribute("value"))

    def download(self) -> Path:
        folder: Path = self.browser.downloads
        for old in folder.iterdir():
            old.unlink()
        self.click("download")
        return wait_for(
            lambda: next((f for f in folder.iterdir() if f.suffix == ".png"), None), "the download"
        )


def test_composite_and_mask(browser: Any, address: str, model: Harmonizer) -> None:
    page = Page(browser, address)
    page.upload(composite=COMPOSITE, mask=MASK)
    page.click("go-composite")
    before, after = wait_for(page.shown, "the result")
    expected = np.asarray(model(COMPOSITE, MASK))
    assert np.array_equal(before, np.asarray(Image.open(COMPOSITE)))
    assert not np.array_equal(before, expected)
    assert np.array_equal(after, expected)

    page.set_share("color", 40)
    part = np.asarray(model(COMPOSITE, MASK, strength=Strength(color=0.4)))
    wait_for(lambda: page.shows(part), "the weaker result")
    path = page.download()
    assert path.name == "composite_harmonized.png"
    assert np.array_equal(np.asarray(Image.open(path)), page.shown()[1])

    requests = [json.loads(one["message"])["message"] for one in browser.get_log("performance")]
    urls = [
        one["params"]["request"]["url"]
        for one in requests
        if one["method"] == "Network.requestWillBeSent"
    ]
    assert urls
    elsewhere = [url for url in urls if not url.startswith((address, "data:", "blob:"))]
    assert elsewhere == []  # no fonts, scripts or statistics of others


@pytest.fixture
def cutout_and_background(tmp_path: Path) -> tuple[Path, Path]:
    cutout = Image.open(COMPOSITE).convert("RGBA")
    cutout.putalpha(Image.open(MASK))
    cutout.resize((320, 213)).save(tmp_path / "cutout.png")
    Image.new("RGB", (500, 400), (90, 60, 40)).save(tmp_path / "background.png")
    return tmp_path / "cutout.png", tmp_path / "background.png"


def test_cut_out_over_a_background(
    browser: Any, address: str, model: Harmonizer, cutout_and_background: tuple[Path, Path]
) -> None:
    page = Page(browser, address)
    page.open_tab("Cut-out")
    page.upload(cutout=cutout_and_background[0], background=cutout_and_background[1])
    wait_for(lambda: page.all(".stage img"), "the stage")
    page.click("go-cutout")
    before, after = wait_for(page.shown, "the result")
    scale = 0.6 * 500 / 320
    place = (round(250 - scale * 160), round(240 - scale * 213 / 2))
    expected = harmonize_cutout(*cutout_and_background, model, position=place, scale=scale)
    composite = compose(*cutout_and_background, place, scale)[0]
    assert np.array_equal(before, np.asarray(composite))
    assert not np.array_equal(after, before)
    assert np.array_equal(after, np.asarray(expected))


def test_an_example_shows_all_at_once(browser: Any, address: str) -> None:
    page = Page(browser, address)
    for tab, name in (("Mask", "composite"), ("Cut-out", "cutout")):
        page.open_tab(tab)
        page.click(f"example-{name}")
        before, after = wait_for(page.shown, "the result")
        assert before.shape == (320, 480, 3)
        assert (before != after).any()
        wait_for(lambda: len(page.all(".thumbnail img")) >= 2, "thumbnails")
    wait_for(lambda: "--on launch.jpg" in page.value("shell"), "the command")
    assert "background=Path('launch.jpg')" in page.value("python")
    page.set_share("light", 40)
    wait_for(lambda: "--light 0.4 --color 1" in page.value("shell"), "the light in the command")
    page.set_share("color", 40)
    wait_for(lambda: page.value("shell").endswith("--strength 0.4"), "the strength in the command")
    assert "strength=0.4" in page.value("python")
    assert "at a strength of 40 %" in page.text()
    page.open_tab("Paint")
    page.click("example-painted")
    wait_for(lambda: page.all("#editor canvas"), "the editor")


def test_a_cutout_is_placed_by_hand(
    browser: Any, address: str, cutout_and_background: tuple[Path, Path]
) -> None:
    from selenium.webdriver import ActionChains, Keys

    page = Page(browser, address)
    page.open_tab("Cut-out")
    page.upload(cutout=cutout_and_background[0], background=cutout_and_background[1])
    (stage,) = wait_for(lambda: page.all(".stage"), "the stage")
    width, height = stage.size["width"], stage.size["height"]

    def place() -> tuple[float, float, float]:
        return page.number("x"), page.number("y"), page.number("size")

    def stage_shows() -> bool:
        """Whether what is seen is what the library pastes there."""
        x, y, size = place()
        cutout, background = map(str, cutout_and_background)
        pasted = work.paste(cutout, background, Placement(x / 100, y / 100, size / 100))
        seen = Image.open(io.BytesIO(stage.screenshot_as_png)).convert("RGB")
        expected = Image.fromarray(pasted.picture.pixels).resize(seen.size)
        error = np.abs(np.asarray(seen).astype(int) - np.asarray(expected)).mean()
        return error < 2.5  # edges fall between pixels

    assert place() == (50, 60, 60)
    assert stage_shows()

    # Held anywhere, it moves as far as the pointer does.
    drag = ActionChains(browser).move_to_element_with_offset(stage, width // 4, 0).click_and_hold()
    drag.move_by_offset(-width // 8, 0).move_by_offset(
        -width // 8, -height // 4
    ).release().perform()
    assert place() == pytest.approx((25, 35, 60), abs=0.6)
    wait_for(stage_shows, "the drag")

    # A click puts its centre there.
    ActionChains(browser).move_to_element_with_offset(stage, width // 4, 0).click().perform()
    assert place() == pytest.approx((75, 50, 60), abs=0.6)
    wait_for(stage_shows, "the click")

    x, y, size = place()
    keys = ActionChains(browser).send_keys(Keys.ARROW_RIGHT, Keys.ARROW_DOWN, "-")  # it has focus
    keys.key_down(Keys.SHIFT).send_keys(Keys.ARROW_LEFT).key_up(Keys.SHIFT).perform()
    assert place() == pytest.approx((x + 1 - 10, y + 1, size - 1))
    wait_for(stage_shows, "the keys")

    page.set_share("size", 70)
    wait_for(lambda: place()[2] == 70 and stage_shows(), "the slider")


def test_names_are_there_for_those_who_do_not_see_the_page(browser: Any, address: str) -> None:
    page = Page(browser, address)
    page.click("example-composite")
    wait_for(lambda: page.shown() and page.all(".thumbnail img"), "the result")
    controls = {"button", "textbox", "slider", "combobox", "checkbox", "spinbutton", "tab", "link"}
    found: list[str] = []
    for tab in ("Mask", "Cut-out"):
        page.open_tab(tab)
        nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        seen = [one for one in nodes if not one["ignored"] and one["role"]["value"] in controls]
        names = [one["name"]["value"] for one in seen]
        assert all(names), [one["role"]["value"] for one in seen if not one["name"]["value"]]
        found += names
    assert {"Upload the cut-out", "Remove the mask", "Copy the command", "Harmonize"} <= {*found}
    assert browser.execute_script("return document.documentElement.lang") == "en"
    assert page.all("#said[role=status]")
    assert page.all(".thumbnail img")[0].get_attribute("alt") == "example.png"


def test_a_phone_shows_all_tabs_and_no_more_than_its_width(browser: Any, address: str) -> None:
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        page = Page(browser, address)
        for tab, name in (("Mask", "composite"), ("Cut-out", "cutout"), ("Paint", "painted")):
            shown = [one.text for one in page.all("button[role=tab]") if one.is_displayed()]
            assert shown == ["Mask", "Cut-out", "Paint"]
            page.open_tab(tab)
            page.click(f"example-{name}")
            wait_for(lambda n=name: n == "painted" or page.shown(), "the result")
            wide = "return document.documentElement.scrollWidth"
            assert browser.execute_script(wide) <= 390
            if name == "cutout":
                drag_by_finger(page)
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def drag_by_finger(page: Page) -> None:
    """Drag the example's cut-out to the right and up; the page must not scroll meanwhile."""
    from selenium.webdriver.common.actions.action_builder import ActionBuilder
    from selenium.webdriver.common.actions.pointer_input import PointerInput

    (stage,) = wait_for(lambda: page.all(".stage"), "the stage")
    wait_for(  # which come one after the other, and move what is below them
        lambda: sum(one.is_displayed() for one in page.all(".thumbnail img")) == 2, "the thumbnails"
    )
    page.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", stage)
    scrolled = page.browser.execute_script("return scrollY")
    x, y = page.number("x"), page.number("y")
    width, height = stage.size["width"], stage.size["height"]
    actions = ActionBuilder(page.browser, mouse=PointerInput("touch", "finger"))
    finger: Any = actions.pointer_action
    finger.move_to(stage).pointer_down().move_to(stage, width // 8, -height // 8)
    finger.move_to(stage, width // 4, -height // 4).pointer_up()
    actions.perform()
    wait_for(lambda: page.number("x") != x, "the new place")  # it is told a moment later
    assert (page.number("x") - x, page.number("y") - y) == pytest.approx((25, -25), abs=1)
    assert page.browser.execute_script("return scrollY") == scrolled


def test_a_painted_mask(browser: Any, address: str) -> None:
    page = Page(browser, address)
    page.open_tab("Paint")
    page.upload(painted_file=COMPOSITE)
    canvas = wait_for(lambda: page.all("#editor canvas"), "the editor")[0]
    time.sleep(2)  # the editor draws the picture without saying when it is done
    from selenium.webdriver import ActionChains

    stroke = ActionChains(browser).move_to_element_with_offset(canvas, -60, 40).click_and_hold()
    stroke.move_by_offset(60, 20).move_by_offset(40, 10).release().perform()
    time.sleep(1)
    page.click("go-painted")
    before, after = wait_for(page.shown, "the result")
    assert np.array_equal(before, np.asarray(Image.open(COMPOSITE)))
    rows, columns = np.nonzero((before != after).any(axis=2))
    assert 0.005 < len(rows) / before[..., 0].size < 0.2  # a stroke, and nothing beyond it
    assert rows.min() > 427 / 4
    assert (columns.min(), columns.max()) > (640 / 4, 640 / 2)


def test_mistakes_are_told(browser: Any, address: str, tmp_path: Path) -> None:
    page = Page(browser, address)
    page.click("go-composite")
    wait_for(lambda: "the composite is missing" in page.text(), "the advice")
    Image.new("L", (10, 10)).save(tmp_path / "small.png")
    page.upload(composite=COMPOSITE, mask=tmp_path / "small.png")
    page.click("go-composite")
    wait_for(lambda: "the image is 640 x 427, the mask 10 x 10" in page.text(), "the reason")
    page.open_tab("Cut-out")
    page.upload(cutout=COMPOSITE)
    wait_for(lambda: "cut the object out first" in page.text(), "what is wrong with the upload")
