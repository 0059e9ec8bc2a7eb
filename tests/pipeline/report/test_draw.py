"""Zones on the page in a real browser, and settings that are drawn there."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from selenium.webdriver import ActionChains

from pipeline import config as configuration
from pipeline import floor
from pipeline.config import Config
from pipeline.records import Array, Frame
from pipeline.report import __main__ as command
from pipeline.report.stills import Stills
from tests.browser import (
    DESKTOP,
    MARKS,
    PHONE,
    By,
    Keys,
    console_of,
    text_of,
    wait_for_pictures,
)
from tests.pipeline.report import results
from tests.pipeline.report.test_page import TOO_WIDE, opened
from tests.pipeline.report.test_stills import followed, picture
from tests.waiting import wait_until

pytestmark = MARKS

WIDTH = 640
HEIGHT = 480
HOSTILE = """a: "b" 'c' #d [e] {f} <img src=x onerror=document.title='taken'> \\ é 🎈 - &x *y %z"""
SQUARE = [[100.0, 200.0], [400.0, 200.0], [400.0, 440.0], [100.0, 440.0]]
ZONES = [
    {"name": HOSTILE[:80], "camera": "gate", "polygon": SQUARE},
    {"name": HOSTILE[:80], "camera": "hall", "polygon": SQUARE},
    {"name": "door", "camera": "gate", "line": [[320, 460], [320, 100]]},
    {"name": "counter", "polygon": [[0, 0], [3, 0], [3, 2.5]]},
]
EVENTS = """zone,kind,person_id,time_s,camera,direction,dwell_s,occupancy
door,crossing,1,1.0,gate,in,,
door,crossing,2,1.5,gate,in,,
door,crossing,2,3.0,gate,out,,
counter,entry,1,1.0,gate,,,1
counter,entry,2,2.0,hall,,,2
counter,exit,1,5.5,gate,,4.5,1
"""


@pytest.fixture
def browser(chromium: Any) -> Iterator[Any]:
    """The browser; at the end it must have complained about nothing."""
    chromium.get("about:blank")
    console_of(chromium)
    yield chromium
    assert console_of(chromium) == []


