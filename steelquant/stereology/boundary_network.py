"""A small network that tells how likely each pixel of ferrite lies on a grain boundary.

Noise, scratches, pits and the texture of grains all have dark lines in them; a boundary is one that goes
on, meets others and closes a grain. A network that looks 45 px around each pixel tells the two apart far
better than a filter for lines does. It has seen synthetic micrographs alone, whose boundaries are known
(:mod:`steelquant.learning.boundary_training`), those that the etch left out among them: what it gives is
calibrated, so that the sum over all pixels is the length of boundary to be expected.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from steelquant.micrograph.files import sha256_of
from steelquant.segmentation.openvino_engine import import_openvino, openvino_core

Float = NDArray[np.float32]

WEIGHTS = Path(__file__).with_name("boundary_network.safetensors")

_REACH_PX = 48
"""Rows that a strip sees beyond its own: more than the 45 px that a pixel's logit depends on."""
_STRIDE = 8
_STRIP_PX = 1_200_000
"""Pixels that go through the network at once, for about 150 MB."""

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
    """Return ln(p/(1−p)) of the probability p that a pixel touches another grain.

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
        ``(height, width)`` float32; of no meaning outside the phase.
    """
    height, width = image.shape
    columns = _whole_strides(width) + 2 * _REACH_PX
    rows = min(_whole_strides(height), max(_STRIDE, _STRIP_PX // columns // _STRIDE * _STRIDE))
    below = -(-height // rows) * rows - height + _REACH_PX
    sides = (_REACH_PX, columns - width - _REACH_PX)
    seen = np.pad(network_input(image, inside, noise), ((0, 0), (_REACH_PX, below), sides))
    run = _compiled(rows + 2 * _REACH_PX, columns, cv2.getNumThreads())
    logits = np.empty((height, width), np.float32)
    for top in range(0, height, rows):
        strip = np.ascontiguousarray(seen[None, :, top : top + rows + 2 * _REACH_PX])
        part = logits[top : top + rows]
        part[:] = run(strip)[0][0, 0, _REACH_PX:, _REACH_PX:][: part.shape[0], :width]
    return (np.round(logits * np.float32(_STEPS)) / np.float32(_STEPS)).astype(np.float32)


def _whole_strides(length: int) -> int:
    return -(-length // _STRIDE) * _STRIDE


@cache
def network_sha256() -> str:
    """Return the SHA-256 of the network's weights."""
    return sha256_of(WEIGHTS)


@cache
def _compiled(rows: int, columns: int, threads: int) -> Any:
    properties = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    model = _model(load_file(WEIGHTS), rows, columns)
    return openvino_core().compile_model(model, "CPU", properties)


def _model(weights: Mapping[str, NDArray[np.float32]], rows: int, columns: int) -> Any:
    """Build the network: four scales down, and up again with what each scale saw on the way."""
    openvino = import_openvino()
    ops = openvino.opset11

    def convolved(x: Any, name: str, stride: int = 1) -> Any:
        kernel, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        rim = kernel.shape[2] // 2
        y = ops.convolution(x, ops.constant(kernel), [stride, stride], [rim, rim], [rim, rim], [1, 1])
        return ops.add(y, ops.constant(bias.reshape(1, -1, 1, 1)))

    def relu(x: Any, *names: str, stride: int = 1) -> Any:
        for k, name in enumerate(names):
            x = ops.relu(convolved(x, name, stride if k == 0 else 1))
        return x

    def joined(fine: Any, coarse: Any, scale: int) -> Any:
        size = ops.constant(np.array([rows // scale, columns // scale], np.int64))
        axes = ops.constant(np.array([2, 3], np.int64))
        return ops.relu(ops.add(fine, ops.interpolate(coarse, size, "linear_onnx", "sizes", axes=axes)))

    picture = ops.parameter([1, 3, rows, columns], np.float32)
    full = relu(picture, "a1", "a2")
    half = relu(full, "b1", "b2", stride=2)
    quarter = relu(half, "d1", "d2", stride=2)
    eighth = relu(quarter, "e1", "e2", "e3", stride=2)
    quarter = relu(joined(quarter, convolved(eighth, "ed"), 4), "d3")
    half = relu(joined(half, convolved(quarter, "db"), 2), "b3")
    full = relu(joined(full, convolved(half, "ba"), 1), "a3")
    return openvino.Model([convolved(full, "out")], [picture], "boundaries")
