"""The report in a real browser, opened from disk."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline import cli, yuv
from pipeline.config import LiveConfig, OutputConfig
from pipeline.live.segments import MAX_WAITING, SEGMENTS, Segments
from pipeline.online.events import Event
from pipeline.outputs import mosaic
from pipeline.outputs.video import Encoder
from pipeline.records import Camera, Frame
from pipeline.report import __main__ as command
from pipeline.report.stills import Stills
from tests.browser import (
    DESKTOP,
    MARKS,
    PHONE,
    By,
    Keys,
    console_of,
    requests_of,
    set_size,
    text_of,
    wait_for_pictures,
)
from tests.conftest import ROOT
from tests.pipeline.linking.test_linker import seen
from tests.pipeline.live.test_merge import record
from tests.pipeline.report import results
from tests.pipeline.report.test_stills import followed, picture
from tests.videos import write_video
from tests.waiting import wait_until

pytestmark = MARKS

HOSTILE = "</script><img src=x onerror=document.title='taken'>"
MAX_OPEN_CPU_S = 3.0
"""Of the page's own thread until the list is there; 0.45 s were measured."""
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


# The videos that are shown one after the other, and what is said instead of one, with each picture
# that the browser draws: the player moves its clock then and only then.
RECORD = """
window.recorded = [];
const record = () => {
  const message = document.querySelector(".screen .empty:not([hidden])");
  const videos = [...document.querySelectorAll("video")];
  const shown = videos.filter((each) => each.readyState >= 2 && !each.seeking);
  const names = shown.map((each) => each.currentSrc.split("/").pop()).join(" ");
  const now = message?.textContent || names;
  if (now && now !== window.recorded.at(-1)) window.recorded.push(now);
  requestAnimationFrame(record);
};
record();
"""


def recorded(browser: Any) -> list[str]:
    """What was shown since `RECORD` was run."""
    return [str(each) for each in browser.execute_script("return window.recorded")]


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


def test_a_doubt_names_the_link_and_the_other_person(browser: Any, tmp_path: Path) -> None:
    with results.changed(results.write(tmp_path, 10, 2), "links.json") as why:
        why["links"][9]["lookalike"] = "hall/1@20"
    assert command.main([str(tmp_path)]) == 0
    opened(browser, tmp_path, "#people/10")
    said = "Doubtful: the link of gate/9@180 and hall/9@210 rests on appearance alone, and person 2"
    wait_until(lambda: said in " ".join(text_of(browser, ".heading .doubt").split()))
    browser.find_element(By.CSS_SELECTOR, ".heading .doubt a").click()
    wait_until(lambda: text_of(browser, "#person-title") == "Person 2")


def test_the_number_of_doubtful_people_shows_them(browser: Any, small: Path) -> None:
    opened(browser, small, "#site")
    wait_until(lambda: "Ways between cameras" in text_of(browser, "#site-view"))
    browser.find_element(By.ID, "n-doubtful").click()
    wait_until(lambda: shown_ids(browser) == ["10", "20", "30"])
    wait_until(lambda: text_of(browser, "#person-title") == "Person 10")


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
    wait_until(lambda: "30" in shown_ids(browser))  # rows are drawn after the list has scrolled
    assert browser.find_element(By.ID, "row-30").get_attribute("aria-selected") == "true"


def test_people_at_a_time_are_shown_from_the_site(browser: Any, small: Path) -> None:
    opened(browser, small, "#site")
    wait_until(lambda: "Ways between cameras" in text_of(browser, "#site-view"))
    way = " ".join(text_of(browser, "#site-view tbody tr").split())
    assert way == "gate → hall 20 about 2.0 s"
    time_of = browser.find_element(By.CSS_SELECTOR, ".chart input")
    time_of.send_keys(Keys.HOME)
    wait_until(lambda: text_of(browser, ".chart output").startswith("1 person within 1.0 s"))
    browser.find_element(By.CSS_SELECTOR, ".chart button").click()
    wait_until(lambda: shown_ids(browser) == ["1"])
    wait_until(lambda: text_of(browser, "#person-title") == "Person 1")
    browser.execute_script("location.hash = 'site'")
    wait_until(time_of.is_displayed)
    time_of.send_keys(Keys.ARROW_RIGHT * 4)
    wait_until(lambda: text_of(browser, ".chart output").endswith("within 1.0 s from 0:04"))
    browser.find_element(By.CSS_SELECTOR, ".chart button").click()
    wait_until(lambda: shown_ids(browser)[0] == "1")
    wait_until(lambda: scrubber_says(browser) == "0:04.0")
    browser.find_element(By.ID, "any-time").click()
    wait_until(lambda: text_of(browser, "#n-found") == "30 people")


