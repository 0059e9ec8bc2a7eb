"""Questions and corrections in a real browser: what a human says, and the people that follow."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import cli
from pipeline.linking.clustering import corrections
from pipeline.linking.reasons import SAME_TIME
from pipeline.report import __main__ as command
from pipeline.report import html
from tests.browser import DESKTOP, MARKS, PHONE, By, console_of, text_of, wait_for_pictures
from tests.pipeline.report import results
from tests.pipeline.report.test_data import document_of
from tests.pipeline.report.test_page import HOSTILE, TOO_WIDE, opened, press
from tests.waiting import wait_until

pytestmark = MARKS

RANDOM_ANSWERS = Path(__file__).with_name("random_answers.js")
MOVE_PLAYHEAD = """
const scrubber = document.querySelector(".scrubber");
scrubber.value = arguments[0];
scrubber.dispatchEvent(new Event("input"));
"""


@pytest.fixture
def browser(chromium: Any, tmp_path: Path) -> Iterator[Any]:
    """The browser, without answers of other tests; at the end it must not have complained."""
    where = {"behavior": "allow", "downloadPath": str(tmp_path)}
    chromium.execute_cdp_cmd("Browser.setDownloadBehavior", where)
    chromium.get("about:blank")
    console_of(chromium)
    yield chromium
    chromium.execute_script("if (location.protocol === 'file:') localStorage.clear()")
    assert console_of(chromium) == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 people of 3 tracklets; every tenth has a weak link, and persons 1 and 2 are near."""
    folder = results.write(tmp_path_factory.mktemp("review"), 30, 3, crops_of=3)
    assert command.main([str(folder)]) == 0
    return folder


def click(browser: Any, selector: str, text: str) -> None:
    """Click the first button with a text."""
    script = """
    const all = [...document.querySelectorAll(arguments[0])];
    all.find((each) => each.checkVisibility() && each.textContent.includes(arguments[1])).click();
    """
    browser.execute_script(script, selector, text)


def asked(browser: Any) -> list[str]:
    """Numbers of the people in the question; none while it is not visible."""
    script = """
    const all = [...document.querySelectorAll(".side .number")];
    return all.filter((each) => each.checkVisibility()).map((each) => each.innerText);
    """
    return [str(each) for each in browser.execute_script(script)]


def n_people(browser: Any) -> str:
    return text_of(browser, "#n-people")


def downloaded(browser: Any, folder: Path) -> corrections.Corrections:
    path = folder / "corrections.yaml"
    click(browser, "#download", "Download")
    wait_until(path.is_file)
    found = corrections.load(str(path))
    path.unlink()
    return found


def test_the_question_that_matters_most_comes_first_and_says_what_the_run_thinks(
    browser: Any, folder: Path
) -> None:
    opened(browser, folder, "#review")
    wait_until(lambda: asked(browser) == ["1", "2"])
    said = text_of(browser, ".question")
    assert "The run says 40% that they are one person, and kept them apart." in said
    assert "expected to move 8 boxes" in said
    assert "0 answered · 0 skipped · 4 left, expected to move" in text_of(browser, ".progress")
    press(browser, "k")
    wait_until(lambda: asked(browser) == ["10", "10"])
    assert "The run says 70% that they are one person, and linked them." in text_of(
        browser, ".question"
    )


def test_a_question_says_what_the_run_said_of_the_pair_and_the_rule(
    browser: Any, tmp_path: Path
) -> None:
    with results.changed(results.write(tmp_path, 2, 12), "links.json") as why:
        why["links"] = [{**link, "probability": 1.0} for link in why["links"]]
        why["near_misses"][0] |= {"probability": 0.97, "rule": SAME_TIME}
    assert command.main([str(tmp_path)]) == 0
    opened(browser, tmp_path, "#review")
    said = "The run says 97% that they are one person, but a rule keeps them apart: one camera,"
    wait_until(lambda: said in text_of(browser, ".question"))
    opened(browser, tmp_path, "#people/1")
    wait_until(lambda: "97%" in text_of(browser, ".near"))


