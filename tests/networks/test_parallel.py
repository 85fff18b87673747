"""The integer denoiser against the network it was trained as, and against itself run in every other way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from bfncodec.codecs.receivers.discretised import logistic_mixture
from bfncodec.networks.parallel.exact import ExactDenoiser, Moment, gather, neighbours, stored_shapes
from bfncodec.networks.parallel.model import (
    FEATURE_SCALE,
    KNOTS,
    LARGEST,
    NOISE_UNITS,
    STATE_UNITS,
    Denoiser,
    DenoiserConfig,
    arrange,
    binary_features,
    class_features,
    level_features,
    settings_at,
    windows,
)
from bfncodec.networks.stored import check_shapes
from bfncodec.training import gaussian
from bfncodec.training.export import quantised_tensors
from support.tiny import CONFIGS, CPU, DENOISERS, denoiser, exact, grid, tiny_receiver

SHARES = (0.0, 0.01, 0.3, 1.0)  # of the game's accuracy


@pytest.fixture
def two_threads() -> Iterator[Callable[[int], None]]:
    """Sets the number of torch's threads, for the length of a test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def moment(config: DenoiserConfig, share: float) -> Moment:
    beta = config.beta * share
    return Moment(beta, config.clock(beta))


def sums(config: DenoiserConfig, items: int, beta: float, seed: int = 0) -> Tensor:
    """Sums of a sender's samples of random smooth items, float32 [B, *shape] or [B, L, K]."""
    rng = np.random.default_rng(seed)
    shape = (items, *config.shape)
    if config.kind == "discrete":
        x: NDArray[Any] = np.eye(config.classes)[rng.integers(0, config.classes, shape)] * config.classes - 1
        spread = beta * config.classes
    else:
        x = np.clip(rng.normal(0, 0.3, (items, *[1] * len(config.shape))) + rng.normal(0, 0.2, shape), -1, 1)
        x, spread = (np.where(x > 0, 1.0, -1.0) if config.kind == "binary" else x), beta
    s = beta * x + math.sqrt(spread) * rng.standard_normal(x.shape)
    return torch.from_numpy(s.astype(np.float32))


def dequantised(kind: str) -> Denoiser:
    """The float network with the weights that are stored."""
    network, tensors = Denoiser(CONFIGS[kind]), quantised_tensors(denoiser(kind))
    state = {}
    for name in network.state_dict():
        stem = name.rsplit(".", 1)[0]
        if name.endswith(".weight"):
            weight = tensors[f"{stem}.q"].float()
            if f"{stem}.r" in tensors:
                weight = weight + tensors[f"{stem}.r"].float() / (2 * LARGEST)
            state[name] = weight * tensors[f"{stem}.s"][:, None]
        else:
            state[name] = tensors[f"{stem}.b"] if name.endswith(".bias") else tensors[name]
    network.load_state_dict(state)
    return network


# --- against the float network -----------------------------------------------------------------


@pytest.mark.parametrize("kind", DENOISERS)
@pytest.mark.parametrize("share", SHARES)
def test_the_exact_network_is_the_trained_one(kind: str, share: float) -> None:
    """From the same features, within what rounding activations to 8 bits may do."""
    config, network = CONFIGS[kind], exact(kind)
    at = moment(config, share)
    s = sums(config, 12, at.beta)
    with torch.no_grad():
        features = network.features(s, at.beta)
        expected = dequantised(kind)(features, torch.full((len(s),), at.clock))
    found = network(s, at)
    assert found.dtype == torch.float32
    assert found.shape == expected.shape == (12, *config.shape, config.parameters)
    error = (found - expected).abs()
    assert expected.std() > 0.1  # or there would be nothing to compare
    assert error.square().mean().sqrt() < 0.01 * expected.std()
    assert error.max() < 0.06 * expected.std()


