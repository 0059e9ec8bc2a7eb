"""The benchmark of the whole program.

The number of threads that the user asked for is read here, before `models` is imported: `models`
sets it for its own process, and the systems that are compared must not inherit that.
"""

import os

OMP_NUM_THREADS = os.environ.get("OMP_NUM_THREADS")
"""As the user set it; None where it is not set."""