def test_people_are_joined_at_once_by_s_and_parted_again_by_u(browser: Any, folder: Path) -> None:
    opened(browser, folder, "#review")
    wait_until(lambda: n_people(browser) == "30 people")
    press(browser, "s")
    wait_until(lambda: n_people(browser) == "29 people")
    assert text_of(browser, "#pending span") == "Preview with 1 correction"
    browser.find_element(By.LINK_TEXT, "People").click()
    wait_until(lambda: text_of(browser, "#n-found") == "29 people")
    assert "corrected" in text_of(browser, "#row-1")
    assert browser.find_elements(By.ID, "row-2") == []
    wait_until(lambda: "6 tracklets" in text_of(browser, ".heading"))
    assert "You said so" in text_of(browser, ".links")
    browser.find_element(By.LINK_TEXT, "Review").click()
    wait_until(lambda: asked(browser) == ["10", "10"])
    press(browser, "u")
    wait_until(lambda: n_people(browser) == "30 people")
    assert text_of(browser, "#pending") == ""
    assert asked(browser) == ["1", "2"]


def test_names_of_cameras_are_whole_in_a_question_on_a_phone(browser: Any, folder: Path) -> None:
    opened(browser, folder, "#review", PHONE)
    wait_until(lambda: asked(browser) == ["1", "2"])
    cut = """
    const names = [...document.querySelectorAll(".side .where")];
    const isCut = (each) => each.scrollWidth > each.clientWidth;
    return names.filter(isCut).map((each) => each.textContent);
    """
    assert browser.execute_script(cut) == []


def test_the_site_says_that_it_does_not_follow_corrections_yet(browser: Any, folder: Path) -> None:
    opened(browser, folder, "#site")
    wait_until(lambda: "Ways between cameras" in text_of(browser, ".view-site"))
    assert text_of(browser, ".as-found") == ""
    browser.find_element(By.LINK_TEXT, "Review").click()
    wait_until(lambda: asked(browser) == ["1", "2"])
    press(browser, "k")
    press(browser, "s")
    browser.find_element(By.LINK_TEXT, "Site").click()
    wait_until(lambda: "as the run found them" in text_of(browser, ".as-found"))
    browser.find_element(By.LINK_TEXT, "Review").click()
    wait_until(lambda: text_of(browser, "#review-view"))
    press(browser, "u")
    browser.find_element(By.LINK_TEXT, "Site").click()
    wait_until(lambda: text_of(browser, ".as-found") == "")


def test_a_link_is_cut_by_d_and_the_larger_side_keeps_the_number(
    browser: Any, folder: Path
) -> None:
    opened(browser, folder, "#review")
    wait_until(lambda: asked(browser) == ["1", "2"])
    press(browser, "k")
    wait_until(lambda: asked(browser) == ["10", "10"])
    press(browser, "d")
    wait_until(lambda: n_people(browser) == "31 people")
    opened(browser, folder, "#people/10")
    wait_until(lambda: "2 tracklets" in text_of(browser, ".heading"))
    opened(browser, folder, "#people/31")
    wait_until(lambda: "1 tracklet" in text_of(browser, ".heading"))
    assert text_of(browser, ".pictures").split() == ["gate"]


def test_answers_outlive_a_reload_and_are_downloaded_in_the_form_that_linking_reads(
    browser: Any, folder: Path, tmp_path: Path
) -> None:
    opened(browser, folder, "#review")
    wait_until(lambda: asked(browser) == ["1", "2"])
    press(browser, "s")
    wait_until(lambda: asked(browser) == ["10", "10"])
    press(browser, "d")
    press(browser, "k")
    opened(browser, folder, "#review")
    wait_until(lambda: text_of(browser, "#pending span") == "Preview with 2 corrections")
    assert "Skipped" in text_of(browser, ".said")
    assert f"people-tracker apply {folder} corrections.yaml" in text_of(browser, ".said")
    said = text_of(browser, ".answer-list")
    assert "One person: 1 = 2" in said
    assert re.search(r"Different people: \w+/9@\d+ and \w+/9@\d+", said)
    found = downloaded(browser, tmp_path)
    assert found.same == [["gate/0@0", "hall/1@20"]]
    assert len(found.different) == 1
    click(browser, ".said button", "Undo all")
    wait_until(lambda: n_people(browser) == "30 people" and asked(browser) == ["1", "2"])


