"""The benchmark of many cameras counts what processes use, and computes what its model says."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.pipeline.scenes import Scene, Video
from benchmarks.scale import model, processes, runs, tables
from benchmarks.scale.__main__ import CITY, Kept
from benchmarks.scale.model import Assumptions, Line, PowerLaw, Rates
from benchmarks.scale.processes import COMMAND, LINKER, OF_RAY, WORKERS, Process, Sampler, Used
from benchmarks.scale.runs import Pair, Run
from models.errors import InputError
from pipeline.cluster import linking
from tests.waiting import wait_until

ASSUMED = Assumptions(load=0.5, busy_hours=24.0, cores_per_node=8, site_cameras=100)
RATES = Rates(
    decode_ms_per_s=20.0,
    full_hd_ms_per_s=80.0,
    video_ms_per_s=50.0,
    detect_ms=20.0,
    track_ms=4.0,
    embed_ms=10.0,
    looks_per_s=5.0,
    tracklets_per_min=30.0,
    crops_per_tracklet=4.0,
    kept_bytes=4096.0,
    stored_bytes={"rows": 1000.0, "crops": 3000.0},
    video_bytes_per_s=50_000.0,
    sent_bytes_per_s=8000.0,
    driver_ms_per_s=2.0,
    ray_cores_per_node=0.05,
    ray_mib_per_node=512.0,
    worker_mib=500.0,
    camera_mib=20.0,
    link_s=PowerLaw(0.001, 1.0, 100_000.0),
    link_mib=Line(400.0, 0.01),
    step_s=PowerLaw(0.0005, 1.0, 2000.0),
    looked_at_per_camera=20.0,
)
BURN = """
import os, sys, time
while time.process_time() < 0.5: pass
while os.path.exists(sys.argv[1]): time.sleep(0.05)
"""
"""Uses half a second of CPU time, and ends when a file is gone."""
N_BYTES = 3_000_000


def test_a_power_law_goes_through_what_follows_one() -> None:
    sizes = [10.0, 30.0, 100.0]
    law = PowerLaw.through(sizes, [2 * size**1.5 for size in sizes])
    assert law.at(50) == pytest.approx(2 * 50**1.5)
    assert law.largest_size(law.at(77)) == pytest.approx(77)
    assert law.largest == 100


def test_a_line_goes_through_its_points() -> None:
    line = Line.through([1, 2, 4], [500, 600, 800])
    assert line.at(0) == pytest.approx(400)
    assert line.largest_size(900) == pytest.approx(5)


def test_cores_are_the_cpu_time_of_all_stages_by_the_load_that_is_allowed() -> None:
    costs = model.costs(10, RATES, ASSUMED)
    networks_ms = 5 * 20 + 0.5 * 4 * 10
    rest_ms = 20 + 5 * 4
    assert costs.cores == pytest.approx(10 * (networks_ms + rest_ms) / 1000 / 0.5)
    assert costs.cores_with_gpus == pytest.approx(10 * rest_ms / 1000 / 0.5)
    assert costs.cores_full_hd - costs.cores == pytest.approx(10 * (80 - 20) / 1000 / 0.5)
    assert costs.cores_video == pytest.approx(10 * 50 / 1000 / 0.5)
    assert costs.workers == 3
    assert costs.nodes == 1
    assert costs.memory_gib == pytest.approx((3 * 500 + 10 * 20 + 512) / 1024)


def test_what_a_day_stores_and_sends_follows_from_its_tracklets() -> None:
    costs = model.costs(100, RATES, ASSUMED)
    tracklets = 100 * 30 * 60 * 24
    assert costs.as_one.tracklets == tracklets
    assert costs.stored_gb["rows"] == pytest.approx(tracklets * 1000 / 1e9)
    assert costs.stored_gb["video"] == pytest.approx(100 * 86_400 * 50_000 / 1e9)
    assert costs.sent_mbit_s == pytest.approx(100 * 8 * 8000 / 1e6)


@pytest.mark.parametrize("cameras", CITY)
def test_each_shard_can_be_linked_in_the_time_and_memory_that_there_are(cameras: int) -> None:
    linking = model.linking(cameras, RATES, ASSUMED)
    per_s = cameras * RATES.tracklets_per_min / 60
    in_shard = per_s * linking.shard_s
    assert linking.shards * in_shard == pytest.approx(linking.tracklets)
    assert RATES.link_s.at(in_shard) <= ASSUMED.link_hours * 3600 * (1 + 1e-9)
    assert RATES.link_mib.at(in_shard) <= ASSUMED.link_gib * 1024 * (1 + 1e-9)
    assert linking.shards == 1 or in_shard > 0.5 * 1e6


def test_a_linker_for_each_site_costs_the_same_however_many_sites_there_are() -> None:
    thousand = model.costs(1_000, RATES, ASSUMED)
    ten_thousand = model.costs(10_000, RATES, ASSUMED)
    assert thousand.by_site == ten_thousand.by_site
    assert (thousand.sites, ten_thousand.sites) == (10, 100)
    assert ten_thousand.as_one.shards > ten_thousand.by_site.shards


def test_sizes_beyond_those_that_were_measured_are_marked() -> None:
    costs = [model.costs(n, RATES, ASSUMED) for n in (1, 100)]
    lines = tables.day(costs).splitlines()
    (hours,) = [line for line in lines if line.startswith("one linker: CPU hours")]
    few, many = hours.split()[-2:]
    assert not few.endswith("*")
    assert many.endswith("*")


def test_one_live_run_has_as_many_cameras_as_a_step_has_time_for() -> None:
    most = model.most_live_cameras(RATES, ASSUMED)
    assert model.linking(most, RATES, ASSUMED).step_s <= ASSUMED.live_delay_s / 2
    assert model.linking(most + 1, RATES, ASSUMED).step_s > ASSUMED.live_delay_s / 2


def test_a_quiet_day_has_its_share_of_the_tracklets_of_a_crowded_one() -> None:
    quiet = replace(ASSUMED, share=0.25)
    costs = model.costs(10, RATES, quiet)
    crowded = model.costs(10, RATES, ASSUMED)
    assert costs.as_one.tracklets == 0.25 * crowded.as_one.tracklets
    assert costs.stored_gb["rows"] == pytest.approx(0.25 * crowded.stored_gb["rows"])
    assert costs.stored_gb["video"] == crowded.stored_gb["video"]


def wait_for(sampler: Sampler, is_there: Callable[[Used], bool]) -> Used:
    """Let a sampler watch until something is there."""
    wait_until(lambda: is_there(sampler.used()), timeout_s=60.0)
    return sampler.used()


def test_cpu_time_of_processes_that_the_command_does_not_wait_for_counts(tmp_path: Path) -> None:
    until_gone = tmp_path / "burns"
    until_gone.touch()
    words = f"[sys.executable, '-c', {BURN!r}, {str(until_gone)!r}]"
    program = f"import subprocess, sys; subprocess.Popen({words})"
    wait = "; sys.stdin.read()"
    sampler = Sampler()
    sampler.start()
    with subprocess.Popen([sys.executable, "-c", program + wait], stdin=subprocess.PIPE) as command:
        sampler.roots.add(command.pid)
        wait_for(sampler, lambda used: len(used.processes) == 2)
    used = wait_for(sampler, lambda used: used.cpu_s(COMMAND, command.pid) > 0.4)
    until_gone.unlink()
    sampler.stop()
    assert used.cpu_s(COMMAND, command.pid) > 0.4
    assert len(used.of(COMMAND, command.pid)) == 2


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("ray::FileWorker.next", WORKERS),
        (f"ray::{linking.TASK}", LINKER),
        ("ray::IDLE", OF_RAY),
        ("ray::DashboardAgent", OF_RAY),
        ("/lib/ray/core/src/ray/raylet/raylet --node", OF_RAY),
        ("python run_pipeline.py --set ray.address=auto", COMMAND),
    ],
)
def test_a_process_is_known_by_its_title(title: str, kind: str) -> None:
    command = 100
    pid = command if kind == COMMAND else 101
    assert processes.kind_of(pid, Process(command, title, 0.0), command) == kind


@pytest.mark.skipif(shutil.which("ss") is None, reason="needs ss of iproute2")
def test_bytes_from_one_process_to_another_are_those_of_its_sockets() -> None:
    serve = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1],"
        " flush=True); c, _ = s.accept()\nwhile c.recv(1 << 16): pass"
    )
    server = subprocess.Popen([sys.executable, "-c", serve], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    port = int(server.stdout.readline())
    send = (
        f"import socket, sys; c = socket.create_connection(('127.0.0.1', {port}));"
        f" c.sendall(bytes({N_BYTES})); sys.stdin.read()"
    )
    sampler = Sampler()
    sampler.start()
    with server, subprocess.Popen([sys.executable, "-c", send], stdin=subprocess.PIPE) as client:
        sampler.roots |= {server.pid, client.pid}
        ways = (client.pid, server.pid)
        used = wait_for(sampler, lambda used: used.sent.get(ways, 0) >= N_BYTES)
    sampler.stop()
    assert used.sent[ways] == pytest.approx(N_BYTES, rel=0.01)
    assert used.sent[ways[::-1]] == 0


def run_of(workers: int, frames: int, cpu_s: float) -> Run:
    """A run of two cameras that used so many CPU seconds in each of its processes."""
    return Run(
        workers=workers,
        cameras=2,
        frames=frames,
        video_s=frames / 2 / 10,
        wall_s=10.0 + frames,
        command_s=cpu_s,
        workers_s=cpu_s,
        linker_s=0.0,
        ray_s=cpu_s,
        idle_cores=0.1,
        sent_bytes=1000.0 * frames + 50 * (10.0 + frames),
        back_bytes=0.0,
        idle_bytes_s=50.0,
        command_mib=300.0,
        worker_mib=[500.0] * workers,
        ray_mib=600.0,
        link_s=0.1,
        restarts=0,
        tracks_sha256="same",
    )


def test_what_a_start_costs_is_not_in_the_cost_of_a_frame() -> None:
    pair = Pair(run_of(1, 100, 5.0), run_of(1, 300, 9.0))
    assert pair.ms_a_frame("command_s") == pytest.approx(20)
    assert pair.start_s("command_s") == pytest.approx(3)
    assert pair.ms_a_video_second("command_s") == pytest.approx(200)


def test_bytes_that_ray_sends_anyway_are_not_those_of_the_cameras() -> None:
    pair = Pair(run_of(1, 100, 5.0), run_of(1, 300, 9.0))
    assert pair.sent_bytes_s == pytest.approx(1000.0 * 200 / 2 / 10)


def test_a_pair_of_runs_can_be_kept_as_json() -> None:
    pair = Pair(run_of(2, 100, 5.0), run_of(2, 300, 9.0))
    assert Pair.from_json(json.loads(json.dumps(pair.as_json()))) == pair


def test_rounds_are_averaged_and_must_have_the_same_results() -> None:
    first = Pair(run_of(1, 100, 5.0), run_of(1, 300, 9.0))
    second = Pair(run_of(1, 100, 7.0), run_of(1, 300, 15.0))
    mean = Pair.mean([first, second])
    assert mean.ms_a_frame("command_s") == pytest.approx(30)
    assert mean.long.worker_mib == [500.0, 500.0]
    assert mean.long.tracks_sha256 == "same"
    other = replace(second.long, tracks_sha256="other", restarts=1)
    mean = Pair.mean([first, replace(second, long=other)])
    assert mean.long.tracks_sha256 not in ("same", "other")
    assert mean.long.restarts == 1


def test_results_that_differ_from_those_without_ray_are_told() -> None:
    local = Pair(run_of(0, 100, 5.0), run_of(0, 300, 9.0))
    other = replace(run_of(1, 300, 9.0), tracks_sha256="other")
    *_, last = tables.runs([local, Pair(run_of(1, 100, 5.0), other)]).splitlines()
    assert last.split()[-2:] == ["yes", "NO"]


def test_cameras_show_the_videos_of_a_scene_in_turn() -> None:
    scene = Scene("two", (Video("a", Path("a.mp4"), []), Video("b", Path("b.mp4"), [])), None)
    videos = runs.cameras_of(scene, 5).videos
    assert [video.name for video in videos] == ["a_1", "b_1", "a_2", "b_2", "a_3"]
    assert [video.path.name for video in videos] == ["a.mp4", "b.mp4"] * 2 + ["a.mp4"]


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "kept" / "measured.json"
    assert Kept(path).get("x", 1, lambda: [1.5]) == [1.5]
    again = Kept(path)
    assert again.get("x", 1, lambda: [2.5]) == [1.5]
    assert again.get("x", 2, lambda: [2.5]) == [2.5]


def test_figures_of_another_commit_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "measured.json"
    entry = {"git": "0123456789abcdef", "settings": 1, "results": 2}
    path.write_text(json.dumps({"x": entry}))
    assert Kept(path).get("x", 1, lambda: 3) == 2
    assert capsys.readouterr().out == "x: measured by commit 0123456789ab\n"


def test_a_file_that_is_damaged_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "measured.json"
    path.write_text("[1]")
    with pytest.raises(InputError, match="is no file of this benchmark"):
        Kept(path)
