"""The report in a real browser, opened from disk."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import cli
from pipeline.report import __main__ as command
from tests.browser import (
    DESKTOP,
    MARKS,
    PHONE,
    By,
    Keys,
    console_of,
    requests_of,
    set_size,
    started,
    text_of,
)
from tests.pipeline.report import results
from tests.videos import write_video
from tests.waiting import wait_until

pytestmark = MARKS

HOSTILE = "</script><img src=x onerror=document.title='taken'>"
MAX_FIRST_PAINT_MS = 3000
"""Measured: 50 to 130 ms, and 250 to 550 ms until the list is there. Other work on the machine may
take its time.
"""
MAX_BIG_BYTES = 30_000_000
TOO_WIDE = """
const wide = [...document.querySelectorAll("body *")].filter((each) => {
  const box = each.getBoundingClientRect();
  const scrolls = each.closest(".table, .pictures, .timeline, .graph");
  return !scrolls && box.width > 0 && (box.left < -1 || box.right > innerWidth + 1)
    && getComputedStyle(each).position !== "absolute";
});
return [document.documentElement.scrollWidth <= innerWidth, wide.map((each) => each.className)];
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with started() as driver:
        yield driver


@pytest.fixture
def browser(chromium: Any) -> Iterator[Any]:
    """The browser; at the end it must have read files beside the page only, and complained about
    nothing.
    """
    chromium.get("about:blank")
    console_of(chromium)
    requests_of(chromium)
    yield chromium
    asked = requests_of(chromium)
    assert asked
    assert [url for url in asked if not url.startswith("file:")] == []
    assert console_of(chromium) == []


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = results.write(tmp_path_factory.mktemp("small"), 30, 3, has_floor=True, crops_of=3)
    assert command.main([str(folder)]) == 0
    return folder


