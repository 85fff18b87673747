"""Research: one's own network, in floats, coded by bits-back and measured against its L^n.

Files of this room are for one machine, which they name; what is to be decoded anywhere is exported to an exact network.
"""

from bfncodec.research.codec import FloatCodec, FloatMeasurement
from bfncodec.research.data import Continuous, Data, Discrete, Discretised

__all__ = ["Continuous", "Data", "Discrete", "Discretised", "FloatCodec", "FloatMeasurement"]
