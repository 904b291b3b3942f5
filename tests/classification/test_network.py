"""The networks, compared with the forward methods of torchvision."""

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models import VisionTransformer
from torchvision.models.vision_transformer import interpolate_embeddings

from gansampler import build_classifier
from gansampler.classification import ClassifierNetwork
from gansampler.classification._backbones import (
    VisionTransformerBackbone,
    build_backbone,
    check_image_size,
)
from gansampler.classification._network import add_head

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# The smallest model of each family, and the layer of torchvision whose input is the
# vector of features.
LINEAR_LAYERS = {
    "densenet121": "classifier",
    "efficientnet_b0": "classifier",
    "googlenet": "fc",
    "mnasnet0_5": "classifier",
    "mobilenet_v2": "classifier",
    "mobilenet_v3_small": "classifier",
    "regnet_x_400mf": "fc",
    "resnet18": "fc",
    "shufflenet_v2_x0_5": "fc",
    "swin_t": "head",
    "convnext_tiny": "classifier.2",
}


def build_random(name, n_classes, state=None):
    mean, std = IMAGENET
    backbone = build_backbone(name, in_channels=3, mean=mean, std=std, state=state)
    return add_head(backbone, n_classes)


def random_images(size, n_channels=3):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, n_channels, size, size, generator=generator)


def imagenet(images):
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in IMAGENET)
    return (images - mean) / std


def build_reference(name):
    options = {"googlenet": {"aux_logits": False, "init_weights": True}}
    torch.manual_seed(1)
    model = torchvision.models.get_model(name, weights=None, **options.get(name, {}))
    # Statistics other than 0 and 1, as after training.
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.1, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
    return model.eval()


@pytest.mark.parametrize("name", LINEAR_LAYERS)
def test_features_are_those_of_torchvision(name, tmp_path):
    model = build_reference(name)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    if name == "googlenet":
        # As torchvision builds it with its pretrained weights.
        model.transform_input = True
    seen = []
    layer = model.get_submodule(LINEAR_LAYERS[name])
    layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = random_images(40)
    network = build_classifier(name, 3, weights=tmp_path / "weights.pth").eval()
    with torch.no_grad():
        model(imagenet(images))
        features = network.embed(images * 2 - 1)
        logits = network(images * 2 - 1)
    expected = seen[0].flatten(1)
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)
    assert expected.std() > 1e-3
    assert logits.shape == (2, 3)
    torch.testing.assert_close(logits, network.head(features))


def test_features_of_a_model_without_linear_layer(tmp_path):
    name = "squeezenet1_1"
    model = build_reference(name)
    # The head of a state dict is not needed.
    state = {k: v for k, v in model.state_dict().items() if k.startswith("features.")}
    torch.save(state, tmp_path / "weights.pth")
    network = build_classifier(name, 2, weights=str(tmp_path / "weights.pth")).eval()
    images = random_images(32)
    with torch.no_grad():
        expected = model.features(imagenet(images)).mean((2, 3))
        features = network.embed(images * 2 - 1)
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-6)


# The construction of their weights takes seconds, and shapes need no weights.
@pytest.mark.parametrize(
    ("name", "n_features", "size"),
    [
        ("alexnet", 256, 64),
        ("inception_v3", 2048, 75),
        ("maxvit_t", 512, 224),
        ("swin_v2_t", 768, 33),
        ("vgg16", 512, 32),
        ("vit_b_16", 768, 40),
        ("wide_resnet50_2", 2048, 32),
    ],
)
def test_sizes_of_large_models(name, n_features, size):
    with torch.device("meta"):
        network = build_random(name, 4)
        images = torch.zeros(2, 3, size, size)
    assert network.head.in_features == n_features
    assert network(images).shape == (2, 4)
    assert isinstance(network.norm, nn.LayerNorm if name == "maxvit_t" else nn.Identity)


def tiny_vit(image_size):
    torch.manual_seed(0)
    model = VisionTransformer(
        image_size=image_size,
        patch_size=8,
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        mlp_dim=32,
    )
    model.heads = nn.Identity()
    return model.eval()


