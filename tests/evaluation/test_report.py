"""The page: what stands on it, and that it works in a browser without a connection."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from browser import browser as browser

from harmonizer.data import TripletDataset
from harmonizer.evaluation import PROTOCOLS, Evaluation, evaluate, published
from harmonizer.evaluation.methods import open_methods
from harmonizer.evaluation.published import missing_pictures, published_results
from harmonizer.evaluation.report import write_report

NASTY = 'a "</script><img src=x onerror=alert(1)>'


@pytest.fixture(scope="module")
def evaluation(iharmony4: Path) -> Evaluation:
    return evaluate({"composite": "composite", NASTY: "reinhard"}, iharmony4)


@pytest.fixture(scope="module")
def page(evaluation: Evaluation, iharmony4: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    methods = open_methods({"composite": "composite", NASTY: "reinhard"}, PROTOCOLS["paper"])
    published = published_results(evaluation, methods)
    dataset = TripletDataset.open(iharmony4, split="test")
    folder = tmp_path_factory.mktemp("page") / "report"
    return write_report(evaluation, dataset, methods, folder, published=published)


def test_the_page_is_one_file_that_asks_for_nothing(page: Path) -> None:
    assert [path.name for path in page.parent.iterdir()] == ["index.html"]
    text = page.read_text()
    assert "DATA_GOES_HERE" not in text
    assert not re.search(r"<(link|iframe)\b|@import|url\(|\bfetch\(|<script[^>]+src", text)
    assert text.count("</script>") == 2  # names cannot end a script


def test_the_cases_are_the_best_median_and_worst(page: Path, evaluation: Evaluation) -> None:
    text = page.read_text()
    start = text.index('type="application/json">') + len('type="application/json">')
    data = json.loads(text[start : text.index("</script>", start)])
    for label in evaluation.models:
        ordered = sorted(evaluation.of(label), key=lambda row: row.fmse)
        found = {
            kind: [
                one["name"] for one in data["cases"] if (one["model"], one["kind"]) == (label, kind)
            ]
            for kind in ("best", "median", "worst")
        }
        assert found["best"] == [row.name for row in ordered[:2]]
        assert found["worst"] == [row.name for row in ordered[::-1][:2]]
        assert found["median"] == [row.name for row in ordered[3:5]]


def test_in_a_browser(page: Path, evaluation: Evaluation, browser: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.select import Select

    browser.get(page.as_uri())

    for label in evaluation.models:
        expected = evaluation.summary(label)["HFlickr"]["fmse"]
        cells = browser.find_elements(
            By.CSS_SELECTOR, 'td[data-group="HFlickr"][data-metric="fmse"]'
        )
        texts = {one.get_attribute("data-model"): one.text for one in cells}
        assert texts[label] == f"{expected:.2f}"
    composite = evaluation.summary("composite")["all"]["mse"]
    assert f"172.47 ({composite - 172.47:+.2f})" in browser.find_element(By.ID, "tables").text
    assert "HAdobe5k 2 of 2,160" in browser.find_element(By.ID, "note").text

    def shown() -> str:
        return browser.execute_script(
            "return getComputedStyle(document.querySelector('.slider .after')).clipPath"
        )

    slider = browser.find_element(By.CSS_SELECTOR, '.slider input[type="range"]')
    assert "50%" in shown()
    slider.send_keys(Keys.END)
    assert "100%" in shown()
    slider.send_keys(*[Keys.ARROW_LEFT] * 3)
    assert "97%" in shown()

    images = browser.execute_script(
        "return [...document.images].map(one => [one.complete, one.naturalWidth])"
    )
    assert len(images) == 6 * 6  # six cases: two under the slider, and four beside it
    assert all(complete and width for complete, width in images)

    before = browser.find_element(By.ID, "distributions").get_attribute("innerHTML")
    Select(browser.find_element(By.ID, "metric")).select_by_value("psnr")
    assert browser.find_element(By.ID, "distributions").get_attribute("innerHTML") != before
    Select(browser.find_element(By.ID, "model")).select_by_visible_text("composite")
    assert "best" in browser.find_element(By.ID, "cases").text

    errors = [one["message"] for one in browser.get_log("browser") if one["level"] == "SEVERE"]
    assert not errors


def test_published_rows_stand_beside_their_own_protocol_and_data(
    evaluation: Evaluation, iharmony4: Path, brighten: Any, tmp_path: Path
) -> None:
    methods = open_methods(["composite", "reinhard"], PROTOCOLS["paper"])
    (row,) = published_results(evaluation, methods)["composite"]
    assert set(row.values) == {"HCOCO", "HFlickr", "HAdobe5k", "Hday2night", "all"}
    part = evaluate("composite", iharmony4 / "HFlickr")
    (row,) = published_results(part, methods)["composite"]
    assert row.values == {"HFlickr": {"mse": 264.35, "psnr": 28.32}}
    assert "HFlickr 1 of 828" in missing_pictures(part)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(published.TEST_COUNTS, "HFlickr", 1)
        assert missing_pictures(part) == ""
    other = evaluate("composite", iharmony4, protocol="pasted")
    assert published_results(other, methods) == {"composite": [], "reinhard": []}
    table = tmp_path / "list.csv"
    names = [
        f"{iharmony4}/HFlickr/{one}"
        for one in ("composite_images/x0_1_1", "masks/x0_1", "real_images/x0")
    ]
    table.write_text("composite,mask,real\n" + ",".join(f"{name}.png" for name in names))
    assert published_results(evaluate("composite", table), methods)["composite"] == []


def test_published_rows_of_models_are_the_manifests(iharmony4: Path, brighten: Any) -> None:
    from harmonizer import Harmonizer, model_info

    renamed = Harmonizer(brighten._network, model_info("idih-hrnet-w18"), device="cpu")
    methods = open_methods(renamed, PROTOCOLS["paper"])
    rows = published_results(evaluate(renamed, iharmony4), methods)["idih-hrnet-w18"]
    paper, released = rows
    assert paper.values["all"] == {"mse": 22.15, "psnr": 38.24, "fmse": 256.34}
    assert paper.values["0-5 %"]["fmse"] == 296.18
    assert released.values["HCOCO"] == {"mse": 13.79, "psnr": 39.62}
    assert "FN-MSE" in paper.source
    assert "released weights" in released.source
