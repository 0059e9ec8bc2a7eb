import json
from pathlib import Path

from pipeline import summary
from pipeline.config import Config
from pipeline.outputs import manifest
from pipeline.result import Result
from tests.pipeline.outputs.people import calibration, link, linked, person, tracklet


def test_run_json_says_how_well_looks_tell_this_sites_people_apart() -> None:
    found = linked([person(1, tracklet("gate", 3, [0.0, 0.1], [[10, 5, 20, 40]]))])
    result = Result(Config(), Path("out"), "detector", "reid", linked=found, people=found.people)
    written = json.loads(manifest.to_json(result, ["run.json"]))
    assert written["appearance"] == calibration(1).in_words()
    assert (written["schema"], written["people"], written["files"]) == ("run/1", 1, ["run.json"])


def test_a_run_says_how_many_people_are_doubtful_in_run_json_and_at_its_end() -> None:
    gate = tracklet("gate", 3, [0.0, 0.1], [[10, 5, 20, 40]])
    lobby = tracklet("lobby", 1, [0.5, 0.6], [[10, 5, 20, 40]])
    later = tracklet("lobby", 2, [0.8, 0.9], [[10, 5, 20, 40]])
    doubted = person(1, gate, lobby, links=[link(gate, lobby, 0.6, lookalike="lobby/2@8")])
    people = [doubted, person(2, later)]
    result = Result(Config(), Path("out"), "detector", "reid", people=people)
    told = "people here look alike: 1 of 2 identities rests on appearance"
    assert told in json.loads(manifest.to_json(result, []))["lookalikes"]
    said = summary.table(result)
    assert told in said
    assert said.count("(doubtful)") == 1
    result.people = [person(2, later)]
    assert json.loads(manifest.to_json(result, []))["lookalikes"] == ""
    assert "alike" not in summary.table(result)


def test_the_embed_stage_counts_crops_and_all_others_count_frames() -> None:
    result = Result(Config(), Path("out"), "detector", "reid")
    for stage, count in (("detect", 2), ("embed", 16), ("embed", 5)):
        with result.timings.stage(stage, count):
            pass
    stages = json.loads(manifest.to_json(result, []))["stages"]
    counts = {stage: set(entry.items()) for stage, entry in stages.items()}
    assert ("frames", 2) in counts["detect"]
    assert ("crops", 21) in counts["embed"] and len(counts["embed"]) == 2


def test_a_run_that_linked_nobody_yet_can_be_written() -> None:
    assert (
        json.loads(manifest.to_json(Result(Config(), Path("out"), "detector", "reid"), []))[
            "people"
        ]
        == 0
    )
