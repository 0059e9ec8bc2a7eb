"""Which cameras are together in a worker, and whether machines have room for it."""

import pytest

from pipeline import config as configuration
from pipeline.cluster.groups import divide, place
from pipeline.config import CameraConfig, GroupConfig, RayConfig
from pipeline.errors import ConfigError


def cameras(*names: str, group: str = "") -> list[CameraConfig]:
    return [CameraConfig(source=f"{name}.mp4", name=name, group=group) for name in names]


def test_cameras_without_a_group_are_divided_evenly() -> None:
    groups = divide(cameras("e", "d", "c", "b", "a"), RayConfig(cameras_per_worker=4))
    assert [group.cameras for group in groups] == [("a", "b"), ("c", "d", "e")]
    assert [group.name for group in groups] == ["a..b", "c..e"]


def test_cameras_of_one_group_are_together_and_get_what_the_group_is_given() -> None:
    needs = GroupConfig(num_cpus=2, num_gpus=0.25, resources={"north": 1})
    config = RayConfig(cameras_per_worker=1, groups={"n": needs})
    groups = divide([*cameras("a", "c", "b", group="n"), *cameras("d")], config)
    assert [group.cameras for group in groups] == [("a", "b", "c"), ("d",)]
    assert groups[0].resources == {"CPU": 2, "GPU": 0.25, "north": 1}
    assert groups[0].needs_in_words == "2 CPU, 0.25 GPU, 1 north"
    assert groups[1].resources == {"CPU": 1}


def test_a_camera_may_have_the_name_of_a_group_that_it_is_not_in() -> None:
    groups = divide([*cameras("a", group="north"), *cameras("north")], RayConfig())
    assert [(group.name, group.cameras) for group in groups] == [
        ("north", ("a",)),
        ("north'", ("north",)),
    ]


def test_a_group_that_finds_no_room_is_named_and_the_others_are_placed() -> None:
    big = GroupConfig(num_cpus=2)
    config = RayConfig(cameras_per_worker=1, groups={"big": big})
    groups = divide([*cameras("a", group="big"), *cameras("b", "c")], config)
    assert place(groups, [{"CPU": 2}, {"CPU": 2}]) == []
    assert [group.name for group in place(groups, [{"CPU": 3}])] == ["c"]
    assert [group.name for group in place(groups, [{"CPU": 1}, {"CPU": 1}])] == ["big"]


def test_shares_of_a_gpu_add_up_to_one() -> None:
    config = RayConfig(groups={name: GroupConfig(num_gpus=0.1) for name in "abcdefghij"})
    each_alone = [CameraConfig(source="x.mp4", name=name, group=name) for name in "abcdefghij"]
    assert place(divide(each_alone, config), [{"CPU": 16, "GPU": 1}]) == []


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"ray": {"address": "somewhere"}}, "ray.address: address is host:port of a cluster's"),
        ({"ray": {"address": "ray://head:10001"}}, "ray.address: address is host:port"),
        ({"ray": {"groups": {"a": {"num_gpus": 1.5}}}}, "num_gpus must be a share of one GPU"),
        ({"ray": {"groups": {"a": {"resources": {"CPU": 1}}}}}, "give num_cpus and num_gpus"),
        ({"engine": "spark"}, "engine: Input should be 'local' or 'ray'"),
    ],
)
def test_settings_of_a_cluster_that_cannot_be_used_are_told(values: dict, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configuration.build(values, "site.yaml")
    assert reason in str(caught.value)


def test_a_group_of_the_settings_without_a_camera_is_an_error_that_names_the_groups() -> None:
    config = configuration.build(
        {
            "cameras": [{"source": "a.mp4", "group": "north"}],
            "ray": {"groups": {"nrth": {}}},
        },
        "site.yaml",
    )
    with pytest.raises(ConfigError, match=r"group nrth, and the groups are north"):
        configuration.check_groups(config)
