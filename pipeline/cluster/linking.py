"""Linking as a task of the cluster.

Its input is all of its state. So when the process or machine dies on which it runs, Ray runs it
again with the same input, and with the same result.
"""

import pickle
from collections.abc import Mapping, Sequence

from pipeline.cluster.connection import import_ray
from pipeline.config import LinkingConfig
from pipeline.errors import ClusterError
from pipeline.linking import linker
from pipeline.linking.clustering.corrections import Corrections
from pipeline.linking.linker import Linked
from pipeline.linking.site import Site
from pipeline.records import Camera, Embedded

MAX_RETRIES = 3


def link(
    embedded: Sequence[Embedded],
    cameras: Mapping[str, Camera],
    config: LinkingConfig,
    corrected: Corrections,
    before: Site,
) -> Linked:
    """Link on some machine of the cluster; see `linker.link`.

    Raises:
        ClusterError: the task was lost again and again.
    """
    ray = import_ray()
    task = ray.remote(_link_packed).options(num_cpus=1, max_retries=MAX_RETRIES)
    try:
        packed = ray.get(task.remote(embedded, cameras, config, corrected, before))
    except ray.exceptions.RayTaskError:
        raise
    except ray.exceptions.RayError:
        raise ClusterError(
            f"linking was lost {MAX_RETRIES + 1} times with its process or machine, maybe for"
            " lack of memory; --resume does only that again"
        ) from None
    linked: Linked = pickle.loads(packed)
    return linked


def _link_packed(
    embedded: Sequence[Embedded],
    cameras: Mapping[str, Camera],
    config: LinkingConfig,
    corrected: Corrections,
    before: Site,
) -> bytes:
    """Linked people as bytes, because arrays that Ray gives are its own, and read-only."""
    return pickle.dumps(linker.link(embedded, cameras, config, corrected, before))