@pytest.mark.parametrize("kind", DENOISERS)
@pytest.mark.parametrize("share", SHARES)
def test_training_and_coding_read_the_same_features(kind: str, share: float) -> None:
    """Up to roundings at halves: where float functions stand for tables there may be more of them."""
    config = CONFIGS[kind]
    at = moment(config, share)
    s = sums(config, 12, at.beta, 1)
    seen: list[Tensor] = []

    class Watched(nn.Module):
        def forward(self, features: Tensor, clock: Tensor) -> Tensor:
            seen.append(features)
            return arrange(torch.zeros(12, *config.grid, config.outputs), config)

    shape = (-1, *[1] * (s.ndim - 1))
    beta, clock = torch.full((12,), at.beta).view(shape), torch.full((12,), at.clock)
    gaussian.TERMS[config.kind].output(Watched(), s, beta, clock, config)
    found = exact(kind).features(s, at.beta)
    assert found.shape == seen[0].shape == (12, *config.grid, config.features)
    difference = (found - seen[0]).abs()
    assert difference.max() <= 1
    assert (difference > 0).float().mean() < 0.01


@pytest.mark.parametrize("kind", DENOISERS)
@pytest.mark.parametrize("step", [0, 3, 6])
def test_the_coders_belief_is_the_trained_one(kind: str, step: int) -> None:
    """p_O from one network's numbers: in training, and as integers for the coder."""
    config, receiver = CONFIGS[kind], tiny_receiver(kind)
    beta, clock = (grid(config)[key][step] for key in ("betas", "clocks"))
    s = sums(config, 10, beta, 2)
    flat = s.double().numpy().reshape(-1)
    raw = torch.from_numpy(receiver.raw(step, flat)).view(10, *config.shape, config.parameters)
    output = gaussian.TERMS[config.kind].output
    p: Any = output(lambda features, at: raw, s, torch.tensor(beta), torch.tensor(clock), config)
    if config.kind == "discretised":
        m, v = (t.double().numpy().reshape(-1) for t in gaussian.moments(p))
        found = receiver.output(step, flat)
        assert found.weight.sum(0).tolist() == [1024] * len(m)
        np.testing.assert_allclose(found.moments()[0], m, atol=0.02 / math.sqrt(1 + beta))
        np.testing.assert_allclose(found.moments()[1], v, rtol=0.03)
    elif config.kind == "binary":
        log_p = torch.stack([torch.nn.functional.logsigmoid(-p), torch.nn.functional.logsigmoid(p)], -1)
        np.testing.assert_allclose(receiver.output(step, flat).log2_p() * math.log(2), log_p.view(-1, 2), atol=1e-5)
    else:
        found = receiver.output(step, flat).log2_p() * math.log(2)
        np.testing.assert_allclose(found, p.view(-1, config.classes), atol=2e-5)


def test_scales_of_levels_are_correctly_rounded() -> None:
    """No power functions, which differ between machines in the last bit; square roots do not."""
    raw = np.zeros((1, 6), np.float32)
    rng = np.random.default_rng(0)
    for beta in rng.uniform(0, 10_000, 5000).tolist():
        found = logistic_mixture(raw, np.zeros(1), beta, 256)
        assert found.scales[found.level[0, 0]] == 1 / math.sqrt(1 + beta) / 2, f"beta {beta!r}"


# --- against itself ----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", DENOISERS)
@pytest.mark.parametrize("share", SHARES)
def test_items_do_not_depend_on_their_batch(kind: str, share: float) -> None:
    config, network = CONFIGS[kind], exact(kind)
    at = moment(config, share)
    s = sums(config, 9, at.beta, 3)
    together = network(s, at)
    assert torch.equal(torch.cat([network(item[None], at) for item in s]), together)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    assert torch.equal(network(s[order], at), together[order])
    assert torch.equal(together[0], together[1]) == (share == 0)


@pytest.mark.parametrize("kind", DENOISERS)
def test_threads_do_not_matter(kind: str, two_threads: Callable[[int], None]) -> None:
    """Enough items that torch does use both."""
    config, network = CONFIGS[kind], exact(kind)
    at = moment(config, 0.4)
    s = sums(config, 400, at.beta, 4)
    found = []
    for threads in (1, 2):
        two_threads(threads)
        found.append(network(s, at))
    assert torch.equal(*found)


@pytest.mark.cuda
@pytest.mark.parametrize("kind", DENOISERS)
@pytest.mark.parametrize("share", SHARES)
def test_cuda_and_cpu_give_the_same_numbers(kind: str, share: float) -> None:
    config = CONFIGS[kind]
    at = moment(config, share)
    s = sums(config, 33, at.beta, 5)
    cuda = torch.device("cuda")
    expected = exact(kind)(s, at)
    assert torch.equal(exact(kind, device=cuda)(s.to(cuda), at).cpu(), expected)
    assert torch.equal(exact(kind, device=cuda)(s[:1].to(cuda), at).cpu(), expected[:1])


