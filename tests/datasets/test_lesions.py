from statistics import NormalDist

import numpy as np
import pytest
from scipy import ndimage
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from gansampler.datasets import make_lesions
from gansampler.datasets._drawing import LesionScores, _noise, draw_lesion
from gansampler.datasets._lesions import _SHIFT, _draw_scores


def counts(y):
    return int((y == "benign").sum()), int((y == "malignant").sum())


def pigmented(X):
    """Mask of what is clearly darker than the skin, away from the corners."""
    light = ndimage.gaussian_filter(X.mean(axis=-1), (0, 1, 1))
    grid = np.linspace(-1, 1, X.shape[1])
    middle = np.hypot(grid[:, None], grid) < 0.9
    skin = np.median(light[:, middle], axis=1)
    return (light < 0.8 * skin[:, None, None]) & middle


def pixel_features(X):
    """A few plain measurements: area, edge length, absorption by channel."""
    masks = pigmented(X)
    rows = []
    for image, mask in zip(X, masks, strict=True):
        area = np.sqrt(mask.mean())
        edge = (mask ^ ndimage.binary_erosion(mask)).mean() / (area + 0.02)
        skin = np.median(image[~mask], axis=0) + 1
        inside = image[mask] if mask.any() else image.reshape(-1, 3)
        absorbed = -np.log((inside + 5) / skin)
        hue = absorbed - absorbed.mean(axis=1, keepdims=True)
        rows.append(
            [area, edge, *absorbed.mean(0), *absorbed.std(0), *hue.mean(0), *hue.std(0)]
        )
    return np.array(rows)


def test_shapes_dtypes_and_labels():
    X, y = make_lesions(7, image_size=20, random_state=0)
    assert X.shape == (7, 20, 20, 3)
    assert X.dtype == np.uint8
    assert y.shape == (7,)
    assert y.dtype.kind == "U"
    assert set(y) == {"benign", "malignant"}


def test_defaults():
    X, y = make_lesions(random_state=0)
    assert X.shape == (100, 64, 64, 3)
    assert counts(y) == (90, 10)


@pytest.mark.parametrize(
    ("n_samples", "weights", "expected"),
    [
        (40, (0.85, 0.15), (34, 6)),
        (10, (0.85, 0.15), (8, 2)),  # 1.5, which is 1.4999... in binary, rounds up
        (7, (0.5, 0.5), (3, 4)),
        (5, (0.99, 0.01), (4, 1)),
        (5, (0.01, 0.99), (1, 4)),
        (2, (0.99, 0.01), (1, 1)),
        (1, (0.9, 0.1), (1, 0)),
        (4, (1.0, 0.0), (4, 0)),
        (4, (0, 1), (0, 4)),
        (4, np.array([0.25, 0.75]), (1, 3)),
    ],
)
def test_class_counts_are_exact(n_samples, weights, expected):
    X, y = make_lesions(n_samples, weights=weights, image_size=16, random_state=0)
    assert len(X) == n_samples
    assert counts(y) == expected


def test_classes_are_shuffled():
    _, y = make_lesions(60, weights=(0.5, 0.5), image_size=16, random_state=0)
    changes = (y[1:] != y[:-1]).sum()
    assert 15 < changes < 45  # 30 expected, 1 in order of class
    _, other = make_lesions(60, weights=(0.5, 0.5), image_size=16, random_state=1)
    assert (y != other).any()


def test_same_seed_same_bytes():
    X, y = make_lesions(6, image_size=24, random_state=3)
    X_again, y_again = make_lesions(6, image_size=24, random_state=3)
    np.testing.assert_array_equal(X, X_again)
    np.testing.assert_array_equal(y, y_again)
    X_state, _ = make_lesions(6, image_size=24, random_state=np.random.RandomState(3))
    np.testing.assert_array_equal(X, X_state)


