"""The quick layers against the plain ones that they stand for."""

import copy
import pickle

import pytest
import torch
from torch import nn

from gansampler.networks import ResNetGenerator, init_weights
from gansampler.networks._layers import (
    InstanceNorm2d,
    ReflectionPad2d,
    RowwiseConv2d,
    UpsampledConv2d,
    to_fast_layout,
)

PADDING = {3: nn.ReflectionPad2d(1), 4: nn.ZeroPad2d((1, 2, 1, 2))}


def plain_like(layer):
    """The textbook's modules, with the same weights."""
    conv = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        bias=layer.bias is not None,
    ).to(layer.weight.dtype)
    conv.load_state_dict(layer.state_dict())
    if isinstance(layer, RowwiseConv2d):
        return conv, conv
    before = nn.Upsample(scale_factor=2), PADDING[layer.kernel_size[0]]
    return nn.Sequential(*before, conv), conv


LAYERS = [
    lambda: UpsampledConv2d(6, 5, 3),
    lambda: UpsampledConv2d(6, 5, 3, bias=False),
    lambda: UpsampledConv2d(6, 5, 4),
    lambda: RowwiseConv2d(6, 3, 7),
    lambda: RowwiseConv2d(6, 2, 7, bias=False),
]


@pytest.mark.parametrize("make", LAYERS)
@pytest.mark.parametrize("shape", [(1, 6, 8, 8), (3, 6, 7, 12), (2, 6, 9, 31)])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)]
)
@pytest.mark.parametrize("channels_last", [False, True])
def test_values_and_gradients_are_the_plain_layers(
    make, shape, dtype, tolerance, channels_last
):
    torch.manual_seed(0)
    layer = make().to(dtype)
    plain, conv = plain_like(layer)
    x = torch.randn(shape, dtype=dtype)
    if channels_last:
        x = x.to(memory_format=torch.channels_last)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    ours, expected = layer(inputs[0]), plain(inputs[1])
    assert ours.dtype == dtype
    torch.testing.assert_close(ours, expected, rtol=tolerance, atol=tolerance)
    weights = torch.randn_like(expected)
    (ours * weights).sum().backward()
    (expected * weights).sum().backward()
    pairs = [(inputs[0].grad, inputs[1].grad)]
    pairs += [
        (a.grad, b.grad)
        for a, b in zip(layer.parameters(), conv.parameters(), strict=True)
    ]
    for a, b in pairs:
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * b.abs().max())


@pytest.mark.parametrize("make", LAYERS)
def test_half_precision_is_as_exact_as_the_plain_layers(make):
    torch.manual_seed(0)
    layer, x = make(), torch.randn(4, 6, 16, 16)
    exact = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        ours = (layer(x).float() - exact).abs().mean()
        plain = (plain_like(layer)[0](x).float() - exact).abs().mean()
    assert ours < 1.2 * plain


@pytest.mark.parametrize("make", [*LAYERS, lambda: InstanceNorm2d(6)])
def test_copies_pickles_and_exports(make):
    layer, x = make(), to_fast_layout(torch.randn(2, 6, 8, 8))
    expected = layer(x)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert other(x).equal(expected)
    exported = torch.export.export(layer, (x,)).module()
    torch.testing.assert_close(exported(x), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_padding_keeps_the_precision(dtype):
    torch.manual_seed(0)
    x = torch.randn(2, 6, 8, 9).to(dtype).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        ours = ReflectionPad2d(3)(x)
    assert ours.dtype == dtype
    plain = x.detach().float().requires_grad_()
    expected = nn.ReflectionPad2d(3)(plain)
    assert ours.float().equal(expected)
    weights = torch.randint(-4, 5, ours.shape).float()  # their sums are exact
    (ours * weights).sum().backward()
    (expected * weights).sum().backward()
    assert x.grad.dtype == dtype
    assert x.grad.float().equal(plain.grad)


def is_channels_last(tensor):
    return tensor.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("large", [1, 2**30])
@pytest.mark.parametrize("shape", [(1, 6, 5, 7), (3, 6, 2, 1), (4, 1, 5, 7)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("of_gradient", [torch.contiguous_format, torch.channels_last])
def test_normalises_as_the_plain_layer(shape, layout, of_gradient, large, monkeypatch):
    monkeypatch.setattr("gansampler.networks._layers.MIN_SIZE_TO_SPLIT", large)
    torch.manual_seed(0)
    x, grad = (torch.randn(shape, dtype=torch.float64) for _ in range(2))
    plain = x.clone().requires_grad_()
    expected = nn.InstanceNorm2d(shape[1])(plain)
    expected.backward(grad)
    x = x.contiguous(memory_format=layout).requires_grad_()
    ours = InstanceNorm2d(shape[1])(x)
    assert is_channels_last(ours)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
    ours.backward(grad.contiguous(memory_format=of_gradient))
    torch.testing.assert_close(x.grad, plain.grad, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("large", [1, 2**30])
def test_normalises_half_precision_in_channels_last_as_well(large, monkeypatch):
    monkeypatch.setattr("gansampler.networks._layers.MIN_SIZE_TO_SPLIT", large)
    torch.manual_seed(0)
    x = (3 * torch.randn(4, 8, 16, 16) + 5).bfloat16()
    exact = nn.InstanceNorm2d(8)(x.double())
    with torch.autocast("cpu", torch.bfloat16):
        ours = InstanceNorm2d(8)(to_fast_layout(x))
    assert ours.dtype == torch.bfloat16
    plain = nn.InstanceNorm2d(8)(x)
    assert (ours - exact).abs().mean() <= 1.01 * (plain - exact).abs().mean()


@pytest.mark.parametrize("large", [1, 2**30])
def test_gradients_of_gradients_of_a_normalisation(large, monkeypatch):
    monkeypatch.setattr("gansampler.networks._layers.MIN_SIZE_TO_SPLIT", large)
    torch.manual_seed(0)
    x = to_fast_layout(torch.randn(2, 3, 4, 4, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradgradcheck(InstanceNorm2d(3), (x,))


def test_a_single_pixel_is_refused_as_by_the_plain_layer():
    x = to_fast_layout(torch.zeros(2, 3, 1, 1))
    for layer in (nn.InstanceNorm2d(3), InstanceNorm2d(3)):
        with pytest.raises(ValueError, match="more than 1 spatial element"):
            layer(x)


@pytest.mark.parametrize("size", [3, 4])
def test_networks_stay_in_channels_last(size):
    layouts = []
    network = ResNetGenerator(3, ngf=4, n_blocks=1)
    for layer in network.modules():
        layer.register_forward_hook(
            lambda layer, args, output: layouts.append(is_channels_last(output))
        )
    x = torch.randn(2, 3, 4 * size, 16)
    with torch.no_grad():
        assert network(x).equal(network(to_fast_layout(x)))
    assert len(layouts) > 20
    assert all(layouts)


@pytest.mark.parametrize("kernel_size", [3, 4])
def test_weights_are_all_that_a_checkpoint_holds(kernel_size):
    layer = UpsampledConv2d(6, 5, kernel_size)
    assert list(layer.state_dict()) == ["weight", "bias"]


def test_weights_are_drawn_as_those_of_convolutions():
    torch.manual_seed(0)
    layer = init_weights(UpsampledConv2d(64, 64, 3))
    assert layer.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert not layer.bias.any()
