"""Names for the array types that signatures use."""

import numpy as np
from numpy.typing import NDArray

Float64s = NDArray[np.float64]
Float32s = NDArray[np.float32]
Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
UInt32s = NDArray[np.uint32]
UInt8s = NDArray[np.uint8]
Bools = NDArray[np.bool_]
