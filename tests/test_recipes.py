import numpy as np
import pytest
from sklearn.base import clone
from torch import nn

from gansampler import Trainer, make_melanet
from gansampler.recipes import one_for_each_majority_image


def test_published_settings():
    pipeline = make_melanet()
    assert [name for name, _ in pipeline.steps] == [
        "ganoversampler",
        "transferclassifier",
    ]
    params = pipeline.get_params()
    expected = {
        "ganoversampler__image_shape": (256, 256, 3),
        "ganoversampler__translator__generator": "unet",
        "ganoversampler__translator__ngf": 32,
        "ganoversampler__translator__ndf": 64,
        "ganoversampler__translator__n_layers": 4,
        "ganoversampler__translator__pool_size": 0,
        "ganoversampler__translator__horizontal_flip": True,
        "ganoversampler__translator__vertical_flip": False,
        "ganoversampler__translator__n_epochs": 100,
        "ganoversampler__translator__batch_size": 1,
        "ganoversampler__translator__lr": 2e-4,
        "ganoversampler__translator__betas": (0.5, 0.999),
        "ganoversampler__translator__lambda_cycle": 10.0,
        "ganoversampler__translator__lambda_identity": 1.0,
        "transferclassifier__backbone": "vgg16",
        "transferclassifier__weights": "DEFAULT",
        "transferclassifier__loss": "focal",
        "transferclassifier__gamma": 2.0,
        "transferclassifier__optimizer": "adadelta",
        "transferclassifier__lr": 0.001,
        "transferclassifier__batch_size": 16,
        "transferclassifier__n_epochs": 300,
        "transferclassifier__lr_patience": 5,
        "transferclassifier__patience": 8,
        "transferclassifier__class_weight": "balanced",
    }
    assert {name: params[name] for name in expected} == expected


def test_the_discriminator_has_four_strided_layers():
    translator = make_melanet().get_params()["ganoversampler__translator"]
    translator.sample_shape_ = (256, 256, 3)
    layers = translator._set_networks()["discriminator_t"].layers
    widths = [
        layer.out_channels
        for layer in layers
        if isinstance(layer, nn.Conv2d) and layer.stride == (2, 2)
    ]
    assert widths == [64, 128, 256, 512]


def test_one_synthetic_image_for_each_majority_image():
    y = np.repeat(["benign", "malignant"], [727, 173])
    assert one_for_each_majority_image(y) == {"malignant": 900}


def test_one_trainer_serves_both_and_overrides_reach_every_step():
    trainer = Trainer(accelerator="cpu", max_time=5)
    pipeline = make_melanet(
        image_size=64,
        trainer=trainer,
        random_state=3,
        ganoversampler__translator__n_epochs=2,
        transferclassifier__backbone="resnet18",
    )
    params = pipeline.get_params()
    assert params["ganoversampler__translator__trainer"] is trainer
    assert params["transferclassifier__trainer"] is trainer
    assert params["ganoversampler__random_state"] == 3
    assert params["transferclassifier__random_state"] == 3
    assert params["ganoversampler__translator__n_epochs"] == 2
    assert params["transferclassifier__backbone"] == "resnet18"
    with pytest.raises(ValueError, match="Invalid parameter 'nonsense'"):
        make_melanet(ganoversampler__nonsense=1)


def test_it_runs_whole_and_refuses_another_size():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (14, 32, 32, 3), dtype=np.uint8)
    y = np.repeat(["benign", "malignant"], [9, 5])
    pipeline = make_melanet(
        image_size=32,
        weights=None,
        random_state=0,
        ganoversampler__translator__ngf=4,
        ganoversampler__translator__ndf=4,
        ganoversampler__translator__n_epochs=1,
        transferclassifier__backbone="resnet18",
        transferclassifier__n_epochs=1,
    )
    fitted = clone(pipeline).fit(X, y)
    sampler = fitted.named_steps["ganoversampler"]
    assert sampler.sampling_strategy_ == {"malignant": 9}
    probabilities = fitted.predict_proba(X)
    assert probabilities.shape == (14, 2)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    with pytest.raises(ValueError, match="resize the images"):
        pipeline.fit(rng.integers(0, 256, (14, 40, 40, 3), dtype=np.uint8), y)
