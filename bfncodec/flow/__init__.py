"""Bayesian flows: senders, receivers, Bayes' rule, accuracy schedules, and L^n term by term.

This layer knows probability. It does not know files, coders or what is inside a network.
"""

from bfncodec.flow.base import Bridge, Distribution, Flow, play
from bfncodec.flow.erasure import ERASED, ErasureChannel, ErasureFlow
from bfncodec.flow.report import CodeLength
from bfncodec.flow.schedule import Comb, RevealSchedule, Schedule, Wavefront

__all__ = [
    "ERASED",
    "Bridge",
    "CodeLength",
    "Comb",
    "Distribution",
    "ErasureChannel",
    "ErasureFlow",
    "Flow",
    "RevealSchedule",
    "Schedule",
    "Wavefront",
    "play",
]
