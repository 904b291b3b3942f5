"""The projected discriminator: what is trained, and what its scores are."""

import pytest
import torch
from torch import nn

from gansampler.backbones import Backbone, build_backbone
from gansampler.networks import ProjectedDiscriminator


@pytest.fixture(scope="module")
def discriminator():
    torch.manual_seed(0)
    return ProjectedDiscriminator(build_backbone(min_side=96))


def test_only_the_heads_are_trained(discriminator):
    network = discriminator.train().requires_grad_(False).requires_grad_(True)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    optimizer = torch.optim.SGD(
        [p for p in network.parameters() if p.requires_grad], lr=0.1
    )
    network(torch.rand(2, 3, 16, 16)).square().sum().backward()
    optimizer.step()
    changed = {
        k for k, v in network.state_dict().items() if not torch.equal(v, before[k])
    }
    assert changed
    assert all(name.startswith("heads.") for name in changed)


def test_gradients_reach_the_image_through_the_frozen_layers(discriminator):
    image = torch.rand(1, 3, 16, 16, requires_grad=True)
    discriminator.requires_grad_(False)
    discriminator(image).mean().backward()
    assert (image.grad != 0).float().mean() > 0.9


def test_heads_have_a_bounded_slope(discriminator):
    """Spectral normalisation: no convolution's largest singular value exceeds 1."""
    network = discriminator.train()
    for _ in range(30):
        network(torch.rand(1, 3, 16, 16))
    for head in network.heads:
        for layer in head:
            if isinstance(layer, nn.Conv2d):
                matrix = layer.weight.detach().flatten(1)
                largest = torch.linalg.svdvals(matrix)[0]
                x = torch.rand(1, layer.in_channels, 4, 4)
                with torch.no_grad():
                    bias = layer.bias[:, None, None]
                    ours, plain = (
                        layer(x) - bias,
                        layer._conv_forward(x, layer.weight, None),
                    )
                torch.testing.assert_close(ours, plain / largest, rtol=0.03, atol=1e-4)


@pytest.mark.parametrize("size", [(16, 16), (20, 47), (160, 130)])
def test_one_channel_of_scores_per_resolution(discriminator, size):
    scores = discriminator(torch.rand(2, 3, *size))
    assert scores.shape[:2] == (2, 4)
    # The coarsest scores are repeated.
    assert len(scores[0, 3].unique()) <= len(scores[0, 0].unique())


def test_scores_do_not_depend_on_the_other_images(discriminator):
    images = torch.rand(3, 3, 16, 16)
    network = discriminator.eval()
    with torch.no_grad():
        one_by_one = torch.cat([network(image[None]) for image in images])
        torch.testing.assert_close(network(images), one_by_one, rtol=1e-4, atol=1e-5)


def test_other_networks_and_channels():
    body = nn.Sequential(nn.Conv2d(2, 5, 3, 2), nn.ReLU(), nn.Conv2d(5, 7, 3, 2))
    backbone = Backbone(body, mean=[0.5] * 2, std=[0.5] * 2)
    network = ProjectedDiscriminator(backbone, n_channels=2, width=8)
    assert network(torch.rand(2, 2, 32, 32)).shape[:2] == (2, 2)


def test_a_network_without_feature_maps_is_refused():
    backbone = Backbone(
        nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 4)),
        mean=[0.5] * 3,
        std=[0.5] * 3,
    )
    with pytest.raises(ValueError, match="must have feature maps"):
        ProjectedDiscriminator(backbone)
