"""How networks are stored: names and shapes of the tensors in model.safetensors.

Computed from a configuration alone: building the trainable network to ask it takes longer than coding a photo.
"""

from __future__ import annotations

from torch import Tensor

Shapes = dict[str, tuple[int, ...]]


def linear_shapes(name: str, outputs: int, inputs: int, *, bias: bool = True, fine: bool = False) -> Shapes:
    """The tensors :class:`bfncodec.networks.exact.ExactLinear` is loaded from; `fine`: with the second matrix."""
    shapes: Shapes = {f"{name}.q": (outputs, inputs), f"{name}.s": (outputs,)}
    if bias:
        shapes[f"{name}.b"] = (outputs,)
    if fine:
        shapes[f"{name}.r"] = (outputs, inputs)
    return shapes


def check_shapes(tensors: dict[str, Tensor], shapes: Shapes) -> None:
    """Refuse stored tensors that are not of these shapes. Raises ValueError with the first that does not fit."""
    for name, shape in shapes.items():
        found = list(tensors[name].shape) if name in tensors else "none"
        if found != list(shape):
            raise ValueError(f"expected {name} of shape {list(shape)}, found {found}")
