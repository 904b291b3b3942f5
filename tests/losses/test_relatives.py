"""Class-balanced, margin and logit-adjusted losses against their papers' formulas."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from gansampler.losses import (
    ClassBalancedLoss,
    LDAMLoss,
    LogitAdjustedLoss,
    class_weights,
    focal_loss,
)

COUNTS = [500, 80, 6]
Y = torch.arange(30) % 3


def logits(*shape):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape or (30, 3), dtype=torch.float64, generator=generator)


def effective_weights(beta):
    counts = np.array(COUNTS, np.float64)
    weights = (1 - beta) / (1 - beta**counts)
    return torch.from_numpy(weights * 3 / weights.sum())


class TestClassBalanced:
    @pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
    def test_without_gamma_is_weighted_cross_entropy(self, reduction):
        criterion = ClassBalancedLoss(COUNTS, beta=0.99, gamma=0, reduction=reduction)
        expected = F.cross_entropy(
            logits(), Y, effective_weights(0.99), reduction=reduction
        )
        assert_close(criterion(logits(), Y), expected, rtol=1e-6, atol=0)

    def test_is_the_focal_loss_with_those_weights(self):
        criterion = ClassBalancedLoss(COUNTS, beta=0.99, gamma=1.5)
        expected = focal_loss(logits(), Y, 1.5, effective_weights(0.99))
        assert_close(criterion(logits(), Y), expected, rtol=1e-6, atol=0)

    def test_weights_are_those_of_class_weights(self):
        y = np.repeat([0, 1, 2], COUNTS)
        expected = class_weights(y, "effective", beta=0.99)
        assert_close(ClassBalancedLoss(COUNTS, beta=0.99).alpha, expected)


class TestLDAM:
    @pytest.mark.parametrize("shape", [(30, 3), (5, 3, 6), (5, 3, 2, 3)], ids=len)
    def test_is_cross_entropy_with_margins(self, shape):
        z = logits(*shape).requires_grad_()
        y = Y.view(shape[0], *shape[2:])
        criterion = LDAMLoss(COUNTS, max_margin=0.4, scale=5.0)
        n = np.array(COUNTS, np.float64)
        margins = torch.from_numpy(0.4 * n**-0.25 / (n**-0.25).max())
        one_hot = F.one_hot(y, 3).movedim(-1, 1)
        lowered = z - (one_hot.movedim(1, -1) * margins).movedim(-1, 1)
        expected = F.cross_entropy(5.0 * lowered, y)
        loss = criterion(z, y)
        assert_close(loss, expected, rtol=1e-6, atol=1e-7)
        loss, expected = (torch.autograd.grad(x, z)[0] for x in (loss, expected))
        assert_close(loss, expected, rtol=1e-6, atol=1e-7)

    def test_one_sample(self):
        criterion = LDAMLoss(COUNTS)
        assert_close(criterion(logits()[4], Y[4]), criterion(logits()[4:5], Y[4:5]))

    def test_weights_are_deferred(self):
        criterion = LDAMLoss(COUNTS, reweight_epoch=3, beta=0.99)
        for epoch in (0, 2, 3, 7, 1):
            criterion.set_epoch(epoch)
            expected = effective_weights(0.99) if epoch >= 3 else torch.ones(3)
            assert_close(criterion.alpha, expected.float())
        plain = LDAMLoss(COUNTS)(logits(), Y)
        assert_close(criterion(logits(), Y), plain)
        criterion.set_epoch(3)
        assert abs(criterion(logits(), Y) - plain) > 1e-3

    def test_checkpoint_keeps_the_weights_in_force(self):
        criterion = LDAMLoss(COUNTS, reweight_epoch=3)
        criterion.set_epoch(3)
        resumed = LDAMLoss(COUNTS, reweight_epoch=3)
        resumed.load_state_dict(criterion.state_dict())
        assert_close(resumed(logits(), Y), criterion(logits(), Y))

    def test_ignored_rows(self):
        y = Y.clone()
        y[:10] = -100
        criterion = LDAMLoss(COUNTS)
        assert_close(criterion(logits(), y), criterion(logits()[10:], Y[10:]))

    def test_refuses_probabilities(self):
        with pytest.raises(ValueError, match=r"LDAMLoss needs class indices"):
            LDAMLoss(COUNTS)(logits(), torch.softmax(logits(), 1))


class TestLogitAdjusted:
    @pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
    @pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
    def test_is_cross_entropy_of_adjusted_logits(self, tau, label_smoothing):
        criterion = LogitAdjustedLoss(COUNTS, tau=tau, label_smoothing=label_smoothing)
        shift = tau * torch.log(torch.tensor(COUNTS).double() / sum(COUNTS))
        expected = F.cross_entropy(logits() + shift, Y, label_smoothing=label_smoothing)
        assert_close(criterion(logits(), Y), expected, rtol=1e-6, atol=1e-7)

    def test_shape_of_images(self):
        z = logits(5, 3, 2, 3)
        criterion = LogitAdjustedLoss(COUNTS)
        flat = z.movedim(1, -1).reshape(-1, 3)
        assert_close(criterion(z, Y.view(5, 2, 3)), criterion(flat, Y))

    def test_makes_the_frequent_class_harder_to_win(self):
        # At equal logits, a frequent class is likely by its frequency alone.
        losses = LogitAdjustedLoss(COUNTS, reduction="none")(
            torch.zeros(3, 3), torch.arange(3)
        )
        expected = -np.log(np.array(COUNTS) / sum(COUNTS))
        np.testing.assert_allclose(losses, expected, rtol=1e-6)


@pytest.mark.parametrize("loss", [ClassBalancedLoss, LDAMLoss, LogitAdjustedLoss])
class TestClassCounts:
    @pytest.mark.parametrize("counts", [[], [3, 0], [[1, 2]], [2, -1]], ids=str)
    def test_must_be_positive(self, loss, counts):
        with pytest.raises(ValueError, match="`class_counts` must be the number"):
            loss(counts)

    def test_must_fit_the_logits(self, loss):
        with pytest.raises(ValueError, match="one number per class: 3. Got 2"):
            loss([3, 4])(logits(), Y)

    def test_may_be_an_array(self, loss):
        result = loss(np.array(COUNTS))(logits(), Y)
        assert_close(result, loss(torch.tensor(COUNTS))(logits(), Y))


@pytest.mark.parametrize(
    ("loss", "options", "name"),
    [
        (LDAMLoss, {"max_margin": -1.0}, "max_margin"),
        (LDAMLoss, {"scale": 0.0}, "scale"),
        (LDAMLoss, {"beta": 1.0}, "beta"),
        (ClassBalancedLoss, {"beta": -0.1}, "beta"),
        (LogitAdjustedLoss, {"tau": -1.0}, "tau"),
    ],
)
def test_parameters_out_of_range(loss, options, name):
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        loss(COUNTS, **options)
