"""Backbones of torchvision, compared with the forward methods of torchvision."""

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models import VisionTransformer
from torchvision.models.vision_transformer import interpolate_embeddings

from gansampler.backbones import build_backbone, check_image_size
from gansampler.backbones._torchvision import VisionTransformerBody

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
    backbone = build_backbone(name, weights=tmp_path / "weights.pth").eval()
    with torch.no_grad():
        model(imagenet(images))
        features = backbone(images * 2 - 1)
    expected = seen[0].flatten(1)
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)
    assert expected.std() > 1e-3


def test_features_of_a_model_without_linear_layer(tmp_path):
    name = "squeezenet1_1"
    model = build_reference(name)
    # The head of a state dict is not needed.
    state = {k: v for k, v in model.state_dict().items() if k.startswith("features.")}
    torch.save(state, tmp_path / "weights.pth")
    backbone = build_backbone(name, weights=str(tmp_path / "weights.pth")).eval()
    images = random_images(32)
    with torch.no_grad():
        expected = model.features(imagenet(images)).mean((2, 3))
        features = backbone(images * 2 - 1)
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
        backbone = build_backbone(name, weights=None)
        images = torch.zeros(2, 3, size, size)
    assert backbone(images).shape == (2, n_features)
    assert isinstance(
        backbone.norm, nn.LayerNorm if name == "maxvit_t" else nn.Identity
    )


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
    body = VisionTransformerBody(model)
    images = random_images(32)
    with torch.no_grad():
        torch.testing.assert_close(body(images).flatten(1), model(images))


def test_vision_transformer_interpolates_positions():
    small, large = tiny_vit(32), tiny_vit(48)
    state = interpolate_embeddings(48, 8, small.state_dict())
    large.load_state_dict(state)
    images = random_images(48)
    with torch.no_grad():
        features = VisionTransformerBody(small)(images).flatten(1)
        torch.testing.assert_close(features, large(images), rtol=1e-4, atol=1e-5)


def test_vision_transformer_pads_images_to_whole_patches():
    body = VisionTransformerBody(tiny_vit(32))
    images = random_images(29)
    padded = nn.functional.pad(images, (0, 3, 0, 3), mode="replicate")
    with torch.no_grad():
        torch.testing.assert_close(body(images), body(padded))


def test_weights_of_a_vision_transformer_set_its_grid():
    with torch.device("meta"):
        state = torchvision.models.vit_b_32(image_size=96).state_dict()
        backbone = build_backbone("vit_b_32", weights=state)
    assert backbone.body.encoder.pos_embedding.shape[1] == 3 * 3 + 1


@pytest.mark.parametrize("in_channels", [1, 4])
def test_filters_are_shared_among_other_channels(in_channels, tmp_path):
    model = build_reference("resnet18")
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    backbone = build_backbone(
        "resnet18", weights=tmp_path / "weights.pth", in_channels=in_channels
    ).eval()
    grey = random_images(32, 1)
    mean, std = (sum(v) / 3 for v in IMAGENET)
    normalised = ((grey - mean) / std).expand(-1, 3, -1, -1)
    model.fc = nn.Identity()
    with torch.no_grad():
        expected = model(normalised)
        features = backbone(grey.expand(-1, in_channels, -1, -1) * 2 - 1)
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)


def test_new_filters_for_other_channels():
    backbone = build_backbone("resnet18", weights=None, in_channels=5)
    assert backbone.body.conv1.weight.shape == (64, 5, 7, 7)
    assert backbone.body.conv1.bias is None
    assert backbone(random_images(32, 5)).shape == (2, 512)


@pytest.mark.parametrize(
    ("name", "smallest"), [("squeezenet1_1", 17), ("alexnet", 63), ("vgg11", 32)]
)
def test_the_error_for_small_images_has_the_smallest_size(name, smallest):
    with torch.device("meta"):
        backbone = build_backbone(name, weights=None)
    check_image_size(backbone, name, (smallest, smallest, 3))
    rule = f"images that {name} accepts are {smallest} x {smallest} px. Got 12 x 64"
    with pytest.raises(ValueError, match=rule):
        check_image_size(backbone, name, (12, 64, 3))


def test_smallest_size_is_what_torchvision_runs():
    model = torchvision.models.squeezenet1_1(weights=None).eval()
    model(random_images(17))
    with pytest.raises(RuntimeError):
        model(random_images(16))
