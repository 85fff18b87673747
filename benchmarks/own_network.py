"""A network in floats in the shape of the paper's, trained here in a minute or two: real bits beside its L^n.

    python -m benchmarks.own_network TRAIN.npy TEST.npy --bins 16
    python -m benchmarks.own_network TRAIN.npy TEST.npy --continuous --bins 256

TRAIN, TEST: pictures, uint8 [N, H, W] with sides that 4 divides, or the same as .npy.xz. The network is a small U-Net
over mu and t that returns the noise and its deviation (sections 4 and 5); the loss is L^inf.
"""

from __future__ import annotations

import io
import lzma
import time
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bfncodec.flow import AccuracySchedule, bin_centres
from bfncodec.research import Continuous, Data, Discretised, FloatCodec

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
LEAST_T = 1e-4  # before it, next to nothing was sent


class UNet(nn.Module):
    """Two halvings of the picture and back, with what was there before each beside it; [B, H, W] to [B, H, W, 2]."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.head = nn.Conv2d(2, width, 3, padding=1)
        self.down = nn.ModuleList([nn.Conv2d(width << k, width << k + 1, 3, 2, 1) for k in range(2)])
        self.middle = nn.Conv2d(width << 2, width << 2, 3, padding=1)
        self.up = nn.ModuleList([nn.Conv2d(3 * (width << k), width << k, 3, padding=1) for k in (1, 0)])
        self.tail = nn.Conv2d(width, 2, 3, padding=1)

    def forward(self, theta: Tensor, t: Tensor) -> Tensor:
        """Return the noise in theta and the logarithm of its deviation."""
        x = nn.functional.silu(self.head(torch.stack([theta, t[:, None, None].expand_as(theta)], 1)))
        before = []
        for layer in self.down:
            before.append(x)
            x = nn.functional.silu(layer(x))
        x = x + nn.functional.silu(self.middle(x))
        for layer in self.up:
            x = nn.functional.interpolate(x, scale_factor=2)
            x = nn.functional.silu(layer(torch.cat([x, before.pop()], 1)))
        out: Tensor = self.tail(x).movedim(1, -1)
        return out


def loss(network: nn.Module, x: Tensor, sigma_1: float, bins: int | None) -> Tensor:
    """L^inf of pictures in [-1, 1], in nats a pixel: -ln sigma_1 E_t |x - x_hat|^2 / sigma_1^(2 t)."""
    t = torch.rand(len(x)).clamp_min(LEAST_T)
    rho = sigma_1 ** (-2 * t)[:, None, None]
    beta = rho - 1
    s = beta * x + beta.sqrt() * torch.randn_like(x)
    noise, ln_deviation = network(s / rho, t).unbind(-1)
    mean, deviation = s / beta - noise / beta.sqrt(), ln_deviation.exp() / beta.sqrt()
    if bins is None:
        # its deviation is learned from the density of x, as p_O is asked for it at the end
        density = ((x - mean.detach()) ** 2 / deviation**2 / 2 + deviation.log()).mean()
        return torch.as_tensor((rho * (x - mean) ** 2).mean() * -np.log(sigma_1) + 0.01 * density)
    edges = torch.linspace(-1, 1, bins + 1)[1:-1]
    below = torch.special.ndtr((edges - mean[..., None]) / deviation[..., None].clamp_min(1e-4))
    below = torch.cat([torch.zeros_like(mean)[..., None], below, torch.ones_like(mean)[..., None]], -1)
    x_hat = (below.diff(dim=-1) * torch.from_numpy(bin_centres(bins)).float()).sum(-1)
    return torch.as_tensor((rho * (x - x_hat) ** 2).mean() * -np.log(sigma_1))


def trained(x: Tensor, sigma_1: float, bins: int | None, steps: int) -> UNet:
    """Return a network that was trained for so many steps."""
    torch.manual_seed(0)
    network = UNet()
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3)
    for _ in range(steps):
        found = loss(network, x[torch.randint(len(x), (64,))], sigma_1, bins)
        optimizer.zero_grad()
        found.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    click.echo(f"trained: {found.item() / np.log(2):.4f} bits a pixel at the last", err=True)
    return network


def pictures(path: Path) -> NDArray[np.uint8]:
    data = path.read_bytes()
    found: NDArray[np.uint8] = np.load(io.BytesIO(lzma.decompress(data) if path.suffix == ".xz" else data))
    return found


@click.command(help=(__doc__ or "").split("\n\n", 1)[0])
@click.argument("train", type=FILE)
@click.argument("test", type=FILE)
@click.option("--bins", type=click.IntRange(2, 256), default=16, show_default=True, help="Levels of a pixel.")
@click.option("--continuous", is_flag=True, help="Take the levels as numbers, and p_O as a normal.")
@click.option("--sigma", default=0.0316, show_default=True, help="Deviation of p_I after the last step, sigma_1.")
@click.option("--steps", default=20, show_default=True, help="n.")
@click.option("--items", default=200, show_default=True, help="Of TEST.")
@click.option("--train-steps", default=1000, show_default=True, help="Of 64 pictures.")
@click.option("--draws", default=4, show_default=True, help="Of the noise for L^n.")
def main(
    train: Path,
    test: Path,
    bins: int,
    continuous: bool,
    sigma: float,
    steps: int,
    items: int,
    train_steps: int,
    draws: int,
) -> None:
    centres = bin_centres(bins)
    x = torch.from_numpy(centres[pictures(train).astype(np.int64) * bins >> 8]).float()
    network = trained(x, sigma, None if continuous else bins, train_steps)
    levels = pictures(test)[:items].astype(np.int64) * bins >> 8
    data: Data = Continuous(1 / bins) if continuous else Discretised(bins)
    codec = FloatCodec(network, data, AccuracySchedule.geometric(sigma, steps, 1), levels.shape[1:])
    given = centres[levels] if continuous else levels
    start = time.monotonic()
    if not np.array_equal(codec.decompress(codec.compress(given, verify=False)), given):
        raise AssertionError("items came back different")
    took = time.monotonic() - start
    found = codec.measure(given, draws)
    click.echo(
        f"{items} items of {data}, n = {steps}, encoded, decoded and compared in {took:.0f} s\n"
        f"ideal     {found.ideal.bits:12,.0f} ± {found.ideal.error:,.0f} bits, {found.ideal.bits_per_dim:.4f} a pixel\n"
        f"path      {found.path_bits:12,.0f} bits\n"
        f"real      {found.coded_bits:12,} bits, {found.loss:+.3%} of the path, {found.excess:+.3%} of the ideal\n"
        f"file      {8 * found.file_bytes:12,} bits, with {found.initial_bits:,} initial bits"
    )
    for i in (*range(0, steps, max(steps // 5, 1)), steps):
        ideal = found.ideal.kl[i] if i < steps else found.ideal.reconstruction
        name = f"step {i + 1}" if i < steps else "p_O"
        click.echo(f"{name:9s} {ideal:12,.0f} ideal, {found.path_steps[i]:,.0f} path, {found.steps[i]:,.0f} real")


if __name__ == "__main__":
    main()
