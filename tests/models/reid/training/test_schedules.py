"""Learning rates over the epochs."""

import pytest

from models.reid.settings import ScheduleSettings
from models.reid.training.schedules import factor

PUBLISHED = ScheduleSettings(milestones=(40, 70), gamma=0.1, warmup_epochs=10, warmup_factor=0.01)


@pytest.mark.parametrize(
    ("epoch", "lr"),
    [
        (0, 3.5e-6),
        (1, 3.815e-5),
        (9, 3.1535e-4),
        (10, 3.5e-4),
        (39, 3.5e-4),
        (40, 3.5e-5),
        (70, 3.5e-6),
    ],
)
def test_warmup_multistep_gives_the_published_rates(epoch: int, lr: float) -> None:
    assert 3.5e-4 * factor(PUBLISHED, epoch, 120) == pytest.approx(lr, rel=1e-12)


def test_stepping_before_the_epoch_is_one_epoch_ahead() -> None:
    before = PUBLISHED.model_copy(update={"stepped": "before"})
    assert factor(before, 0, 120) == pytest.approx(0.109)
    assert all(factor(before, e, 120) == factor(PUBLISHED, e + 1, 120) for e in range(119))


def test_steps_come_every_so_many_epochs() -> None:
    schedule = ScheduleSettings(name="step", step_epochs=20, gamma=0.5, warmup_epochs=0)
    assert [factor(schedule, e, 60) for e in (0, 19, 20, 39, 40)] == [1, 1, 0.5, 0.5, 0.25]


def test_a_cosine_falls_from_one_to_nearly_nothing() -> None:
    schedule = ScheduleSettings(name="cosine", warmup_epochs=0)
    rates = [factor(schedule, e, 10) for e in range(10)]
    assert (
        rates == sorted(rates, reverse=True)
        and rates[0] == 1
        and rates[5] == pytest.approx(0.5)
        and 0 < rates[9] < 0.03
    )


def test_constant_stays_after_its_warmup() -> None:
    schedule = ScheduleSettings(name="constant", warmup_epochs=2, warmup_factor=0.5)
    assert [factor(schedule, e, 10) for e in (0, 1, 2, 9)] == [0.5, 0.75, 1, 1]