def scrubber_says(browser: Any) -> str:
    script = "return document.querySelector('.scrubber')?.getAttribute('aria-valuetext') ?? ''"
    return str(browser.execute_script(script))


def test_a_click_on_a_bar_goes_to_the_clicked_time(browser: Any, small: Path) -> None:
    opened(browser, small, "#people/3")
    wait_until(lambda: text_of(browser, "#person-title") == "Person 3")
    bar = browser.find_element(By.CSS_SELECTOR, ".bar")
    bar.click()  # in its middle
    wait_until(lambda: scrubber_says(browser) == "0:04.5")
    bar.send_keys(Keys.ENTER)
    wait_until(lambda: scrubber_says(browser) == "0:04.0")


COPIED = """
const canvas = document.querySelector(arguments[0]);
const copy = document.createElement("canvas");
[copy.width, copy.height] = [canvas?.width || 1, canvas?.height || 1];
const context = copy.getContext("2d", { willReadFrequently: true });
if (canvas?.width) context.drawImage(canvas, 0, 0);
const { data } = context.getImageData(0, 0, copy.width, copy.height);
"""
"""Reads the pixels of a canvas."""


def colours_of(browser: Any, selector: str) -> int:
    """How many colours a canvas has."""
    script = COPIED + "return new Set(new Uint32Array(data.buffer)).size;"
    return int(browser.execute_script(script, selector))


def test_a_way_shows_how_long_it_takes(browser: Any, small: Path) -> None:
    opened(browser, small, "#site")
    bars = "#site-view .spread"
    wait_until(lambda: len(browser.find_elements(By.CSS_SELECTOR, bars)) == 3)
    drawn = browser.find_element(By.CSS_SELECTOR, bars)
    assert drawn.get_attribute("aria-label") == "Time between: about 2.0 s"
    (bar,) = drawn.find_elements(By.CSS_SELECTOR, "rect")
    median = drawn.find_element(By.CSS_SELECTOR, "line")
    left = float(bar.get_attribute("x"))
    assert left <= float(median.get_attribute("x1")) <= left + float(bar.get_attribute("width"))
    ticks = browser.find_elements(By.CSS_SELECTOR, ".time-scale span")
    assert [tick.text for tick in ticks] == ["1 s", "3 s", "10 s"]
    before, after = (tick.location["x"] for tick in ticks[:2])
    assert before < bar.location["x"] < after


def test_a_heat_map_tells_the_time_of_a_spot(browser: Any, small: Path) -> None:
    opened(browser, small, "#site")
    wait_until(lambda: colours_of(browser, ".heat-map") > 20)
    assert len(browser.find_elements(By.CSS_SELECTOR, ".heat-map")) == 3
    picture = browser.find_element(By.CSS_SELECTOR, ".heat-map")
    label = picture.get_attribute("aria-label")
    assert label.startswith("gate: people stood in the picture for 36 s, longest at ")
    picture.send_keys(Keys.ARROW_DOWN)
    spot = label.split("longest at ")[1]
    wait_until(lambda: text_of(browser, ".heat output").endswith(spot))
    picture.send_keys(Keys.ARROW_RIGHT * 70)
    wait_until(lambda: "at 99% from the left" in text_of(browser, ".heat output"))
    picture.send_keys(Keys.TAB)
    wait_until(lambda: text_of(browser, ".heat output").startswith("36 s"))


def test_a_heat_map_is_drawn_on_the_still_of_the_camera(browser: Any, tmp_path: Path) -> None:
    stills = Stills("off")
    stills.look(Frame("hall", 0, 0.0, picture(200)), followed([]))
    results.write(tmp_path, 3, 1, stills=stills)
    assert command.main([str(tmp_path)]) == 0
    opened(browser, tmp_path, "#site")
    script = COPIED + "return [...data.slice(0, 3)];"
    hall = ".heat:nth-child(2) .heat-map"
    wait_until(lambda: min(browser.execute_script(script, hall)) > 100)
    gate = ".heat:nth-child(1) .heat-map"
    wait_until(lambda: browser.execute_script(script, gate) == [11, 13, 16])


