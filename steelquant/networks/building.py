"""From a model's name to its network, and from a network to the paper's count of learnables."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from steelquant.errors import UsageError
from steelquant.networks.deeplab import DeepLabV3Plus
from steelquant.networks.registry import SMP_PREFIX, model_info
from steelquant.networks.segnet import SegNet
from steelquant.networks.unet import UNet
from steelquant.networks.upsample import BilinearUpsample4, padded_to_stride

MAX_CLASSES = 64

_DEEPLAB_ENCODERS = {"resnet50": "resnet50", "resnet18": "resnet18", "mobilenetv2": "mobilenet_v2"}
_ENCODERS = {"unet": "vgg16", "segnet": "vgg16_bn", **_DEEPLAB_ENCODERS}

_FIRST_OF_PLAIN_VGG16 = (0, 2, 5, 7, 10, 12)
_TRAINED_SPREAD = 0.7
"""Of He's spread: trained kernels answer to pictures more strongly than random ones. The outputs of all three
stages then have a spread near 1."""


class _Padded(nn.Module):
    """Any network of segmentation-models-pytorch, for any input size."""

    def __init__(self, network: nn.Module, stride_px: int) -> None:
        super().__init__()
        self.network = network
        self.stride_px = stride_px

    def forward(self, image: Tensor) -> Tensor:
        return padded_to_stride(self.network, image, self.stride_px)


def build_network(name: str, classes: int) -> nn.Module:
    """Build what :func:`steelquant.networks.build` describes."""
    info = model_info(name)
    if not 2 <= classes <= MAX_CLASSES:
        raise UsageError(f"a network needs 2 to {MAX_CLASSES} classes, not {classes}")
    network: nn.Module
    if name == "unet":
        network = UNet(classes)
    elif name == "segnet":
        network = SegNet(classes)
    elif name in _DEEPLAB_ENCODERS:
        network = DeepLabV3Plus(_DEEPLAB_ENCODERS[name], classes)
    else:
        return _Padded(_build_smp(name, classes), info.stride_px)
    network.apply(_he_initialise)
    return network


def _build_smp(name: str, classes: int) -> nn.Module:
    import segmentation_models_pytorch as smp

    architecture, encoder = name.removeprefix(SMP_PREFIX).split(":")
    try:
        network: nn.Module = smp.create_model(architecture, encoder, encoder_weights=None, classes=classes)
    except (KeyError, ValueError, RuntimeError) as error:
        reason = str(error.args[0]) if error.args else type(error).__name__
        raise UsageError(f"segmentation-models-pytorch has no {name!r}: {reason}") from None
    return network


def _he_initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def count_learnables(network: nn.Module, classes: int = 2) -> int:
    """Count a network's learnables as MATLAB does in the paper's Table 2.

    MATLAB's backbones carry a bias on every convolution, also where a batch norm follows, and it stores the
    fixed bilinear upsamplers of DeepLabV3+ as dense transposed convolutions (8·8·256·256 + 256, and
    8·8·K·K + K).
    """
    count = sum(parameter.numel() for parameter in network.parameters())
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.bias is None:
            count += module.out_channels
    if any(isinstance(module, BilinearUpsample4) for module in network.modules()):
        count += sum(64 * channels * channels + channels for channels in (256, classes))
    return count


def load_encoder(network: nn.Module, tensors: dict[str, Tensor]) -> int:
    """Copy encoder weights under torchvision's names into a network's encoder.

    Parameters
    ----------
    network
        One of the paper's five.
    tensors
        By torchvision's names (``features.0.0.weight``, ``layer1.0.conv1.weight``). VGG16 without batch
        norm is taken convolution by convolution; U-Net takes the first six of them.

    Returns
    -------
    int
        How many tensors were taken.

    Raises
    ------
    UsageError
        If the tensors do not fit the network.
    """
    if isinstance(network, UNet):
        return _load_vgg_into_unet(network, tensors)
    encoder = getattr(network, "encoder", None)
    if not isinstance(encoder, nn.Module):
        raise UsageError("this network has no encoder to start from other weights")
    own = encoder.state_dict()
    if isinstance(network, SegNet) and not any("running_mean" in key for key in tensors):
        tensors = _renumber_vgg(encoder, tensors)
    fitting = {
        key: value.float()
        for key, value in tensors.items()
        if key in own and not key.endswith("num_batches_tracked")
    }
    wrong = [key for key, value in fitting.items() if value.shape != own[key].shape]
    convolutions = [key for key, value in own.items() if value.dim() == 4]
    missing = [key for key in convolutions if key not in fitting]
    if wrong or missing:
        raise UsageError(
            "the encoder weights do not fit this network: "
            f"{len(wrong)} tensors of another shape, {len(missing)} convolutions missing"
        )
    with torch.no_grad():
        for key, value in fitting.items():
            own[key].copy_(value)
    return len(fitting)


def _load_vgg_into_unet(network: UNet, tensors: dict[str, Tensor]) -> int:
    """Copy VGG16's first six convolutions, which are U-Net's encoder: two of 64, of 128 and of 256 channels.

    Each is scaled towards the spread of He's initialisation, which ReLU lets through as a factor: VGG16's
    own outputs grow to hundreds, and U-Net has no batch norm to bring them down.
    """
    stages = (network.encoder1, network.encoder2, network.encoder3)
    own = [layer for stage in stages for layer in stage if isinstance(layer, nn.Conv2d)]
    plain = [
        (tensors.get(f"features.{place}.weight"), tensors.get(f"features.{place}.bias"))
        for place in _FIRST_OF_PLAIN_VGG16
    ]
    total = 1.0
    with torch.no_grad():
        for layer, (weight, bias) in zip(own, plain, strict=True):
            if weight is None or bias is None or layer.bias is None or weight.shape != layer.weight.shape:
                raise UsageError(
                    "the encoder weights do not fit this network: U-Net starts from plain VGG16 alone"
                )
            he = math.sqrt(2 / weight[0].numel())
            factor = _TRAINED_SPREAD * he / weight.float().std().item()
            total *= factor
            layer.weight.copy_(factor * weight.float())
            layer.bias.copy_(total * bias.float())
    return 2 * len(own)


def fetch_imagenet_encoder(name: str) -> dict[str, Tensor]:
    """Fetch a model's encoder weights of ImageNet from the hub of segmentation-models-pytorch.

    Raises
    ------
    UsageError
        If the model has no encoder, or the hub cannot be reached.
    """
    from segmentation_models_pytorch.encoders import get_encoder

    if name not in _ENCODERS:
        raise UsageError(f"{name} has no encoder with ImageNet weights; leave --encoder out")
    try:
        encoder = get_encoder(_ENCODERS[name], weights="imagenet")
    except Exception as error:  # the hub's client has a dozen ways to say that it is offline
        raise UsageError(
            f"the ImageNet weights of {_ENCODERS[name]} cannot be fetched ({type(error).__name__}); "
            "name a file with --encoder, or leave it out to start from He initialisation"
        ) from None
    return encoder.state_dict()


def _renumber_vgg(encoder: nn.Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename plain VGG16's convolutions to their places in VGG16 with batch norm: both come in one order."""
    plain = sorted({int(key.split(".")[1]) for key in tensors if key.endswith(".weight")})
    layers = encoder.features
    assert isinstance(layers, nn.Sequential)
    normed = [place for place, layer in enumerate(layers) if isinstance(layer, nn.Conv2d)]
    if len(plain) != len(normed):
        return {}
    return {
        f"features.{new}.{kind}": tensors[f"features.{old}.{kind}"]
        for old, new in zip(plain, normed, strict=True)
        for kind in ("weight", "bias")
    }
