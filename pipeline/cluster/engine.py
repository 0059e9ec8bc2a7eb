"""The engine of a run over files on a cluster: what reads its cameras, and what links."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.cluster import connection, linking
from pipeline.cluster.files import FileReader, groups_of
from pipeline.cluster.log import RunLog
from pipeline.cluster.supervision import spares
from pipeline.errors import ClusterError, ConfigError
from pipeline.preparation import Prepared
from pipeline.run import Engine


@contextmanager
def opened(prepared: Prepared, resume: bool, quiet: bool) -> Iterator[Engine]:
    """Give the engine of a run, for the time of a block.

    Args:
        prepared: what to work with.
        resume: go on with the log that is in the output folder, if there is one.
        quiet: do not print what happens to workers.

    Raises:
        PipelineError: the run cannot be resumed, or the cluster cannot be used.
    """
    config = prepared.config
    if config.linking.online:
        raise ConfigError(
            "linking.online decides while one process reads all files; leave out engine=ray, or"
            " linking.online"
        )
    log = RunLog(prepared.result.folder, prepared.result, resume)
    with connection.connected(config.ray) as is_own:
        if is_own:  # no machine will come into it
            groups = groups_of(config)
            spare = spares(groups, config.ray.spare_workers)
            connection.refuse_too_small([*groups, *spare], at_once=bool(spare))
        try:
            yield Engine(FileReader(log, quiet), linking.link)
        except ClusterError as error:
            raise ClusterError(f"{error}; --resume goes on with what was read by then") from None