def test_the_colours_of_a_heat_map_grow_lighter_all_the_way(browser: Any, small: Path) -> None:
    opened(browser, small, "#site")
    script = """
    const bar = document.querySelector(".heat-colours");
    const stops = getComputedStyle(bar).backgroundImage.match(/oklch\\([^)]*\\)/g);
    const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    return stops.map((stop) => {
      context.fillStyle = "#0b0d10";
      context.fillRect(0, 0, 1, 1);
      context.fillStyle = stop;
      context.fillRect(0, 0, 1, 1);
      const parts = [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
      const linear = parts.map((each) => (each / 255) ** 2.2);
      return Math.cbrt(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]);
    });
    """
    wait_until(lambda: browser.find_elements(By.CSS_SELECTOR, ".heat-colours"))
    lightness = browser.execute_script(script)
    steps = [after - before for before, after in pairwise(lightness)]
    assert len(steps) == 16
    assert min(steps) > 0.015
    assert max(steps) < 0.09


def test_a_person_is_found_on_the_floor_plan_by_keyboard_and_opened(
    browser: Any, small: Path
) -> None:
    opened(browser, small, "#site")
    wait_until(lambda: colours_of(browser, "canvas.floor") > 20)
    assert text_of(browser, ".plan output").startswith("Paths of 30 people")
    plan = browser.find_element(By.CSS_SELECTOR, "canvas.floor")
    plan.send_keys(Keys.ARROW_RIGHT * 3)
    wait_until(lambda: text_of(browser, ".plan output").startswith("3 0:04.0 to 0:11.0"))
    assert "yard, gate, hall" in text_of(browser, ".plan output")
    plan.send_keys(Keys.ESCAPE)
    wait_until(lambda: text_of(browser, ".plan output").startswith("Paths of 30 people"))
    plan.send_keys(Keys.ARROW_LEFT)
    plan.send_keys(Keys.ENTER)
    wait_until(lambda: text_of(browser, "#person-title") == "Person 30")


def test_a_click_on_a_path_opens_the_person(browser: Any, small: Path) -> None:
    opened(browser, small, "#site")
    wait_until(lambda: colours_of(browser, "canvas.floor") > 20)
    script = """
    canvas.scrollIntoView({ block: "center" });
    const { left, top, width } = canvas.getBoundingClientRect();
    for (let at = 0; at < data.length; at += 4) {
      const channels = data.slice(at, at + 3);
      if (Math.max(...channels) - Math.min(...channels) < 90) continue;
      const [x, y] = [(at / 4) % canvas.width, Math.floor(at / 4 / canvas.width)];
      return [left + (x * width) / canvas.width, top + (y * width) / canvas.width];
    }
    """
    x, y = (round(each) for each in browser.execute_script(COPIED + script, "canvas.floor"))
    move = {"type": "mouseMoved", "x": x, "y": y}
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", move)
    wait_until(lambda: text_of(browser, ".plan output .person-link") != "")
    person_id = text_of(browser, ".plan output .person-link")
    click = {"x": x, "y": y, "button": "left", "clickCount": 1}
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": "mousePressed", **click})
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": "mouseReleased", **click})
    wait_until(lambda: text_of(browser, "#person-title") == f"Person {person_id}")


def test_the_floor_plan_shows_a_moment(browser: Any, small: Path) -> None:
    opened(browser, small, "#site")
    wait_until(lambda: colours_of(browser, "canvas.floor") > 20)
    everybody = browser.find_element(By.CSS_SELECTOR, ".plan-bar button")
    assert not everybody.is_enabled()
    time_of = browser.find_element(By.CSS_SELECTOR, ".plan-bar input")
    time_of.send_keys(Keys.ARROW_RIGHT)
    wait_until(lambda: text_of(browser, ".plan output") == "1 person at 0:00.5")
    assert time_of.get_attribute("aria-valuetext") == "0:00.5"
    browser.find_element(By.CSS_SELECTOR, "canvas.floor").send_keys(Keys.ARROW_RIGHT * 2)
    wait_until(lambda: text_of(browser, ".plan output").startswith("1 0:00.0"))
    everybody.click()
    browser.find_element(By.CSS_SELECTOR, "canvas.floor").send_keys(Keys.ESCAPE)
    wait_until(lambda: text_of(browser, ".plan output").startswith("Paths of 30 people"))
    assert time_of.get_attribute("aria-valuetext") == "all times"


