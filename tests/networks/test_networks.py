import pytest
import torch
from torch import nn

from gansampler.networks import (
    MLPDiscriminator,
    MLPGenerator,
    PatchDiscriminator,
    ResNetGenerator,
    UNetGenerator,
    init_weights,
)


@pytest.mark.parametrize("n_channels", [1, 3, 5])
@pytest.mark.parametrize("size", [(8, 8), (16, 12), (32, 64)])
def test_resnet_keeps_shape_and_range(n_channels, size):
    net = init_weights(ResNetGenerator(n_channels, ngf=4, n_blocks=2), std=0.5)
    out = net(torch.rand(2, n_channels, *size) * 2 - 1)
    assert out.shape == (2, n_channels, *size)
    assert out.abs().max() <= 1


def test_global_skip_draws_a_change_to_the_input():
    net = ResNetGenerator(3, ngf=4, n_blocks=1, global_skip=True)
    image = torch.rand(2, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        net.layers[-1].weight.zero_()
        torch.testing.assert_close(net(image), image.clamp(-0.99, 0.99))
        net.layers[-1].bias.fill_(3.0)
        torch.testing.assert_close(
            net(image), torch.tanh(image.clamp(-0.99, 0.99).atanh() + 3)
        )
    # Black and white keep a gradient, so that they too can be changed.
    black = torch.full((1, 3, 16, 16), -1.0)
    net(black).sum().backward()
    assert net.layers[-1].bias.grad.abs().min() > 0


@pytest.mark.parametrize(("size", "depth"), [((8, 8), 2), ((16, 24), 3), ((32, 32), 4)])
def test_unet_keeps_shape_and_range(size, depth):
    net = init_weights(UNetGenerator(3, ngf=4, depth=depth), std=0.5)
    out = net(torch.rand(2, 3, *size) * 2 - 1)
    assert net.size_multiple == 2**depth
    assert out.shape == (2, 3, *size)
    assert out.abs().max() <= 1


def test_published_sizes():
    # 11.378 million: ResNet-9 with 64 filters, as the CycleGAN authors give it.
    resnet = ResNetGenerator(3, ngf=64, n_blocks=9)
    n_weights = sum(p.numel() for p in resnet.parameters())
    assert n_weights == pytest.approx(11.378e6, rel=1e-3)
    # 2.765 million: the 70 x 70 patch discriminator.
    patch = PatchDiscriminator(3, ndf=64, n_layers=3)
    assert sum(p.numel() for p in patch.parameters()) == pytest.approx(
        2.765e6, rel=1e-3
    )


def test_patch_discriminator_sees_70_pixels():
    net = PatchDiscriminator(1, ndf=2, n_layers=3)
    # Normalisation would spread each pixel over the whole image.
    for layer in net.layers:
        if isinstance(layer, nn.InstanceNorm2d):
            layer.forward = lambda input: input
    image = torch.zeros(1, 1, 160, 160, requires_grad=True)
    net(image)[0, 0, 9, 9].backward()
    touched = (image.grad[0, 0] != 0).nonzero()
    extent = touched.max(0).values - touched.min(0).values + 1
    assert extent.tolist() == [70, 70]


@pytest.mark.parametrize("side", range(8, 40))
def test_as_many_layers_as_the_image_allows(side):
    n_layers = PatchDiscriminator.layers_that_fit(side, 3)
    scores = PatchDiscriminator(3, ndf=2, n_layers=n_layers)(
        torch.rand(2, 3, side, side)
    )
    assert scores.shape[:2] == (2, 1)
    assert scores.shape[2] >= 1
    assert n_layers == (3 if side >= 24 else 2 if side >= 12 else 1)


def test_mlp_generator_is_a_shift_of_its_input():
    net = MLPGenerator(3, width=4)
    with torch.no_grad():
        net.layers[-1].weight.zero_()
        net.layers[-1].bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
    rows = torch.randn(5, 3)
    torch.testing.assert_close(net(rows), rows + torch.tensor([1.0, 2.0, 3.0]))
    assert MLPDiscriminator(3, width=4)(rows).shape == (5, 1)


def test_init_weights_draws_the_papers_normal():
    torch.manual_seed(0)
    layer = init_weights(nn.Sequential(nn.Conv2d(64, 64, 3)))[0]
    assert layer.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert layer.bias.abs().max() == 0
