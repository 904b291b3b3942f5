"""What people type first, and the errors that say what they meant."""

import inspect
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from gansampler import CUT, CycleGAN, GANOverSampler, Trainer
from tests.over_sampling.translators import Invert

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (12, 8, 10, 3), dtype=np.uint8)
Y = np.array(["benign"] * 8 + ["malignant"] * 4)

# Without their signatures, which type checkers know.
Sampler: Any = GANOverSampler
AnyTrainer: Any = Trainer
Cycle: Any = CycleGAN
Cut: Any = CUT
ARGUMENTS = [
    (
        lambda: Sampler(n_epochs=20),
        "GANOverSampler has no parameter 'n_epochs'. Did you mean "
        "translator=make_translator(n_epochs=20)? It is translator__n_epochs in "
        "`set_params` and in a grid search.",
    ),
    (
        lambda: Sampler(translator__n_epochs=20),
        "Did you mean translator=make_translator(n_epochs=20)?",
    ),
    (
        lambda: Sampler(max_time=60),
        "Did you mean translator=make_translator(trainer__max_time=60)?",
    ),
    (
        lambda: Sampler(CycleGAN()),
        "The parameters of GANOverSampler are passed by name. Got CycleGAN(...) "
        "without one. Did you mean translator=CycleGAN(...)?",
    ),
    (lambda: Sampler("minority"), "Got 'minority' without one."),
    (lambda: Sampler(image_size=32), "Did you mean 'image_shape'?"),
    (lambda: Sampler(sampling_stategy=1), "Did you mean 'sampling_strategy'?"),
    (lambda: Sampler(zzz=1), "It has sampling_strategy, translator, source, "),
    (
        lambda: AnyTrainer(device="cuda"),
        "Trainer has no parameter 'device'. Did you mean accelerator='cuda'?",
    ),
    (lambda: AnyTrainer(gpus=2), "Did you mean devices=2?"),
    (lambda: AnyTrainer("cuda"), "Did you mean accelerator='cuda'?"),
    (lambda: Cycle(64), "The parameters of CycleGAN are passed by name. Got 64"),
    (lambda: Cycle(Trainer()), "Did you mean trainer=Trainer(...)?"),
    (lambda: Cycle(max_time=9), "Did you mean trainer=Trainer(max_time=9)?"),
    (lambda: Cycle(n_epoch=9), "Did you mean 'n_epochs'?"),
    (lambda: Cycle(epochs=9), "Did you mean n_epochs=9?"),
    (lambda: Cycle(learning_rate=0.1), "Did you mean lr=0.1?"),
    (lambda: Cycle(seed=5), "Did you mean random_state=5?"),
    (lambda: Cycle(image_size=32), "It takes the size of the images from the data"),
    (lambda: Cut(image_shape=32), "It takes the size of the images from the data"),
    (
        lambda: Cycle(device="cuda"),
        "Did you mean trainer=Trainer(accelerator='cuda')? It is trainer__accelerator",
    ),
    (
        lambda: Sampler(device="cuda"),
        "Did you mean translator=make_translator(trainer__accelerator='cuda')?",
    ),
    (lambda: Sampler(seed=5), "Did you mean random_state=5?"),
    (lambda: Sampler(epochs=5), "Did you mean translator=make_translator(n_epochs=5)?"),
    (lambda: Sampler(budget="hours"), "Pass translator=make_translator('hours')"),
    (lambda: Cut(lambda_nc=9.0), "Did you mean 'lambda_nce'?"),
]


@pytest.mark.parametrize(("call", "message"), ARGUMENTS)
def test_wrong_arguments(call, message):
    with pytest.raises(TypeError) as caught:
        call()
    assert message in str(caught.value)


