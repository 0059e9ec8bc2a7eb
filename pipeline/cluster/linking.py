"""Linking as tasks of the cluster: one for all tracklets, or one for each shard of time.

The input of a task is all of its state. So when the process or machine dies on which it runs, Ray
runs it again with the same input, and with the same result.
"""

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pipeline.cluster.connection import import_ray
from pipeline.config import LinkingConfig
from pipeline.errors import ClusterError
from pipeline.linking import linker, shards
from pipeline.linking.clustering.corrections import Corrections
from pipeline.linking.linker import Linked
from pipeline.linking.site import Site
from pipeline.records import Camera, Embedded

TASK = "link"
"""Name of the tasks; a process that runs one is called `ray::link`."""
MAX_RETRIES = 3

Given = TypeVar("Given")
Found = TypeVar("Found")


def link(
    embedded: Sequence[Embedded],
    cameras: Mapping[str, Camera],
    config: LinkingConfig,
    corrected: Corrections,
    before: Site,
) -> Linked:
    """Link on some machine of the cluster, or shards of time on several; see `shards.link`.

    Raises:
        ClusterError: a task was lost again and again.
    """
    if config.shard_s:  # what comes before and after the shards is done here
        return shards.link(embedded, cameras, config, corrected, before, _map)
    linked: Linked = _result(_started(linker.link, embedded, cameras, config, corrected, before))
    return linked


def _map(function: Callable[[Given], Found], values: Iterable[Given]) -> Iterator[Found]:
    """Run a function on all values, each as a task, in the order of the values."""
    tasks = [_started(function, value) for value in values]
    for task in tasks:
        yield _result(task)


def _started(function: Callable[..., Any], *given: Any) -> Any:
    """Start a task; returns what its result is asked for with."""
    task = import_ray().remote(_packed)
    named = task.options(name=TASK, num_cpus=1, max_retries=MAX_RETRIES)
    return named.remote(function, *given)


def _packed(function: Callable[..., Any], *given: Any) -> bytes:
    """The result of a function as bytes: arrays that Ray gives are its own, and read-only."""
    return pickle.dumps(function(*given))


def _result(task: Any) -> Any:
    """Wait for the result of a task; raises ClusterError."""
    ray = import_ray()
    try:
        return pickle.loads(ray.get(task))
    except ray.exceptions.RayTaskError:
        raise
    except ray.exceptions.RayError:
        raise ClusterError(
            f"linking was lost {MAX_RETRIES + 1} times with its process or machine, maybe for"
            " lack of memory"
        ) from None
