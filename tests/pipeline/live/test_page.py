"""The page of a live run in a real browser, which talks to a real server."""

import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from pipeline.config import ServeConfig
from pipeline.errors import ConfigError
from pipeline.live.hub import Hub
from pipeline.live.server import Server
from pipeline.online.events import Event
from pipeline.sources.live.health import CameraEventKind
from tests import waiting
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
    wait_for_pictures,
)
from tests.pipeline.live.scene import NAMES, Scene
from tests.ports import reserved_port

pytest.importorskip("fastapi", reason="needs the package fastapi")
pytest.importorskip("uvicorn", reason="needs the package uvicorn")
pytestmark = MARKS

TOKEN = "correct-horse-battery"
wait_until = partial(waiting.wait_until, timeout_s=180.0)
"""Eight cameras keep a page busy that has little of the processor."""
HOSTILE = "<img src=x onerror=document.title='taken'>"
# What moves and when, other than the rows of the list of events.
OBSERVE_SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const { startTime, sources } of list.getEntries()) {
    for (const { node } of sources) {
      const isRow = node && (node.parentElement ?? node).closest("#event-list");
      const name = node && (node.id || node.className || node.nodeName);
      if (node && !isRow) window.shifts.push({ startTime, name });
    }
  }
}).observe({ type: "layout-shift", buffered: true });
"""
# A machine that is busy for seconds is not taken for one that does not answer.
WAIT_LONGER = """
const limited = AbortSignal.timeout.bind(AbortSignal);
AbortSignal.timeout = (limitMs) => limited(20 * limitMs);
"""
SAMPLES_OF_PICTURES = """
const sampled = (image) => {
  if (!image.naturalWidth) return "";
  const canvas = document.createElement("canvas");
  canvas.width = 64;
  canvas.height = 36;
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0, 64, 36);
  return Array.from(context.getImageData(0, 0, 64, 36).data).join(",");
};
return [...document.querySelectorAll("#camera-list img")].map(sampled);
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with started() as driver:
        for source in (OBSERVE_SHIFTS, WAIT_LONGER):
            driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": source})
        yield driver


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def server(hub: Hub) -> Iterator[Server]:
    reported: list[str] = []
    with Server(hub, ServeConfig(), lambda: "8 cameras, nothing changed", reported.append) as it:
        yield it
    assert reported == []


@pytest.fixture
def scene(hub: Hub, sample: Path) -> Iterator[Scene]:
    with Scene(hub, sample) as it:
        yield it


@pytest.fixture
def page(browser: Any, server: Server, scene: Scene) -> Iterator[Any]:
    """The browser, with the page open at the size of a desktop; at the end it must have asked
    nobody else, and have no error in its console.
    """
    opened(browser, server, DESKTOP)
    yield browser
    asked = requests_of(browser)
    assert asked
    assert [url for url in asked if not url.startswith(server.url)] == []
    assert console_of(browser) == []
    browser.get("about:blank")


def opened(browser: Any, server: Server, size: tuple[int, int]) -> None:
    browser.get("about:blank")
    console_of(browser)
    requests_of(browser)
    set_size(browser, size)
    browser.get(server.url)


def tile(number: int) -> str:
    return f"#camera-list > li:nth-child({number + 1})"


def samples(browser: Any) -> list[str]:
    """Some pixels of the picture of each camera, in one text; "" where there is no picture."""
    return [str(each) for each in browser.execute_script(SAMPLES_OF_PICTURES)]


def n_shown(browser: Any) -> int:
    return sum(map(bool, samples(browser)))


def test_the_pictures_of_all_eight_cameras_are_shown_and_change(page: Any) -> None:
    wait_until(lambda: n_shown(page) == 8)
    before = samples(page)
    wait_until(lambda: all(map(str.__ne__, samples(page), before)))
    assert text_of(page, "#n-cameras") == "8 of 8 cameras live"
    titles = [text_of(page, f"{tile(at)} h3") for at in range(8)]
    assert titles == list(NAMES)
    wait_until(lambda: "12.5 fps · 0.08 s delay · 0 % dropped" in text_of(page, tile(0)))


def test_the_share_of_dropped_pictures_leaves_out_those_that_nobody_wanted(
    page: Any, scene: Scene
) -> None:
    dropped = {"busy": 50_000, "rate": 600_000}
    scene.set_health("entrance", n_frames=1_000_000, n_dropped=dropped)
    wait_until(lambda: "5 % dropped" in text_of(page, tile(0)))