def site(folder: Path, zones: Sequence[object]) -> Path:
    """A report of two cameras with pictures, and a third one without."""
    stills = Stills("off")
    for name in ("gate", "hall"):
        stills.look(Frame(name, 0, 0.0, picture(60, WIDTH, HEIGHT)), followed([]))
    results.write(folder, 3, 2, stills=stills)
    with results.changed(folder, "trajectories.json") as document:
        for camera in document["cameras"]:
            camera |= {"width": WIDTH, "height": HEIGHT}
    cameras = [{"source": f"{name}.mp4", "name": name} for name in ("gate", "hall", "yard")]
    cameras[1] |= {"homography": np.diag([0.01, 0.02, 1.0]).tolist(), "start_s": 1.5}
    (folder / "config.yaml").write_text(yaml.safe_dump({"cameras": cameras, "zones": zones}))
    assert command.main([str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return site(tmp_path_factory.mktemp("empty"), [])


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    (folder / "zones.csv").write_text(EVENTS)
    return site(folder, ZONES)


def stage(browser: Any) -> Any:
    return browser.find_element(By.CSS_SELECTOR, ".stage-picture")


def use(browser: Any, tool: str) -> None:
    browser.find_element(By.CSS_SELECTOR, f"button[data-tool={tool}]").click()


def moved_to(browser: Any, x: float, y: float) -> ActionChains:
    """A pointer at a pixel of the camera's picture."""
    target = stage(browser)
    size = target.size
    right = (x / WIDTH - 0.5) * size["width"]
    down = (y / HEIGHT - 0.5) * size["height"]
    return ActionChains(browser).move_to_element_with_offset(target, round(right), round(down))


def click(browser: Any, x: float, y: float) -> None:
    """Click at a pixel; returns when what follows from it is drawn."""
    moved_to(browser, x, y).click().perform()
    wait_for_pictures(browser)


def wait_for_handles(browser: Any, n: int, selector: str = ".handle") -> None:
    wait_until(lambda: len(handles(browser, selector)) == n)


def settings_of(browser: Any, folder: Path) -> Config:
    """The settings that the page says, as the program reads them."""
    text = browser.find_element(By.CSS_SELECTOR, ".view-draw pre").get_attribute("textContent")
    path = folder / "site.yaml"
    path.write_text(text, encoding="utf-8")
    config = configuration.load(str(path))
    configuration.check_zones(config)
    return config


def handles(browser: Any, selector: str = ".handle") -> Array:
    script = """
    const found = [...document.querySelectorAll(arguments[0])];
    return found.map((each) => [each.getAttribute("cx"), each.getAttribute("cy")]);
    """
    return np.array(browser.execute_script(script, f".stage-picture {selector}"), np.float64)


def test_an_area_and_a_line_are_drawn_by_clicks_and_the_program_takes_them(
    browser: Any, empty: Path, tmp_path: Path
) -> None:
    opened(browser, empty, "#draw")
    for x, y in SQUARE:
        click(browser, x, y)
    click(browser, *SQUARE[0])  # which closes the area
    name = browser.find_element(By.CSS_SELECTOR, ".zone-row input")
    name.send_keys(Keys.CONTROL, "a")
    name.send_keys("shop window")
    use(browser, "line")
    click(browser, 320, 460)
    click(browser, 320, 100)
    area, line = settings_of(browser, tmp_path).zones
    assert (area.name, area.camera, line.name) == ("shop window", "gate", "line 1")
    assert np.array(area.polygon) == pytest.approx(np.array(SQUARE), abs=1)
    assert np.array(line.line) == pytest.approx(np.array([[320, 460], [320, 100]]), abs=1)


def test_what_was_configured_is_kept(browser: Any, drawn: Path, tmp_path: Path) -> None:
    opened(browser, drawn, "#draw")
    config = settings_of(browser, tmp_path)
    assert config.zones == configuration.load(str(drawn / "config.yaml")).zones
    gate, hall, yard = config.cameras
    assert (gate.name, gate.source, yard.name) == ("gate", "gate.mp4", "yard")
    assert hall.start_s == 1.5
    assert np.array(hall.homography) == pytest.approx(np.diag([0.01, 0.02, 1.0]))
    assert browser.find_elements(By.CSS_SELECTOR, "img") == []
    assert browser.title == "People in 3 cameras"


def reference(points: Array, metres: Array) -> Array:
    """The normalised direct linear transform by numpy, (3, 3)."""

    def normaliser(plane: Array) -> Array:
        middle = plane.mean(axis=0)
        scale = np.sqrt(2) / np.linalg.norm(plane - middle, axis=1).mean()
        return np.array([[scale, 0, -scale * middle[0]], [0, scale, -scale * middle[1]], [0, 0, 1]])

    before = normaliser(points)
    after = normaliser(metres)
    rows = []
    for (x, y), (u, v) in zip(
        floor.project(points, before), floor.project(metres, after), strict=True
    ):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y, -u])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y, -v])
    matrix = np.linalg.inv(after) @ np.linalg.svd(np.array(rows))[2][-1].reshape(3, 3) @ before
    return np.asarray(matrix / matrix[2, 2])


METRES = [(0.0, 0.0), (6.0, 0.0), (6.2, 5.0), (0.0, 5.5), (3.1, 2.0), (2.0, 4.4)]
PIXELS = [(80, 430), (560, 440), (450, 180), (170, 170), (330, 290), (260, 200)]


@pytest.mark.parametrize("n_points", [4, 6])
def test_the_homography_of_floor_points_is_that_of_numpy_and_errors_are_shown(
    browser: Any, empty: Path, tmp_path: Path, n_points: int
) -> None:
    opened(browser, empty, "#draw")
    use(browser, "floor")
    known = list(zip(PIXELS, METRES, strict=True))[:n_points]
    for number, ((x, y), place) in enumerate(known, start=1):
        click(browser, x, y)
        wait_for_handles(browser, number, ".on-floor")
        fields = browser.find_elements(By.CSS_SELECTOR, ".drawn tbody tr:last-child input")
        for metres_field, metres in zip(fields, place, strict=True):
            metres_field.send_keys(str(metres))
    points = handles(browser, ".on-floor")
    assert points == pytest.approx(np.array(PIXELS[:n_points]), abs=1)
    metres = np.array(METRES[:n_points])
    expected = reference(points, metres)
    found = np.array(settings_of(browser, tmp_path).cameras[0].homography)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)
    off_m = np.linalg.norm(floor.project(points, expected) - metres, axis=1)
    off_px = np.linalg.norm(floor.project(metres, np.linalg.inv(expected)) - points, axis=1)
    cells = browser.find_elements(By.CSS_SELECTOR, ".drawn tbody td:last-child")
    said = np.array([cell.text.replace("px,", "").split()[:2] for cell in cells], np.float64)
    assert said == pytest.approx(np.stack([off_px, 100 * off_m], axis=1), abs=0.06)
    assert (off_px.max() > 1) == (n_points > 4)
    assert len(browser.find_elements(By.CSS_SELECTOR, ".grid")) > 8