def test_other_seed_and_used_state_give_other_pictures():
    X, _ = make_lesions(3, image_size=16, random_state=0)
    assert (make_lesions(3, image_size=16, random_state=1)[0] != X).any()
    state = np.random.RandomState(0)
    first, second = (
        make_lesions(3, image_size=16, random_state=state)[0] for _ in "ab"
    )
    assert (first != second).any()


def test_without_seed_pictures_differ_between_calls():
    first, second = (make_lesions(1, image_size=16)[0] for _ in "ab")
    assert (first != second).any()


def test_global_state_is_left_alone():
    before = np.random.get_state()
    make_lesions(2, image_size=16, random_state=0)
    after = np.random.get_state()
    np.testing.assert_array_equal(before[1], after[1])
    assert before[2:] == after[2:]


def test_pictures_do_not_depend_on_how_many_there_are():
    X, y = make_lesions(5, weights=(1, 0), image_size=16, random_state=0)
    X_more, y_more = make_lesions(9, weights=(1, 0), image_size=16, random_state=0)
    np.testing.assert_array_equal(X, X_more[:5])
    np.testing.assert_array_equal(y, y_more[:5])


def test_no_two_pictures_are_alike():
    X, _ = make_lesions(50, image_size=16, random_state=0)
    assert len(np.unique(X.reshape(50, -1), axis=0)) == 50


def test_another_size_shows_the_same_lesion():
    small, y = make_lesions(12, image_size=32, random_state=0)
    large, y_large = make_lesions(12, image_size=96, random_state=0)
    np.testing.assert_array_equal(y, y_large)
    shrunk = large.reshape(12, 32, 3, 32, 3, 3).mean(axis=(2, 4))
    alike = [
        np.corrcoef(a.ravel(), b.ravel())[0, 1]
        for a, b in zip(small, shrunk, strict=True)
    ]
    assert min(alike) > 0.9


@pytest.mark.parametrize("image_size", [16, 17, 33])
def test_any_size_from_16_is_drawn(image_size):
    X, _ = make_lesions(4, image_size=image_size, random_state=0)
    assert X.shape == (4, image_size, image_size, 3)
    assert X.std(axis=(1, 2, 3)).min() > 5


def test_lesion_is_darker_than_the_skin_around():
    X, _ = make_lesions(60, weights=(0.5, 0.5), image_size=32, random_state=0)
    light = X.mean(axis=-1)
    middle = light[:, 12:20, 12:20].mean(axis=(1, 2))
    around = np.median(light.reshape(60, -1), axis=1)
    assert (middle < around).mean() > 0.9


def test_classes_share_their_skin():
    """Nothing outside the lesion tells the class."""
    X, y = make_lesions(600, weights=(0.5, 0.5), image_size=16, random_state=0)
    is_malignant = y == "malignant"
    light = X.mean(axis=-1)
    # Lesions reach the edges of the picture, never their brightest quarter.
    border = np.concatenate(
        [X[:, 0], X[:, -1], X[:, 1:-1, 0], X[:, 1:-1, -1]], axis=1
    ).astype(float)
    skin = np.quantile(border, 0.75, axis=1)
    aperture = (light[:, [0, 0, -1, -1], [0, -1, 0, -1]] < 30).mean(axis=1)
    for background in (*skin.T, aperture):
        # The standard error of the AUC of 300 against 300 is .024.
        assert abs(roc_auc_score(is_malignant, background) - 0.5) < 0.08


def test_scores_overlap_as_documented():
    rng = np.random.RandomState(0)
    is_malignant = np.arange(8000) % 2 == 1
    scores = np.array([_draw_scores(m, rng) for m in is_malignant])
    model = LogisticRegression().fit(scores[:4000], is_malignant[:4000])
    auc = roc_auc_score(is_malignant[4000:], model.decision_function(scores[4000:]))
    expected = NormalDist().cdf(np.linalg.norm(_SHIFT) / np.sqrt(2))
    assert expected == pytest.approx(0.969, abs=5e-4)
    assert auc == pytest.approx(expected, abs=0.012)