def test_a_person_appears_with_number_place_crop_and_route(page: Any, scene: Scene) -> None:
    wait_until(lambda: text_of(page, "#n-people") == "0 people in view")
    assert "Nobody is in view" in text_of(page, ".people")
    now_s = time.time()
    scene.add_person(2, (("lobby", now_s - 90, now_s - 60), ("stairs", now_s - 30, now_s)))
    wait_until(lambda: text_of(page, "#n-people") == "1 person in view")
    assert text_of(page, ".person .number") == "2"
    assert text_of(page, ".person .where") == "stairs"
    stays = page.find_elements(By.CSS_SELECTOR, ".person .route .stay")
    assert [stay.text for stay in stays] == ["lobby", "stairs"]
    crop = "document.querySelector('.person .crop img')"
    wait_until(lambda: bool(page.execute_script(f"return {crop}.naturalWidth > 0")))
    assert page.execute_script(f"return {crop}.alt") == "Person 2"
    wait_until(lambda: "Person 2 is new in lobby" in text_of(page, "#event-list"))
    scene.add_person(2, (("lobby", now_s - 90, now_s - 60),), is_here=False)
    wait_until(lambda: text_of(page, "#n-people") == "0 people in view")
    assert text_of(page, ".person .where") == "left lobby"


def test_events_of_all_kinds_are_said_in_words(page: Any, hub: Hub) -> None:
    kinds = [*get_args(get_type_hints(Event)["kind"]), *get_args(CameraEventKind)]
    for kind in kinds:
        event: dict[str, object] = {"time_s": time.time(), "kind": kind, "reason": f"why {kind}"}
        if kind in get_args(CameraEventKind):
            event["camera"] = "lobby"
        else:
            event |= {"person_id": 3, "before": 5, "tracklet": "hall east/7@812"}
        hub.say([event])
    row = "#event-list > li"
    wait_until(lambda: len(page.find_elements(By.CSS_SELECTOR, row)) == len(kinds))
    said = [each.text for each in page.find_elements(By.CSS_SELECTOR, f"{row} .what")]
    assert len(set(said)) == len(kinds)
    for line in said:
        assert "lobby" in line or "erson 3" in line
        assert "undefined" not in line
        assert "_" not in line


def test_a_lost_and_a_frozen_camera_say_so_with_since_when_and_why(page: Any, scene: Scene) -> None:
    wait_until(lambda: n_shown(page) == 8)
    since_s = time.time() - 754
    scene.set_health("lobby", state="lost", since_s=since_s, reason="connection refused")
    scene.set_health("stairs", state="frozen", since_s=since_s, reason="all pictures are equal")
    wait_until(lambda: text_of(page, "#n-cameras") == "6 of 8 cameras live")
    wait_until(lambda: "Frozen" in text_of(page, f"{tile(4)} .notice"))
    clock = time.strftime("%H:%M:%S", time.localtime(since_s))
    since = re.compile(rf"since (\w+ \d+ )?{clock} \(1[2-9] min\)")  # with the date of yesterday
    for number, state, reason in (
        (1, "Lost", "connection refused"),
        (4, "Frozen", "all pictures are equal"),
    ):
        lines = text_of(page, f"{tile(number)} .notice").splitlines()
        assert [lines[0], lines[2:]] == [state, [reason]]
        assert since.fullmatch(lines[1])
        alt = page.execute_script(f"return document.querySelector('{tile(number)} img').alt")
        assert state.lower() in alt
    wait_until(lambda: "lobby is lost" in text_of(page, "#event-list"))
    scene.set_health("lobby", state="live", since_s=time.time(), reason="")
    wait_until(lambda: text_of(page, f"{tile(1)} .notice") == "")
    wait_until(lambda: text_of(page, "#n-cameras") == "7 of 8 cameras live")


@pytest.mark.parametrize("size", [DESKTOP, (820, 1180), PHONE, (320, 568)])
def test_nothing_is_wider_than_the_screen(
    page: Any, server: Server, scene: Scene, size: tuple[int, int]
) -> None:
    now_s = time.time()
    names = [NAMES[number % 8] for number in range(12)]
    route = tuple((name, now_s - 60 * at, now_s) for at, name in enumerate(names))
    scene.add_person(3, route)
    scene.set_health("lobby", state="lost", reason="x" * 300)
    opened(page, server, size)
    wait_until(lambda: n_shown(page) >= 7 and "3" in text_of(page, ".person .number"))
    wait_until(lambda: "xxx" in text_of(page, f"{tile(1)} .notice"))
    wait_for_pictures(page)
    script = """
    const wide = [...document.querySelectorAll("body *")].filter((each) => {
      const box = each.getBoundingClientRect();
      return box.width > 0 && (box.left < -1 || box.right > innerWidth + 1)
        && getComputedStyle(each).position !== "absolute";
    });
    return [document.documentElement.scrollWidth <= innerWidth, wide.map((each) => each.className)];
    """
    assert page.execute_script(script) == [True, []]


