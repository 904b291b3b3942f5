import numpy as np
import pandas as pd
import pytest
from imblearn import metrics as imblearn_metrics
from sklearn.metrics import recall_score

from gansampler.metrics import sensitivity_score, specificity_score

SCORES = [sensitivity_score, specificity_score]


@pytest.fixture
def labels():
    rng = np.random.default_rng(0)
    y_true = rng.permutation(np.repeat([0, 1], [80, 20]))
    return y_true, np.where(rng.random(100) < 0.3, 1 - y_true, y_true)


def test_agrees_with_imbalanced_learn_and_scikit_learn(labels):
    for score, name in zip(SCORES, ["sensitivity", "specificity"], strict=True):
        reference = getattr(imblearn_metrics, f"{name}_score")
        assert score(*labels) == pytest.approx(reference(*labels, average="binary"))
    assert sensitivity_score(*labels) == pytest.approx(recall_score(*labels))


@pytest.mark.parametrize(
    ("n_missed", "n_spared", "published", "sensitivity", "specificity"),
    [
        (55, 299, 84.46, 26.7, 98.4),
        (51, 297, 85.34, 32.0, 97.7),
        (47, 291, 86.09, 37.3, 95.7),
        (22, 245, 91.76, 70.7, 80.6),
    ],
)
def test_sensitivity_is_not_the_negative_predictive_value(
    n_missed, n_spared, published, sensitivity, specificity
):
    y_true = np.repeat([1, 0], [75, 304])
    counts = [n_missed, 75 - n_missed, n_spared, 304 - n_spared]
    y_pred = np.repeat([0, 1, 0, 1], counts)
    found = 100 * sensitivity_score(y_true, y_pred)
    assert found == pytest.approx(sensitivity, abs=0.05)
    spared = 100 * specificity_score(y_true, y_pred)
    assert spared == pytest.approx(specificity, abs=0.05)
    called_negative = y_pred == 0
    npv = (y_true[called_negative] == 0).mean()
    assert 100 * npv == pytest.approx(published, abs=0.005)


@pytest.mark.parametrize("score", SCORES)
def test_swapping_the_classes_swaps_the_scores(score, labels):
    (other,) = set(SCORES) - {score}
    assert score(*labels, pos_label=0) == other(*labels, pos_label=1)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize(
    ("negative", "positive", "pos_label"),
    [
        (-1, 1, None),
        (False, True, None),
        (0.0, 1.0, None),
        (1, 2, 2),
        (5, 3, 3),
        ("benign", "malignant", "malignant"),
        ("z", "a", "a"),
    ],
)
def test_every_kind_of_label(score, labels, negative, positive, pos_label):
    values = np.array([negative, positive])
    y_true, y_pred = (values[y] for y in labels)
    expected = score(*labels)
    for convert in [np.asarray, list, pd.Series]:
        given = score(convert(y_true), convert(y_pred), pos_label=pos_label)
        assert given == expected
        assert type(given) is float


@pytest.mark.parametrize("score", SCORES)
def test_labels_whose_positive_class_is_not_clear(score):
    with pytest.raises(ValueError, match=r"\['benign', 'malignant'\].*pos_label="):
        score(["benign", "malignant"], ["benign", "malignant"])
    with pytest.raises(ValueError, match=r"Got \[1, 2\]"):
        score([1, 2], [1, 2])


@pytest.mark.parametrize("score", SCORES)
def test_bad_labels(score):
    with pytest.raises(ValueError, match=r"must be of two classes. Got \[0, 1, 2\]"):
        score([0, 1, 2], [0, 1, 2])
    with pytest.raises(ValueError, match="must be one of the labels .* Got 'melanoma'"):
        score(["b", "m"], ["b", "m"], pos_label="melanoma")
    with pytest.raises(ValueError, match="number and string|string and number"):
        score(["0", "1"], [0, 1])
    with pytest.raises(ValueError, match="inconsistent numbers"):
        score([0, 1], [0, 1, 1])


def test_a_class_without_a_case():
    with pytest.raises(ValueError, match="at least one positive case. Got none in 2"):
        sensitivity_score([0, 0], [0, 1])
    with pytest.raises(ValueError, match="at least one negative case. Got none in 2"):
        specificity_score([1, 1], [0, 1])
    assert sensitivity_score([1, 1], [0, 1]) == 0.5
    assert specificity_score([0, 0], [0, 1]) == 0.5
    with pytest.raises(ValueError, match="Got none in 0 cases"):
        sensitivity_score([], [])
