"""Equal translators are trained once per split."""

import numpy as np
import pytest

from gansampler import (
    CycleGAN,
    GANOverSampler,
    Trainer,
    compare_samplers,
    make_translator,
)
from gansampler.exceptions import CheckpointWarning
from tests.over_sampling.translators import Invert

FITS: list[tuple] = []


class Counting(Invert):
    """A translator that counts its fits."""

    def __init__(self, random_state=None, strength=1, trainer=None):
        self.random_state = random_state
        self.strength = strength
        self.trainer = trainer
        self.horizontal_flip = self.vertical_flip = False

    def _fit(self, source, target):
        FITS.append((self.random_state, self.strength))
        super()._fit(source, target)


@pytest.fixture(autouse=True)
def no_fits():
    FITS.clear()


@pytest.fixture
def three_classes():
    X = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    return X, np.repeat(["a", "b", "c"], [14, 10, 6])


def compare(classifier, data, **arms):
    X, y = data
    return compare_samplers(
        arms, classifier, X, y, cv=2, scoring="accuracy", random_state=0
    )


def gan(translator=None, **params):
    translator = Counting() if translator is None else translator
    return GANOverSampler(translator=translator, **params)


def test_equal_translators_are_trained_once(images, brightness):
    comparison = compare(
        brightness, images, half=gan(sampling_strategy=0.75), full=gan()
    )
    assert len(FITS) == 2
    # Each split has another seed.
    assert len({seed for seed, _ in FITS}) == 2
    assert comparison.shared_translators == {"full": "half"}
    assert comparison.n_added["half"].tolist() == [2, 2]
    assert comparison.n_added["full"].tolist() == [4, 4]


@pytest.mark.parametrize(
    ("other", "n_fits"),
    [
        (gan(Counting(strength=2)), 4),
        (gan(Counting(random_state=1)), 4),
        (gan(Counting(trainer=Trainer(max_time=60))), 4),
        (gan(random_state=1), 4),
        (gan(Invert()), 2),
        (gan(image_shape=(8, 8, 3)), 4),
    ],
)
def test_other_translators_are_trained(other, n_fits, images, brightness):
    comparison = compare(brightness, images, first=gan(), other=other)
    assert len(FITS) == n_fits
    assert comparison.shared_translators == {}


def test_the_arm_with_more_classes_is_trained_first(three_classes, brightness):
    comparison = compare(
        brightness, three_classes, one=gan(sampling_strategy="minority"), all=gan()
    )
    # Two classes in each of two splits.
    assert len(FITS) == 4
    assert comparison.shared_translators == {"one": "all"}
    assert comparison.arms[2:] == ["one", "all"]


def test_classes_that_are_not_covered_are_trained(three_classes, brightness):
    arms = {label: gan(sampling_strategy={label: 7}) for label in ("b", "c")}
    assert compare(brightness, three_classes, **arms).shared_translators == {}
    assert len(FITS) == 4


def test_a_seed_of_the_sampler_gives_the_translators_of_the_sampler_alone(
    three_classes, brightness
):
    arms = {
        "first": gan(random_state=3),
        "same": gan(random_state=3, sampling_strategy={"b": 8, "c": 5}),
        # Its only class has another seed than the second class of the others.
        "minority": gan(random_state=3, sampling_strategy="minority"),
    }
    comparison = compare(brightness, three_classes, **arms)
    assert comparison.shared_translators == {"same": "first"}
    assert len(FITS) == 6


def test_shared_translators_give_the_images_of_the_sampler_alone(images, brightness):
    X, y = images
    translator = CycleGAN(ngf=4, ndf=4, n_blocks=1, n_epochs=1)
    arms = {
        "half": gan(translator, sampling_strategy=0.75, random_state=0),
        "full": gan(translator, random_state=0),
    }
    rows = np.arange(24)
    splits = [(rows[rows % 2 == i], rows[rows % 2 != i]) for i in (0, 1)]
    comparison = compare_samplers(arms, brightness, X, y, cv=splits)
    assert comparison.shared_translators == {"full": "half"}
    calls = brightness.calls[4:6]
    for call, sampler in zip(calls, arms.values(), strict=True):
        expected, _ = sampler.fit_resample(X[splits[0][0]], y[splits[0][0]])
        np.testing.assert_array_equal(call["X"], expected)
    assert not arms["full"].prefit


def test_fitted_translators_are_used_as_they_are(images, brightness):
    X, y = images
    fitted = Counting().fit(X[y == "common"], X[y == "rare"])
    FITS.clear()
    comparison = compare(
        brightness,
        images,
        one=gan(fitted, prefit=True),
        two=gan(fitted, prefit=True, sampling_strategy=0.75),
    )
    assert FITS == []
    assert comparison.shared_translators == {}


def test_default_translator_gets_the_seed_of_the_split(images, brightness):
    """The default takes long to train, so that its parameters are looked at only."""
    from gansampler.model_selection._resampling import seed_sampler

    sampler = GANOverSampler()
    seed_sampler(sampler, 1, 2)
    assert sampler.random_state == 1
    assert repr(sampler.translator) == repr(make_translator(random_state=2))
    assert sampler.translator.random_state == 2


@pytest.mark.filterwarnings("default::gansampler.exceptions.CheckpointWarning")
def test_a_comparison_continues_from_the_checkpoints(images, brightness, tmp_path):
    trainer = Trainer(checkpoint_dir=tmp_path)
    translator = CycleGAN(ngf=4, ndf=4, n_blocks=1, n_epochs=1, trainer=trainer)
    first = compare(brightness, images, gan=gan(translator))
    resampled = [call["X"] for call in brightness.calls[4:]]
    # One folder per split.
    assert len(list(tmp_path.iterdir())) == 2
    brightness.calls.clear()
    with pytest.warns(CheckpointWarning, match="finished") as caught:
        second = compare(brightness, images, gan=gan(translator))
    assert len(caught) == 2
    assert first.scores["accuracy"]["gan"].tolist() == (
        second.scores["accuracy"]["gan"].tolist()
    )
    for call, X in zip(brightness.calls[4:], resampled, strict=True):
        np.testing.assert_array_equal(call["X"], X)
