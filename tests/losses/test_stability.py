"""Finite and right wherever the true value is, at any logits and precision."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from gansampler.losses import binary_focal_loss, focal_loss

GAMMAS = [0.0, 0.5, 1.0, 2.0, 5.0]
# float32 holds nothing much smaller, and what it holds there is less precise.
SMALLEST = 1e-30
INF = math.inf

LEVELS = [-1e4, -95.0, -40.0, -17.0, -1.0, 0.0, 0.01, 16.0, 42.0, 88.0, 1e4]
# Every pair against a third, in both positions; and ten thousand above zero, where
# neighbouring float32 numbers are 0.001 apart.
ROWS = [
    *([a, b, 0.0] for a, b in itertools.product(LEVELS, LEVELS)),
    *([1e4, 1e4 + d, 1e4 - 20.0] for d in (-8.0, -1.0, 0.0, 0.5, 5.0)),
]


def close(actual, true, rtol=1e-5):
    true = np.asarray(true, np.float64)
    actual = actual.detach().double().numpy()
    assert np.isfinite(actual).all()
    np.testing.assert_allclose(actual, true, rtol=rtol, atol=SMALLEST)


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("soft", [False, True], ids=["indices", "probabilities"])
class TestSoftmax:
    def test_float32(self, route, reference, gamma, soft):
        z = torch.tensor(ROWS, requires_grad=True)
        wide = z.detach().double().numpy()
        for target in range(3):
            q = reference.one_hot(np.full(len(ROWS), target), 3, 0.1 if soft else 0.0)
            y = (
                torch.from_numpy(q).float()
                if soft
                else torch.full((len(ROWS),), target)
            )
            q = y.double().numpy() if soft else q
            loss = focal_loss(z, y, gamma, reduction="none")
            close(loss, reference.softmax_rows(wide, q, gamma))
            slope = reference.slope(reference.softmax_rows, wide, q, gamma, step=1e-5)
            (gradient,) = torch.autograd.grad(loss.sum(), z)
            assert gradient.isfinite().all()
            # Where terms of either sign meet, relative to the larger of the row.
            scale = np.abs(slope).max(1, keepdims=True)
            error = np.abs(gradient.double().numpy() - slope)
            assert (error <= 1e-5 * (scale if soft else np.abs(slope)) + 1e-9).all()

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision_is_rounded_once(self, route, gamma, soft, dtype):
        z = (8 * torch.randn(200, 5, generator=torch.Generator().manual_seed(0))).to(
            dtype
        )
        y = torch.arange(200) % 5
        if soft:
            y = torch.softmax(z.double().roll(1, 1), 1)
        results = []
        for x in (z, z.float()):
            x = x.clone().requires_grad_()
            loss = focal_loss(x, y, gamma, reduction="none")
            loss.backward(torch.full_like(loss, 3.0))
            results.append((loss.detach(), x.grad))
        for half, single in zip(*results, strict=True):
            assert half.dtype == dtype
            assert_close(half, single.to(dtype), rtol=0, atol=0)


# The true class before the other, near to it or far, at either end of what needs no
# shift by the maximum.
PAIRS = [
    [z, z + d]
    for z in (-95.0, -42.0, -41.3, -30.0, -8.4, 0.3, 21.9, 22.3, 30.1, 42.0, 95.0)
    for d in (*np.linspace(-14, 2, 33), -88.0, -60.0, 60.0, 88.0)
]


@pytest.mark.parametrize("gamma", GAMMAS)
def test_softmax_of_each_row_alone(reference, gamma):
    # In a batch, one row that is out of range takes the others along.
    z = torch.tensor(PAIRS, dtype=torch.float32, requires_grad=True)
    y = torch.tensor([0])
    loss = torch.stack([focal_loss(row[None], y, gamma) for row in z])
    wide = z.detach().double().numpy()
    q = reference.one_hot(np.zeros(len(PAIRS), int), 2)
    close(loss, reference.softmax_rows(wide, q, gamma))
    slope = reference.slope(reference.softmax_rows, wide, q, gamma, step=1e-5)
    (gradient,) = torch.autograd.grad(loss.sum(), z)
    np.testing.assert_allclose(gradient.double(), slope, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("gamma", GAMMAS)
class TestSigmoid:
    @pytest.mark.parametrize("target", [0.0, 1.0, 0.3])
    def test_float32(self, route, reference, gamma, target):
        z = torch.cat([torch.linspace(-100, 100, 401), torch.tensor([-1e4, 1e4])])
        z.requires_grad_()
        t = torch.full_like(z, target)
        wide = (z.detach().double().numpy(), t.double().numpy(), gamma)
        loss = binary_focal_loss(z, t, gamma, reduction="none")
        close(loss, reference.sigmoid_rows(*wide))
        slope = reference.slope(reference.sigmoid_rows, *wide)
        (gradient,) = torch.autograd.grad(loss.sum(), z)
        np.testing.assert_allclose(gradient.double(), slope, rtol=1e-5, atol=1e-9)

    def test_small_gradients_keep_their_digits(self, route, gamma):
        z = torch.linspace(5.0, 60.0 / (gamma + 1), 50, dtype=torch.float64)
        x = z.float().requires_grad_()
        binary_focal_loss(x, torch.ones(50), gamma, reduction="sum").backward()
        # -d loss / d z = q^(gamma + 1) (1 + gamma p log(p) / -q)
        q = 1 / (1 + x.detach().double().exp())
        true = -(q**gamma) * (q - gamma * (1 - q) * torch.log1p(-q))
        assert_close(x.grad.double(), true, rtol=1e-5, atol=0)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    @pytest.mark.parametrize("target", [1.0, 0.3])
    def test_half_precision_is_rounded_once(self, route, gamma, target, dtype):
        z = torch.linspace(-20, 20, 301).to(dtype)
        results = []
        for x in (z, z.float()):
            x = x.clone().requires_grad_()
            t = torch.full_like(x, target, dtype=torch.float32)
            loss = binary_focal_loss(x, t, gamma, reduction="none")
            loss.backward(torch.full_like(loss, 3.0))
            results.append((loss.detach(), x.grad))
        for half, single in zip(*results, strict=True):
            assert half.dtype == dtype
            assert_close(half, single.to(dtype), rtol=0, atol=0)


@pytest.mark.parametrize("gamma", GAMMAS)
class TestInfiniteLogits:
    @pytest.mark.parametrize(
        ("row", "target", "loss", "gradient"),
        [
            ([INF, 0.0, 1.0], 0, 0.0, [0.0, 0.0, 0.0]),
            ([INF, 0.0, 1.0], 1, INF, [1.0, -1.0, 0.0]),
            ([INF, -INF, 1.0], 0, 0.0, [0.0, 0.0, 0.0]),
            ([-INF, -INF, 1.0], 2, 0.0, [0.0, 0.0, 0.0]),
            ([-INF, 0.0, 0.0], 0, INF, [-1.0, 0.5, 0.5]),
            ([1e4, -1e4, 0.0], 0, 0.0, [0.0, 0.0, 0.0]),
            ([1e4, -1e4, 0.0], 1, 2e4, [1.0, -1.0, 0.0]),
        ],
    )
    @pytest.mark.parametrize("soft", [False, True], ids=["indices", "probabilities"])
    def test_softmax_limits(self, route, gamma, row, target, loss, gradient, soft):
        z = torch.tensor([row], requires_grad=True)
        y = torch.tensor([target])
        result = focal_loss(z, torch.eye(3)[y] if soft else y, gamma)
        result.backward()
        assert result.item() == loss
        assert z.grad.tolist() == [gradient]

    @pytest.mark.parametrize("soft", [False, True], ids=["indices", "probabilities"])
    def test_masked_class_is_as_if_it_were_not(self, route, gamma, soft):
        z = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
        y = torch.arange(6) % 4
        target = torch.eye(4)[y] if soft else y
        wide = torch.cat([z, torch.full((6, 1), -INF)], 1).requires_grad_()
        narrow = z.clone().requires_grad_()
        padded = torch.eye(5)[y] if soft else y
        with_mask, without = (
            focal_loss(wide, padded, gamma),
            focal_loss(narrow, target, gamma),
        )
        assert_close(with_mask, without)
        with_mask.backward()
        without.backward()
        assert_close(wide.grad[:, :4], narrow.grad)
        assert (wide.grad[:, 4] == 0).all()

    def test_sigmoid_limits(self, route, gamma):
        z = torch.tensor([INF, -INF, 1e4, -1e4] * 2, requires_grad=True)
        t = torch.tensor([1.0] * 4 + [0.0] * 4)
        loss = binary_focal_loss(z, t, gamma, reduction="none")
        loss.sum().backward()
        assert loss.tolist() == [0, INF, 0, 1e4, INF, 0, 1e4, 0]
        assert z.grad.tolist() == [0, -1, 0, -1, 1, 0, 1, 0]

    def test_nan_stays_nan(self, route, gamma):
        z = torch.tensor([[math.nan, 0.0], [1.0, 0.0]])
        rows = focal_loss(z, torch.tensor([1, 1]), gamma, reduction="none")
        assert rows.isnan().tolist() == [True, False]
        rows = focal_loss(z, torch.full((2, 2), 0.5), gamma, reduction="none")
        assert rows.isnan().tolist() == [True, False]
        rows = binary_focal_loss(z[:, 0], torch.ones(2), gamma, reduction="none")
        assert rows.isnan().tolist() == [True, False]


class TestAutocast:
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_gives_float32_like_torchs_own(self, route, dtype):
        z = torch.randn(20, 5, generator=torch.Generator().manual_seed(0))
        z = z.to(dtype).requires_grad_()
        y, t = torch.arange(20) % 5, (torch.rand(20, 5) < 0.5).float()
        alpha = torch.rand(5) + 0.5
        for ours, arguments in (
            (focal_loss, (z, y, 2.0, alpha)),
            (binary_focal_loss, (z, t, 2.0, 0.25)),
        ):
            with torch.autocast("cpu", dtype=dtype):
                loss = ours(*arguments)
            assert loss.dtype == torch.float32
            wide = z.detach().float().requires_grad_()
            expected = ours(wide, *arguments[1:])
            assert_close(loss, expected, rtol=1e-6, atol=0)
            (gradient,) = torch.autograd.grad(loss, z)
            assert gradient.dtype == dtype
            (expected,) = torch.autograd.grad(expected, wide)
            assert_close(gradient, expected.to(dtype))


def test_loss_scaling_reaches_small_float16_gradients():
    # A gradient scaler multiplies the loss so that float16 gradients do not vanish.
    z = torch.full((1000, 2), 0.0, dtype=torch.float16)
    z[:, 0] = 6.0
    wide = z.float().requires_grad_()
    z.requires_grad_()
    y = torch.zeros(1000, dtype=torch.long)
    with torch.autocast("cpu", dtype=torch.float16):
        (focal_loss(z, y) * 2.0**16).backward()
    (focal_loss(wide, y) * 2.0**16).backward()
    assert (wide.grad != 0).all()
    assert_close(z.grad, wide.grad.half(), rtol=1e-3, atol=0)
