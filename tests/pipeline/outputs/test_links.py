import json
from dataclasses import replace

import jsonschema
import numpy as np
import pytest

from pipeline.config import LinkingConfig
from pipeline.fill import fill
from pipeline.linking.learning.clocks import Clocks, Offset
from pipeline.linking.linker import Linked
from pipeline.outputs import links, trajectories
from tests.conftest import ROOT
from tests.pipeline.outputs.people import calibration, camera, link, linked, person, tracklet

SCHEMA = json.loads((ROOT / "pipeline" / "outputs" / "links-1.schema.json").read_text())
BOX = [[10, 5, 20, 40]]
GATE = tracklet("gate", 3, [0.0, 0.1], BOX)
LOBBY = tracklet("lobby", 1, [0.5, 0.6], BOX)
LATER = tracklet("gate", 5, [1.0, 1.2], BOX)
OTHER = tracklet("gate", 4, [0.1, 0.2], BOX)
ONE = person(
    1,
    GATE,
    LOBBY,
    LATER,
    links=[link(GATE, LOBBY, 0.95, rival="gate/4@1"), link(LOBBY, LATER, 0.6)],
)
TWO = person(2, OTHER)
LINKED = linked(
    [ONE, TWO], [link(OTHER, LATER, 0.2), link(GATE, OTHER, 0.7, rule="one camera, same time")]
)


def document(found: Linked, **settings: float) -> dict:
    """The links, checked against the schema."""
    loaded: dict = json.loads(links.to_json(found, LinkingConfig.model_validate(settings)))
    jsonschema.Draft202012Validator(SCHEMA).validate(loaded)
    return loaded


def test_the_schema_is_one_and_refuses_what_it_does_not_know() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    with pytest.raises(jsonschema.ValidationError, match="was unexpected"):
        jsonschema.validate(document(LINKED) | {"extra": 1}, SCHEMA)


def test_a_run_without_people_follows_the_schema() -> None:
    assert document(linked([]))["links"] == []


def test_every_link_says_whom_it_ties_and_why() -> None:
    first, second = document(LINKED)["links"]
    assert first == {
        "status": "confirmed",
        "people": [1, 1],
        "first": {
            "name": "gate/3@0",
            "camera": "gate",
            "track_id": 3,
            "tracklet": 0,
            "first_s": 0.0,
            "last_s": 0.1,
        },
        "second": {
            "name": "lobby/1@5",
            "camera": "lobby",
            "track_id": 1,
            "tracklet": 5,
            "first_s": 0.5,
            "last_s": 0.6,
        },
        "probability": 0.95,
        "similarity": 0.8,
        "appearance": 5.0,
        "place": None,
        "travel": None,
        "gap_s": 0.4,
        "floor_m": None,
        "rule": "",
        "rival": "gate/4@1",
        "rival_probability": 0.25,
        "lookalike": "",
    }
    assert (second["status"], second["rival"], second["rival_probability"]) == ("probable", "", 0)


def test_what_was_measured_is_there_and_what_was_not_is_null() -> None:
    seen = replace(link(GATE, LOBBY, 0.9), place=-1.234, floor_m=0.456)
    unseen = replace(link(LOBBY, LATER, 0.9), similarity=np.nan, appearance=np.nan)
    first, second = document(linked([replace(ONE, links=(seen, unseen))]))["links"]
    assert (first["place"], first["floor_m"]) == (-1.23, 0.46)
    assert (second["similarity"], second["appearance"]) == (None, None)


@pytest.mark.parametrize(
    ("threshold", "expected"), [(0.6, ["confirmed"] * 2), (0.99, ["probable"] * 2)]
)
def test_a_link_is_confirmed_from_the_probability_that_the_settings_say(
    threshold: float, expected: list[str]
) -> None:
    written = document(LINKED, confirmed_probability=threshold)
    assert written["confirmed_probability"] == threshold
    assert [each["status"] for each in written["links"]] == expected


def test_near_misses_name_two_people_and_the_rule_between_them_the_most_probable_first() -> None:
    likely, unlikely = document(LINKED)["near_misses"]
    assert (likely["people"], likely["rule"], likely["probability"]) == (
        [1, 2],
        "one camera, same time",
        0.7,
    )
    assert (unlikely["people"], unlikely["rule"], unlikely["probability"]) == ([2, 1], "", 0.2)
    assert {likely["status"], unlikely["status"]} == {"near miss"}


def test_links_name_tracklets_as_the_trajectories_do_although_gaps_are_filled_there() -> None:
    near = tracklet("gate", 3, [0.0, 0.1], BOX), tracklet("gate", 5, [0.4, 0.5], BOX)
    people = [person(1, *near, links=[link(*near, 0.9)])]
    written = json.loads(
        "".join(trajectories.json_parts(fill(people, 1.5, 1), [camera("gate")], 0.9))
    )["people"][0]["tracklets"]
    assert written[0]["frames"] == [0, 1, 2, 3]
    (tie,) = document(linked(people))["links"]
    for side, entry in zip(("first", "second"), written, strict=True):
        assert {
            key: tie[side][key] for key in ("camera", "track_id", "tracklet")
        }.items() <= entry.items()


def test_the_calibration_is_told_in_words_and_in_numbers() -> None:
    told = document(LINKED)["calibration"]
    assert "well" in told["in_words"]
    assert (told["same"], told["different"], told["separation"], told["n_same"]) == (
        0.8,
        0.2,
        6,
        30,
    )
    assert told["even"] == {"gate": 0.4, "lobby": 0.4}


def test_it_is_told_how_many_people_rest_on_appearance_that_does_not_tell_them_apart() -> None:
    doubted = person(3, GATE, LOBBY, links=[link(GATE, LOBBY, 0.6, lookalike="gate/4@1")])
    assert links.lookalikes([ONE, TWO]) == ""
    assert links.lookalikes([ONE, TWO, doubted]) == (
        "people here look alike: 1 of 3 identities rests on appearance that does not tell them"
        " apart"
    )
    assert "2 of 4 identities rest on" in links.lookalikes([ONE, TWO, doubted, doubted])


@pytest.mark.parametrize(
    ("different", "n_pairs", "doubted"), [(0.7, 30, True), (0.2, 30, False), (0.7, 0, False)]
)
def test_a_site_whose_people_look_alike_is_warned_of_once_there_is_something_to_judge_by(
    different: float, n_pairs: int, doubted: bool
) -> None:
    warnings = links.doubts(calibration(2, different, n_pairs))
    assert len(warnings) == doubted
    assert all("poorly" in line and "linking.travel" in line for line in warnings)


@pytest.mark.parametrize(
    ("offset_s", "applied", "warned"), [(1.5, {}, True), (1.5, {"b": 1.5}, False), (0.0, {}, False)]
)
def test_clocks_that_disagree_are_a_warning_unless_they_were_set(
    offset_s: float, applied: dict[str, float], warned: bool
) -> None:
    clocks = Clocks({"a": 0.0, "b": offset_s}, (Offset(("a", "b"), offset_s, 1.9, 0.3, 12),))
    warnings = links.unset(replace(linked([]), clocks=clocks, applied_s=applied), online=False)
    assert [("1.5 s ahead" in line and "linking.apply_clocks" in line) for line in warnings] == [
        True
    ] * warned


def test_a_live_run_is_not_told_to_apply_clock_offsets() -> None:
    clocks = Clocks({"a": 0.0, "b": 1.5}, (Offset(("a", "b"), 1.5, 1.9, 0.3, 12),))
    (warning,) = links.unset(replace(linked([]), clocks=clocks), online=True)
    assert "apply_clocks" not in warning
    assert "start_s" in warning