def test_plans_without_homographies_are_called_approximate_and_chosen_by_camera(
    browser: Any, tmp_path: Path
) -> None:
    results.write(tmp_path, 60, 3)
    assert command.main([str(tmp_path)]) == 0
    opened(browser, tmp_path, "#site")
    wait_until(lambda: "Approximate, in the view of gate" in text_of(browser, ".plan"))
    options = browser.find_elements(By.CSS_SELECTOR, ".plan-choice option")
    assert [option.text for option in options] == ["gate", "hall", "yard"]
    options[2].click()
    wait_until(lambda: "Approximate, in the view of yard" in text_of(browser, ".plan"))
    wait_until(lambda: colours_of(browser, "canvas.floor") > 20)


def test_cameras_that_are_on_no_plan_are_named(browser: Any, tmp_path: Path) -> None:
    results.write(tmp_path, 1, 2)
    assert command.main([str(tmp_path)]) == 0
    opened(browser, tmp_path, "#site")
    wait_until(lambda: "Not on a plan: gate, hall." in text_of(browser, "#site-view"))


def test_a_camera_without_people_has_a_nought_in_the_graph(browser: Any, tmp_path: Path) -> None:
    results.write(tmp_path, 1, 2)
    assert command.main([str(tmp_path)]) == 0
    opened(browser, tmp_path, "#site")
    wait_until(lambda: "Ways between cameras" in text_of(browser, "#site-view"))
    counts = browser.find_elements(By.CSS_SELECTOR, ".graph .node-count")
    assert [each.text for each in counts] == ["1", "1", "0"]


def test_no_time_has_sixty_seconds(browser: Any, tmp_path: Path) -> None:
    with results.changed(results.write(tmp_path, 40, 1), "trajectories.json") as document:
        for person in document["people"]:
            for tracklet in person["tracklets"]:
                tracklet["times_s"] = [time_s + 0.7 for time_s in tracklet["times_s"]]
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
    wait_until(lambda: text_of(browser, "main"))
    wait_for_pictures(browser)
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
    wait_for_pictures(browser)
    wait_until(lambda: browser.execute_script("return !document.getAnimations().length"))
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
    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    opened(browser, tmp_path)
    wait_until(lambda: text_of(browser, "#n-found") == "5,000 people")
    metrics = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    (open_s,) = [each["value"] for each in metrics if each["name"] == "TaskDuration"]
    assert 0 < open_s < MAX_OPEN_CPU_S
    browser.execute_cdp_cmd("Performance.disable", {})
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
    """A real run over two cameras, with boxes from the truth."""
    output = tmp_path_factory.mktemp("played") / "out"
    given = ["--config", str(ROOT / "configs" / "plaza.yaml"), "--max-seconds", "4", "--quiet"]
    for setting in (f"detector.detections={sample / 'truth'}", "reid.weights=none"):
        given += ["--set", setting]
    assert cli.main([*given, "--output", str(output)]) == 0
    return output


def test_a_tracklet_and_the_scrubber_move_the_videos_beside_the_page(
    browser: Any, played: Path
) -> None:
    people = json.loads((played / "trajectories.json").read_text())["people"]
    both = [person for person in people if len(person["cameras"]) == 2]
    person = next(each for each in both if each["tracklets"][-1]["times_s"][0] > 0.5)
    opened(browser, played, f"#people/{person['person_id']}")
    wait_until(lambda: len(times_of(browser)) == 2)
    last = person["tracklets"][-1]
    names = [entry["camera"] for entry in person["tracklets"]]
    assert {"cam1", "cam2"} == set(names)
    name = f"{last['camera']}/{last['track_id']}@{last['tracklet']}:"
    bar = browser.find_element(By.CSS_SELECTOR, f".bar[aria-label^='{name}']")
    browser.execute_script("arguments[0].click()", bar)

    def are_at(time_s: float) -> bool:
        found = times_of(browser)
        is_near = all(abs(each - time_s) < 0.1 for each in found.values())
        return is_near and set(found) == {"cam1.mp4", "cam2.mp4"}

    wait_until(lambda: are_at(last["times_s"][0]))
    wait_until(lambda: name in text_of(browser, ".told"))
    scrubber = browser.find_element(By.CSS_SELECTOR, ".scrubber")
    scrubber.send_keys(Keys.ARROW_LEFT * 10)
    wait_until(lambda: are_at(last["times_s"][0] - 0.4))


