"""Steps of a network that a GPU records once and replays: CUDA graphs.

A decoder's step is some hundred operations on few numbers, each of which takes longer to start than to run. A graph
starts all of them with one call. It runs the kernels that the operations themselves would, on the same memory, so that
the integers are the same; the first replay is compared with the operations all the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

Step = Callable[[], Tensor]
"""A step that reads and writes the same tensors whenever it is called, to the same effect if it is called again."""
Record = Callable[[Step], Step]
WARM_UPS = 2  # calls before recording, in which libraries allocate what they need


def recorded(step: Step) -> Step:
    """Return what replays a step from a CUDA graph, and the step itself where it cannot be recorded or comes out
    otherwise. The step is called some times.
    """
    try:
        replay, expected = _captured(step)
        found = replay()
    except RuntimeError as error:  # operations that no graph can hold, an older driver, too little memory
        logging.getLogger(__name__).info("no CUDA graph: %s", error)
        return step
    if torch.equal(found, expected):
        return replay
    logging.getLogger(__name__).warning("a CUDA graph computed another step than its operations; it is not used")
    return step


def _captured(step: Step) -> tuple[Step, Tensor]:
    """Return what replays a step, and what the step gives without."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            expected = step().clone()
        stream.synchronize()
        graph.capture_begin(capture_error_mode="thread_local")  # others may work meanwhile
        try:
            out = step()
        finally:
            graph.capture_end()
    torch.cuda.current_stream().wait_stream(stream)

    def replay() -> Tensor:
        graph.replay()
        return out

    return replay, expected