def test_what_follows_from_earlier_answers_is_not_asked(browser: Any, tmp_path: Path) -> None:
    results.write(tmp_path, 3, 3)
    people = json.loads((tmp_path / "trajectories.json").read_text())["people"]
    with results.changed(tmp_path, "links.json") as why:
        why["near_misses"] = [
            results.link(people[a], people[b], 0, 0, probability, "near miss")
            for a, b, probability in ((0, 1, 0.45), (1, 2, 0.44), (0, 2, 0.43))
        ]
    assert command.main([str(tmp_path)]) == 0
    opened(browser, tmp_path, "#review")
    wait_until(lambda: asked(browser) == ["1", "2"])
    press(browser, "s")
    wait_until(lambda: asked(browser) == ["1", "3"])
    press(browser, "d")
    wait_until(lambda: "All questions are settled" in text_of(browser, "#review-view"))
    assert n_people(browser) == "2 people"


def test_skipped_questions_are_counted_and_asked_again_at_the_end(
    browser: Any, folder: Path
) -> None:
    opened(browser, folder, "#review")
    wait_until(lambda: asked(browser) == ["1", "2"])
    press(browser, "k")
    press(browser, "s")
    wait_until(lambda: "1 answered · 1 skipped · 2 left" in text_of(browser, ".progress"))
    press(browser, "s")
    press(browser, "k")
    wait_until(lambda: "All other questions are settled" in text_of(browser, "#review-view"))
    click(browser, "#review-view button", "Go through the 2 skipped")
    wait_until(lambda: asked(browser) == ["1", "2"])
    assert "2 answered · 0 skipped · 2 left" in text_of(browser, ".progress")


def test_corrections_that_were_applied_before_are_kept_in_the_file(
    browser: Any, tmp_path: Path
) -> None:
    results.write(tmp_path, 3, 2)
    (tmp_path / "corrections.yaml").write_text("same: [gate/0, hall/0@30]\n")
    assert command.main([str(tmp_path)]) == 0
    (tmp_path / "corrections.yaml").unlink()
    opened(browser, tmp_path, "#review")
    wait_until(lambda: asked(browser) == ["1", "2"])
    press(browser, "d")
    wait_until(lambda: text_of(browser, "#pending"))
    found = downloaded(browser, tmp_path)
    assert found.same == [["gate/0", "hall/0@30"]]
    assert found.different == [["gate/0@0", "hall/1@20"]]


def focused(browser: Any) -> str:
    """Id of the element that has the focus."""
    return str(browser.execute_script("return document.activeElement.id"))


def test_a_tracklet_leaves_its_person_or_all_of_them(browser: Any, folder: Path) -> None:
    opened(browser, folder, "#people/5")
    wait_until(lambda: text_of(browser, "#person-title") == "Person 5")
    click(browser, ".heading button", "Correct")
    wait_until(lambda: focused(browser) == "same-as")
    browser.execute_script("document.querySelector('.piece button:nth-of-type(2)').focus()")
    click(browser, ".piece button", "Not this person")
    wait_until(lambda: n_people(browser) == "31 people")
    wait_until(lambda: focused(browser) == "person-title")
    opened(browser, folder, "#people/5")
    wait_until(lambda: "2 tracklets" in text_of(browser, ".heading"))
    click(browser, ".piece button", "Not a person")
    wait_until(lambda: "1 tracklet" in text_of(browser, ".heading"))
    assert n_people(browser) == "31 people"
    click(browser, "#undo-last", "Undo")
    click(browser, "#undo-last", "Undo")
    wait_until(lambda: n_people(browser) == "30 people")


def test_a_hub_that_is_no_person_leaves_the_others_together(browser: Any, folder: Path) -> None:
    opened(browser, folder, "#people/5")
    wait_until(lambda: text_of(browser, "#person-title") == "Person 5")
    script = "document.querySelectorAll('.piece')[1].querySelectorAll('button')[2].click()"
    browser.execute_script(script)
    wait_until(lambda: "2 tracklets" in text_of(browser, ".heading"))
    assert n_people(browser) == "30 people"
    assert "not a person" in text_of(browser, ".links")


def test_a_tracklet_is_split_at_the_playhead(browser: Any, folder: Path, tmp_path: Path) -> None:
    opened(browser, folder, "#people/3")
    wait_until(lambda: text_of(browser, "#person-title") == "Person 3")
    split = browser.find_elements(By.CSS_SELECTOR, ".piece button:last-child")[1]
    assert not split.is_enabled()
    browser.execute_script(MOVE_PLAYHEAD, 7.6)  # the second tracklet is seen from 7.0 to 8.0 s
    wait_until(split.is_enabled)
    browser.execute_script("arguments[0].click()", split)
    wait_until(lambda: n_people(browser) == "31 people")
    assert downloaded(browser, tmp_path).split == ["gate/2@76"]
    opened(browser, folder, "#people/31")
    wait_until(lambda: "0:07.6 to 0:11.0" in text_of(browser, ".heading"))
    opened(browser, folder, "#people/3")
    wait_until(lambda: "0:04.0 to 0:07.6" in text_of(browser, ".heading"))


