"""A small network that tells how likely a grain boundary passes through each pixel of ferrite, or close by.

Noise, scratches, pits and the texture of grains all have dark lines in them; a boundary is one that goes
on, meets others and closes a grain. A network that looks 200 px around each pixel tells the two apart far
better than a filter for lines does. It has seen synthetic micrographs alone, whose boundaries are known
(:mod:`steelquant.learning.grain_boundaries.training`), those that the etch left out among them, so that
its probabilities are those of a boundary and not of a dark line. Each kernel is used in all eight
positions of a square, so that a picture that is turned or mirrored gives the same, turned or mirrored.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from steelquant.micrograph.files import sha256_of
from steelquant.openvino_runtime import import_openvino, openvino_core
from steelquant.stereology.positions import SYMMETRIES, put

Float = NDArray[np.float32]

WEIGHTS = Path(__file__).with_name("boundary_network.safetensors")

CHANNELS = (4, 8, 12, 16)
"""Channels at a half, a quarter, an eighth and a sixteenth of the resolution, each in eight positions."""

_ROWS_AND_COLUMNS = (-2, -1)


def _seen_from() -> tuple[tuple[int, ...], ...]:
    """Return for each position g and each position h the number of g⁻¹h."""
    square = np.arange(4, dtype=np.float32).reshape(2, 2)
    everything = range(len(SYMMETRIES))
    # g⁻¹h is the position which g brings to h.
    return tuple(
        tuple(
            next(k for k in everything if np.array_equal(put(put(square, k), g), put(square, h)))
            for h in everything
        )
        for g in everything
    )


SEEN_FROM = _seen_from()

LOGITS = ("line", "near")
"""The last layers: a boundary passes through the pixel; through the pixel or one of the eight around it."""

_STRIDE = 32
_REACH_PX = 224
"""Rows that a strip sees beyond its own: more than the 210 px that a pixel's logits depend on."""
_STRIP_PX = 1_700_000
"""Pixels that go through the network at once, for about 400 MB."""

_STEPS = 64.0
"""Logits are rounded to 1/64, so that rounding errors of another processor change nothing."""

_LEAST_NOISE = 0.002
_NOISE_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6


def picture_noise(image: Float, inside: NDArray[np.bool_]) -> float:
    """Return the standard deviation of the noise from pixel to pixel, as a share of the brightness.

    Parameters
    ----------
    image
        ``(height, width)`` float32, the phase at about 1.
    inside
        ``(height, width)`` bool, true on the phase.

    References
    ----------
    Immerkær, J. (1996). Computer Vision and Image Understanding 64, 300–302; the median in place of the
    mean, for boundaries are no noise.
    """
    inner = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    chosen = inner if inner.any() else inside
    if not chosen.any():
        return _LEAST_NOISE
    rough = np.abs(cv2.filter2D(image, -1, _NOISE_KERNEL)[chosen])
    return max(_LEAST_NOISE, 1.4826 * float(np.median(rough)))


def network_input(image: Float, inside: NDArray[np.bool_], noise: float) -> Float:
    """Return what the network sees, ``(3, height, width)``: darkness, darkness over noise, and the phase."""
    darkness = image - np.float32(1)
    relative = np.tanh(darkness * np.float32(0.1 / noise)) * np.float32(1.5)
    return np.stack([darkness * np.float32(3), relative, inside.astype(np.float32)])