# --- features ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", DENOISERS)
@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), beta=st.floats(0, 400), scale=st.sampled_from([0.0, 1e-30, 1.0, 30.0, 1e6, 1e12]))
@example(seed=0, beta=0.0, scale=0.0)
@example(seed=0, beta=400.0, scale=1e30)
def test_features_are_integers_of_8_bits(kind: str, seed: int, beta: float, scale: float) -> None:
    """Whatever the sums: a damaged payload may decode to any."""
    config, network = CONFIGS[kind], exact(kind)
    shape = (2, *config.shape, config.classes) if config.kind == "discrete" else (2, *config.shape)
    s = torch.from_numpy((np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32))
    features = network.features(s, beta)
    assert features.shape == (2, *config.grid, config.features)
    assert torch.equal(features, features.round())
    assert features.abs().max() <= LARGEST
    assert torch.isfinite(network(s, Moment(beta, config.clock(beta)))).all()


@settings(max_examples=30)
@given(st.lists(st.floats(-60, 60, width=32), min_size=2, max_size=30))
def test_tables_stand_for_tanh_and_softmax(values: list[float]) -> None:
    s = torch.tensor(values)
    assert (exact("binary").belief(s) - torch.tanh(s)).abs().max() < 2.0**-10
    theta = exact("letters").theta(s)
    assert (theta - torch.softmax(s, -1)).abs().max() < 0.006
    assert theta.sum() == pytest.approx(1, abs=1e-5)


def test_windows_are_patches_with_a_ring() -> None:
    """Written out once more; outside is the nearest pixel inside."""
    x = torch.arange(2 * 4 * 6 * 3, dtype=torch.float32).view(2, 4, 6, 3)
    found = windows(x, 2)
    for r in range(2):
        for c in range(3):
            rows = [min(max(2 * r + i - 1, 0), 3) for i in range(4)]
            columns = [min(max(2 * c + j - 1, 0), 5) for j in range(4)]
            expected = torch.stack([x[:, i, j] for i in rows for j in columns], 1).flatten(1)
            assert torch.equal(found[:, r, c], expected)


def test_features_of_images_say_what_they_should() -> None:
    """Differences to the mean of the patch in units of the noise, values, and differences of colours."""
    config = CONFIGS["levels"]
    mean = torch.full((1, 4, 4, 3), 0.5)
    mean[0, 0, 1, 2] = 0.6
    unit = torch.tensor([NOISE_UNITS / 0.1]).view(1, 1, 1, 1)
    found = level_features(mean, unit, config)[0, 0, 0]
    around, values, colours = found[:48].view(4, 4, 3), found[48:60].view(2, 2, 3), found[60:].view(2, 2, 2)
    assert values[0, 1].tolist() == [50, 50, 60]
    assert around[1, 2].tolist() == [0, 0, round(240 * 0.075)]
    assert around[1, 1].tolist() == [0, 0, -6]
    assert colours[0, 1].tolist() == [0, 24]
    assert colours[1, 1].tolist() == [0, 0]


def test_features_of_classes_and_bits_say_what_they_should() -> None:
    one = torch.ones(1, 1, 1)
    s = torch.tensor([[[3.0, -1.0]]])
    assert class_features(s, torch.softmax(s, -1), one * 2).tolist() == [[[[125, 2, 6, -2]]]]
    config = DenoiserConfig("binary", (2, 2, 1), 2, patch=2)
    found = binary_features(
        torch.full((1, 2, 2, 1), 3.0), torch.full((1, 2, 2, 1), -0.5), torch.tensor(STATE_UNITS), config
    )
    assert found.tolist() == [[[[-64] * 16 + [72] * 16]]]