def test_vision_transformer_gives_its_class_token():
    model = tiny_vit(32)
    backbone = VisionTransformerBackbone(model)
    images = random_images(32)
    with torch.no_grad():
        torch.testing.assert_close(backbone(images).flatten(1), model(images))


def test_vision_transformer_interpolates_positions():
    small, large = tiny_vit(32), tiny_vit(48)
    state = interpolate_embeddings(48, 8, small.state_dict())
    large.load_state_dict(state)
    images = random_images(48)
    with torch.no_grad():
        features = VisionTransformerBackbone(small)(images).flatten(1)
        torch.testing.assert_close(features, large(images), rtol=1e-4, atol=1e-5)


def test_vision_transformer_pads_images_to_whole_patches():
    backbone = VisionTransformerBackbone(tiny_vit(32))
    images = random_images(29)
    padded = nn.functional.pad(images, (0, 3, 0, 3), mode="replicate")
    with torch.no_grad():
        torch.testing.assert_close(backbone(images), backbone(padded))


def test_weights_of_a_vision_transformer_set_its_grid():
    with torch.device("meta"):
        state = torchvision.models.vit_b_32(image_size=96).state_dict()
        network = build_random("vit_b_32", 2, state)
    assert network.backbone.encoder.pos_embedding.shape[1] == 3 * 3 + 1


@pytest.mark.parametrize("in_channels", [1, 4])
def test_filters_are_shared_among_other_channels(in_channels, tmp_path):
    model = build_reference("resnet18")
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    network = build_classifier(
        "resnet18", 2, weights=tmp_path / "weights.pth", in_channels=in_channels
    ).eval()
    grey = random_images(32, 1)
    mean, std = (sum(v) / 3 for v in IMAGENET)
    normalised = ((grey - mean) / std).expand(-1, 3, -1, -1)
    model.fc = nn.Identity()
    with torch.no_grad():
        expected = model(normalised)
        features = network.embed(grey.expand(-1, in_channels, -1, -1) * 2 - 1)
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)


def test_new_filters_for_other_channels():
    network = build_classifier("resnet18", 2, weights=None, in_channels=5)
    assert network.backbone.conv1.weight.shape == (64, 5, 7, 7)
    assert network.backbone.conv1.bias is None
    assert network(random_images(32, 5)).shape == (2, 2)


def test_is_a_torch_module():
    network = build_classifier("squeezenet1_1", 2, weights=None)
    assert isinstance(network, ClassifierNetwork)
    assert network.training
    loss = network(random_images(32)).square().sum()
    loss.backward()
    assert all(p.grad is not None for p in network.parameters())


def test_unknown_backbone_names_the_nearest():
    with pytest.raises(ValueError, match=r"Got 'resnet81'\. Did you mean 'resnet18'\?"):
        build_classifier("resnet81", 2, weights=None)


@pytest.mark.parametrize("wrong", [{"n_classes": 0}, {"in_channels": 0}])
def test_counts_must_be_positive(wrong):
    arguments = {"n_classes": 2, "in_channels": 3} | wrong
    with pytest.raises(ValueError, match=rf"`{next(iter(wrong))}` must be an integer"):
        build_classifier("resnet18", weights=None, **arguments)


@pytest.mark.parametrize(
    ("name", "smallest"), [("squeezenet1_1", 17), ("alexnet", 63), ("vgg11", 32)]
)
def test_the_error_for_small_images_has_the_smallest_size(name, smallest):
    with torch.device("meta"):
        network = build_random(name, 2)
    check_image_size(network, name, (smallest, smallest, 3))
    rule = f"images that {name} accepts are {smallest} x {smallest} px. Got 12 x 64"
    with pytest.raises(ValueError, match=rule):
        check_image_size(network, name, (12, 64, 3))


def test_smallest_size_is_what_torchvision_runs():
    model = torchvision.models.squeezenet1_1(weights=None).eval()
    model(random_images(17))
    with pytest.raises(RuntimeError):
        model(random_images(16))
