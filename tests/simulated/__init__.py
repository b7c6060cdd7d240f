"""A CUDA device that is not there: ordinary memory, under the rules of a device.

What is checked: tensors and generators of one operation are in one place; numpy sees the host's tensors alone; each
time that the host would wait is counted, and refused inside `no_waiting` and during a capture; a captured graph
does its operations again on the memory it was captured with, and nothing else, and keeps no memory but its own.

What is not: arithmetic, speed and streams of a device. Where there is one, the same tests run on it.
"""

from tests.simulated.device import SimulatedCuda
from tests.simulated.kernels import Waited
from tests.simulated.real import Cuda, RealCuda

__all__ = ["Cuda", "RealCuda", "SimulatedCuda", "Waited"]