# --- parts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", DENOISERS)
def test_outputs_are_where_their_dimension_is(kind: str) -> None:
    config = CONFIGS[kind]
    raw = torch.arange(config.outputs * math.prod(config.grid), dtype=torch.float32).view(1, *config.grid, -1)
    found = arrange(raw, config)
    assert found.shape == (1, *config.shape, config.parameters)
    if len(config.shape) == 3:
        p, (r, c, channel) = config.patch, (3, 2, config.channels - 1)
        start = ((r % p * p + c % p) * config.channels + channel) * config.parameters
        expected = raw[0, r // p, c // p, start : start + config.parameters]
        assert torch.equal(found[0, r, c, channel], expected)
    else:
        assert torch.equal(found[0], raw[0, 0])


@pytest.mark.parametrize(("taps", "dilation"), [((3, 3), 1), ((3, 3), 2), ((1, 3), 1), ((1, 5), 2)])
@pytest.mark.parametrize("channels", [8, 5])
def test_gathered_taps_are_a_convolution(taps: tuple[int, int], dilation: int, channels: int) -> None:
    batch, rows, columns = 2, 3, 4
    x = torch.from_numpy(
        np.random.default_rng(0).integers(-127, 128, (batch * rows * columns, channels)).astype(np.int8)
    )
    weight = torch.from_numpy(
        np.random.default_rng(1).integers(-9, 10, (6, taps[0] * taps[1] * channels)).astype(np.float32)
    )
    found = gather(x, neighbours(batch, rows, columns, taps, dilation, CPU)).float() @ weight.t()
    kernel = weight.view(6, *taps, channels).permute(0, 3, 1, 2)
    image = x.float().view(batch, rows, columns, channels).permute(0, 3, 1, 2)
    pad = (taps[0] // 2 * dilation, taps[1] // 2 * dilation)
    expected = torch.nn.functional.conv2d(image, kernel, padding=pad, dilation=dilation)
    assert torch.equal(found.view(batch, rows, columns, 6), expected.permute(0, 2, 3, 1))


def test_the_curve_of_accuracies_is_piecewise_linear() -> None:
    curve = torch.from_numpy(np.random.default_rng(0).standard_normal((KNOTS, 2, 3)).astype(np.float32))
    found = settings_at(curve, torch.tensor([0.0, 3.0, 3.25, KNOTS - 1.0]))
    assert torch.equal(found[[0, 1]], curve[[0, 3]])
    torch.testing.assert_close(found[2], 0.75 * curve[3] + 0.25 * curve[4])
    torch.testing.assert_close(found[3], curve[-1])


@pytest.mark.parametrize("kind", DENOISERS)
def test_clocks_run_from_first_to_last_knot(kind: str) -> None:
    config = CONFIGS[kind]
    clocks = [config.clock(config.beta * share) for share in (0, 0.1, 0.5, 1, 1.0000001)]
    assert clocks == sorted(clocks)
    betas = torch.tensor([config.beta * share for share in (0, 0.1, 0.5, 1, 1.0000001)], dtype=torch.float64)
    assert torch.allclose(gaussian.clocks(config, betas), torch.tensor(clocks))
    assert (clocks[0], clocks[-1]) == (0, KNOTS - 1)


@pytest.mark.parametrize("kind", DENOISERS)
def test_stored_tensors_are_as_declared(kind: str) -> None:
    tensors = quantised_tensors(denoiser(kind))
    shapes = stored_shapes(CONFIGS[kind])
    check_shapes(tensors, shapes)
    assert set(tensors) == set(shapes)
    for name in ("input.r", "blocks.1.conv.q", "clock"):
        fewer = {key: value for key, value in tensors.items() if key != name}
        with pytest.raises(ValueError, match=f"expected {name}"):
            check_shapes(fewer, shapes)


@pytest.mark.parametrize("kind", DENOISERS)
def test_configurations_survive_json(kind: str) -> None:
    import json

    config = CONFIGS[kind]
    assert DenoiserConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_the_input_scale_is_the_trained_one() -> None:
    """One block less: features through the first matrix and the head alone."""
    config = DenoiserConfig("binary", (4, 4, 1), classes=2, beta=9.0, width=8, hidden=16, blocks=0)
    network = Denoiser(config)
    torch.manual_seed(0)
    for p in (network.input.weight, network.input.bias, network.head.weight):
        torch.nn.init.normal_(p)
    s, at = sums(config, 5, 2.0), moment(config, 2 / 9)
    twin = ExactDenoiser(config, quantised_tensors(network), CPU)
    features = twin.features(s, 2.0)
    with torch.no_grad():
        h = network.input(features / FEATURE_SCALE)
        expected = arrange(network.head(h / h.abs().amax(-1, keepdim=True)), config)
    assert (twin(s, at) - expected).abs().max() < 0.02