def times_of(browser: Any) -> dict[str, float]:
    """Times of the videos that show a picture, by file."""
    script = """
    const all = [...document.querySelectorAll("video")];
    const shown = all.filter((each) => each.readyState >= 2 && !each.seeking);
    return shown.map((each) => [each.currentSrc.split("/").pop(), each.currentTime]);
    """
    return {str(name): float(time_s) for name, time_s in browser.execute_script(script)}


def watch(browser: Any, folder: Path, camera: str = "", view: str = "") -> None:
    """Open the report of a folder; a camera is shown alone if it is named."""
    assert command.main([str(folder)]) == 0
    opened(browser, folder, view)
    if camera:
        options = browser.find_elements(By.CSS_SELECTOR, "select[aria-label=Video] option")
        next(each for each in options if each.text == camera).click()


def press(browser: Any, *keys: str) -> None:
    browser.find_element(By.TAG_NAME, "body").send_keys(*keys)


def with_videos(folder: Path, n_people: int = 1, lasts_s: int = 10, **starts_s: float) -> Path:
    """Results of cameras with videos, which begin at a time."""
    for name in starts_s:
        write_video(folder / f"{name}.mp4", 10 * lasts_s, 10, (64, 48))
    files = [f"{name}.mp4" for name in starts_s]
    results.write(folder, n_people, 3, list(starts_s), files=files)
    with results.changed(folder, "trajectories.json") as document:
        for camera in document["cameras"]:
            camera["start_s"] = starts_s[camera["camera"]]
    return folder


def test_the_route_is_played_from_camera_to_camera(browser: Any, tmp_path: Path) -> None:
    watch(browser, with_videos(tmp_path, gate=0, hall=0, yard=0), "hall")
    wait_until(lambda: set(times_of(browser)) == {"hall.mp4"})
    browser.execute_script(RECORD)
    browser.find_element(By.CSS_SELECTOR, ".player .primary").click()
    wait_until(lambda: times_of(browser).get("yard.mp4", 0) >= 7.0)
    wait_until(lambda: text_of(browser, ".toggle") == "Play")
    assert recorded(browser)[-3:] == ["gate.mp4", "hall.mp4", "yard.mp4"]


def test_videos_side_by_side_are_played_on_one_clock(browser: Any, tmp_path: Path) -> None:
    watch(browser, with_videos(tmp_path, lasts_s=60, gate=0, hall=-2, yard=0.5))
    wait_until(lambda: len(times_of(browser)) == 2)
    assert text_of(browser, ".screen .empty") == "", "the first is there"
    assert text_of(browser, ".screen:nth-child(3) .empty") == "No video at this time"
    browser.find_element(By.CSS_SELECTOR, ".follow input").click()
    browser.find_element(By.CSS_SELECTOR, "select[aria-label=Speed] option[value='2']").click()
    press(browser, Keys.SPACE)

    def are_together(within_s: float) -> bool:
        times_s = times_of(browser)
        if len(times_s) < 3 or times_s["yard.mp4"] < 2:
            return False
        since_start = [times_s["gate.mp4"], times_s["hall.mp4"] - 2, times_s["yard.mp4"] + 0.5]
        return max(since_start) - min(since_start) < within_s

    wait_until(lambda: are_together(within_s=0.2))
    assert text_of(browser, ".toggle") == "Pause"
    press(browser, Keys.SPACE)
    wait_until(lambda: text_of(browser, ".toggle") == "Play")
    wait_until(lambda: are_together(within_s=0.01))


def test_of_many_cameras_the_four_are_shown_that_matter_for_the_person(
    browser: Any, tmp_path: Path
) -> None:
    starts_s = dict.fromkeys(("a", "b", "c", "d", "e", "f"), 0.0)
    watch(browser, with_videos(tmp_path, 4, **starts_s), view="#people/4")
    shown = {"d.mp4", "e.mp4", "f.mp4", "a.mp4"}
    wait_until(lambda: set(times_of(browser)) == shown)
    browser.find_element(By.CSS_SELECTOR, ".screen .corner").click()
    wait_until(lambda: set(times_of(browser)) == {"a.mp4"})
    browser.find_element(By.CSS_SELECTOR, ".screen .corner").click()
    wait_until(lambda: set(times_of(browser)) == shown)


