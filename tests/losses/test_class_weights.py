import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.testing import assert_close

from gansampler.losses import class_weights

LABELS = [
    np.repeat([0, 1, 2], [50, 20, 3]),
    ["b"] * 3 + ["a"] * 5,
    torch.tensor([7, 7, 3, 7]),
    np.array([True, False, False]),
    [0, 0],
]


@pytest.mark.parametrize("y", LABELS, ids=lambda y: str(type(y)))
class TestSchemes:
    def test_balanced_is_scikit_learns(self, y):
        y_array = np.asarray(y)
        expected = compute_class_weight(
            "balanced", classes=np.unique(y_array), y=y_array
        )
        weights = class_weights(y)
        assert weights.dtype == torch.float32
        np.testing.assert_allclose(weights, expected, rtol=1e-6)

    def test_sqrt_is_its_square_root(self, y):
        assert_close(class_weights(y, "sqrt") ** 2, class_weights(y))

    def test_effective_is_that_of_the_paper(self, y):
        beta = 0.9
        counts = np.unique(np.asarray(y), return_counts=True)[1]
        # 1 + beta + ... + beta^(n - 1), the effective number as the paper derives it.
        numbers = np.array([sum(beta**k for k in range(n)) for n in counts])
        expected = len(counts) * (1 / numbers) / (1 / numbers).sum()
        weights = class_weights(y, "effective", beta=beta)
        np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_effective_runs_from_equal_to_inverse_frequency():
    y = np.repeat([0, 1], [90, 10])
    assert_close(class_weights(y, "effective", beta=0.0), torch.ones(2))
    balanced = class_weights(y)
    near_one = class_weights(y, "effective", beta=1 - 1e-12)
    assert_close(near_one / near_one.sum(), balanced / balanced.sum())


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        ([], {}, r"`y` must be one-dimensional, with one label per"),
        ([[0, 1]], {}, r"Got shape \(1, 2\)"),
        ([0, 1], {"scheme": "inverse"}, "`scheme` must be one of 'balanced'"),
        ([0, 1], {"scheme": "effective", "beta": 1.0}, r"`beta` must be in \[0, 1\)"),
    ],
)
def test_errors(y, options, message):
    with pytest.raises(ValueError, match=message):
        class_weights(y, **options)