def opened(
    browser: Any, folder: Path, view: str = "", size: tuple[int, int] = DESKTOP, dark: bool = False
) -> None:
    set_size(browser, size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.get("about:blank")
    browser.get(f"{(folder / 'report.html').as_uri()}{view}")


def shown_ids(browser: Any) -> list[str]:
    """Numbers of the people whose rows are there, from top to bottom."""
    script = """
    const rows = [...document.querySelectorAll(".row")];
    rows.sort((a, b) => parseFloat(a.style.top) - parseFloat(b.style.top));
    return rows.map((row) => row.querySelector(".number").textContent);
    """
    return [str(each) for each in browser.execute_script(script)]


def choose(browser: Any, field: str, value: str) -> None:
    browser.find_element(By.CSS_SELECTOR, f"#{field} option[value='{value}']").click()


def test_a_click_on_a_person_shows_when_where_and_why(browser: Any, small: Path) -> None:
    opened(browser, small)
    wait_until(lambda: text_of(browser, "#person-title") == "Person 1")
    browser.find_element(By.ID, "row-3").click()
    wait_until(lambda: text_of(browser, "#person-title") == "Person 3")
    lanes = browser.find_elements(By.CSS_SELECTOR, ".timeline .lane:not(.foot) .lane-name")
    assert [each.text for each in lanes] == ["yard", "gate", "hall"]
    pictures = browser.find_elements(By.CSS_SELECTOR, ".pictures .crop")
    assert [each.get_attribute("aria-label") for each in pictures] == [
        "Person 3 in yard",
        "Person 3 in gate",
        "Person 3 in hall",
    ]
    assert "blob:" in pictures[0].value_of_css_property("background-image")
    route = text_of(browser, ".stays")
    assert route.split("\n")[::2][0] == "yard"
    assert "→ 2.0 s later" in route
    link = text_of(browser, ".links .link")
    assert "95%" in link
    assert "confirmed" in link
    assert "Appearance similarity 0.80 (strong evidence for), 2.0 s later" in link


def test_doubtful_people_are_marked_and_say_why(browser: Any, small: Path) -> None:
    opened(browser, small, "#people/10")
    wait_until(lambda: "Doubtful: a link rests on appearance" in text_of(browser, ".heading"))
    assert "doubtful · weakest link 70%" in text_of(browser, "#row-10")
    first = text_of(browser, ".links .link")
    assert "70%" in first
    assert "probable" in first


def test_who_else_it_could_be_is_one_click_away(browser: Any, small: Path) -> None:
    opened(browser, small, "#people/1")
    wait_until(lambda: "40%" in text_of(browser, ".near"))
    assert "Below the required 50%" in text_of(browser, ".near")
    browser.find_element(By.CSS_SELECTOR, ".near a").click()
    wait_until(lambda: text_of(browser, "#person-title") == "Person 2")
    browser.back()
    wait_until(lambda: text_of(browser, "#person-title") == "Person 1")


def test_the_list_is_filtered_by_number_camera_and_doubt(browser: Any, small: Path) -> None:
    opened(browser, small)
    wait_until(lambda: text_of(browser, "#n-found") == "30 people")
    search = browser.find_element(By.ID, "search")
    search.send_keys("12")
    wait_until(lambda: shown_ids(browser) == ["12"])
    search.clear()
    search.send_keys("yard")
    wait_until(lambda: text_of(browser, "#n-found") == "30 people")
    search.send_keys(Keys.BACKSPACE * 4 + "nowhere")
    wait_until(lambda: text_of(browser, ".rows") == "Nobody matches the filters")
    search.clear()
    search.send_keys(Keys.SPACE)
    choose(browser, "by-doubt", "doubtful")
    wait_until(lambda: shown_ids(browser) == ["10", "20", "30"])
    choose(browser, "by-doubt", "")
    choose(browser, "order", "weakest")
    wait_until(lambda: shown_ids(browser)[:4] == ["10", "20", "30", "1"])


def test_the_list_is_walked_by_keyboard(browser: Any, small: Path) -> None:
    opened(browser, small)
    wait_until(lambda: text_of(browser, "#person-title") == "Person 1")
    people = browser.find_element(By.ID, "person-list")
    people.send_keys(Keys.ARROW_DOWN)
    wait_until(lambda: text_of(browser, "#person-title") == "Person 2")
    people.send_keys(Keys.END)
    wait_until(lambda: text_of(browser, "#person-title") == "Person 30")
    assert people.get_attribute("aria-activedescendant") == "row-30"
    assert browser.find_element(By.ID, "row-30").get_attribute("aria-selected") == "true"


def test_people_at_a_time_are_shown_from_the_site(browser: Any, small: Path) -> None:
    opened(browser, small, "#site")
    wait_until(lambda: "Ways between cameras" in text_of(browser, "#site-view"))
    assert "gate\thall\t20\tabout 2.0 s" in text_of(browser, "#site-view .table")
    assert "Floor plan" in text_of(browser, "#site-view")
    time_of = browser.find_element(By.CSS_SELECTOR, ".chart input")
    time_of.send_keys(Keys.HOME)
    wait_until(lambda: text_of(browser, ".chart output").startswith("1 person within 1.0 s"))
    browser.find_element(By.CSS_SELECTOR, ".chart button").click()
    wait_until(lambda: shown_ids(browser) == ["1"])
    browser.find_element(By.ID, "any-time").click()
    wait_until(lambda: text_of(browser, "#n-found") == "30 people")


def test_a_camera_without_people_has_a_nought_in_the_graph(browser: Any, tmp_path: Path) -> None:
    results.write(tmp_path, 1, 2)
    assert command.main([str(tmp_path)]) == 0
    opened(browser, tmp_path, "#site")
    counts = browser.find_elements(By.CSS_SELECTOR, ".graph .node-count")
    assert [each.text for each in counts] == ["1", "1", "0"]


def test_no_time_has_sixty_seconds(browser: Any, tmp_path: Path) -> None:
    path = results.write(tmp_path, 40, 1) / "trajectories.json"
    document = json.loads(path.read_text())
    for person in document["people"]:
        for tracklet in person["tracklets"]:
            tracklet["times_s"] = [time_s + 0.7 for time_s in tracklet["times_s"]]
    path.write_text(json.dumps(document))
    assert command.main([str(tmp_path)]) == 0
    opened(browser, tmp_path, "#site")
    wait_until(lambda: "People over time" in text_of(browser, "#site-view"))
    time_of = browser.find_element(By.CSS_SELECTOR, ".chart input")
    time_of.send_keys(Keys.HOME, *[Keys.ARROW_RIGHT] * 59)
    wait_until(lambda: text_of(browser, ".chart output").endswith("from 1:00"))


@pytest.mark.parametrize("size", [DESKTOP, (820, 1180), PHONE, (320, 568)])
@pytest.mark.parametrize("view", ["#people", "#people/10", "#site", "#quality"])
def test_nothing_is_wider_than_the_screen(
    browser: Any, small: Path, size: tuple[int, int], view: str
) -> None:
    opened(browser, small, view, size)
    assert browser.execute_script(TOO_WIDE) == [True, []]


def test_on_a_phone_the_list_and_a_person_take_turns(browser: Any, small: Path) -> None:
    opened(browser, small, size=PHONE)
    wait_until(lambda: len(shown_ids(browser)) > 5)
    assert text_of(browser, "#detail") == ""
    browser.find_element(By.ID, "row-2").click()
    wait_until(lambda: text_of(browser, "#person-title") == "Person 2")
    assert text_of(browser, "#person-list") == ""
    browser.find_element(By.CSS_SELECTOR, ".back").click()
    wait_until(lambda: text_of(browser, "#detail") == "" and len(shown_ids(browser)) > 5)


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_from_its_ground(browser: Any, small: Path, dark: bool) -> None:
    opened(browser, small, "#people/10", dark=dark)
    wait_until(lambda: text_of(browser, "#person-title") == "Person 10")
    script = """
    const light = (text) => {
      const parts = text.match(/[\\d.]+/g).map(Number);
      const [r, g, b] = parts.map((each) => {
        const share = each / 255;
        return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (node) => {
      const colour = getComputedStyle(node).backgroundColor;
      return /, 0\\)$/.test(colour) && node.parentElement ? ground(node.parentElement) : colour;
    };
    const faint = [];
    for (const node of document.querySelectorAll("body *")) {
      const says = [...node.childNodes].some((each) => each.nodeType === 3 && each.data.trim());
      if (!says || !node.checkVisibility() || node.disabled) continue;
      const [a, b] = [light(getComputedStyle(node).color), light(ground(node))];
      const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (contrast < 4.5) faint.push([node.className, node.textContent, contrast]);
    }
    return faint;
    """
    assert browser.execute_script(script) == []


def test_names_and_reasons_are_text_and_never_html(browser: Any, tmp_path: Path) -> None:
    results.write(tmp_path, 3, 2, (HOSTILE, "b"), warnings=[HOSTILE], device=HOSTILE)
    assert command.main([str(tmp_path)]) == 0
    for view in ("#people/1", "#site", "#quality"):
        opened(browser, tmp_path, view)
        wait_until(lambda: HOSTILE in text_of(browser, "main"))
        assert browser.title == "People in 2 cameras"
        assert browser.find_elements(By.CSS_SELECTOR, "img") == []


def test_thousands_of_people_open_at_once_and_scroll(browser: Any, tmp_path: Path) -> None:
    cameras = [f"camera {number}" for number in range(8)]
    results.write(tmp_path, 5000, 12, cameras, has_floor=True)
    assert command.main([str(tmp_path)]) == 0
    assert (tmp_path / "report.html").stat().st_size < MAX_BIG_BYTES
    opened(browser, tmp_path)
    wait_until(lambda: text_of(browser, "#n-found") == "5,000 people")
    paint = "return performance.getEntriesByName('first-contentful-paint')[0].startTime"
    assert browser.execute_script(paint) < MAX_FIRST_PAINT_MS
    scroll = """
    const [list, done] = [document.getElementById("person-list"), arguments[0]];
    let steps = 0;
    const step = () => {
      list.scrollTop += 4000;
      steps += 1;
      if (steps < 60) requestAnimationFrame(step);
      else requestAnimationFrame(() => done(document.querySelectorAll(".row").length));
    };
    step();
    """
    assert 0 < browser.execute_async_script(scroll) < 40
    assert abs(int(shown_ids(browser)[0]) - 240_000 // 84) < 20
    browser.find_element(By.ID, "search").send_keys("4321")
    wait_until(lambda: shown_ids(browser) == ["4321"])
    browser.find_element(By.ID, "row-4321").click()
    wait_until(lambda: text_of(browser, "#person-title") == "Person 4321")


@pytest.fixture(scope="module")
def played(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run over two cameras."""
    output = tmp_path_factory.mktemp("played") / "out"
    videos = [str(sample / "cam1.mp4"), str(sample / "cam2.mp4")]
    given = ["--videos", *videos, "--output", str(output), "--max-seconds", "8", "--quiet"]
    assert cli.main(given) == 0
    return output


def test_a_tracklet_and_the_scrubber_move_the_video_beside_the_page(
    browser: Any, played: Path
) -> None:
    people = json.loads((played / "trajectories.json").read_text())["people"]
    both = [person for person in people if len(person["cameras"]) == 2]
    person = both[0]
    opened(browser, played, f"#people/{person['person_id']}")
    ready = "return document.querySelector('video').readyState >= 2"
    wait_until(lambda: bool(browser.execute_script(ready)))
    last = person["tracklets"][-1]
    names = [entry["camera"] for entry in person["tracklets"]]
    assert {"cam1", "cam2"} == set(names)
    name = f"{last['camera']}/{last['track_id']}@{last['tracklet']}:"
    bar = browser.find_element(By.CSS_SELECTOR, f".bar[aria-label^='{name}']")
    browser.execute_script("arguments[0].click()", bar)
    now = "return document.querySelector('video').currentTime"
    wait_until(lambda: abs(browser.execute_script(now) - last["times_s"][0]) < 0.1)
    source = browser.execute_script("return document.querySelector('video').currentSrc")
    assert os.path.basename(source).startswith(f"{last['camera']}.mp4")  # noqa: PTH119, a URL
    assert name in text_of(browser, ".told")
    scrubber = browser.find_element(By.CSS_SELECTOR, ".scrubber")
    before = browser.execute_script(now)
    scrubber.send_keys(Keys.ARROW_LEFT * 10)
    wait_until(lambda: 0.2 < before - browser.execute_script(now) < 0.8)
    browser.execute_script("document.querySelector('video').removeAttribute('src')")


def test_the_route_is_played_from_camera_to_camera(browser: Any, tmp_path: Path) -> None:
    files = [f"{name}.mp4" for name in ("gate", "hall", "yard")]
    for name in files:
        write_video(tmp_path / name, 100, 10, (64, 48))
    results.write(tmp_path, 1, 3, files=files)
    assert command.main([str(tmp_path)]) == 0
    opened(browser, tmp_path)
    source = "return document.querySelector('video').currentSrc.split('/').pop().split('#')[0]"
    wait_until(lambda: browser.execute_script(source) == "gate.mp4")
    browser.find_element(By.CSS_SELECTOR, ".player .primary").click()
    for name in files[1:]:
        wait_until(lambda name=name: browser.execute_script(source) == name)  # type: ignore[misc]
    stopped = "const video = document.querySelector('video'); return video.paused"
    wait_until(lambda: bool(browser.execute_script(stopped)))
    assert browser.execute_script("return document.querySelector('video').currentTime") >= 7.0


def test_a_video_that_is_not_beside_the_page_is_named(browser: Any, tmp_path: Path) -> None:
    results.write(tmp_path, 1, 1, files=["gate.mp4"])
    (tmp_path / "gate.mp4").write_bytes(b"no video")
    assert command.main([str(tmp_path)]) == 0
    opened(browser, tmp_path)
    wait_until(lambda: text_of(browser, ".player .empty").startswith("gate.mp4 cannot be played"))
