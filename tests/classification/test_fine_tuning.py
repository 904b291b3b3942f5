"""Settings of the fine-tuning: schedule, batch statistics, changes of the images."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torchvision.transforms import v2

from gansampler import Trainer, TransferClassifier, build_classifier
from gansampler.backbones import build_backbone
from gansampler.training import Callback

BATCH_NORM = "shufflenet_v2_x0_5"


class Steps(Callback):
    """Keep the learning rate of each step, and stop after a number of steps."""

    def __init__(self, n_steps=None):
        self.lrs, self.n_steps = [], n_steps

    def on_step_end(self, task, epoch, step):
        self.lrs.append(task.optimizers["optimizer"].param_groups[0]["lr"])
        if len(self.lrs) == self.n_steps:
            raise KeyboardInterrupt


def expected_lr(step, n_steps):
    """Warm-up in the first tenth, then half a cosine; written once more."""
    share = (step + 1) / n_steps
    if share < 0.1:
        return share * 10
    return np.cos(np.pi / 2 * (share - 0.1) / 0.9) ** 2


class TestSchedule:
    def test_follows_the_formula(self, make, data):
        steps = Steps()
        trainer = Trainer(accelerator="cpu", callbacks=[steps])
        settings = {"lr": 0.01, "batch_size": 4, "n_epochs": 6, "trainer": trainer}
        make(lr_schedule="cosine", **settings).fit(*data)
        expected = [0.01 * expected_lr(step, 30) for step in range(30)]
        np.testing.assert_allclose(steps.lrs, expected, atol=1e-12)

    def test_goes_on_where_it_was_interrupted(self, make, data, tmp_path):
        settings = {"lr_schedule": "cosine", "lr": 1e-3, "batch_size": 4}
        whole = make(**settings).fit(*data)
        stopped = Trainer(
            accelerator="cpu",
            precision="32-true",
            checkpoint_dir=tmp_path,
            checkpoint_every=0,
            callbacks=[Steps(7)],
        )
        with pytest.raises(KeyboardInterrupt):
            make(trainer=stopped, **settings).fit(*data)
        stopped.callbacks = []
        resumed = make(trainer=stopped, **settings).fit(*data)
        for name, tensor in whole.network_.state_dict().items():
            assert torch.equal(resumed.network_.state_dict()[name], tensor)

    def test_excludes_a_plateau(self, make, data):
        with pytest.raises(ValueError, match="requires lr_schedule='constant'"):
            make(lr_schedule="cosine", lr_patience=2).fit(*data)


class TestBatchNorm:
    def fit(self, make, data, tmp_path, **params):
        state = build_backbone(BATCH_NORM, weights=None).state_dict()
        torch.save(state, tmp_path / "weights.pth")
        model = make(BATCH_NORM, weights=tmp_path / "weights.pth", **params).fit(*data)
        after = model.network_.backbone.state_dict()
        return {name for name in state if not torch.equal(state[name], after[name])}

    def test_keeps_pretrained_statistics(self, make, data, tmp_path):
        changed = self.fit(make, data, tmp_path)
        assert not any("running" in name for name in changed)
        assert {"body.conv1.1.weight", "body.conv1.1.bias"} <= changed

    def test_trains_statistics_if_asked(self, make, data, tmp_path):
        changed = self.fit(make, data, tmp_path, freeze_batch_norm=False)
        assert "body.conv1.1.running_mean" in changed

    def test_trains_new_statistics(self, make, data):
        model = make(BATCH_NORM).fit(*data)
        norm = model.network_.backbone.body.get_submodule("conv1.1")
        assert norm.running_mean.abs().sum() > 0

    def test_allows_batches_of_one(self, make, data, tmp_path):
        assert self.fit(make, data, tmp_path, batch_size=1, n_epochs=1)


class TestMinSide:
    def test_enlarges_small_images(self, make, data):
        X, y = data
        settings = {"weights": "DEFAULT", "n_epochs": 1}
        model = make("efficientnet_lite0", min_side="auto", **settings).fit(X, y)
        images = torch.from_numpy(X).permute(0, 3, 1, 2) / 127.5 - 1
        large = F.interpolate(images, (64, 64), mode="bicubic")
        model.network_.backbone.min_side = 1
        with torch.no_grad():
            expected = model.network_(large).softmax(1)
        model.network_.backbone.min_side = 64
        np.testing.assert_allclose(model.predict_proba(X), expected, atol=1e-5)

    def test_enlarges_nothing_for_random_weights(self, make, data):
        model = make(min_side="auto", n_epochs=1).fit(*data)
        assert model.network_.backbone.input_size(32, 40) == (32, 40)

    def test_is_part_of_a_saved_model(self, make, data, tmp_path):
        X, y = data
        model = make(min_side=48, n_epochs=1).fit(X, y)
        model.save(tmp_path / "model")
        loaded = TransferClassifier.load(tmp_path / "model")
        loaded.set_params(trainer=model.trainer)
        np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))

    def test_of_the_network(self):
        network = build_classifier("squeezenet1_1", 2, weights=None, min_side=50)
        assert network.backbone.input_size(25, 100) == (50, 200)
        assert "min_side=50" in repr(network)


class TestAugmentation:
    def test_gets_one_image(self, make, data):
        seen = []

        def keep(image):
            seen.append(image)
            return image

        changed = make(augmentation=keep, horizontal_flip=False, n_epochs=1).fit(*data)
        assert len(seen) == 20
        found = {
            (image * 255).round().to(torch.uint8).numpy().tobytes() for image in seen
        }
        assert found == {image.transpose(2, 0, 1).tobytes() for image in data[0]}
        plain = make(horizontal_flip=False, n_epochs=1).fit(*data)
        X = data[0]
        np.testing.assert_allclose(
            changed.predict_proba(X), plain.predict_proba(X), rtol=1e-4
        )

    @pytest.mark.parametrize("augmentation", ["geometry", "color", "both"])
    def test_by_name(self, make, data, augmentation):
        X, y = data
        before = torch.get_rng_state()
        first = make(augmentation=augmentation, n_epochs=1).fit(X, y)
        second = make(augmentation=augmentation, n_epochs=1).fit(X, y)
        plain = make(n_epochs=1).fit(X, y)
        assert torch.equal(before, torch.get_rng_state())
        np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
        assert not np.array_equal(first.predict_proba(X), plain.predict_proba(X))

    def test_of_grey_images(self, make, data):
        X = data[0][..., 0]
        changed = make(augmentation="both", n_epochs=1).fit(X, data[1])
        plain = make(n_epochs=1).fit(X, data[1])
        assert np.isfinite(changed.predict_proba(X)).all()
        assert not np.array_equal(changed.predict_proba(X), plain.predict_proba(X))

    def test_colours_of_four_channels(self, make, data):
        X = np.concatenate([data[0], data[0][..., :1]], axis=3)
        with pytest.raises(ValueError, match="images with 1 or 3 channels"):
            make(augmentation="color").fit(X, data[1])
        make(augmentation="geometry", n_epochs=1).fit(X, data[1])

    def test_must_keep_the_shape(self, make, data):
        with pytest.raises(ValueError, match=r"same shape, \(3, 32, 32\)"):
            make(augmentation=v2.CenterCrop(16)).fit(*data)

    def test_is_not_used_for_feature_rows(self, make, rows):
        plain = make(n_epochs=1).fit(*rows).predict_proba(rows[0])
        model = make(augmentation="both", n_epochs=1).fit(*rows)
        np.testing.assert_array_equal(model.predict_proba(rows[0]), plain)
