"""What the report says, and that it says it safely."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.kept import FILE as KEPT
from pipeline.linking import site as sites
from pipeline.linking.learning.clocks import Offset
from pipeline.linking.learning.homographies import Homography
from pipeline.linking.reasons import TRAVEL
from pipeline.linking.site import Site
from pipeline.records import Frame
from pipeline.report import __main__ as command
from pipeline.report import crops, html, sheets, site
from pipeline.report.site import Stay
from pipeline.report.stills import Stills
from pipeline.zones import table
from tests.pipeline.report import results
from tests.pipeline.report.test_stills import followed, picture

Json = dict[str, Any]


def report(folder: Path) -> Json:
    """The document in the page of a folder, which is made first."""
    assert command.main([str(folder)]) == 0
    return document_of(folder)


def document_of(folder: Path) -> Json:
    """The document in the page of a folder."""
    text = (folder / "report.html").read_text()
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    document: Json = json.loads(found[1])
    return document


def test_a_person_has_tracklets_links_and_near_misses(tmp_path: Path) -> None:
    shown = report(results.write(tmp_path, 3, 2))
    first, second, _ = shown["people"]
    assert [tracklet[:5] for tracklet in first["tracklets"]] == [
        [0, 0, 0, 0.0, 1.0],
        [1, 0, 30, 3.0, 4.0],
    ]
    assert first["route"] == [[0, 0.0, 1.0], [1, 3.0, 4.0]]
    why = "appearance similarity 0.80 (strong evidence for), 2.0 s later"
    assert first["links"] == [[0, 1, 0.95, "confirmed", why, "", 0, "", ""]]
    assert [near[:2] for near in first["near"]] == [[2, 0.4]]
    assert [near[:2] for near in second["near"]] == [[1, 0.4]]
    assert "below the required 50%" in first["near"][0][2]


def test_the_second_choice_of_a_link_names_the_person_of_the_rival(tmp_path: Path) -> None:
    with results.changed(results.write(tmp_path, 3, 2), "links.json") as why:
        why["links"][0] |= {"rival": "hall/1@20", "rival_probability": 0.62}
        why["links"][0]["lookalike"] = "yard/2@40"
    link = report(tmp_path)["people"][0]["links"][0]
    assert link[5] == "second choice: person 2, 62% (hall/1@20)"
    assert link[6] == 2
    assert link[7] == "yard/2@40, who is somebody else, looks like that too"
    assert link[8] == "yard/2@40"


def test_questions_say_what_is_in_doubt_and_why(tmp_path: Path) -> None:
    with results.changed(results.write(tmp_path, 3, 2), "links.json") as why:
        why["links"][0] |= {"probability": 0.5, "lookalike": "yard/2@40"}
    near, link = report(tmp_path)["questions"]
    assert near[:4] == ["gate/0@0", "hall/1@20", 0.4, 4.8]
    assert near[4].startswith("below the required 50%; the strongest evidence is between gate/0@0")
    assert link[:4] == ["gate/0@0", "hall/0@30", 0.5, 3.0]
    assert link[4].endswith("2.0 s later; yard/2@40, who is somebody else, looks like that too")


def test_a_question_has_the_probability_of_the_run_and_the_rule_that_forbids_it(
    tmp_path: Path,
) -> None:
    folder = results.write(tmp_path, 2, 12)
    with results.changed(folder, "links.json") as why:
        why["near_misses"][0] |= {"probability": 0.97, "rule": TRAVEL}
    document = report(folder)
    (question,) = [each for each in document["questions"] if each[5]]
    assert question[2] == document["people"][0]["near"][0][1] == 0.97
    assert question[5] == TRAVEL


def test_corrections_of_the_folder_are_in_the_document_and_change_its_key(tmp_path: Path) -> None:
    before = report(results.write(tmp_path, 3, 2))
    assert before["corrections"] | {"same": [], "different": []} == before["corrections"]
    assert report(tmp_path)["key"] == before["key"]
    (tmp_path / "corrections.yaml").write_text("different: [gate/0, hall/1@20]\n")
    after = report(tmp_path)
    assert after["corrections"]["different"] == [["gate/0", "hall/1@20"]]
    assert after["key"] != before["key"]


def test_other_people_have_another_key(tmp_path: Path) -> None:
    before = report(results.write(tmp_path, 3, 2))
    assert report(results.write(tmp_path, 4, 2))["key"] != before["key"]


def test_corrections_that_cannot_be_read_are_named_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results.write(tmp_path, 3, 2)
    (tmp_path / "corrections.yaml").write_text("same: [[no name]]\n")
    assert command.main([str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "corrections.yaml" in line
    assert "'no name' is not a name such as cam1/3" in line


def test_each_script_of_the_page_imports_what_one_before_it_exports() -> None:
    exported: dict[str, list[str]] = {}
    for path in html.SCRIPTS:
        text = path.read_text()
        imports = html.IMPORT.findall(text)
        for names, module in imports:
            for name in re.findall(r"\w+", names):
                assert name in exported[module], f"{path.name} imports {name} of {module}"
        exported[path.stem] = html.EXPORT.findall(text)
        assert len(imports) == len(re.findall(r"^import\b", text, re.MULTILINE)), path.name
        n_exports = len(re.findall(r"^export\b", text, re.MULTILINE))
        assert len(exported[path.stem]) == n_exports, path.name


def test_no_template_of_the_scripts_has_another_one_in_it() -> None:
    """The minifier takes what is in the inner one for code, and its spaces away."""
    for path in html.SCRIPTS:
        assert re.findall(r"\$\{[^}`]*`", path.read_text(encoding="utf-8")) == [], path.name


def test_no_two_scripts_of_the_page_declare_one_name_nor_one_of_the_browser() -> None:
    declared = re.compile(
        r"^(?:export )?(?:async )?(?:function|class|const|let) (\w+|[\[{][^\]}=]*[\]}])",
        re.MULTILINE,
    )
    owners = dict.fromkeys(["history", "location", "name", "open", "find", "event"], "the browser")
    for path in html.SCRIPTS:
        for target in declared.findall(path.read_text()):
            for name in re.findall(r"(\w+)(?=\s*[,\]}]|$)", target):
                assert name not in owners, f"{name} is of {owners.get(name)} and {path.name}"
                owners[name] = path.name
    assert len(owners) > 100


def test_a_gap_in_a_tracklet_stays_a_gap_and_rows_filled_in_are_marked(tmp_path: Path) -> None:
    with results.changed(results.write(tmp_path, 1, 1), "trajectories.json") as document:
        tracklet = document["people"][0]["tracklets"][0]
        tracklet["times_s"] = [0.0, 0.2, 2.0, 2.2, 2.4, 2.6]
        tracklet["filled"] = [0, 0, 0, 1, 1, 0]
        tracklet["scores"] = [0.9, 0.9, 0.9, 0.0, 0.0, 0.9]
    stretches = report(tmp_path)["people"][0]["tracklets"][0][7]
    assert stretches == [0.0, 0.2, 0, 2.0, 2.2, 0, 2.2, 2.6, 1, 2.6, 2.6, 0]


def test_rows_filled_in_between_two_looks_of_the_detector_count_as_seen(tmp_path: Path) -> None:
    with results.changed(results.write(tmp_path, 1, 1), "trajectories.json") as document:
        document["people"][0]["tracklets"][0]["filled"] = [0, 1, 0, 1, 0, 1]
    assert report(tmp_path)["people"][0]["tracklets"][0][7] == []


def test_times_count_from_the_first_person_also_since_1970(tmp_path: Path) -> None:
    with results.changed(results.write(tmp_path, 2, 1), "trajectories.json") as document:
        for camera in document["cameras"]:
            camera["start_s"] += 1.7e9
        for person in document["people"]:
            for tracklet in person["tracklets"]:
                tracklet["times_s"] = [time_s + 1.7e9 for time_s in tracklet["times_s"]]
    shown = report(tmp_path)
    assert shown["origin_s"] == 1.7e9
    assert shown["people"][1]["first"] == 2.0
    assert shown["last"] == 3.0
    assert shown["cameras"][0]["start"] == 0.0


def test_everybody_has_a_crop_and_pieces_without_one_have_none(tmp_path: Path) -> None:
    shown = report(results.write(tmp_path, 4, 2))
    assert [person["crop"] for person in shown["people"]] == [0, 1, 2, 3]
    assert [tracklet[6] for tracklet in shown["people"][2]["tracklets"]] == [2, -1]


def test_people_have_their_best_crop_before_anybody_has_a_second_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheets, "MAX_CROPS", 5)
    shown = report(results.write(tmp_path, 4, 2, crops_of=2))
    assert [person["crop"] for person in shown["people"]] == [0, 1, 2, 3]
    assert [tracklet[6] for tracklet in shown["people"][0]["tracklets"]] == [0, 4]
    assert [tracklet[6] for tracklet in shown["people"][1]["tracklets"]] == [1, -1]


def test_a_camera_has_its_size_and_its_still_follows_in_the_page(tmp_path: Path) -> None:
    stills = Stills("off")
    for name in ("yard", "hall"):
        stills.look(Frame(name, 0, 0.0, picture(60)), followed([]))
    gate, hall, yard = report(results.write(tmp_path, 2, 1, stills=stills))["cameras"]
    assert (gate["width"], gate["height"]) == (64, 48)
    assert (gate["still"], hall["still"], yard["still"]) == (-1, 0, 1)
    page = (tmp_path / "report.html").read_text()
    encoded = base64.b64encode(stills.encoded()["yard"]).decode()
    assert f'<script type="text/plain" id="still-1">{encoded}</script>' in page


def test_zones_have_totals_shapes_and_people_inside_over_time(tmp_path: Path) -> None:
    results.write(tmp_path, 4, 2)
    corners = [[0, 0], [9, 0], [9, 9]]
    zones = [
        {"name": "shop", "camera": "gate", "polygon": corners},
        {"name": "shop", "polygon": corners},
        {"name": "door", "camera": "gone", "line": corners[:2]},
    ]
    (tmp_path / "config.yaml").write_text(json.dumps({"zones": zones}))
    rows = ["shop,entry,1,0.5,gate,,,1", "shop,entry,2,2.5,gate,,,2", "shop,exit,1,2.75,gate,,2,1"]
    rows.append("door,crossing,1,3.0,gone,in,,")
    (tmp_path / "zones.csv").write_text("\n".join([",".join(table.COLUMNS), *rows, ""]))
    document = report(tmp_path)
    shop, door = document["zones"]
    assert (shop["entries"], shop["exits"], shop["inside"], shop["most"]) == (2, 1, 1, 2)
    assert [shape["camera"] for shape in shop["shapes"]] == [0, -1]
    assert shop["shapes"][0]["points"] == corners
    assert document["occupancy"]["bin_s"] == 1
    assert shop["occupancy"] == [1, 1, 2, *[1] * (len(document["occupancy"]["site"]) - 3)]
    assert (door["entries"], door["exits"], door["shapes"], door["occupancy"]) == (1, 0, [], [])


def test_settings_of_cameras_are_those_that_differ_and_name_no_folder(tmp_path: Path) -> None:
    results.write(tmp_path, 1, 1)
    camera = {"source": "/home/alice/gate.mp4", "name": "gate", "start_s": 2.5}
    (tmp_path / "config.yaml").write_text(json.dumps({"cameras": [camera]}))

    with results.changed(tmp_path, "trajectories.json") as document:
        document["cameras"][0]["source"] = camera["source"]
        document["cameras"][1]["source"] = "rtsp://10.0.0.7/main"
    gate, hall, _ = report(tmp_path)["cameras"]
    assert gate["settings"] == {"source": "gate.mp4", "start_s": 2.5}
    assert hall["settings"] == {"source": "rtsp://10.0.0.7/main"}
    assert "alice" not in (tmp_path / "report.html").read_text()


def test_a_camera_without_width_in_a_mosaic_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results.write(tmp_path, 0, 0, files=["mosaic.mp4"])
    (tmp_path / "mosaic.mp4").touch()
    with results.changed(tmp_path, "trajectories.json") as document:
        document["cameras"][0]["width"] = 0
    assert command.main([str(tmp_path)]) == 2
    assert "were not written by this program" in capsys.readouterr().err


def test_zones_that_are_none_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results.write(tmp_path, 1, 1)
    (tmp_path / "zones.csv").write_text("a,b\n1,2\n")
    assert command.main([str(tmp_path)]) == 2
    assert "were not written by this program" in capsys.readouterr().err
    (tmp_path / "zones.csv").unlink()
    (tmp_path / "config.yaml").write_text("zones: [{name: shop}]")
    assert command.main([str(tmp_path)]) == 2
    assert "a zone needs a polygon, or a line" in capsys.readouterr().err


@pytest.mark.parametrize(("n_crops", "size"), [(1, 128), (300, 128), (301, 80), (1501, 48)])
def test_more_crops_are_smaller_ones(tmp_path: Path, n_crops: int, size: int) -> None:
    results.write(tmp_path, 1, 1)
    (image,) = crops.load(tmp_path / crops.FILE).images([0])
    made = sheets.tile([image] * n_crops, n_crops)
    assert (made.width, made.height) == (size, 2 * size)
    assert len(made.sheets) == -(-n_crops // sheets.PER_SHEET)


def test_a_person_who_is_back_in_a_camera_at_once_has_not_been_away() -> None:
    seen = [(0, 0.0, 5.0), (1, 3.0, 8.0), (0, 9.0, 12.0), (0, 40.0, 41.0)]
    assert site.stays(seen) == [Stay(0, 0.0, 12.0), Stay(1, 3.0, 8.0), Stay(0, 40.0, 41.0)]


def test_steps_between_cameras_are_counted_with_the_time_between() -> None:
    one = [Stay(0, 0, 10), Stay(1, 14, 20)]
    two = [Stay(0, 0, 10), Stay(1, 16, 20)]
    both_at_once = [Stay(0, 0, 10), Stay(1, 5, 20)]
    (step,) = site.steps([one, two, both_at_once])
    assert (step["from"], step["to"], step["n"], step["at_once"]) == (0, 1, 3, 1)
    assert step["seconds"] == [4.2, 5.0, 5.8]
    counted = {site.GAP_EDGES_S[bin_ - 1]: n for bin_, n in enumerate(step["counts"]) if n}
    assert counted == {3.16: 1, 5.62: 1}
    assert sum(step["counts"]) == step["n"] - step["at_once"]


def test_the_time_between_cameras_is_counted_on_the_scale_that_the_page_draws() -> None:
    gaps_s = (0.3, 1.0, 1.2, 90.0, 3e6)
    people = [[Stay(0, 0, 10), Stay(1, 10 + gap_s, 4e6)] for gap_s in gaps_s]
    (step,) = site.steps(people)
    assert step["counts"][:2] == [1, 2]
    assert step["counts"][-1] == 1
    assert len(step["counts"]) == len(site.GAP_EDGES_S) + 1


def test_the_site_view_has_heat_maps_and_plans(tmp_path: Path) -> None:
    shown = report(results.write(tmp_path, 30, 3, has_floor=True))
    assert [camera["width"] for camera in shown["cameras"]] == [64, 64, 64]
    assert [map_["rows"] for map_ in shown["heat"]] == [48, 48, 48]
    seen_s = sum(map_["seconds"] + map_["cut"] for map_ in shown["heat"])
    assert seen_s == pytest.approx(90 * results.STEP_S * results.ROWS, rel=0.01)
    (drawn,) = shown["plans"]
    assert drawn["reference"] == -1
    assert len(drawn["paths"]) == 90
    assert drawn["paths"][0][:3] == [1, 0, 0.1]


def test_without_homographies_a_plan_is_made_of_the_heights_of_people(tmp_path: Path) -> None:
    shown = report(results.write(tmp_path, 60, 3))
    assert [drawn["reference"] for drawn in shown["plans"]] == [0, 1, 2]


def test_learned_homographies_of_the_folder_join_cameras(tmp_path: Path) -> None:
    results.write(tmp_path, 60, 3)
    offset = Offset(("gate", "hall"), 0.0, 0.0, 0.0, 30)
    learned = Homography(("gate", "hall"), np.eye(3), 0.1, 400, 30, 0.95, offset)
    priors = sites.to_json(Site(homographies=(learned,)), "")
    (tmp_path / "priors.json").write_text(priors)
    shown = report(tmp_path)
    views = [[view[0] for view in drawn["views"]] for drawn in shown["plans"]]
    assert views == [[0, 1], [2]]


def test_damaged_priors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (results.write(tmp_path, 1, 1) / "priors.json").write_text('{"schema": "priors/1"}')
    assert command.main([str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "priors.json" in said
    assert said.count("\n") == 1


def test_who_is_in_two_cameras_at_once_is_one_person_of_the_site() -> None:
    people = [[Stay(0, 0.0, 2.5), Stay(1, 1.0, 2.5)], [Stay(1, 2.0, 3.5)]]
    counted = site.occupancy(people, 2, site.bins(0.0, 3.5))
    assert counted == {"bin_s": 1, "site": [1, 1, 2, 1], "cameras": [[1, 1, 1, 0], [0, 1, 2, 1]]}


def test_a_run_of_a_year_has_a_few_bins() -> None:
    counted = site.occupancy([[Stay(0, 0.0, 3.15e7)]], 1, site.bins(0.0, 3.15e7))
    assert len(counted["site"]) < 400


def test_a_run_without_people_has_a_report_that_says_what_to_do(tmp_path: Path) -> None:
    shown = report(results.write(tmp_path, 0, 0))
    assert shown["people"] == []
    (finding,) = [each for each in shown["quality"] if each["title"] == "Nobody was found"]
    assert "detector.confidence" in finding["cure"]


def test_warnings_clocks_and_lost_frames_come_with_what_to_do(tmp_path: Path) -> None:
    shown = report(
        results.write(
            tmp_path,
            1,
            1,
            warnings=["cam1: 3 frames are broken; convert the video"],
            notes=["all cameras start at 0"],
            clocks=["yard is 2.0 s ahead of gate (floor paths agree)"],
            interrupted=True,
        )
    )
    told = {each["title"]: each for each in shown["quality"]}
    assert told["Warning"]["text"] == "Cam1: 3 frames are broken."
    assert told["Warning"]["cure"] == "Convert the video."
    assert told["Note"]["cure"] == ""
    assert told["Clocks"]["level"] == "warn"
    assert "linking.apply_clocks=true" in told["Clocks"]["cure"]
    assert "stopped early" in told["Interrupted"]["text"]


def test_lookalikes_are_reviewed_first_where_people_can_be_corrected(tmp_path: Path) -> None:
    def cure() -> str:
        (found,) = [each for each in report(tmp_path)["quality"] if each["title"] == "Lookalikes"]
        return str(found["cure"])

    results.write(tmp_path, 10, 2, lookalikes="people here look alike: 1 of 10 identities")
    assert cure().startswith("Answer the questions of Review first. Filter people by doubt")
    with results.changed(tmp_path, "run.json") as run:
        run["files"].remove(KEPT)
    assert cure().startswith("Filter people by doubt")


@pytest.mark.parametrize(("separation", "level"), [(6.0, "good"), (3.5, "warn"), (0.5, "bad")])
def test_how_well_people_are_told_apart_comes_first(
    tmp_path: Path, separation: float, level: str
) -> None:
    with results.changed(results.write(tmp_path, 1, 1), "links.json") as why:
        why["calibration"]["separation"] = separation
    first = report(tmp_path)["quality"][0]
    assert first["level"] == level
    assert (first["cure"] == "") == (level == "good")


def test_data_cannot_end_the_element_they_stand_in() -> None:
    hostile = "</script><!--<script>&\u2028\u2029"
    text = html.embedded({hostile: hostile})
    assert not re.search("[<>&\u2028\u2029]", text)
    assert json.loads(text) == {hostile: hostile}


def test_the_policy_of_the_page_names_its_script_and_style_and_no_address(tmp_path: Path) -> None:
    report(results.write(tmp_path, 1, 1))
    text = (tmp_path / "report.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert "default-src &#39;none&#39;" in policy[1]
    assert "unsafe" not in policy[1]
    assert "http" not in policy[1]
    assert re.search(r'(src|href)="(?!data:|#)', text) is None


def test_the_scripts_of_the_page_are_small(tmp_path: Path) -> None:
    report(results.write(tmp_path, 1, 1))
    script = re.search(r"<script>(.*?)</script>", (tmp_path / "report.html").read_text(), re.DOTALL)
    assert script is not None
    assert len(script[1].encode()) < 100 * 1024
    assert (tmp_path / "report.html").stat().st_size < 140_000


def test_a_report_that_is_made_again_is_listed_once(tmp_path: Path) -> None:
    report(results.write(tmp_path, 1, 1))
    report(tmp_path)
    listed = json.loads((tmp_path / "run.json").read_text())["files"]
    assert listed == ["run.json", "tracklets.npz", "report.html"]


@pytest.mark.parametrize("missing", ["trajectories.json", "links.json", "run.json"])
def test_a_folder_without_results_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    results.write(tmp_path, 1, 1)
    (tmp_path / missing).unlink()
    assert command.main([str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert missing in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", ["trajectories.json", "links.json", "run.json"])
@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "null",
        "{}",
        '{"people": null, "links": null, "files": 3, "cameras": 1}',
        '{"people": [{"tracklets": [5]}], "cameras": [{}], "links": [[]], "files": [null]}',
        "1e999",
    ],
)
def test_documents_of_another_form_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str
) -> None:
    (results.write(tmp_path, 1, 1) / name).write_text(text)
    assert command.main([str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1


def test_a_folder_without_crops_says_so(tmp_path: Path) -> None:
    (results.write(tmp_path, 2, 1) / crops.FILE).unlink()
    shown = report(tmp_path)
    assert [person["crop"] for person in shown["people"]] == [-1, -1]
    assert any(crops.FILE in each["text"] for each in shown["quality"])


@pytest.mark.parametrize("damage", [b"", b"no archive", b"PK\x05\x06" + bytes(18)])
def test_a_damaged_archive_of_crops_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: bytes
) -> None:
    (results.write(tmp_path, 1, 1) / crops.FILE).write_bytes(damage)
    assert command.main([str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert crops.FILE in said
    assert said.count("\n") == 1
