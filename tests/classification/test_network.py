"""The classifier network: its head, its frozen layers and its errors."""

import pytest
import torch
from torch import nn

from gansampler import build_classifier
from gansampler.backbones import Backbone, build_backbone
from gansampler.classification import ClassifierNetwork
from gansampler.classification._network import freeze_layers

IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_is_a_linear_layer_on_the_features():
    network = build_classifier("shufflenet_v2_x0_5", 3, weights=None).eval()
    assert isinstance(network, ClassifierNetwork)
    features = network.embed(IMAGES)
    torch.testing.assert_close(features, network.backbone(IMAGES))
    torch.testing.assert_close(network(IMAGES), network.head(features))
    assert network(IMAGES).shape == (2, 3)


def test_is_a_torch_module():
    network = build_classifier("squeezenet1_1", 2, weights=None)
    assert network.training
    loss = network(IMAGES).square().sum()
    loss.backward()
    assert all(p.grad is not None for p in network.parameters())


def test_pretrained_weights_from_an_installed_package():
    network = build_classifier("efficientnet_lite0", 2, weights="DEFAULT").eval()
    expected = build_backbone("efficientnet_lite0").eval()(IMAGES)
    torch.testing.assert_close(network.embed(IMAGES), expected)


def test_state_dict_of_a_classifier_serves_as_weights():
    network = build_classifier("squeezenet1_1", 2, weights=None).eval()
    other = build_classifier("squeezenet1_1", 5, weights=network.state_dict()).eval()
    torch.testing.assert_close(other.embed(IMAGES), network.embed(IMAGES))


def test_a_backbone_for_one_size_of_images():
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 10 * 12, 7))
    network = build_classifier(module, 2, weights=None, image_size=(10, 12))
    assert network.head.in_features == 7
    with pytest.raises(ValueError, match="Sequential|size that the backbone accepts"):
        build_classifier(module, 2, weights=None)


def test_unknown_backbone_names_the_nearest():
    with pytest.raises(ValueError, match=r"Got 'resnet81'\. Did you mean 'resnet18'\?"):
        build_classifier("resnet81", 2, weights=None)


@pytest.mark.parametrize("wrong", [{"n_classes": 0}, {"in_channels": 0}])
def test_counts_must_be_positive(wrong):
    arguments = {"n_classes": 2, "in_channels": 3} | wrong
    with pytest.raises(ValueError, match=rf"`{next(iter(wrong))}` must be an integer"):
        build_classifier("resnet18", weights=None, **arguments)


class Tokens(nn.Module):
    """Parameters of its own, and modules in a nested sequence."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3, 1, 1))
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.blocks = nn.Sequential(*(nn.Conv2d(4, 4, 1) for _ in range(11)))
        self.last = nn.Conv2d(4, 5, 1)

    def forward(self, images):
        return self.last(self.blocks(self.stem(images * self.scale)))


STEM = {"scale", "stem.0.weight", "stem.0.bias", "stem.1.weight", "stem.1.bias"}
BLOCKS = {f"blocks.{i}.{kind}" for i in range(11) for kind in ("weight", "bias")}


@pytest.mark.parametrize(
    ("freeze", "expected"),
    [
        (False, set()),
        ("stem.0", {"scale", "stem.0.weight", "stem.0.bias"}),
        ("stem", STEM),
        # Block 10 comes after block 1, though its name begins alike.
        ("blocks.1", STEM | {n for n in BLOCKS if n.split(".")[1] in ("0", "1")}),
        ("blocks", STEM | BLOCKS),
        ("last", STEM | BLOCKS | {"last.weight", "last.bias"}),
        (True, STEM | BLOCKS | {"last.weight", "last.bias"}),
    ],
)
def test_layers_are_frozen_up_to_a_module(freeze, expected):
    network = build_classifier(Tokens(), 2, weights=None)
    backbone = network.backbone
    frozen = freeze_layers(network, freeze)
    parameters = backbone.body.named_parameters()
    assert {name for name, p in parameters if not p.requires_grad} == expected
    for module in frozen:
        module.eval()
    modes = {name: module.training for name, module in backbone.body.named_modules()}
    assert modes["stem.1"] is ("stem.1.weight" not in expected)
    assert modes["last"] is ("last.weight" not in expected)


@pytest.mark.parametrize("freeze", ["block.3", ""])
def test_unknown_module_names_the_nearest(freeze):
    hint = r"\. Did you mean 'blocks\.3'\?" if freeze else ""
    match = rf"`freeze` must be .* Got '{freeze}'{hint}.*\['stem', 'blocks', 'last'\]"
    with pytest.raises(ValueError, match=match):
        freeze_layers(build_classifier(Tokens(), 2, weights=None), freeze)


def test_size_error_names_the_module():
    backbone = nn.Sequential(nn.Conv2d(3, 4, 20))
    with pytest.raises(ValueError, match="that Sequential accepts are 20 x 20 px"):
        build_classifier(backbone, 2, weights=None, image_size=(12, 12))


def test_backbone_is_kept_as_it_is():
    backbone = Backbone(nn.Conv2d(3, 4, 3), mean=[0.1] * 3, std=[2.0] * 3)
    network = build_classifier(backbone, 2, weights=None)
    assert network.backbone is not backbone
    torch.testing.assert_close(network.embed(IMAGES), backbone(IMAGES))
