"""What the tests share: where data is, and the sample."""

import os
from pathlib import Path

import pytest

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # tensors are tiny here, and waiting threads cost more than they do

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def sample() -> Path:
    """The rendered clips with truth that ship with the repository."""
    return ROOT / "samples" / "plaza"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data that is not in the repository; tests that ask for it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared/data, which is not part of the repository")
    return SHARED
