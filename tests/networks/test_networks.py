"""The five networks against the paper's Table 2, the dense upsampler, and what tiling asks of them."""

from __future__ import annotations

import copy

import pytest
import torch
from segmentation_models_pytorch.encoders import get_encoder
from torch import nn

from steelquant.errors import UsageError
from steelquant.networks import build
from steelquant.networks.building import count_learnables, load_encoder
from steelquant.networks.registry import MODELS, model_info
from steelquant.networks.upsample import BilinearUpsample4, bilinear_kernel

# Muñoz-Rodenas et al. 2024, Table 2.
TABLE_2 = {
    "unet": 7_697_410,
    "segnet": 29_444_166,
    "resnet50": 43_980_180,
    "resnet18": 20_607_636,
    "mobilenetv2": 6_784_276,
}


@pytest.mark.parametrize("name", TABLE_2)
def test_learnables_equal_table_2_to_the_unit(name: str) -> None:
    assert count_learnables(build(name)) == TABLE_2[name] == MODELS[name].learnables


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("size", [(1, 1), (3, 7), (14, 14)])
def test_fast_upsampler_equals_the_dense_transposed_convolution(channels: int, size: tuple[int, int]) -> None:
    dense = nn.ConvTranspose2d(channels, channels, 8, stride=4, padding=2, bias=False)
    with torch.no_grad():
        dense.weight.zero_()
        for channel in range(channels):
            dense.weight[channel, channel] = bilinear_kernel(8)
    features = torch.randn(2, channels, *size)

    fast = BilinearUpsample4()(features)

    torch.testing.assert_close(fast, dense(features), atol=1e-5, rtol=1e-5)


def test_bilinear_kernel_has_the_textbook_weights() -> None:
    line = torch.tensor([1, 3, 5, 7, 7, 5, 3, 1]) / 8
    torch.testing.assert_close(bilinear_kernel(8), line[:, None] * line[None, :])


@pytest.mark.parametrize("name", [*TABLE_2, "smp:fpn:resnet18"])
@pytest.mark.parametrize("size", [(1, 1), (33, 50), (64, 96), (71, 129)])
def test_output_has_the_size_of_the_input(name: str, size: tuple[int, int]) -> None:
    network = _cached(name, 3)
    with torch.inference_mode():
        assert network(torch.randn(1, 3, *size)).shape == (1, 3, *size)


_networks: dict[tuple[str, int], nn.Module] = {}


def _cached(name: str, classes: int) -> nn.Module:
    if (name, classes) not in _networks:
        torch.manual_seed(0)
        _networks[name, classes] = build(name, classes).eval()
    return _networks[name, classes]


@pytest.mark.parametrize("name", ["mobilenetv2", "resnet18"])
def test_deeplab_does_not_see_the_far_end_of_its_tile(name: str) -> None:
    """An image-pooling branch would carry the far end into every pixel."""
    network = _cached(name, 3)
    near = torch.randn(1, 3, 32, 2048)
    far = near.clone()
    far[..., 1536:] = 5.0
    with torch.inference_mode():
        one, other = network(near), network(far)

    torch.testing.assert_close(one[..., :256], other[..., :256], atol=1e-6, rtol=1e-6)
    assert not torch.allclose(one[..., 1600:], other[..., 1600:], atol=1e-3)


def test_smp_deeplab_does_see_it() -> None:
    """The test above can fail: smp's own DeepLabV3+ pools over the whole image."""
    network = _cached("smp:deeplabv3plus:resnet18", 3)
    near = torch.randn(1, 3, 32, 2048)
    far = near.clone()
    far[..., 1536:] = 5.0
    with torch.inference_mode():
        assert not torch.allclose(network(near)[..., :256], network(far)[..., :256], atol=1e-5)


def test_unet_sees_46_px() -> None:
    """By hand, from the block 128-135: each pair of 3x3 adds 2 cells a side at strides 1 2 4 8 4 2 1."""
    network = _cached("unet", 3)
    image = torch.randn(1, 3, 8, 256, requires_grad=True)

    network(image)[0, :, :, 128:136].sum().backward()

    assert image.grad is not None
    columns = torch.nonzero(image.grad.abs().sum(dim=(0, 1, 2))).flatten()
    assert int(columns.min()) == 128 - 46
    assert int(columns.max()) == 135 + 46


@pytest.mark.parametrize(
    "name", ["nonet", "smp:", "smp:unet", "smp:unet:", "smp:nonet:resnet18", "smp:unet:nocoder"]
)
def test_unknown_models_are_usage_errors(name: str) -> None:
    with pytest.raises(UsageError):
        build(name)


@pytest.mark.parametrize("classes", [-1, 0, 1, 65])
def test_unusable_numbers_of_classes_are_usage_errors(classes: int) -> None:
    with pytest.raises(UsageError, match="classes"):
        build("unet", classes)


def test_encoder_of_another_network_is_refused() -> None:
    with pytest.raises(UsageError, match="do not fit"):
        load_encoder(build("mobilenetv2"), {"features.0.0.weight": torch.zeros(32, 3, 3, 3)})


