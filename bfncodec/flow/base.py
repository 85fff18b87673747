"""The protocol between sender and receiver in a Bayesian Flow Network, and the interface its senders implement.

A sender knows the data x, a receiver the parameters theta of a factorised input distribution.
Step i:

    y     ~ p_S(y | x; alpha)                             the sender's noisy copy of x
    p_O   = output(theta, network(theta, i))              what the network makes of theta
    p_R   = sum over x' of p_O(x') p_S(y | x'; alpha)     the receiver's prediction of y
    bits += KL(p_S || p_R)
    theta = update(theta, y, alpha)                       Bayes' rule

and after the last step bits += -log2 p_O(x | theta_n). The total is L^n (Graves et al. 2023,
eqs. 16 to 18), the number of bits an ideal coder needs for x.

Nothing here says what the arrays are: a flow may work on NumPy arrays (measuring) or on torch
tensors (training). Shapes are written [..., D] for one value per dimension.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np

from bfncodec.flow.report import CodeLength
from bfncodec.flow.schedules.base import Schedule


class AnyArray(Protocol):
    """An array, NumPy's or torch's, as far as the protocol needs it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Extent of the tensor along each axis."""
        ...

    def sum(self) -> Any:
        """All elements added up."""
        ...

    def __sub__(self, other: Any, /) -> Any:
        """Elementwise difference."""
        ...


Data = TypeVar("Data", bound=AnyArray)  # data x and samples y
Theta = TypeVar("Theta")  # natural parameters of the input distribution p_I
Given = TypeVar("Given", contravariant=True)  # a Theta that is only read
Output = TypeVar("Output")  # parameters of the output distribution p_O


class Distribution(Protocol[Data]):
    """A factorised distribution: independent in each dimension."""

    def sample(self, rng: Any) -> Data:
        """One draw per dimension; rng is a numpy or torch generator, whichever fits the arrays."""
        ...

    def log2_prob(self, y: Data) -> AnyArray:
        """log2 of the probability (or density) of y, [..., D]."""
        ...


class Flow(Protocol[Data, Theta, Output]):
    """Sender, receiver and Bayes' rule for one kind of data, in the paper's names.

    alpha is always one row of a schedule's accuracy matrix, float64 [D].
    """

    def prior(self, shape: tuple[int, ...]) -> Theta:
        """theta_0 for data of that shape, [..., D]: nothing is known yet."""
        ...

    def sender(self, x: Data, alpha: Any) -> Distribution[Data]:
        """p_S(y | x; alpha). Encoders only: it needs x."""
        ...

    def output(self, theta: Theta, raw: Any) -> Output:
        """p_O(x | theta): the network's raw result combined with what theta already settles."""
        ...

    def receiver(self, p_O: Output, alpha: Any) -> Distribution[Data]:
        """p_R(y | theta; alpha). Encoders, decoders and samplers."""
        ...

    def update(self, theta: Theta, y: Data, alpha: Any) -> Theta:
        """Bayes' rule h(theta, y, alpha), in natural parameters."""
        ...

    def kl(self, x: Data, p_O: Output, alpha: Any, rng: Any = None) -> AnyArray:
        """KL(p_S || p_R) in bits, [..., D].

        Exact where it has a closed form; otherwise a Monte-Carlo estimate drawn from rng.
        """
        ...

    def reconstruction(self, x: Data, p_O: Output) -> AnyArray:
        """-log2 p_O(x | theta_n) in bits, [..., D]."""
        ...


class Bridge(Protocol[Data, Given]):
    """A flow whose samples can be given back (bits-back coding).

    Its noise is Brownian, so given the parameters after a step those before it do not depend on x.
    """

    def bridge(self, theta: Given, beta: Any, alpha: Any) -> Distribution[Data]:
        """p(theta_i | theta_{i+1}), with beta [D] spent before step i and alpha [D] at step i."""
        ...


def play(
    flow: Flow[Data, Theta, Output],
    schedule: Schedule,
    network: Callable[[Theta, int], Any],
    x: Data,
    rng: Any = None,
    realised: bool = False,
) -> CodeLength:
    """Send x once, step by step, and report L^n term by term.

    Parameters
    ----------
    flow, schedule
        The senders and their accuracies.
    network
        (theta, i) to the raw result that `flow.output` turns into p_O; called n_steps + 1 times,
        the last time with i = n_steps.
    x
        Data [..., D], one item or a batch; the report is the sum over all of it.
    rng
        Source of the sender's noise. With noise the report is a one-sample estimate of L^n;
        schedules that reveal dimensions completely are deterministic.
    realised
        Report log2 p_S(y)/p_R(y) of the samples that were drawn, whose mean is the KL, instead of the KL itself. Where
        noise leads the receiver astray, the next samples are dear, but this one was cheap: the sum over all steps
        varies far less.
    """
    theta = flow.prior(tuple(x.shape))
    kl = []
    for i in range(schedule.n_steps):
        alpha = schedule.accuracy(i)
        p_O = flow.output(theta, network(theta, i))
        p_S = flow.sender(x, alpha)
        if realised:
            y, p_R = p_S.sample(rng), flow.receiver(p_O, alpha)
            bits = (p_S.log2_prob(y) - p_R.log2_prob(y)).sum()
        else:
            bits = flow.kl(x, p_O, alpha, rng).sum()
            y = p_S.sample(rng)
        kl.append(float(bits))
        theta = flow.update(theta, y, alpha)
    p_O = flow.output(theta, network(theta, schedule.n_steps))
    last = flow.reconstruction(x, p_O)
    return CodeLength(np.array(kl), float(last.sum()), math.prod(last.shape))
