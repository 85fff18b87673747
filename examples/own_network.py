"""A network of one's own: trained as the paper says, coded by bits-back, and measured against its L^n."""

import numpy as np
import torch
from torch import Tensor, nn

from bfncodec.flow import AccuracySchedule
from bfncodec.research import Discrete, FloatCodec

corners, at = np.sort(np.random.default_rng(0).integers(0, 9, (1200, 2, 2))), np.arange(8)
rows, columns = [(low <= at) & (at < high) for low, high in corners.transpose(1, 2, 0)[..., None]]
pictures = (rows[:, :, None] & columns[:, None, :]).astype(np.int64)  # rectangles


class Network(nn.Sequential):
    """Logits of p_O, [B, 8, 8, 2], from the probabilities of p_I, [B, 8, 8, 2], and t [B]."""

    def forward(self, theta: Tensor, t: Tensor) -> Tensor:
        logit = super().forward(torch.cat([theta[..., 1].flatten(1), t[:, None]], 1)).reshape(-1, 8, 8)
        return torch.stack([-logit, logit], -1)


torch.manual_seed(0)
network, beta_1 = Network(nn.Linear(65, 128), nn.GELU(), nn.Linear(128, 64)), 3.0
optimizer = torch.optim.Adam(network.parameters(), 3e-3)
x = nn.functional.one_hot(torch.from_numpy(pictures[:1000]), 2).float()
for _ in range(200):  # equation 205: L^inf = K beta(1) E_t t |e_x - e_hat|^2
    t = torch.rand(len(x))
    beta = (beta_1 * t**2)[:, None, None, None]
    theta = torch.softmax(beta * (2 * x - 1) + (2 * beta).sqrt() * torch.randn_like(x), -1)
    loss = (2 * beta_1 * t * ((x - network(theta, t).softmax(-1)) ** 2).sum((1, 2, 3))).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

codec = FloatCodec(network, Discrete(2), AccuracySchedule.quadratic(beta_1, 10, 1), (8, 8))
assert np.array_equal(codec.decompress(codec.compress(pictures[1000:])), pictures[1000:])
found = codec.measure(pictures[1000:])
print(f"L^n {found.ideal.bits:,.0f} ± {found.ideal.error:.0f} bits, real {found.coded_bits:,} bits")