def test_plain_vgg16_goes_into_segnet_in_order() -> None:
    torch.manual_seed(0)
    network = build("segnet")
    widths = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 256)]
    widths += [(256, 512)] + [(512, 512)] * 5
    places = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]  # torchvision.models.vgg16().features
    tensors = {}
    for place, (inside, outside) in zip(places, widths, strict=True):
        tensors[f"features.{place}.weight"] = torch.full((outside, inside, 3, 3), float(place))
        tensors[f"features.{place}.bias"] = torch.full((outside,), float(place))

    assert load_encoder(network, tensors) == 26

    convolutions = [m for m in network.encoder.features if isinstance(m, nn.Conv2d)]  # type: ignore[union-attr]
    assert [m.weight[0, 0, 0, 0].item() for m in convolutions] == places


def test_unet_started_from_vgg16_sees_what_vgg16_sees_up_to_one_factor() -> None:
    torch.manual_seed(0)
    vgg = _loud_vgg16()
    network = build("unet").eval()

    assert load_encoder(network, vgg.state_dict()) == 12

    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        expected = vgg.features[:14](image)  # two stages, their poolings, and two convolutions of the third
        stages = (network.encoder1, network.pool, network.encoder2, network.pool, network.encoder3)
        seen = nn.Sequential(*stages)(image)  # type: ignore[arg-type]
    factor = seen.max() / expected.max()
    assert 0 < factor < 0.1
    torch.testing.assert_close(seen, factor * expected, rtol=1e-3, atol=1e-4)


def _loud_vgg16() -> nn.Module:
    """VGG16 without batch norm whose outputs grow from layer to layer, as the real one's do."""
    vgg: nn.Module = get_encoder("vgg16", weights=None)
    for layer in vgg.features:  # type: ignore[union-attr]
        if isinstance(layer, nn.Conv2d) and layer.bias is not None:
            nn.init.normal_(layer.bias)
            layer.weight.data *= 3
    return vgg


def test_segnet_keeps_the_features_of_vgg16_up_to_one_factor() -> None:
    torch.manual_seed(0)
    vgg = _loud_vgg16()
    network = build("segnet")
    load_encoder(network, vgg.state_dict())
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = vgg.features(image)  # type: ignore[operator]
        cut_elsewhere = copy.deepcopy(network).encoder.features(image)  # type: ignore[operator,union-attr]
        network.keep_features(image)  # type: ignore[operator]
        kept = network.encoder.features(image)  # type: ignore[operator,union-attr]

    factor = kept.max() / expected.max()
    torch.testing.assert_close(kept, factor * expected, rtol=1e-3, atol=1e-3 * kept.max().item())
    assert not torch.allclose(cut_elsewhere / cut_elsewhere.max(), expected / expected.max(), atol=0.05)


def test_segnet_leaves_batch_norms_that_remember_pictures() -> None:
    torch.manual_seed(0)
    network = build("segnet")
    network(torch.randn(2, 3, 32, 32))  # in training: they remember
    before = {key: value.clone() for key, value in network.state_dict().items()}

    network.keep_features(torch.rand(2, 3, 32, 32))  # type: ignore[operator]

    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_a_mirrored_segnet_deconvolves_with_its_encoders_kernels() -> None:
    torch.manual_seed(0)
    network = build("segnet")
    network.mirror_encoder()  # type: ignore[operator]

    kernels = [module.weight for module in network.encoder.modules() if isinstance(module, nn.Conv2d)]
    decoder = [module for module in network.decoder.modules() if isinstance(module, nn.Conv2d)]  # type: ignore[union-attr]
    assert len(kernels) == len(decoder) == 13
    for mirrored, kernel in zip(decoder[:-1], reversed(kernels[1:]), strict=True):
        features = torch.randn(1, kernel.shape[0], 5, 7)
        with torch.no_grad():
            expected = nn.functional.conv_transpose2d(features, kernel, padding=1)
            torch.testing.assert_close(mirrored(features), expected, rtol=1e-4, atol=1e-3)
    assert decoder[-1].weight.std() > 0


def test_a_sharpened_segnet_gives_the_same_labels_with_more_certainty() -> None:
    torch.manual_seed(0)
    network = build("segnet")
    image = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        before = network(image)  # in training: the batch's own mean and spread
        network.sharpen(4.0)
        sharpened = network(image)
        network.sharpen(4.0)
        again = network(image)

    torch.testing.assert_close(sharpened, 4 * before, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(again, sharpened, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["vgg16_bn", "resnet18", "mobilenet_v2"])
def test_unet_starts_from_no_other_encoder(name: str) -> None:
    with pytest.raises(UsageError, match="plain VGG16"):
        load_encoder(build("unet"), get_encoder(name, weights=None).state_dict())


def test_registry_tells_strides_that_the_networks_keep() -> None:
    for name in TABLE_2:
        assert model_info(name).stride_px % 8 == 0
    assert model_info("smp:unet:resnet18").learnables is None