def test_points_on_one_line_give_no_homography_and_say_so(
    browser: Any, empty: Path, tmp_path: Path
) -> None:
    opened(browser, empty, "#draw")
    use(browser, "floor")
    for number, (x, y) in enumerate([(100, 100), (200, 200), (300, 300), (400, 400)]):
        click(browser, x, y)
        wait_for_handles(browser, number + 1, ".on-floor")
        for metres_field in browser.find_elements(By.CSS_SELECTOR, ".drawn tr:last-child input"):
            metres_field.send_keys(str(number))
    wait_until(lambda: "do not tell the floor" in text_of(browser, ".drawn"))
    assert settings_of(browser, tmp_path).cameras[0].homography == []


def test_an_area_is_drawn_and_changed_by_keyboard(
    browser: Any, empty: Path, tmp_path: Path
) -> None:
    opened(browser, empty, "#draw")
    keys = stage(browser)
    step = 20 * WIDTH / keys.size["width"]
    for arrow in (Keys.ARROW_LEFT, Keys.ARROW_DOWN, Keys.ARROW_RIGHT, Keys.ARROW_UP):
        keys.send_keys(arrow * 5, Keys.ENTER)
    keys.send_keys(Keys.ARROW_LEFT * 5, Keys.ENTER)
    wait_until(lambda: settings_of(browser, tmp_path).zones)
    (area,) = settings_of(browser, tmp_path).zones
    corners = np.array([[-5, 0], [-5, 5], [0, 5], [0, 0]]) * step + [WIDTH / 2, HEIGHT / 2]
    assert np.array(area.polygon) == pytest.approx(corners, abs=1)
    point = browser.find_element(By.CSS_SELECTOR, "[aria-label='Point 2 of area 1']")
    point.send_keys(Keys.ARROW_UP)
    active = "return document.activeElement.getAttribute('aria-label')"
    assert browser.execute_script(active) == "Point 2 of area 1"
    browser.switch_to.active_element.send_keys(Keys.ARROW_UP)
    (area,) = settings_of(browser, tmp_path).zones
    assert area.polygon[1][1] == pytest.approx(corners[1][1] - 2 * step, abs=1)
    browser.switch_to.active_element.send_keys(Keys.DELETE)
    (area,) = settings_of(browser, tmp_path).zones
    assert np.array(area.polygon) == pytest.approx(corners[[0, 2, 3]], abs=1)


def test_everything_can_be_undone(browser: Any, empty: Path, tmp_path: Path) -> None:
    opened(browser, empty, "#draw")
    for x, y in SQUARE[:3]:
        click(browser, x, y)
    browser.find_element(By.CSS_SELECTOR, ".tools .primary").click()
    before = settings_of(browser, tmp_path).zones
    moved_to(browser, *SQUARE[0]).click_and_hold().move_by_offset(40, 30).release().perform()
    wait_for_pictures(browser)
    after = settings_of(browser, tmp_path).zones
    unit = WIDTH / stage(browser).size["width"]
    way = np.array(after[0].polygon[0]) - np.array(before[0].polygon[0])
    assert way == pytest.approx(np.array([40, 30]) * unit, abs=1.5)
    assert after[0].polygon[1:] == before[0].polygon[1:]
    assert len(handles(browser)) == 3  # and no corner was put
    browser.find_element(By.CSS_SELECTOR, ".zone-row button").click()
    assert settings_of(browser, tmp_path).zones == []
    undo = browser.find_element(By.XPATH, "//*[@class='tools']/button[text()='Undo']")
    undo.click()
    assert settings_of(browser, tmp_path).zones == after
    stage(browser).send_keys(Keys.CONTROL, "z")
    assert settings_of(browser, tmp_path).zones == before
    undo.click()
    assert settings_of(browser, tmp_path).zones == []
    assert not undo.is_enabled()