def test_nothing_jumps_while_pictures_states_people_and_events_change(
    page: Any, scene: Scene
) -> None:
    wait_until(lambda: n_shown(page) == 8)
    wait_until(lambda: "0.08 s delay" in text_of(page, tile(7)))
    wait_for_pictures(page)
    begun_ms = page.execute_script("return performance.now()")
    now_s = time.time()
    for person_id in range(1, 6):
        scene.add_person(person_id, (("lobby", now_s - 60, now_s),))
        scene.set_health(NAMES[person_id], state="lost", reason="gone " * person_id)
        time.sleep(0.4)
    wait_until(lambda: text_of(page, "#n-people") == "5 people in view")
    wait_for_pictures(page)
    shifts = page.execute_script("return window.shifts")
    assert [each["name"] for each in shifts if each["startTime"] > begun_ms] == []


def test_a_camera_opens_in_large_by_keyboard_with_all_that_is_known_of_it(
    page: Any, scene: Scene
) -> None:
    wait_until(lambda: n_shown(page) == 8)
    scene.set_health("lobby", n_dropped={"busy": 12}, n_reconnects=3, clock_offset_s=0.25)
    page.find_element(By.CSS_SELECTOR, f"{tile(0)} button").send_keys(Keys.ENTER)
    wait_until(lambda: text_of(page, "#large-name") == "entrance")
    page.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    wait_until(lambda: text_of(page, "#large-name") == "lobby")
    shown = "return document.querySelector('#large-picture').naturalWidth"
    wait_until(lambda: page.execute_script(shown) == 640)
    wait_until(lambda: "12 busy" in text_of(page, "#large-facts"))
    facts = text_of(page, "#large-facts")
    for fact in ("Live since", "12.5", "0.08 s", "Reconnects\n3", "camera's own (0.250 s off)"):
        assert fact in facts
    page.switch_to.active_element.send_keys(Keys.ESCAPE)
    wait_until(lambda: not page.execute_script("return document.querySelector('#large').open"))
    # The browser tells the page that it closed the dialog a moment after it did.
    focused = "return document.activeElement.getAttribute('aria-label')"
    wait_until(lambda: page.execute_script(focused) == "Show lobby in large")


def test_the_machine_and_the_worker_of_a_camera_are_shown_in_a_cluster(
    page: Any, scene: Scene
) -> None:
    wait_until(lambda: n_shown(page) == 8)
    assert text_of(page, f"{tile(0)} .node") == ""
    scene.set_health(NAMES[0], worker="north (process 41)", node="vm2 (1a2b3c4d)")
    wait_until(lambda: text_of(page, f"{tile(0)} .node") == "on vm2 (1a2b3c4d)")
    page.find_element(By.CSS_SELECTOR, f"{tile(0)} button").click()
    wait_until(lambda: "Machine\nvm2 (1a2b3c4d)" in text_of(page, "#large-facts"))
    assert "Worker\nnorth (process 41)" in text_of(page, "#large-facts")
    scene.set_health(NAMES[0], worker="", node="", state="lost")
    wait_until(lambda: text_of(page, f"{tile(0)} .node") == "on no machine now")


def test_the_last_picture_of_a_lost_camera_is_shown_in_large(page: Any, scene: Scene) -> None:
    wait_until(lambda: n_shown(page) == 8)
    scene.set_health("lobby", state="lost", reason="gone")
    wait_until(lambda: "Lost" in text_of(page, f"{tile(1)} .notice"))
    page.find_element(By.CSS_SELECTOR, f"{tile(1)} button").click()
    shown = "return document.querySelector('#large-picture').naturalWidth"
    wait_until(lambda: page.execute_script(shown) == 640)
    wait_until(lambda: text_of(page, "#large-notice").splitlines()[2:] == ["gone"])
    page.find_element(By.ID, "close").click()


def test_cameras_come_and_go_while_the_page_is_open(page: Any, scene: Scene) -> None:
    wait_until(lambda: n_shown(page) == 8)
    scene.remove("lobby")
    wait_until(lambda: text_of(page, "#n-cameras") == "7 of 7 cameras live")
    assert text_of(page, f"{tile(1)} h3") == "hall east"
    scene.add("new one")
    wait_until(lambda: text_of(page, "#n-cameras") == "8 of 8 cameras live")
    wait_until(lambda: n_shown(page) == 8)


