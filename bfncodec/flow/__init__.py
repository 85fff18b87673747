"""Bayesian flows: senders, receivers, Bayes' rule, accuracy schedules, and L^n term by term.

This layer knows probability. It does not know files, coders or what is inside a network.
"""

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
from bfncodec.flow.schedule import (
    AccuracySchedule,
    Comb,
    GradualSchedule,
    Group,
    RevealSchedule,
    Schedule,
    Staggered,
    StaggeredWavefront,
    Wavefront,
)
from bfncodec.flow.simplex import NormalVectors, SimplexFlow, SimplexMixture

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
