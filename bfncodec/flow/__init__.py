"""Bayesian flows: senders, receivers, Bayes' rule, accuracy schedules, and L^n term by term.

This layer knows probability. It does not know files, coders or what is inside a network.

Every public name is here, and imported when it is first used: a text needs no Gaussians.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in the package itself
if TYPE_CHECKING:
    from bfncodec.flow.base import Bridge, Distribution, Flow, play
    from bfncodec.flow.erasure import ERASED, ErasureChannel, ErasureFlow
    from bfncodec.flow.gaussian import (
        Atoms,
        GaussianFlow,
        NoisyAtoms,
        Normal,
        OutputDistribution,
        Sums,
        bin_centres,
        discretised_normal,
        output_normal,
        output_point,
    )
    from bfncodec.flow.report import CodeLength, StepCosts
    from bfncodec.flow.schedules.base import GradualSchedule, Group, RevealSchedule, Schedule
    from bfncodec.flow.schedules.gradual import AccuracySchedule, Staggered, StaggeredWavefront
    from bfncodec.flow.schedules.reveal import Comb, Wavefront
    from bfncodec.flow.simplex import NormalVectors, SimplexFlow, SimplexMixture

_MODULES = (
    "report",
    "schedules.base",
    "schedules.reveal",
    "schedules.gradual",
    "base",
    "erasure",
    "gaussian",
    "simplex",
)

__all__ = [
    "ERASED",
    "AccuracySchedule",
    "Atoms",
    "Bridge",
    "CodeLength",
    "Comb",
    "Distribution",
    "ErasureChannel",
    "ErasureFlow",
    "Flow",
    "GaussianFlow",
    "GradualSchedule",
    "Group",
    "NoisyAtoms",
    "Normal",
    "NormalVectors",
    "OutputDistribution",
    "RevealSchedule",
    "Schedule",
    "SimplexFlow",
    "SimplexMixture",
    "Staggered",
    "StaggeredWavefront",
    "StepCosts",
    "Sums",
    "Wavefront",
    "bin_centres",
    "discretised_normal",
    "output_normal",
    "output_point",
    "play",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for (PEP 562)."""
    from importlib import import_module

    for module in _MODULES if name in __all__ else ():
        found = vars(import_module(f"{__name__}.{module}"))
        if name in found:
            return globals().setdefault(name, found[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