def test_a_corner_too_many_is_taken_back_and_escape_drops_the_shape(
    browser: Any, empty: Path, tmp_path: Path
) -> None:
    opened(browser, empty, "#draw")
    for x, y in [*SQUARE[:3], [600, 20]]:
        click(browser, x, y)
    wait_for_handles(browser, 4)
    stage(browser).send_keys(Keys.BACKSPACE)
    wait_for_handles(browser, 3)
    stage(browser).send_keys(Keys.ESCAPE)
    wait_for_handles(browser, 0)
    assert settings_of(browser, tmp_path).zones == []


def test_another_camera_has_its_own_picture_and_shapes(
    browser: Any, drawn: Path, tmp_path: Path
) -> None:
    opened(browser, drawn, "#draw")
    assert len(handles(browser)) == 6
    assert browser.execute_script(
        "return document.querySelector('.stage-picture image').href.baseVal"
    )
    choice = browser.find_element(By.CSS_SELECTOR, ".tools select")
    choice.send_keys("yard")
    wait_until(lambda: bool(browser.find_elements(By.CSS_SELECTOR, ".no-still-text")))
    assert len(handles(browser)) == 0
    use(browser, "line")
    click(browser, 100, 100)
    click(browser, 200, 200)
    wait_for_handles(browser, 2)
    assert settings_of(browser, tmp_path).zones[-1].camera == "yard"


def test_the_settings_follow_right_below_what_is_drawn(browser: Any, empty: Path) -> None:
    opened(browser, empty, "#draw")
    script = """
    const [, drawn, settings] = [...document.querySelectorAll(".view-draw .card")];
    return settings.getBoundingClientRect().top - drawn.getBoundingClientRect().bottom;
    """
    assert 0 < browser.execute_script(script) < 20


def test_settings_are_downloaded(browser: Any, drawn: Path, tmp_path: Path) -> None:
    where = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", where)
    opened(browser, drawn, "#draw")
    browser.find_element(By.XPATH, "//button[text()='Download']").click()
    path = tmp_path / "site.yaml"
    wait_until(path.is_file)
    downloaded = path.read_text(encoding="utf-8")
    shown = browser.find_element(By.CSS_SELECTOR, ".view-draw pre").get_attribute("textContent")
    assert downloaded == shown


def test_the_site_tells_what_was_counted_at_zones(browser: Any, drawn: Path) -> None:
    opened(browser, drawn, "#site")
    zones = browser.find_element(By.XPATH, "//section[h2='Zones']")
    rows = [row.text for row in zones.find_elements(By.CSS_SELECTOR, "tbody tr")]
    assert rows[1:] == ["counter 2 1 1 2 4.5 s", "door 2 1"]
    assert rows[0] == f"{HOSTILE[:80]} 0 0 0 0 –"
    assert [each.text for each in zones.find_elements(By.CSS_SELECTOR, "figcaption")] == [
        "gate",
        "hall",
    ]
    shown = "return [...document.querySelectorAll('.stills image')].map((e) => e.href.baseVal)"
    wait_until(lambda: all(each.startswith("blob:") for each in browser.execute_script(shown)))
    assert zones.find_elements(By.CSS_SELECTOR, "img") == []


def test_without_zones_the_site_says_where_they_are_drawn(browser: Any, empty: Path) -> None:
    opened(browser, empty, "#site")
    browser.find_element(By.XPATH, "//section[h2='Zones']//a").click()
    wait_until(lambda: "Put the corners" in text_of(browser, "#draw-view"))


@pytest.mark.parametrize("size", [DESKTOP, PHONE, (320, 568)])
@pytest.mark.parametrize("view", ["#draw", "#site"])
def test_nothing_about_zones_is_wider_than_the_screen(
    browser: Any, drawn: Path, size: tuple[int, int], view: str
) -> None:
    opened(browser, drawn, view, size)
    wait_for_pictures(browser)
    in_pictures = TOO_WIDE.replace(".graph", ".graph, .still, pre")
    assert browser.execute_script(in_pictures) == [True, []]