def test_names_and_reasons_are_text_and_never_html(page: Any, scene: Scene) -> None:
    wait_until(lambda: n_shown(page) == 8)
    now_s = time.time()
    scene.add(HOSTILE)
    scene.set_health(HOSTILE, state="lost", reason=f"<script>{HOSTILE}</script>")
    scene.add_person(4, ((HOSTILE, now_s, now_s),))
    wait_until(lambda: text_of(page, ".person .where") == HOSTILE)
    wait_until(lambda: f"{HOSTILE} is lost" in text_of(page, "#event-list"))
    wait_until(lambda: text_of(page, f"{tile(8)} h3") == HOSTILE)
    reason = f"<script>{HOSTILE}</script>"
    wait_until(lambda: reason in text_of(page, f"{tile(8)} .notice"))
    page.find_element(By.CSS_SELECTOR, f"{tile(8)} button").click()
    wait_until(lambda: text_of(page, "#large-name") == HOSTILE)
    assert page.title == "People tracker"
    page.find_element(By.ID, "close").click()


def test_the_button_reloads_the_cameras_and_says_what_changed(page: Any) -> None:
    wait_until(lambda: n_shown(page) == 8)
    page.find_element(By.ID, "reload").click()
    wait_until(lambda: text_of(page, "#reloaded") == "8 cameras, nothing changed")


def test_the_page_of_the_api_lists_all_paths(page: Any, server: Server) -> None:
    page.get(f"{server.url}api")
    wait_until(lambda: "/api/people/{person_id}" in text_of(page, "#operations"))
    assert "POST /reload" in text_of(page, "#operations").replace("\n", " ")
    wait_until(lambda: "probability: number" in text_of(page, "#objects"))


def test_a_config_that_cannot_be_used_is_said_on_the_page(
    browser: Any, hub: Hub, scene: Scene
) -> None:
    def reload() -> str:
        raise ConfigError("cameras: two are called door")

    with Server(hub, ServeConfig(), reload) as server:
        opened(browser, server, DESKTOP)
        wait_until(lambda: n_shown(browser) == 8)
        browser.find_element(By.ID, "reload").click()
        wait_until(lambda: text_of(browser, "#reloaded") == "cameras: two are called door")
        browser.get("about:blank")


def test_with_a_token_the_page_asks_for_it_and_keeps_it_out_of_urls(
    browser: Any, hub: Hub, scene: Scene
) -> None:
    with Server(hub, ServeConfig(token=TOKEN)) as server:
        opened(browser, server, PHONE)
        wait_until(lambda: text_of(browser, "h1") == "People tracker")
        browser.find_element(By.ID, "token").send_keys("wrong-token-that-is-long", Keys.ENTER)
        wait_until(lambda: "not the token" in text_of(browser, "#wrong"))
        browser.find_element(By.ID, "token").send_keys(TOKEN, Keys.ENTER)
        wait_until(lambda: text_of(browser, "#n-cameras") == "8 of 8 cameras live")
        wait_until(lambda: n_shown(browser) == 8)
        browser.refresh()
        wait_until(lambda: text_of(browser, "#n-cameras") == "8 of 8 cameras live")
        assert browser.execute_script("return document.cookie") == ""
        assert [url for url in requests_of(browser) if TOKEN in url] == []
        browser.delete_all_cookies()
        browser.get("about:blank")


def test_when_the_tracker_goes_away_the_page_says_so_and_goes_on_when_it_is_back(
    browser: Any, hub: Hub, scene: Scene
) -> None:
    with reserved_port() as port:
        with Server(hub, ServeConfig(port=port)) as server:
            opened(browser, server, DESKTOP)
            wait_until(lambda: n_shown(browser) == 8)
        wait_until(lambda: "has not answered since" in text_of(browser, "#outage"))
        wait_until(lambda: text_of(browser, "#n-cameras") == "No answer")
        wait_until(lambda: text_of(browser, f"{tile(0)} .state") == "")
        with Server(hub, ServeConfig(port=port)):
            wait_until(lambda: text_of(browser, "#outage") == "")
            before = samples(browser)
            wait_until(lambda: samples(browser)[0] != before[0])
            hub.say([{"time_s": time.time(), "kind": "back", "camera": "again"}])
            wait_until(lambda: "again is back" in text_of(browser, "#event-list"))
            browser.get("about:blank")
