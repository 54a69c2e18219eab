"""The models that ``--model`` can name and what each is. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from steelquant.errors import UsageError

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


ASPP_RATES = (6, 12, 18)
"""Dilations of the three atrous convolutions of DeepLabV3+, in steps of its stride of 16 px."""


def aspp_halo_px(rate: int) -> int:
    """Return the halo of a DeepLabV3+ whose farthest atrous convolution has this rate.

    Measured where fields were cut in two: with rate 18 labels changed in 1.9 % of the pixels beside the cut
    and in under 0.2 % from 320 px on; with rate 6 in 0.7 % and in under 0.1 % from 128 px on.
    """
    return 16 * rate + 32


@dataclass(frozen=True)
class ModelInfo:
    """A network, its place in the paper and what tiling must know of it.

    Attributes
    ----------
    name
        What ``--model`` takes.
    title
        Its name in tables.
    description
        One sentence.
    learnables
        Learnable parameters in the paper's Table 2 (2 classes; MATLAB's count, see
        :func:`steelquant.networks.building.count_learnables`); None for a model outside the paper.
    paper_layers, paper_batch, paper_epochs
        The remaining columns of Table 2.
    stride_px
        Tile sizes and origins are multiples of this.
    halo_px
        Context that a pixel needs around it: the tile's border up to here is not to be trusted.
    mean, std
        Normalisation of RGB values 0–255 per channel: ``(x - mean) / std``.
    """

    name: str
    title: str
    description: str
    learnables: int | None
    paper_layers: int | None
    paper_batch: int
    paper_epochs: int
    stride_px: int
    halo_px: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


_PAPER_MODELS = (
    ModelInfo(
        "unet",
        "U-Net",
        "U-Net with an encoder of depth 3, no batch norm; full resolution, receptive radius 46 px",
        learnables=7_697_410,
        paper_layers=46,
        paper_batch=32,
        paper_epochs=2,
        stride_px=8,
        halo_px=64,
    ),
    ModelInfo(
        "segnet",
        "SegNet (VGG16)",
        "SegNet on VGG16 with batch norm; unpools with the encoder's pooling indices",
        learnables=29_444_166,
        paper_layers=91,
        paper_batch=16,
        paper_epochs=3,
        stride_px=32,
        halo_px=96,
    ),
    ModelInfo(
        "resnet50",
        "DeepLabV3+ (ResNet50)",
        "DeepLabV3+ on ResNet50 at output stride 16, ASPP 6-12-18 without image pooling",
        learnables=43_980_180,
        paper_layers=206,
        paper_batch=32,
        paper_epochs=3,
        stride_px=16,
        halo_px=aspp_halo_px(18),
    ),
    ModelInfo(
        "resnet18",
        "DeepLabV3+ (ResNet18)",
        "DeepLabV3+ on ResNet18 at output stride 16, ASPP 6-12-18 without image pooling",
        learnables=20_607_636,
        paper_layers=100,
        paper_batch=32,
        paper_epochs=3,
        stride_px=16,
        halo_px=aspp_halo_px(18),
    ),
    ModelInfo(
        "mobilenetv2",
        "DeepLabV3+ (MobileNetV2)",
        "DeepLabV3+ on MobileNetV2, depthwise-separable ASPP and decoder; the lightest of the five",
        learnables=6_784_276,
        paper_layers=186,
        paper_batch=32,
        paper_epochs=3,
        stride_px=16,
        halo_px=aspp_halo_px(18),
        mean=(127.5, 127.5, 127.5),
        std=(127.5, 127.5, 127.5),
    ),
)

MODELS: dict[str, ModelInfo] = {info.name: info for info in _PAPER_MODELS}
"""The five networks of the paper by the name that ``--model`` takes."""

SMP_PREFIX = "smp:"


def model_info(name: str) -> ModelInfo:
    """Return what is known of a model by its name.

    Parameters
    ----------
    name
        One of :data:`MODELS` or ``smp:ARCHITECTURE:ENCODER``, any architecture and encoder of
        segmentation-models-pytorch (not checked here, which would import torch).

    Raises
    ------
    UsageError
        If the name is neither.
    """
    if name in MODELS:
        return MODELS[name]
    if name.startswith(SMP_PREFIX) and len(parts := name.split(":")) == 3 and all(parts):
        return ModelInfo(
            name,
            f"{parts[1]} ({parts[2]})",
            f"segmentation-models-pytorch's {parts[1]} on its encoder {parts[2]}; not one of the paper's",
            learnables=None,
            paper_layers=None,
            paper_batch=32,
            paper_epochs=3,
            stride_px=32,
            halo_px=96,
        )
    raise UsageError(
        f"unknown model {name!r}; choose one of {', '.join(MODELS)}, or smp:ARCHITECTURE:ENCODER "
        "such as smp:unetplusplus:resnet34"
    )