def test_pixels_tell_the_classes_apart_but_not_wholly():
    X, y = make_lesions(400, weights=(0.85, 0.15), image_size=32, random_state=0)
    X_test, y_test = make_lesions(
        300, weights=(0.5, 0.5), image_size=32, random_state=1
    )
    model = ExtraTreesClassifier(
        300, min_samples_leaf=3, class_weight="balanced", random_state=0
    ).fit(pixel_features(X), y)
    p_malignant = model.predict_proba(pixel_features(X_test))[:, 1]
    assert 0.82 < roc_auc_score(y_test == "malignant", p_malignant) < 0.97


def draw_twice(**other):
    """The same 24 plain lesions of middling size, and with another score."""
    plain = LesionScores(asymmetry=-1.5, border=-1.5, colour=-1.5, diameter=0.3)
    changed = plain._replace(**other)
    return tuple(
        np.stack([draw_lesion(s, 64, np.random.RandomState(i)) for i in range(24)])
        for s in (plain, changed)
    )


def test_diameter_makes_lesions_larger():
    large, small = (pigmented(X).mean(axis=(1, 2)) for X in draw_twice(diameter=-1))
    assert (large > small).mean() > 0.9
    assert np.median(large / small) > 1.8


def test_colour_makes_lesions_more_colourful():
    def spread_of_hue(X):
        return pixel_features(X)[:, -3:].sum(axis=1)

    plain, colourful = map(spread_of_hue, draw_twice(colour=2.0))
    assert (colourful > plain).mean() > 0.8


def test_border_makes_outlines_longer():
    smooth, ragged = (pixel_features(X)[:, 1] for X in draw_twice(border=2.0))
    assert (ragged > smooth).mean() > 0.8


def test_asymmetry_makes_halves_differ():
    def mismatch(X):
        """Share of the lesion that its half-turn about its centre does not cover."""
        shares = []
        for mask in pigmented(X):
            row, column = ndimage.center_of_mass(mask)
            centred = ndimage.shift(mask * 1.0, (31.5 - row, 31.5 - column), order=1)
            turned = centred[::-1, ::-1]
            shares.append(abs(centred - turned).sum() / centred.sum())
        return np.array(shares)

    even, lopsided = map(mismatch, draw_twice(asymmetry=2.5))
    assert (lopsided > even).mean() > 0.75


def test_noise_has_the_variance_of_its_octaves():
    rng = np.random.RandomState(0)
    fields = np.stack([_noise(rng, 40, {5: 1.0, 13: 0.5}) for _ in range(400)])
    assert fields.mean() == pytest.approx(0, abs=0.05)
    np.testing.assert_allclose(fields.var(axis=0).mean(), 1.25, rtol=0.05)
    # A smooth field: neighbours are alike, those of the fine octave less.
    step = np.diff(fields, axis=1).std()
    assert 0 < step < 0.35


@pytest.mark.parametrize("name", ["n_samples", "image_size"])
@pytest.mark.parametrize("value", [10.5, "10", None, True])
def test_counts_must_be_integers(name, value):
    with pytest.raises(TypeError, match=rf"`{name}` must be an integer\. Got"):
        make_lesions(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "minimum"),
    [("n_samples", 0, 1), ("n_samples", -3, 1), ("image_size", 15, 16)],
)
def test_counts_below_their_minimum(name, value, minimum):
    message = rf"`{name}` must be at least {minimum}\. Got {value}"
    with pytest.raises(ValueError, match=message):
        make_lesions(**{name: value})


def test_numpy_integers_are_counts():
    X, _ = make_lesions(np.int64(2), image_size=np.int32(16), random_state=0)
    assert X.shape == (2, 16, 16, 3)


@pytest.mark.parametrize(
    "weights", [(0.5,), (0.2, 0.3, 0.5), (0.9, 0.2), (1.1, -0.1), (np.nan, 1.0), 0.8]
)
def test_weights_must_be_two_proportions(weights):
    with pytest.raises(ValueError, match="two proportions.*sum to 1"):
        make_lesions(4, weights=weights)