@pytest.mark.parametrize("cls", [CycleGAN, CUT, GANOverSampler, Trainer])
def test_signatures_are_as_before(cls):
    signature = inspect.signature(cls)
    assert signature == inspect.signature(cls.__init__).replace(
        parameters=list(inspect.signature(cls.__init__).parameters.values())[1:]
    )
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    assert kinds == {inspect.Parameter.KEYWORD_ONLY}
    assert sorted(signature.parameters) == cls._get_param_names()
    clone(cls())


@pytest.mark.parametrize("method", ["fit", "fit_resample"])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (CycleGAN, r"Got the class CycleGAN\. .* translator=CycleGAN\(\)"),
        ("cyclegan", r"Got 'cyclegan'\. .* translator=CycleGAN\(\)"),
        ("hours", r"Got 'hours'\. .*make_translator\('hours'\)"),
    ],
)
def test_a_translator_by_its_name(method, wrong, message):
    with pytest.raises(TypeError, match=message):
        getattr(GANOverSampler(translator=wrong), method)(X, Y)


def test_image_shape_as_a_number(files, tmp_path):
    sampler = GANOverSampler(
        translator=Invert(), image_shape=32, output_dir=tmp_path / "out"
    )
    message = r"must be \(height, width, n_channels\)\. Got 32\. Pass"
    with pytest.raises(ValueError, match=message):
        sampler.fit_resample(files.paths, files.y)


@pytest.mark.parametrize("make", [np.asarray, list, tuple, pd.Series])
@pytest.mark.parametrize("images", [X, X / 255, X[..., 0], X.reshape(12, -1) / 255])
def test_labels_instead_of_target_images(make, images):
    message = (
        r"two sets of images.*fit\(X\[y == 'benign'\], X\[y == 'malignant'\]\).*"
        r"fit_resample\(X, y\)"
    )
    with pytest.raises(ValueError, match=message):
        CycleGAN().fit(images, make(Y))
    numbers = make(np.where(Y == "benign", 7, 3))
    with pytest.raises(ValueError, match=r"fit\(X\[y == 7\], X\[y == 3\]\)"):
        CycleGAN().fit(images, numbers)


def test_one_label_instead_of_target_images():
    with pytest.raises(ValueError, match=r"fit\(X\[y == 1\], X\[y == 1\]\)"):
        CycleGAN().fit(X, np.ones(12, dtype=int))


@pytest.mark.parametrize("images", [X, X[..., :1], X[..., 0], X[:, 0, :, 0] / 255])
def test_a_single_image(images):
    translator = CycleGAN(ngf=2, ndf=2, n_blocks=1, n_epochs=0).fit(images, images)
    for method in ("translate", "inverse_translate", "realism_score"):
        with pytest.raises(ValueError, match=r"Got a single one.*Pass X\[:1\] inst"):
            getattr(translator, method)(images[0])
    assert translator.translate(images[:1]).shape == images[:1].shape


@pytest.mark.parametrize("strategy", [100, 1.5, np.int64(100)])
@pytest.mark.parametrize("method", ["fit", "fit_resample"])
def test_a_number_of_images(strategy, method):
    sampler = GANOverSampler(translator=Invert(), sampling_strategy=strategy)
    expected = f"sampling_strategy={{'malignant': {strategy}}}."
    with pytest.raises(ValueError, match="ratio of minority to majority") as caught:
        getattr(sampler, method)(X, pd.Series(Y))
    assert expected in str(caught.value)
    with pytest.raises(ValueError, match=r"sampling_strategy=\{3: "):
        getattr(sampler, method)(X, np.where(Y == "benign", 7, 3).tolist())


@pytest.mark.parametrize("strategy", [1, 1.0, {"malignant": 6}, "auto"])
def test_ratios_and_dicts_are_taken(strategy):
    sampler = GANOverSampler(translator=Invert(), sampling_strategy=strategy)
    _, y_resampled = sampler.fit_resample(X, Y)
    expected = 6 if isinstance(strategy, dict) else np.count_nonzero(Y == "benign")
    assert np.count_nonzero(np.asarray(y_resampled) == "malignant") == expected
