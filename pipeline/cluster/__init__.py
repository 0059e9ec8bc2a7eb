"""The same stages on many machines, by Ray (`engine: ray`; optional package `ray`).

The process of the command is the *driver*. A *worker* is a Ray actor that owns a *group* of
cameras: it reads, detects, tracks and embeds, and pixels stay with it. The driver takes what the
workers found, links it and writes results. A worker that dies or hangs is started again, elsewhere
if there is another machine.

- `groups`: which cameras are together in a worker, and what it is given of a machine
- `connection`: a cluster on this machine, or one that runs
- `supervision`: workers that are started, asked, and started again
- `engine`, `files`, `file_worker`, `log`: runs over files: what a run does its work with, the
  driver, its workers, and what was read so far, to go on after a kill
- `linking`: linking as tasks of the cluster, for runs over files
- `live`, `live_actor`, `live_group`, `overview`: live runs: the driver, its workers, what a worker
  does, and what the driver knows of all workers

Nothing here is imported by a run with `engine: local`.
"""
