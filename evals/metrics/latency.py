"""The 95th percentile of the time to an answer (to the search results where no answers were asked for), in
milliseconds.

Linear interpolation between order statistics: type 7 of Hyndman and Fan, "Sample Quantiles in Statistical
Packages", 1996.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def p95(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Percentile over the last axis."""
    return np.asarray(np.percentile(samples, 95, axis=-1), dtype=np.float64)
