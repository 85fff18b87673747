"""Networks with random weights beside their integer implementations, and inputs for both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bfncodec.networks.convnet.config import CODING_ORDER, ConvNetConfig
from bfncodec.networks.convnet.exact import ExactConvNet, Prediction
from bfncodec.networks.convnet.model import ConvNet
from bfncodec.networks.convnet.weights import ConvNetWeights
from bfncodec.networks.transformer.config import TransformerConfig
from bfncodec.networks.transformer.exact import ExactTransformer
from bfncodec.networks.transformer.model import Transformer
from bfncodec.networks.transformer.weights import TransformerWeights
from bfncodec.training.export import quantised_tensors
from support.doubles import noise

Ints = NDArray[np.int32]
CPU = torch.device("cpu")
INNER = np.arange(1, 256, dtype=np.int32)[None]


def randomise(network: nn.Module, seed: int, head: float) -> None:
    """Random weights everywhere, also where training begins with zeros; `head` is the size of the outputs."""
    rng = np.random.default_rng(seed)
    for name, p in network.named_parameters():
        random = torch.from_numpy(rng.integers(-127, 128, p.shape).astype(np.float32)) / 127
        if p.ndim == 2:
            size = (head if name.startswith("head") else 0.7) * (3 if "embed" in name or "ngram" in name else 1)
            p.data = random * (size / p.shape[1] ** 0.5)
        elif name.endswith(".bias") and not name.startswith("heads."):
            p.data = random * 0.1


def conv_pair(
    seed: int = 0, head: float = 0.5, dilations: tuple[int, ...] = (1,), **shape: int
) -> tuple[ConvNet, ExactConvNet]:
    sizes = {"width": 16, "hidden": 24, "blocks": 2, "mixtures": 3} | shape
    config = ConvNetConfig(dilations=dilations, **sizes)
    network = ConvNet(config).eval()
    randomise(network, seed, head)
    return network, exact_convnet(network)


def text_pair(
    seed: int = 0, head: float = 2.0, device: torch.device = CPU, **shape: Any
) -> tuple[Transformer, ExactTransformer]:
    values = {"width": 32, "layers": 2, "heads": 2, "expansion": 2, "window": 32, "ngrams": ((2, 6), (3, 7))}
    values |= {"context": 20, **shape}
    config = TransformerConfig(**values)  # type: ignore[arg-type]
    network = Transformer(config).eval()
    randomise(network, seed, head)
    stored = network.stored_tables([(symbols(9, 8, config.window), 1)])
    weights = TransformerWeights.of(config, arrays({**quantised_tensors(network), **stored}))
    return network, ExactTransformer(weights, device)


def exact_convnet(network: ConvNet, device: torch.device = CPU) -> ExactConvNet:
    return ExactConvNet(ConvNetWeights.of(network.config, arrays(quantised_tensors(network))), device)


def arrays(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """Tensors as they are when they are loaded for a codec."""
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def symbols(seed: int, batch: int, length: int) -> Tensor:
    """Bytes that repeat themselves: int64 [B, L]"""
    x = noise(seed, batch, length).astype(np.int64)
    return torch.from_numpy(np.where(x % 3 > 0, x % 7 + 97, x))


def pixels(seed: int, batch: int, height: int, width: int) -> NDArray[np.uint8]:
    """A slope with noise of three sizes."""
    ramp = np.add.outer(np.arange(height) * 5, np.arange(width) * 3)[None, :, :, None] + np.arange(3) * 9
    rough = noise(seed, batch, height, width, 3) >> np.arange(1, 6, 2, dtype=np.uint8)
    return (ramp + rough).astype(np.uint8)


def cumulative(prediction: Prediction, known: Ints) -> Ints:
    """Whole distributions of some pixels: 2^30 P(x < 1 … 255) of each channel in coding order, int32 [3, n, 255]."""
    found = []
    for k, c in enumerate(CODING_ORDER):
        found.append(prediction.channel(k).below(np.repeat(INNER, len(known), 0)))
        prediction.condition(k, known[:, c])
    return np.stack(found)


def side_by_side(network: ExactConvNet, images: Sequence[NDArray[np.uint8]], block: int, single: bool) -> Ints:
    """Distributions of the pixels of some images, image after image, row by row: int32 [3, n, 255]."""
    run = network.start([x.shape[:2] for x in images], block, single)
    values = np.concatenate([x.reshape(-1, 3) for x in images])
    found = np.full((3, len(values), 255), -1, np.int32)
    for pixels in run.blocks():
        known = values[pixels.place]
        if not single:  # encoding: what is to be coded is known
            run.reveal(pixels, known)
        found[:, pixels.place] = cumulative(run.predict(pixels), known.astype(np.int32))
        if single:  # decoding: it becomes known afterwards
            run.reveal(pixels, known)
    return found


def conv_distributions(network: ExactConvNet, images: NDArray[np.uint8], block: int) -> Ints:
    """Distributions of images of one size, int32 [T, 3, H W, 255], from a network that sees lines of about `block`
    pixels at once; 1 for single lines as a decoder has them.
    """
    found = side_by_side(network, list(images), max(block, 2), block == 1)
    return found.reshape(3, len(images), -1, 255).swapaxes(0, 1)


def text_weights(network: ExactTransformer, x: Tensor, teeth: int, block: int) -> Tensor:
    """Weights in step-major order, int32 [B, L, 256], `block` steps at a time."""
    x = x.view(len(x), teeth, -1).to(torch.uint8).numpy()
    steps = x.shape[2]
    run = network.start(len(x), teeth, steps, block)
    if block > 1:
        run.reveal(0, x)
    parts = []
    for i in range(0, steps, block):
        parts.append(torch.from_numpy(run.predict(i, min(i + block, steps))))
        if block == 1:
            run.reveal(i, x[:, :, i : i + 1])
    return torch.cat(parts, 1)
