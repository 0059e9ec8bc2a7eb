"""Learning rate over the epochs, as a pure function of the epoch: nothing to save, nothing to call
in the right order.
"""

import math

from models.reid.settings import ScheduleSettings


def factor(schedule: ScheduleSettings, epoch: float, n_epochs: int) -> float:
    """Factor on the base learning rate in 0-based `epoch` of `n_epochs`; 2.5 is the middle of the
    third epoch.

    Linear warm-up from `warmup_factor` over `warmup_epochs`, times the decay (multistep: gamma at
    each milestone; step: gamma every step_epochs; cosine: from 1 to 0 over the run; Luo et al.
    2019, eq. in section 3.1). `stepped: before` is one ahead.
    """
    epoch += schedule.stepped == "before"
    warmup = 1.0
    if epoch < schedule.warmup_epochs:
        done = epoch / schedule.warmup_epochs
        warmup = schedule.warmup_factor * (1 - done) + done
    return warmup * _decay(schedule, epoch, n_epochs)


def _decay(schedule: ScheduleSettings, epoch: float, n_epochs: int) -> float:
    if schedule.name == "multistep":
        return float(schedule.gamma ** sum(epoch >= milestone for milestone in schedule.milestones))
    if schedule.name == "step":
        return float(schedule.gamma ** int(epoch // schedule.step_epochs))
    if schedule.name == "cosine":
        return (1 + math.cos(math.pi * min(epoch, n_epochs) / n_epochs)) / 2
    return 1.0
