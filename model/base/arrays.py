"""Types of arrays, and the label of a place without a target."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

IGNORE = -100
"""Label without a target, as torch's cross-entropy and transformers have it."""
