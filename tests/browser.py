"""Headless Chromium for tests of pages; importing this skips the tests where a part is missing."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="needs the package selenium")
By = pytest.importorskip("selenium.webdriver.common.by").By
Keys = webdriver.Keys
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
MARKS = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
    pytest.mark.skipif(DRIVER is None, reason="needs chromedriver"),
]

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
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()
