"""Settings of tests over generated examples."""

from hypothesis import HealthCheck, settings

SAME_EACH_TIME = settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
"""The examples are the same in each run, and may take as long as they do on a busy machine."""