def test_the_player_is_moved_by_keyboard(browser: Any, tmp_path: Path) -> None:
    watch(browser, with_videos(tmp_path, gate=0, hall=0), "gate")
    wait_until(lambda: text_of(browser, ".clock") == "0:00.0")
    for keys, clock in (
        ((Keys.ARROW_RIGHT,), "0:01.0"),
        ((Keys.SHIFT, Keys.ARROW_RIGHT), "0:11.0"),
        ((Keys.ARROW_LEFT, Keys.ARROW_LEFT), "0:09.0"),
        ((",", ","), "0:08.8"),
        ((".",), "0:08.9"),
    ):
        press(browser, *keys)
        wait_until(lambda clock=clock: text_of(browser, ".clock") == clock)  # type: ignore[misc]
    press(browser, ">", ">")
    speed = "return document.querySelector('select[aria-label=Speed]').value"
    wait_until(lambda: browser.execute_script(speed) == "4")
    press(browser, "<")
    wait_until(lambda: browser.execute_script(speed) == "2")
    browser.find_element(By.ID, "search").send_keys(Keys.SPACE, "gate", Keys.ARROW_LEFT)
    assert text_of(browser, ".clock") == "0:08.9", "keys of a text field are its own"


def screenshot(browser: Any, selector: str) -> np.ndarray:
    """What an element looks like, (H, W, 3)."""
    data = browser.find_element(By.CSS_SELECTOR, selector).screenshot_as_png
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image)


def grey_of(number: int) -> int:
    """Grey level of a picture, which is far from those before and after it."""
    return 30 + number % 5 * 45


@pytest.mark.parametrize("fps", [10, 29.97, 60])
def test_a_seek_shows_the_picture_of_its_time(browser: Any, tmp_path: Path, fps: float) -> None:
    wanted = (1, 7, 31, 32, 60)
    with Encoder(tmp_path / "gate.mp4", 64, 48, fps, 23) as writer:
        for number in range(64):
            image = np.full((48, 64, 3), grey_of(number), np.uint8)
            writer.write(yuv.from_bgr(image), number / fps)
    results.write(tmp_path, 1, 1, ["gate"], files=["gate.mp4"])
    with results.changed(tmp_path, "trajectories.json") as document:
        (tracklet,) = document["people"][0]["tracklets"]
        tracklet["times_s"] = [0, *(number / fps for number in wanted)]
    watch(browser, tmp_path)
    browser.execute_script("document.querySelector('.view').hidden = true")
    move = """
    const scrubber = document.querySelector(".scrubber");
    scrubber.step = "any";
    scrubber.value = arguments[0];
    scrubber.dispatchEvent(new Event("input"));
    """
    for number in wanted:
        time_s = round(number / fps, 2)
        browser.execute_script(move, time_s)
        wait_until(lambda t=time_s: abs(times_of(browser).get("gate.mp4", -1) - t) < 0.02)  # type: ignore[misc]
        wait_until(lambda n=number: abs(screenshot(browser, ".frame").mean() - grey_of(n)) < 15)  # type: ignore[misc]


BOX_ON_PAGE = """
const [box, ...others] = document.querySelectorAll(".person-box");
if (!box || others.length) return null;
const { left, top, right, bottom } = box.getBoundingClientRect();
return [left, top, right, bottom].map(Math.round);
"""


def marks_the_white_corner(browser: Any) -> bool:
    """Whether one box is there, white within, and dark below and on its right."""
    box = browser.execute_script(BOX_ON_PAGE)
    page = screenshot(browser, "body")
    if box is None:
        return False
    left, top, right, bottom = box
    height, width = page.shape[:2]
    is_whole = left >= 0 and top >= 0 and right + 12 < width and bottom + 10 < height
    if not is_whole or min(right - left, bottom - top) < 8:
        return False
    is_white = page[top + 3 : bottom - 3, left + 3 : right - 3].min() > 180
    is_dark_right = page[top + 3 : bottom - 3, right + 8 : right + 12].max() < 100
    is_dark_below = page[bottom + 8 : bottom + 10, left + 3 : right - 3].max() < 100
    return bool(is_white and is_dark_right and is_dark_below)