def boundary_logits(image: Float, inside: NDArray[np.bool_], noise: float) -> Float:
    """Return ln(p/(1−p)) of two probabilities p of each pixel.

    Parameters
    ----------
    image
        ``(height, width)`` float32, the phase at about 1, from :func:`levelled`.
    inside
        ``(height, width)`` bool, true on the phase.
    noise
        From :func:`picture_noise`.

    Returns
    -------
    ndarray
        ``(2, height, width)`` float32, in the order of `LOGITS`: the first tells where a boundary runs, the
        second, which does not ask for the very pixel, whether there is one. Of no meaning outside the phase.
    """
    height, width = image.shape
    rows = min(_padded(height), max(_STRIDE, _STRIP_PX // _padded(width) // _STRIDE * _STRIDE))
    tall, wide = -(-_padded(height) // rows) * rows, _padded(width)
    # Half of what is added lies on either side, so that a mirrored picture is cut at the same places.
    top, left = (_padded(height) - height) // 2, (wide - width) // 2
    above, beside = _REACH_PX + top, _REACH_PX + left
    rims = (above, tall + 2 * _REACH_PX - height - above), (beside, wide + 2 * _REACH_PX - width - beside)
    seen = np.pad(network_input(image, inside, noise), ((0, 0), *rims))
    run = _compiled(rows + 2 * _REACH_PX, wide + 2 * _REACH_PX, cv2.getNumThreads())
    logits = np.empty((len(LOGITS), tall, wide), np.float32)
    for first in range(0, tall, rows):
        strip = np.ascontiguousarray(seen[None, :, first : first + rows + 2 * _REACH_PX])
        logits[:, first : first + rows] = run(strip)[0][0, :, _REACH_PX:-_REACH_PX, _REACH_PX:-_REACH_PX]
    logits = logits[:, top : top + height, left : left + width]
    return (np.round(logits * np.float32(_STEPS)) / np.float32(_STEPS)).astype(np.float32)


def _padded(length: int) -> int:
    return -(-length // _STRIDE) * _STRIDE


@cache
def network_sha256() -> str:
    """Return the SHA-256 of the network's weights."""
    return sha256_of(WEIGHTS)


@lru_cache(maxsize=1)  # one size alone: the buffers of each take hundreds of MB
def _compiled(rows: int, columns: int, threads: int) -> Any:
    properties = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    model = _model(load_file(WEIGHTS), rows, columns)
    return openvino_core().compile_model(model, "CPU", properties)


def kernels(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Put a layer's kernels into all positions of a square, for an ordinary convolution.

    Parameters
    ----------
    weight
        ``(into, side, side)`` of the last layer, ``(out, into, side, side)`` of the first, or ``(out, into,
        8, side, side)`` of those between.

    Returns
    -------
    ndarray
        ``(1, into·8, side, side)``, ``(out·8, into, side, side)`` or ``(out·8, into·8, side, side)``.

    References
    ----------
    Cohen, T. & Welling, M. (2016). Group equivariant convolutional networks. ICML 48, 2990–2999.
    """
    side = weight.shape[-1]
    positions = range(len(SYMMETRIES))
    if weight.ndim == 5:
        turned = [put(weight[:, :, SEEN_FROM[k]], k, _ROWS_AND_COLUMNS) for k in positions]
        return np.stack(turned, 1).reshape(weight.shape[0] * len(positions), -1, side, side)
    turned = [put(weight, k, _ROWS_AND_COLUMNS) for k in positions]
    if weight.ndim == 4:
        return np.stack(turned, 1).reshape(-1, weight.shape[1], side, side)
    return np.stack(turned, 1).reshape(1, -1, side, side)


_DOUBLED = np.array(
    [
        [[0.75, 0.25, 0], [0.25, 0.75, 0], [0, 0.75, 0.25]],
        [[0.25, 0.75, 0], [0, 0.75, 0.25], [0, 0.25, 0.75]],
    ]
)
"""For even and odd pixels of a doubled line: what the pixel before, itself and the next take of the line."""


def after_doubling(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Join bilinear doubling and a convolution after it into one convolution before it.

    It saves what the picture has of channels at full resolution.

    Parameters
    ----------
    kernel
        ``(out, into, 3, 3)`` to be used after doubling.

    Returns
    -------
    ndarray
        ``(4·out, into, 3, 3)``: the outputs of even rows and even columns, then of odd columns, then of odd
        rows.
    """
    each = [np.einsum("ua,oiuv,vb->oiab", rows, kernel, columns) for rows in _DOUBLED for columns in _DOUBLED]
    return np.concatenate(each).astype(np.float32)


def _model(weights: Mapping[str, NDArray[np.float32]], rows: int, columns: int) -> Any:
    """Build the network: five scales down, and up again with what each scale saw on the way."""
    openvino = import_openvino()
    ops = openvino.opset11

    def convolved(x: Any, name: str, stride: int = 1) -> Any:
        kernel, bias = kernels(weights[f"{name}.weight"]), weights[f"{name}.bias"]
        rim = (kernel.shape[2] - stride + 1) // 2
        y = ops.convolution(
            x, ops.constant(np.ascontiguousarray(kernel)), [stride, stride], [rim, rim], [rim, rim], [1, 1]
        )
        return ops.add(y, ops.constant(np.repeat(bias, kernel.shape[0] // bias.size).reshape(1, -1, 1, 1)))

    def relu(x: Any, *names: str, stride: int = 1) -> Any:
        for k, name in enumerate(names):
            x = ops.relu(convolved(x, name, stride if k == 0 else 1))
        return x

    def halved(x: Any) -> Any:
        return ops.avg_pool(x, [2, 2], [0, 0], [0, 0], [2, 2], False)

    def doubled(x: Any, scale: int) -> Any:
        size = ops.constant(np.array([rows // scale, columns // scale], np.int64))
        axes = ops.constant(np.array([2, 3], np.int64))
        return ops.interpolate(x, size, "linear_onnx", "sizes", axes=axes)

    def joined(fine: Any, coarse: Any, scale: int) -> Any:
        return ops.relu(ops.add(fine, doubled(coarse, scale)))

    picture = ops.parameter([1, 3, rows, columns], np.float32)
    half = relu(picture, "a1", "a2", stride=2)
    quarter = relu(halved(half), "b1", "b2")
    eighth = relu(halved(quarter), "d1", "d2")
    sixteenth = relu(halved(eighth), "e1", "e2", "e3")
    coarsest = relu(halved(sixteenth), "f1", "f2")
    sixteenth = joined(sixteenth, convolved(coarsest, "fe"), 16)
    eighth = relu(joined(eighth, convolved(sixteenth, "ed"), 8), "d3")
    quarter = relu(joined(quarter, convolved(eighth, "db"), 4), "b3")
    half = relu(joined(half, convolved(quarter, "ba"), 2), "a3")
    last = np.concatenate([kernels(weights[f"{name}.weight"]) for name in LOGITS])
    bias = np.concatenate([weights[f"{name}.bias"] for name in LOGITS])
    y = ops.convolution(half, ops.constant(after_doubling(last)), [1, 1], [1, 1], [1, 1], [1, 1])
    y = ops.add(y, ops.constant(np.tile(bias, 4).reshape(1, -1, 1, 1)))
    return openvino.Model([ops.depth_to_space(y, "blocks_first", 2)], [picture], "boundaries")