def test_what_rests_on_a_split_is_undone_with_it(
    browser: Any, folder: Path, tmp_path: Path
) -> None:
    opened(browser, folder, "#people/3")
    wait_until(lambda: text_of(browser, "#person-title") == "Person 3")
    browser.execute_script(MOVE_PLAYHEAD, 4.6)
    click(browser, ".piece button:enabled", "Split at playhead")
    wait_until(lambda: n_people(browser) == "31 people")
    opened(browser, folder, "#people/3")
    wait_until(lambda: "0:04.6 to 0:11.0" in text_of(browser, ".heading"))
    click(browser, ".piece button", "Not a person")
    wait_until(lambda: "0:07.0 to 0:11.0" in text_of(browser, ".heading"))
    found = downloaded(browser, tmp_path)
    assert (found.split, found.not_a_person) == (["yard/2@46"], ["yard/2@46"])
    browser.find_element(By.LINK_TEXT, "Review and apply").click()
    label = "[aria-label^='Undo Two people']"
    wait_until(lambda: browser.find_elements(By.CSS_SELECTOR, label) != [])
    browser.find_element(By.CSS_SELECTOR, label).click()
    wait_until(lambda: n_people(browser) == "30 people")
    assert text_of(browser, "#pending") == ""


def test_a_person_is_said_to_be_another_one(browser: Any, folder: Path) -> None:
    opened(browser, folder, "#people/7")
    wait_until(lambda: text_of(browser, "#person-title") == "Person 7")
    field = browser.find_element(By.ID, "same-as")
    join = browser.find_element(By.CSS_SELECTOR, ".same-as button")
    field.send_keys("99")
    wait_until(lambda: text_of(browser, ".same-as .shown") == "There is no person 99")
    assert not join.is_enabled()
    field.clear()
    field.send_keys("9")
    wait_until(join.is_enabled)
    assert browser.find_elements(By.CSS_SELECTOR, ".same-as .crop") != []
    join.click()
    wait_until(lambda: n_people(browser) == "29 people")
    wait_until(lambda: "6 tracklets" in text_of(browser, ".heading"))


def say_same_as(browser: Any, person: str) -> None:
    browser.find_element(By.ID, "same-as").send_keys(person)
    join = browser.find_element(By.CSS_SELECTOR, ".same-as button")
    wait_until(join.is_enabled)
    join.click()


def test_who_is_seen_beside_somebody_is_joined_with_them_on_a_second_click(
    browser: Any, tmp_path: Path
) -> None:
    results.write(tmp_path, 3, 1, ("gate",))
    with results.changed(tmp_path, "trajectories.json") as document:
        for tracklet in document["people"][1]["tracklets"]:
            tracklet["times_s"] = [round(time_s - 1.6, 2) for time_s in tracklet["times_s"]]
    assert command.main([str(tmp_path)]) == 0
    opened(browser, tmp_path, "#people/1")
    wait_until(lambda: text_of(browser, "#person-title") == "Person 1")
    say_same_as(browser, "2")
    asks = "Both are in gate for 0.6 s at the same time."
    wait_until(lambda: asks in text_of(browser, ".same-as .shown"))
    assert n_people(browser) == "3 people"
    browser.find_element(By.CSS_SELECTOR, ".same-as button").click()
    wait_until(lambda: n_people(browser) == "2 people")


def test_an_answer_that_contradicts_another_is_refused(browser: Any, folder: Path) -> None:
    opened(browser, folder, "#review")
    wait_until(lambda: asked(browser) == ["1", "2"])
    press(browser, "d")
    opened(browser, folder, "#people/1")
    wait_until(lambda: text_of(browser, "#person-title") == "Person 1")
    say_same_as(browser, "2")
    wait_until(lambda: "contradicts an earlier answer" in text_of(browser, ".correct .doubt"))
    assert n_people(browser) == "30 people"
    assert text_of(browser, "#pending span") == "Preview with 1 correction"


