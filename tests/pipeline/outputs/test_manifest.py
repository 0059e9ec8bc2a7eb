import json
from pathlib import Path

from pipeline.config import Config
from pipeline.outputs import manifest
from pipeline.result import Result
from tests.pipeline.outputs.people import calibration, linked, person, tracklet


def test_run_json_says_how_well_looks_tell_this_sites_people_apart() -> None:
    found = linked([person(1, tracklet("gate", 3, [0.0, 0.1], [[10, 5, 20, 40]]))])
    result = Result(Config(), Path("out"), "detector", "reid", linked=found, people=found.people)
    written = json.loads(manifest.to_json(result, ["run.json"]))
    assert written["appearance"] == calibration(1).in_words()
    assert (written["schema"], written["people"], written["files"]) == ("run/1", 1, ["run.json"])


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
