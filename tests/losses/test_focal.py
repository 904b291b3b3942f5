import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from gansampler import FocalLoss
from gansampler.losses import focal_loss

GAMMAS = [0.0, 0.5, 1.0, 2.0, 5.0, [0.0, 0.5, 1.0, 3.0]]
C = 4
ALPHA = [0.5, 0.0, 1.0, 2.5]


def as_gamma(gamma):
    return torch.tensor(gamma, dtype=torch.float64) if type(gamma) is list else gamma


def logits(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    z = 3 * torch.randn(shape, dtype=torch.float64, generator=generator)
    return z.requires_grad_()


def indices(*shape, n_classes=C, seed=1):
    return torch.randint(
        0, n_classes, shape, generator=torch.Generator().manual_seed(seed)
    )


@pytest.mark.parametrize("gamma", GAMMAS, ids=str)
@pytest.mark.parametrize("alpha", [None, ALPHA], ids=["alone", "alpha"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("soft", [False, True], ids=["indices", "probabilities"])
class TestAgainstReference:
    def losses(self, reference, gamma, alpha, label_smoothing, soft):
        z = logits(50, C)
        if soft:
            target = torch.softmax(logits(50, C, seed=2).detach(), 1)
            target[:5] = torch.eye(C)[[0, 1, 2, 3, 0]]
            q = (1 - label_smoothing) * target.numpy() + label_smoothing / C
        else:
            target = indices(50)
            q = reference.one_hot(target.numpy(), C, label_smoothing)
        args = (q, gamma, alpha)
        expected = reference.softmax_rows(z.detach().numpy(), *args)
        slope = reference.slope(reference.softmax_rows, z.detach().numpy(), *args)
        weights = alpha and torch.tensor(alpha, dtype=torch.float64)
        loss = focal_loss(
            z,
            target,
            gamma=as_gamma(gamma),
            alpha=weights,
            reduction="none",
            label_smoothing=label_smoothing,
        )
        return z, loss, expected, slope

    def test_rows(self, route, reference, gamma, alpha, label_smoothing, soft):
        z, loss, expected, slope = self.losses(
            reference, gamma, alpha, label_smoothing, soft
        )
        np.testing.assert_allclose(loss.detach(), expected, rtol=1e-11, atol=1e-14)
        (gradient,) = torch.autograd.grad(loss.sum(), z)
        np.testing.assert_allclose(gradient, slope, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("weighted", [False, True], ids=["alone", "alpha"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
@pytest.mark.parametrize("target_kind", ["indices", "ignored", "probabilities"])
@pytest.mark.parametrize(
    "shape", [(C,), (9, C), (3, C, 5), (2, C, 3, 4)], ids=lambda s: f"{len(s)}d"
)
def test_without_gamma_is_cross_entropy(
    route, reduction, weighted, label_smoothing, target_kind, shape
):
    z = logits(*shape)
    options = {"reduction": reduction, "label_smoothing": label_smoothing}
    if target_kind == "probabilities":
        target = torch.softmax(
            logits(*shape, seed=3).detach(), 0 if z.dim() == 1 else 1
        )
    else:
        target = indices(*shape[:1], *shape[2:]) if z.dim() > 1 else torch.tensor(2)
        if target_kind == "ignored" and z.dim() > 1:
            options["ignore_index"] = 3
            target.flatten()[:2] = 3
    alpha = torch.tensor([0.5, 0.3, 1.0, 2.5]).double() if weighted else None
    ours = focal_loss(z, target, 0.0, alpha, **options)
    theirs = F.cross_entropy(z, target, alpha, **options)
    assert_close(ours, theirs, rtol=1e-10, atol=1e-14)
    weights = torch.rand(ours.shape, dtype=torch.float64)
    for loss in (ours, theirs):
        loss.gradient = torch.autograd.grad(loss, z, weights)[0]
    assert_close(ours.gradient, theirs.gradient, rtol=1e-10, atol=1e-14)


def test_without_gamma_is_cross_entropy_in_float32():
    z = logits(1000, C).detach().float().requires_grad_()
    target = indices(1000)
    ours, theirs = focal_loss(z, target, 0.0), F.cross_entropy(z, target)
    assert_close(ours, theirs, rtol=1e-6, atol=0)
    ours, theirs = (torch.autograd.grad(loss, z)[0] for loss in (ours, theirs))
    # Relative to the gradient as a whole: torch's own cancels where p is near 1.
    assert (ours - theirs).norm() <= 1e-6 * theirs.norm()


class TestReduction:
    def test_mean_is_weighted_over_what_counts(self):
        z, target = logits(20, C).detach(), indices(20)
        target[3:7] = -1
        alpha = torch.tensor(ALPHA).double()
        rows = focal_loss(z, target, 2.0, alpha, reduction="none", ignore_index=-1)
        assert (rows[3:7] == 0).all()
        kept = target != -1
        mean = focal_loss(z, target, 2.0, alpha, ignore_index=-1)
        assert_close(mean, rows.sum() / alpha[target[kept]].sum())

    def test_mean_positive_divides_by_rows_outside_class_0(self, route):
        z, target = logits(6, C, 2).detach(), indices(6, 2)
        target[0, 0], target[0, 1] = -100, 0
        total = focal_loss(z, target, reduction="sum")
        mean = focal_loss(z, target, reduction="mean_positive")
        n_positive = int(((target != 0) & (target != -100)).sum())
        assert 0 < n_positive < 12
        assert_close(mean, total / n_positive)

    def test_mean_positive_of_probabilities(self, route):
        z = logits(6, C).detach()
        target = torch.softmax(logits(6, C, seed=2).detach(), 1)
        total = focal_loss(z, target, reduction="sum")
        mean = focal_loss(z, target, reduction="mean_positive")
        assert_close(mean, total / (1 - target[:, 0]).sum())

    def test_mean_positive_without_positives_is_the_sum(self, route):
        z, target = logits(6, C).detach(), torch.zeros(6, dtype=torch.long)
        total = focal_loss(z, target, reduction="sum")
        assert_close(focal_loss(z, target, reduction="mean_positive"), total)

    @pytest.mark.parametrize("reduction", ["none", "sum", "mean", "mean_positive"])
    @pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
    @pytest.mark.parametrize("value", [1.0, math.nan, math.inf, -math.inf])
    def test_batch_ignored_whole(self, route, reduction, label_smoothing, value):
        z = torch.full((3, C, 2), value, requires_grad=True)
        loss = focal_loss(
            z,
            torch.full((3, 2), -100),
            alpha=ALPHA,
            reduction=reduction,
            label_smoothing=label_smoothing,
        )
        loss.sum().backward()
        assert (loss == 0).all()
        assert (z.grad == 0).all()

    @pytest.mark.parametrize("reduction", ["none", "sum", "mean", "mean_positive"])
    @pytest.mark.parametrize("shape", [(0, C), (0, C, 5), (3, C, 0)])
    @pytest.mark.parametrize("soft", [False, True])
    def test_empty_batch(self, route, reduction, shape, soft):
        z = torch.zeros(shape, requires_grad=True)
        rows = (shape[0], *shape[2:])
        target = torch.zeros(shape) if soft else torch.zeros(rows, dtype=torch.long)
        loss = focal_loss(z, target, reduction=reduction)
        loss.sum().backward()
        assert loss.shape == (rows if reduction == "none" else ())
        assert (loss == 0).all()
        assert z.grad.shape == shape


class TestLayout:
    """More elements than a block has, laid out in memory in every way."""

    @pytest.mark.parametrize("soft", [False, True], ids=["indices", "probabilities"])
    @pytest.mark.parametrize(
        "arrange",
        [
            lambda z: z,
            lambda z: z.contiguous(memory_format=torch.channels_last),
            lambda z: z.permute(3, 1, 0, 2).contiguous().permute(2, 1, 3, 0),
            lambda z: torch.stack([z, z], -1)[..., 0],
            lambda z: z[:, :, ::2, 1:],
            lambda z: z[:1].expand(4, -1, -1, -1),
        ],
        ids=["plain", "channels last", "permuted", "strided", "sliced", "expanded"],
    )
    @pytest.mark.parametrize("reduction", ["mean", "none"])
    def test_makes_no_difference(self, monkeypatch, arrange, soft, reduction):
        from gansampler.losses._kernels import _blocks

        monkeypatch.setattr(_blocks, "block_numel", lambda *sizes: 50)
        z = arrange(logits(3, C, 6, 5).detach())
        target = indices(z.shape[0], *z.shape[2:])
        target[0, 0, 0] = -100
        if soft:
            target = torch.softmax(z.flip(1), 1)
        results = []
        for x in (z.detach(), z.detach().clone(memory_format=torch.contiguous_format)):
            x.requires_grad_()
            loss = focal_loss(x, target, reduction=reduction)
            loss.backward(torch.ones_like(loss))
            results.append((loss, x.grad))
            monkeypatch.undo()
        assert_close(*results)

    def test_gradient_keeps_channels_last(self):
        z = torch.randn(2, C, 6, 5).contiguous(memory_format=torch.channels_last)
        z.requires_grad_()
        focal_loss(z, indices(2, 6, 5)).backward()
        assert z.grad.is_contiguous(memory_format=torch.channels_last)

    @pytest.mark.parametrize("n_classes", [1, 2, 63, 64])
    def test_any_number_of_classes(self, reference, n_classes):
        z = logits(300, n_classes)
        target = indices(300, n_classes=n_classes)
        q = reference.one_hot(target.numpy(), n_classes)
        expected = reference.softmax_rows(z.detach().numpy(), q)
        for y in (target, torch.from_numpy(q)):
            loss = focal_loss(z, y, reduction="none").detach()
            np.testing.assert_allclose(loss, expected, rtol=1e-11, atol=1e-14)

    def test_one_row_is_a_batch_of_one(self):
        z = logits(C).detach()
        loss = focal_loss(z, torch.tensor(2), reduction="none")
        assert loss.shape == ()
        assert_close(loss, focal_loss(z[None], torch.tensor([2])))

    @pytest.mark.parametrize("dtype", [torch.int32, torch.uint8, torch.int64])
    def test_any_integer_dtype_of_the_target(self, dtype):
        z, target = logits(20, C).detach(), indices(20)
        assert_close(focal_loss(z, target.to(dtype)), focal_loss(z, target))


class TestErrors:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"gamma": -1.0}, r"`gamma` must be a finite number >= 0.*Got -1.0"),
            ({"gamma": math.nan}, "`gamma` must be a finite number"),
            ({"gamma": "2"}, None),
            ({"gamma": [1.0, -2.0]}, r"`gamma` must be finite and >= 0"),
            ({"gamma": torch.tensor([1.0, -2.0])}, r"`gamma` must be finite and >= 0"),
            ({"gamma": torch.ones(2, 2)}, r"one-dimensional.*\(2, 2\)"),
            ({"alpha": 0.25}, r"alpha=\[0.75, 0.25\], or use BinaryFocalLoss"),
            ({"alpha": np.float32(0.25)}, "BinaryFocalLoss"),
            ({"alpha": torch.tensor(0.25)}, "BinaryFocalLoss"),
            ({"alpha": "balanced"}, r"class_weights\(y"),
            ({"alpha": [1.0, math.inf]}, "`alpha` must be finite"),
            ({"alpha": torch.tensor([1.0, -1.0])}, "`alpha` must be finite"),
            ({"reduction": "avg"}, r"`reduction` must be one of 'none'.*Got 'avg'"),
            ({"label_smoothing": 1.5}, r"`label_smoothing` must be in \[0, 1\]"),
        ],
        ids=str,
    )
    def test_parameters(self, options, message):
        if message is None:
            assert FocalLoss(**options).gamma == 2.0
            return
        with pytest.raises(ValueError, match=message):
            FocalLoss(**options)

    @pytest.mark.parametrize(
        ("shape", "target", "error", "message"),
        [
            ((3, C), torch.zeros(3, 1).long(), ValueError, r"target.reshape\(\(3,\)\)"),
            ((3, C), torch.zeros(3, C).long(), ValueError, r"target.argmax\(1\)"),
            ((3, C), torch.zeros(2).long(), ValueError, "one class index per sample"),
            ((3, C), torch.zeros(3), ValueError, r"target.long\(\)"),
            ((3, C), torch.zeros(3).bool(), TypeError, r"Got torch.bool"),
            ((3, C), [0, 1, 2], TypeError, r"Got list"),
            ((), torch.tensor(0), ValueError, r"must have shape \(C,\)"),
            ((3, C), torch.full((3,), C), IndexError, "from 0 to 3.*Got 4"),
            ((3, C), torch.full((3,), -1), IndexError, "Got -1"),
        ],
    )
    def test_target(self, shape, target, error, message):
        with pytest.raises(error, match=message):
            focal_loss(torch.zeros(shape), target)

    @pytest.mark.parametrize("ignore_index", [-100, -1, 0, 2, C])
    def test_ignore_index_needs_class_indices(self, ignore_index):
        z, q = torch.zeros(3, C), torch.full((3, C), 1 / C)
        criterion = FocalLoss(0.0, ignore_index=ignore_index)
        try:
            expected = F.cross_entropy(z, q, ignore_index=ignore_index)
        except RuntimeError:
            message = rf"needs a `target` of class indices.*ignore_index={ignore_index}"
            with pytest.raises(ValueError, match=message):
                criterion(z, q)
        else:
            assert_close(criterion(z, q), expected)

    def test_input(self):
        with pytest.raises(TypeError, match="floating-point logits"):
            focal_loss(torch.zeros(3, C, dtype=torch.long), torch.zeros(3).long())
        with pytest.raises(TypeError, match=r"Got ndarray"):
            focal_loss(np.zeros((3, C)), torch.zeros(3).long())

    @pytest.mark.parametrize("name", ["alpha", "gamma"])
    def test_number_of_classes(self, name):
        criterion = FocalLoss(**{name: [1.0, 2.0]})
        with pytest.raises(ValueError, match=f"`{name}` must have one.*: 4. Got 2"):
            criterion(torch.zeros(3, C), torch.zeros(3).long())