def test_who_leaves_unsaved_answers_is_asked_where_nothing_can_be_stored(
    browser: Any, folder: Path
) -> None:
    no_storage = "Storage.prototype.setItem = () => { throw new Error('full'); };"
    added = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": no_storage})
    leaves = """
    const event = new Event("beforeunload", { cancelable: true });
    dispatchEvent(event);
    return event.defaultPrevented;
    """
    opened(browser, folder, "#review")
    wait_until(lambda: asked(browser) == ["1", "2"])
    assert browser.execute_script(leaves) is False
    press(browser, "s")
    wait_until(lambda: browser.execute_script(leaves) is True)
    click(browser, "#download", "Download")
    wait_until(lambda: browser.execute_script(leaves) is False)
    browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def test_what_was_answered_in_the_page_is_applied_to_the_run(
    browser: Any, sample: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    videos = [str(sample / "cam1.mp4"), str(sample / "cam2.mp4")]
    words = ["--videos", *videos, "--output", str(output), "--max-seconds", "6", "--no-video"]
    assert cli.main([*words, "--quiet"]) == 0
    opened(browser, output, "#review")
    wait_until(lambda: len(asked(browser)) == 2)
    press(browser, "s" if len(set(asked(browser))) == 2 else "d")
    wait_until(lambda: "Preview with 1 correction" in text_of(browser, "#pending"))
    opened(browser, output, "#people")
    click(browser, ".piece button", "Not a person")
    wait_until(lambda: "Preview with 2 corrections" in text_of(browser, "#pending"))
    previewed = n_people(browser)
    said = downloaded(browser, tmp_path)
    file = tmp_path / "again.yaml"
    file.write_text(corrections.to_yaml(said))
    assert cli.main(["apply", str(output), str(file), "--quiet"]) == 0
    opened(browser, output, "#review")
    wait_until(lambda: n_people(browser) == previewed)
    assert text_of(browser, "#pending") == ""
    assert corrections.of_folder(output) == said
    rows = (output / "tracks.csv").read_text()
    camera, _, track = said.not_a_person[0].partition("@")[0].partition("/")
    frame = said.not_a_person[0].partition("@")[2]
    gone = re.compile(rf"^{camera},\d+,[\d.]+,{track},{frame},", re.MULTILINE)
    assert gone.search(rows) is None


@pytest.mark.parametrize("seed", range(12))
def test_people_obey_any_answers_and_lose_nobody(browser: Any, folder: Path, seed: int) -> None:
    embed = """
    document.body.innerHTML = "<script type='application/json' id='data'></script>";
    document.getElementById("data").textContent = arguments[0];
    """
    browser.execute_script(embed, json.dumps(document_of(folder)))
    modules = [path for path in html.SCRIPTS if path.stem in ("text", "data", "answers")]
    parts = [html.EXPORT.sub("", html.IMPORT.sub("", path.read_text())) for path in modules]
    script = "\n".join([*parts, RANDOM_ANSWERS.read_text()])
    broken, said = browser.execute_script(script, seed + 1, 60)
    assert broken == []
    assert min(said.values()) > 2


@pytest.mark.parametrize("size", [DESKTOP, (820, 1180), PHONE, (320, 568)])
def test_the_review_is_not_wider_than_the_screen(
    browser: Any, folder: Path, size: tuple[int, int]
) -> None:
    opened(browser, folder, "#review", size)
    wait_until(lambda: asked(browser) == ["1", "2"])
    press(browser, "s")
    wait_until(lambda: "Preview" in text_of(browser, "#pending"))
    wait_for_pictures(browser)
    assert browser.execute_script(TOO_WIDE) == [True, []]
    opened(browser, folder, "#people/1", size)
    wait_until(lambda: text_of(browser, "#person-title") == "Person 1")
    wait_for_pictures(browser)
    assert browser.execute_script(TOO_WIDE) == [True, []]


def test_names_in_questions_and_answers_are_text(browser: Any, tmp_path: Path) -> None:
    results.write(tmp_path, 3, 2, (HOSTILE, "b"))
    assert command.main([str(tmp_path)]) == 0
    opened(browser, tmp_path, "#review")
    wait_until(lambda: HOSTILE in text_of(browser, ".question"))
    press(browser, "s")
    opened(browser, tmp_path, "#people/3")
    wait_until(lambda: text_of(browser, "#person-title") == "Person 3")
    click(browser, ".piece button", "Not a person")
    browser.find_element(By.LINK_TEXT, "Review").click()
    wait_until(lambda: HOSTILE in text_of(browser, ".said"))
    assert browser.title == "People in 2 cameras"
    assert browser.find_elements(By.CSS_SELECTOR, "img") == []
