"""Headless Chromium for tests of pages; importing this skips the tests where a part is missing."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="needs the package selenium")
By = pytest.importorskip("selenium.webdriver.common.by").By
exceptions = pytest.importorskip("selenium.common.exceptions")
Keys = webdriver.Keys
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
MARKS = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
    pytest.mark.skipif(DRIVER is None, reason="needs chromedriver"),
]

N_STARTS = 3
SCRIPT_S = 300
"""Longest time of a script: a busy machine draws few pictures a second."""
DESKTOP = (1280, 800)
PHONE = (390, 844)
VISIBLE_TEXT = """
const found = document.querySelector(arguments[0]);
return found?.checkVisibility({ visibilityProperty: true }) ? found.innerText : "";
"""


@contextmanager
def started() -> Iterator[Any]:
    """Start a browser that logs what it says and what it requests."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = _started(options)
    try:
        driver.set_script_timeout(SCRIPT_S)
        yield driver
    finally:
        driver.quit()


def _started(options: Any) -> Any:
    """Start a browser; again where another program has taken the port that was free for it."""
    for _ in range(N_STARTS - 1):
        with suppress(exceptions.WebDriverException):
            return webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))


def set_size(browser: Any, size: tuple[int, int]) -> None:
    """Give the page a width and a height, px."""
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def wait_for_pictures(browser: Any) -> None:
    """Return when the page has been drawn as it is now, and knows the size of what it shows."""
    browser.execute_async_script(
        """
        const [done] = arguments;
        requestAnimationFrame(() => requestAnimationFrame(() => done()));
        """
    )


def text_of(browser: Any, selector: str) -> str:
    """Return the text of an element; "" where there is none or it is not visible."""
    return str(browser.execute_script(VISIBLE_TEXT, selector))


def console_of(browser: Any) -> list[str]:
    """Return what stands in the console since this was last called."""
    return [entry["message"] for entry in browser.get_log("browser")]


def requests_of(browser: Any) -> list[str]:
    """Return the addresses that were requested since this was last called."""
    urls = []
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            urls.append(message["params"]["request"]["url"])
    return [url for url in urls if url != "about:blank" and not url.startswith(("blob:", "data:"))]