@pytest.mark.parametrize("has_mosaic", [False, True])
def test_the_chosen_person_has_a_box_over_the_video(
    browser: Any, tmp_path: Path, has_mosaic: bool
) -> None:
    """The person stays where the pictures have a white corner; of one camera pictures are flat."""
    sizes = {"gate": (64, 48), "hall": (80, 20)}
    cameras = []
    for name, size in sizes.items():
        write_video(tmp_path / f"{name}.mp4", 100, 10, size)
        cameras.append(Camera(name, name, *size, 10, 0, 100, np.zeros((0, 0))))
    videos = [tmp_path / f"{name}.mp4" for name in sizes]
    files = [video.name for video in videos]
    if has_mosaic:
        mosaic.tile(cameras, videos, tmp_path / "mosaic.mp4", 23, lambda: False)
        files.append("mosaic.mp4")
    results.write(tmp_path, 1, 2, list(sizes), files=files)
    with results.changed(tmp_path, "trajectories.json") as document:
        for camera in document["cameras"]:
            camera["width"], camera["height"] = sizes[camera["camera"]]
        for tracklet in document["people"][0]["tracklets"]:
            width, height = sizes[tracklet["camera"]]
            tracklet["boxes"] = [[0, 0, width / 4, height / 4]] * results.ROWS
    watch(browser, tmp_path)
    seen = set()
    for bar in browser.find_elements(By.CSS_SELECTOR, ".bar"):
        browser.execute_script("arguments[0].click()", bar)
        wait_until(lambda: marks_the_white_corner(browser))
        seen.add(str(browser.execute_script(BOX_ON_PAGE)))
    assert len(seen) == 2, "one in each camera"
    press(browser, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    wait_until(lambda: not browser.find_elements(By.CSS_SELECTOR, ".person-box"))


def test_a_video_that_is_not_beside_the_page_is_named(browser: Any, tmp_path: Path) -> None:
    results.write(tmp_path, 1, 1, files=["gate.mp4"])
    (tmp_path / "gate.mp4").write_bytes(b"no video")
    assert command.main([str(tmp_path)]) == 0
    opened(browser, tmp_path)
    wait_until(lambda: text_of(browser, ".player .empty").startswith("gate.mp4 cannot be played"))


def test_segments_of_a_live_run_are_played_one_after_the_other(
    browser: Any, tmp_path: Path
) -> None:
    """A camera without pictures for 5 s between its second and its third segment."""
    start_s = 1_764_412_973.25
    written = Segments(tmp_path, "a", LiveConfig(segment_s=1.5), OutputConfig(crf=30))
    for number in (*range(30), *range(80, 100)):
        wait_until(lambda: written._waiting.qsize() < MAX_WAITING)
        image = np.full((48, 64, 3), grey_of(number // 10), np.uint8)
        written.write(yuv.from_bgr(image), start_s + number / 10)
    written.close()
    names = sorted(path.name for path in (tmp_path / SEGMENTS / "a").iterdir())
    assert len(names) == 4
    walk = seen("a", 1, 0, 10).shifted(start_s)
    record(tmp_path, [walk], [Event(start_s, "appeared", 1, -1, "a/1@0", "new")])
    watch(browser, tmp_path)

    def is_shown(name: str, offset_s: float, grey: int) -> bool:
        is_near = abs(times_of(browser).get(name, -1) - offset_s) < 0.1
        return is_near and abs(screenshot(browser, ".frame").mean() - grey) < 15

    browser.execute_script("document.querySelector('.view').hidden = true")
    wait_until(lambda: is_shown(names[0], 0, grey_of(0)))
    press(browser, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    wait_until(lambda: is_shown(names[1], 0.5, grey_of(2)))
    press(browser, *[Keys.ARROW_RIGHT] * 3)
    wait_until(lambda: text_of(browser, ".screen .empty") == "No video at this time")
    press(browser, *[Keys.ARROW_RIGHT] * 4)
    wait_until(lambda: is_shown(names[2], 1, grey_of(9)))
    press(browser, *[Keys.ARROW_LEFT] * 8)
    wait_until(lambda: is_shown(names[0], 1, grey_of(1)))
    browser.execute_script(RECORD)
    press(browser, Keys.SPACE)
    wait_until(lambda: len(recorded(browser)) >= 4)
    assert recorded(browser)[:4] == [*names[:2], "No video at this time", names[2]]
