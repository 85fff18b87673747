"""Lines of pictures under a wavefront: what a step sends of each.

The final step of a pixel has an accuracy that tells levels apart, so that

    p_R(y | theta) = sum over x of p_O(x | theta) N(y; x, 1/alpha)

has 256^3 terms, of which all but that of the levels nearest to y are next to nothing: with `DEVIATIONS` between two
levels, less than 2^-36 of it. The latent variable of bits-back coding is these levels, and takes no bits from the
stack. Given its past, a pixel's levels are thus coded one after the other: this is autoregression over lines, with the
sender's noise around it.

The noisy step, where there is one, sends a sample that leaves levels open. There the receiver is a mixture of normals,
one for each component of p_O, and the component is the latent variable; channels follow each other here too, each given
the samples of those before. In the final step the samples are evidence, which p_O takes in by Bayes' rule.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.ans import AnsStack
from bfncodec.coding.bitsback import Floats, Ints, LatticeFlow
from bfncodec.coding.cdf import NIBBLE, byte_bits, softmax_frequencies
from bfncodec.coding.lattice import Normals
from bfncodec.flow import Group
from bfncodec.networks.convnet.config import CODING_ORDER
from bfncodec.networks.convnet.exact import Prediction
from bfncodec.networks.wavefront.exact import NormalMixture
from bfncodec.networks.wavefront.model import CLASSES

ALIKE = 1024  # samples that are coded together, those with the narrowest distributions first
CHANNELS = len(CODING_ORDER)


@dataclass(frozen=True)
class Scale:
    """The levels that sums of pictures amount to. noise: deviation of a noisy sample, in levels"""

    flow: LatticeFlow
    noise: float

    def levels(self, phase: int, sums: NDArray[Any]) -> Ints:
        """The levels nearest to sums in units with so many steps behind them, of the same shape."""
        return np.rint(self.sample(phase, sums)).clip(0, CLASSES - 1).astype(np.int64)

    def sample(self, phase: int, sums: NDArray[Any]) -> Floats:
        """Sums in units with so many steps behind them as the noisy levels that they amount to."""
        mean = sums * (self.flow.units[phase] / self.flow.betas[phase])
        found: Floats = (mean + 1) * (CLASSES / 2) - 0.5
        return found


@dataclass(frozen=True)
class LineStep(ABC):
    """The part of a step that sends one line. head: see `WavefrontReceiver.head`; before: its sums, [items, n, 1];
    prediction: the network's output given all that is known before the step. It is of use once: for one of `push`,
    `pop` and `bits`.
    """

    scale: Scale
    head: Callable[[Prediction, int], Any]
    group: Group
    before: NDArray[Any]
    prediction: Prediction

    @property
    def number(self) -> int:
        """Number of the line."""
        return self.group.cohort

    def sent(self, sums: NDArray[Any]) -> NDArray[Any]:
        """A view of the line's sums among all, [items, n, 1]."""
        return self.scale.flow.of(self.group, sums)

    @abstractmethod
    def push(self, stack: AnsStack, after: Ints) -> None:
        """Encode the line's sums."""

    @abstractmethod
    def pop(self, stack: AnsStack, after: Ints) -> None:
        """Decode the line's sums, into `after`."""

    @abstractmethod
    def bits(self, after: NDArray[Any], target: Floats) -> float:
        """log2 p_S/p_R of the line's sums, by densities."""

    def known(self, after: NDArray[Any]) -> Ints:
        """The levels nearest to the line's sums."""
        return self.scale.levels(self.group.phase + 1, self.sent(after))


class FinalStep(LineStep):
    """The final step of a line: its accuracy tells levels apart, so the latent variable of bits-back is the levels."""

    def push(self, stack: AnsStack, after: Ints) -> None:
        levels = self.known(after)
        self._noise.push(stack, self.sent(after).reshape(-1), self._mean(levels))
        values = by_channel(levels)
        for mixture, value in zip(reversed(self._mixtures(values)), values[::-1], strict=True):
            for part in reversed(mixture.intervals(value.astype(np.int32))):
                stack.push_intervals(part.below, part.frequency, part.symbol, NIBBLE)

    def pop(self, stack: AnsStack, after: Ints) -> None:
        sent, drawn = self.sent(after), []
        samples = self._begin()
        for k in range(CHANNELS):
            mixture = self._mixture(k, samples)
            high = stack.pop_rows(mixture.high())
            drawn.append(high * NIBBLE + stack.pop_rows(mixture.low(high)))
            self.prediction.condition(k, drawn[k])
        levels = by_item(np.stack(drawn).astype(np.int64), len(sent))
        sent[:] = self._noise.pop(stack, self._mean(levels)).reshape(sent.shape)

    def bits(self, after: NDArray[Any], target: Floats) -> float:
        """Bits of the levels under p_O, and log2 p_S/p_R of the sample given the nearest levels."""
        flow, levels = self.scale.flow, self.known(after)
        alpha = flow.betas[-1] - flow.betas[-2]
        sample = self.sent(after) * flow.units[-1] - self.before * flow.units[-2]
        away, own = sample - alpha * centres(levels), sample - alpha * self.sent(target)
        beyond = (away * away - own * own) / (2 * alpha * np.log(2))
        values = by_channel(levels)
        mixtures = self._mixtures(values)
        return float(beyond.sum()) + sum(
            float(byte_bits(m.below, v).sum()) for m, v in zip(mixtures, values, strict=True)
        )

    def _begin(self) -> Floats | None:
        """Give the network the pixels' own samples, [3, n], if there was a noisy step; return them."""
        if not self.group.phase:
            return None
        samples = by_channel(self.scale.sample(self.group.phase, self.before))
        self.prediction.condition_on_samples(samples.astype(np.float32))
        return samples

    def _mixtures(self, values: NDArray[np.integer]) -> list[Any]:
        """p_O of all channels given their levels, [3, n]."""
        found, samples = [], self._begin()
        for k, value in enumerate(values):
            found.append(self._mixture(k, samples))
            self.prediction.condition(k, value)
        return found

    def _mixture(self, k: int, samples: Floats | None) -> Any:
        prior = self.head(self.prediction, k)
        return prior if samples is None else NormalMixture(prior, self.scale.noise).posterior(samples[k])

    @property
    def _noise(self) -> Any:
        return self.scale.flow.sample_kernel(self.scale.flow.phases)

    def _mean(self, levels: Ints) -> Floats:
        """Means of the sums after the step under levels, in units."""
        flow = self.scale.flow
        mean = centres(levels) * (flow.betas[-1] - flow.betas[-2])
        mean += self.before * flow.units[-2]
        mean /= flow.units[-1]
        return mean.reshape(-1)


