"""Classifiers on backbones of torchvision and timm, and on networks of the user."""

import pickle
import sys

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

from gansampler import Trainer, TransferClassifier
from gansampler.backbones import build_backbone
from gansampler.exceptions import CheckpointWarning, ModelFileError


def make_body(n_channels=3):
    generator = torch.random.get_rng_state()
    torch.manual_seed(7)
    body = nn.Sequential(
        nn.Conv2d(n_channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3)
    )
    torch.random.set_rng_state(generator)
    return body


class NeedsNumbers(nn.Module):
    """A network whose result cannot be computed from shapes alone."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 5)

    def forward(self, images):
        scale = float(images.abs().max()) + 1.0
        return self.layer(images.mean((2, 3)) / scale)


@pytest.fixture(scope="module")
def lite(make, data):
    params = {"weights": "DEFAULT", "freeze": True, "n_epochs": 40, "lr": 0.03}
    return make("efficientnet_lite0", **params).fit(*data)


class TestLite:
    def test_learns_from_its_pretrained_features(self, lite, data):
        X, y = data
        assert lite.score(X, y) > 0.9
        batch = torch.from_numpy(X).permute(0, 3, 1, 2) / 127.5 - 1
        with torch.no_grad():
            expected = build_backbone("efficientnet_lite0").eval()(batch)
        np.testing.assert_allclose(lite.embed(X), expected, rtol=1e-3, atol=1e-4)

    def test_saved_and_loaded(self, lite, data, tmp_path, monkeypatch):
        lite.save(tmp_path / "model")
        # The weights are in the file: their package is not needed.
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        loaded = TransferClassifier.load(tmp_path / "model")
        loaded.set_params(trainer=lite.trainer)
        expected = lite.predict_proba(data[0])
        np.testing.assert_array_equal(loaded.predict_proba(data[0]), expected)

    def test_grey_images(self, make, data):
        X, y = data
        model = make("efficientnet_lite0", weights="DEFAULT", n_epochs=1)
        model.fit(X[..., 0], y)
        assert model.embed(X[..., 0]).shape == (20, 1280)

    def test_missing_package(self, make, data, monkeypatch):
        monkeypatch.setitem(sys.modules, "timm", None)
        model = make("efficientnet_lite0", weights="DEFAULT")
        with pytest.raises(
            ImportError, match=r'pip install "gansampler\[pretrained\]"'
        ):
            model.fit(*data)
        assert not hasattr(model, "network_")


@pytest.mark.parametrize("form", ["module", "callable"])
class TestOwnNetwork:
    @pytest.fixture
    def backbone(self, form):
        return make_body() if form == "module" else make_body

    def test_is_trained_as_a_copy(self, backbone, form, make, data):
        X, y = data
        initial = make_body().state_dict()
        model = make(backbone, weights="DEFAULT", lr=0.01, n_epochs=1).fit(X, y)
        assert model.backbone is backbone
        trained = model.network_.backbone.body.state_dict()
        assert not torch.equal(trained["0.weight"], initial["0.weight"])
        if form == "module":
            given = backbone.state_dict()
            assert all(torch.equal(given[name], initial[name]) for name in initial)
        assert model.embed(X).shape == (20, 6)
        again = clone(model).fit(X, y)
        np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))

    def test_gets_images_in_minus_one_to_one(self, backbone, form, make, data):
        X, y = data
        model = make(backbone, freeze=True, n_epochs=1).fit(X, y)
        batch = torch.from_numpy(X).permute(0, 3, 1, 2) / 127.5 - 1
        with torch.no_grad():
            expected = make_body().eval()(batch).mean((2, 3))
        np.testing.assert_allclose(model.embed(X), expected, rtol=1e-4, atol=1e-5)

    def test_grey_images(self, backbone, form, make, data):
        if form == "module":
            backbone = make_body(1)
        model = make(backbone, n_epochs=1).fit(data[0][..., 0], data[1])
        assert model.network_.backbone.body[0].in_channels == 1

    def test_is_passed_to_load(self, backbone, form, make, data, tmp_path):
        X, y = data
        model = make(backbone, n_epochs=1).fit(X, y)
        model.save(tmp_path / "model")
        with pytest.raises(
            ModelFileError, match=r"TransferClassifier.load\(path, back"
        ):
            TransferClassifier.load(tmp_path / "model")
        with pytest.raises(ModelFileError, match="state dict of the backbone"):
            TransferClassifier.load(tmp_path / "model", backbone=nn.Conv2d(3, 4, 3))
        loaded = TransferClassifier.load(tmp_path / "model", backbone=backbone)
        loaded.set_params(trainer=model.trainer)
        assert loaded.backbone is backbone
        np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))

    def test_is_a_parameter_like_others(self, backbone, form, make, data):
        X, y = data
        model = make(backbone, n_epochs=1)
        assert model.get_params()["backbone"] is backbone
        assert repr(model).startswith("TransferClassifier(backbone=")
        assert model._repr_html_()
        grid = {"backbone": [backbone, "squeezenet1_1"]}
        search = GridSearchCV(model, grid, cv=2).fit(X, y)
        copied = pickle.loads(pickle.dumps(search.best_estimator_))
        np.testing.assert_array_equal(copied.predict(X), search.predict(X))

    def test_weights_from_a_file(self, backbone, form, make, data, tmp_path):
        state = {name: t + 0.5 for name, t in make_body().state_dict().items()}
        torch.save(state, tmp_path / "weights.pt")
        model = make(backbone, weights=tmp_path / "weights.pt", freeze=True)
        body = model.fit(*data).network_.backbone.body
        for name, tensor in body.state_dict().items():
            torch.testing.assert_close(tensor, state[name].to(tensor.dtype))


class TestOddNetworks:
    def test_one_that_needs_numbers(self, make, data):
        model = make(NeedsNumbers()).fit(*data)
        assert model.embed(data[0]).shape == (20, 5)

    def test_one_with_another_output(self, make, data):
        with pytest.raises(
            TypeError, match=r"feature maps .* Got shape \(2, 3, 1024\)"
        ):
            make(nn.Flatten(2)).fit(*data)

        class Several(nn.Module):
            def forward(self, images):
                return images, images

        with pytest.raises(TypeError, match="as a tensor. Got tuple"):
            make(Several()).fit(*data)

    def test_a_callable_without_a_module(self, make, data):
        with pytest.raises(TypeError, match="must return a torch.nn.Module. Got int"):
            make(lambda n_channels: n_channels).fit(*data)

    def test_images_of_another_size(self, make, data):
        module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4))
        rule = "smallest images that Sequential accepts are 8 x 8 px. Got 32 x 32 px"
        with pytest.raises(ValueError, match=rule):
            make(module).fit(*data)

    def test_frozen_by_the_user(self, make, data):
        module = make_body().requires_grad_(False)
        model = make(module, lr=0.1).fit(*data)
        body = model.network_.backbone.body
        assert torch.equal(body[0].weight, module[0].weight)


def test_content_of_a_module_identifies_a_run(make, data, tmp_path):
    """A resumed run must not continue that of another network."""
    trainer = Trainer(
        accelerator="cpu", precision="32-true", checkpoint_dir=tmp_path / "runs"
    )
    changed = make_body()
    with torch.no_grad():
        changed[3].weight += 1
    for backbone in (make_body(), changed):
        make(backbone, n_epochs=1, trainer=trainer).fit(*data)
    assert len(list((tmp_path / "runs").glob("TransferClassifier-*"))) == 2
    with pytest.warns(CheckpointWarning, match="finished by an earlier call"):
        make(make_body(), n_epochs=1, trainer=trainer).fit(*data)


class TestFreeze:
    @pytest.mark.parametrize("freeze", ["layer2", "layer2.0"])
    def test_layers_up_to_a_module_stay(self, freeze, make, data):
        model = make("resnet18", freeze=freeze, n_epochs=2, lr=0.01).fit(*data)
        start = make("resnet18", freeze=True, n_epochs=1).fit(*data)
        before = start.network_.backbone.body.state_dict()
        after = model.network_.backbone.body.state_dict()
        stay = {name for name in before if torch.equal(before[name], after[name])}
        first = ("conv1.", "bn1.", "layer1.", "layer2.")
        expected = {name for name in before if name.startswith(first)}
        if freeze == "layer2.0":
            expected = {name for name in expected if not name.startswith("layer2.1")}
        assert stay == expected
        assert all(p.requires_grad for p in model.network_.parameters())

    def test_of_a_pretrained_network(self, make, data):
        settings = {"weights": "DEFAULT", "freeze": "blocks.5", "n_epochs": 1}
        settings["freeze_batch_norm"] = False
        model = make("efficientnet_lite0", lr=0.01, **settings).fit(*data)
        before = build_backbone("efficientnet_lite0").body
        after = model.network_.backbone.body
        for name, tensor in before.blocks[:6].state_dict().items():
            assert torch.equal(tensor, after.blocks[:6].state_dict()[name])
        assert not torch.equal(before.conv_head.weight, after.conv_head.weight)
        assert not torch.equal(before.bn2.running_mean, after.bn2.running_mean)

    def test_is_part_of_a_saved_model(self, make, data, tmp_path):
        make("resnet18", freeze="layer2", n_epochs=1).fit(*data).save(tmp_path / "m")
        assert TransferClassifier.load(tmp_path / "m").freeze == "layer2"

    def test_batches_of_one_with_trained_batch_normalisation(self, make, data):
        params = {"batch_size": 1, "n_epochs": 1}
        with pytest.raises(ValueError, match="`batch_size` must be at least 2"):
            make("resnet18", freeze="layer3", **params).fit(*data)
        make("resnet18", freeze="layer4", **params).fit(*data)

    def test_unknown_module_starts_no_training(self, make, data):
        model = make("resnet18", freeze="layer22")
        with pytest.raises(ValueError, match=r"'layer22'. Did you mean 'layer2'\?"):
            model.fit(*data)
        assert not hasattr(model, "network_")


@pytest.mark.ddp
def test_two_processes_take_the_steps_of_one(make, data):
    """Batch normalisation, with and without activation, uses the whole batch."""
    X, y = data
    one, two = (
        make(
            "efficientnet_lite0",
            weights="DEFAULT",
            freeze="blocks.4",
            optimizer="sgd",
            lr=0.01,
            batch_size=10,
            n_epochs=1,
            trainer=Trainer(accelerator="cpu", precision="64-true", devices=devices),
        ).fit(X, y)
        for devices in (1, 2)
    )
    np.testing.assert_allclose(two.embed(X), one.embed(X), rtol=1e-4, atol=1e-5)
    assert two.history_[0]["loss"] == pytest.approx(one.history_[0]["loss"], rel=1e-6)


# The smallest model of each family, and the size of its images.
FAMILIES = {
    "alexnet": 64,
    "convnext_tiny": 32,
    "densenet121": 32,
    "efficientnet_b0": 32,
    "efficientnet_v2_s": 32,
    "googlenet": 32,
    "inception_v3": 75,
    "maxvit_t": 224,
    "mnasnet0_5": 32,
    "mobilenet_v2": 32,
    "mobilenet_v3_small": 32,
    "regnet_x_400mf": 32,
    "regnet_y_400mf": 32,
    "resnet18": 32,
    "resnext50_32x4d": 32,
    "shufflenet_v2_x0_5": 32,
    "squeezenet1_1": 32,
    "swin_t": 32,
    "swin_v2_t": 32,
    "vgg11": 32,
    "vit_b_32": 32,
    "wide_resnet50_2": 32,
    "timm/convnext_atto": 64,
    "timm/deit_tiny_patch16_224": 64,
    "timm/efficientnet_b0": 64,
    "timm/fastvit_t8": 64,
    "timm/mobilenetv3_small_100": 64,
    "timm/regnety_002": 64,
    "timm/resnet10t": 64,
    "timm/resnext26ts": 64,
    "timm/swin_tiny_patch4_window7_224": 224,
    "timm/vit_tiny_patch16_224": 64,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.filterwarnings("ignore:.*meshgrid:UserWarning")
def test_every_family_trains_and_embeds(name, make):
    side = FAMILIES[name]
    X = np.random.default_rng(0).random((4, side, side, 3), dtype=np.float32)
    model = make(name, n_epochs=1, batch_size=4).fit(X, [0, 1, 0, 1])
    assert np.isfinite(model.history_[0]["loss"])
    features = model.embed(X)
    assert features.shape == (4, model.network_.head.in_features)
    assert np.isfinite(features).all()
    assert np.ptp(features, axis=0).max() > 0
