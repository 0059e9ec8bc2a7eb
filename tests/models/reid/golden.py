"""The input of the golden numbers: a matrix that anyone can make again, in any language, without a
random generator.
"""

import numpy as np
from numpy.typing import NDArray


def F(n: int, d: int, a: float = 12.9898, b: float = 78.233) -> NDArray[np.float64]:
    """Matrix (n, d) float64 with sin(a i + 0.1 b j + 0.37 i j) at row i = 1..n and column j =
    1..d.
    """
    i, j = np.arange(1, n + 1)[:, None], np.arange(1, d + 1)[None]
    return np.sin(a * i + 0.1 * b * j + 0.37 * i * j)