class NoisyStep(LineStep):
    """The noisy step of a line: it sends a sample of each subpixel that leaves its level open.

    The receiver is a mixture of normals, one for each component of p_O, and the component is the latent variable.
    """

    def push(self, stack: AnsStack, after: Ints) -> None:
        sums = by_channel(self.sent(after))
        samples = self.scale.sample(1, sums)
        for k, normal in reversed(list(enumerate(self._normals(samples)))):
            latent = stack.pop_rows(softmax_frequencies(normal.given(samples[k])))
            for at, chosen in reversed(self._alike(normal, latent)):
                chosen.push(stack, sums[k][at])
            stack.push_rows(latent, softmax_frequencies(normal.prior()))

    def pop(self, stack: AnsStack, after: Ints) -> None:
        sent = self.sent(after)
        sums = np.empty_like(by_channel(sent))
        for k in range(CHANNELS):
            normal = self._normal(k)
            latent = stack.pop_rows(softmax_frequencies(normal.prior()))
            for at, chosen in self._alike(normal, latent):
                sums[k][at] = chosen.pop(stack)
            sample = self.scale.sample(1, sums[k])
            stack.push_rows(latent, softmax_frequencies(normal.given(sample)))
            self.prediction.condition(k, sample.astype(np.float32))
        sent[:] = by_item(sums, len(sent))

    def bits(self, after: NDArray[Any], target: Floats) -> float:
        noise = self.scale.noise
        samples = self.scale.sample(1, by_channel(self.sent(after)))
        levels = by_channel((self.sent(target) + 1) * (CLASSES / 2) - 0.5)
        bits = 0.0
        for normal, sample, level in zip(self._normals(samples), samples, levels, strict=True):
            likely = normal.weight / normal.weight.sum(0) * noise / np.sqrt(normal.variance)
            exponent = ((sample - level) / noise) ** 2 - (sample - normal.mean) ** 2 / normal.variance
            top = exponent.max(0)
            bits -= float((np.log2((likely * np.exp((exponent - top) / 2)).sum(0)) + top / (2 * np.log(2))).sum())
        return bits

    def _normals(self, samples: Floats) -> list[NormalMixture]:
        """Mixtures of all channels given their samples, [3, n]."""
        found = []
        for k, sample in enumerate(samples):
            found.append(self._normal(k))
            self.prediction.condition(k, sample.astype(np.float32))
        return found

    def _normal(self, k: int) -> NormalMixture:
        return NormalMixture(self.head(self.prediction, k), self.scale.noise)

    def _alike(self, normal: NormalMixture, latent: NDArray[np.integer]) -> list[tuple[Ints, Normals]]:
        """Parts of the sums, by their places, with distributions of about one width, and these distributions."""
        flow, own = self.scale.flow, np.arange(len(latent))
        # one level of the mean is so many units of the sum
        unit = flow.betas[1] / flow.units[1] * (2 / CLASSES)
        mean = (normal.mean[latent, own] - (CLASSES - 1) / 2) * unit
        variance = normal.variance[latent, own] * (unit * unit)
        order = np.argsort(variance, kind="stable")
        parts = [order[first : first + ALIKE] for first in range(0, len(order), ALIKE)]
        return [(at, Normals(mean[at], variance[at])) for at in parts]


def by_channel(line: NDArray[Any]) -> NDArray[Any]:
    """The channels of a line, [items, 3 n, 1] -> [3, items n]."""
    return line.reshape(len(line), CHANNELS, -1).transpose(1, 0, 2).reshape(CHANNELS, -1)


def by_item(values: NDArray[Any], items: int) -> NDArray[Any]:
    """Inverse of `by_channel`."""
    return values.reshape(CHANNELS, items, -1).transpose(1, 0, 2).reshape(items, -1, 1)


def centres(levels: NDArray[np.integer]) -> Floats:
    """Centres of the bins of levels over [-1, 1]."""
    return np.asarray((levels + 0.5) * (2 / CLASSES) - 1, np.float64)
