import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from gansampler import BinaryFocalLoss, FocalLoss
from gansampler.losses import binary_focal_loss

GAMMAS = [0.0, 0.5, 1.0, 2.0, 5.0, [0.5, 3.0]]


def logits(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    z = 4 * torch.randn(shape, dtype=torch.float64, generator=generator)
    return z.requires_grad_()


def labels(*shape, kind="hard", seed=1):
    t = torch.rand(
        shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    if kind == "hard":
        return t.round()
    if kind == "mixed":
        t.view(-1)[:3] = torch.tensor([0.0, 1.0, 0.0])[: t.numel()]
    return t


@pytest.mark.parametrize("gamma", GAMMAS, ids=str)
@pytest.mark.parametrize("alpha", [None, 0.25, [0.5, 2.0]], ids=str)
@pytest.mark.parametrize("kind", ["hard", "mixed"])
def test_against_reference(route, reference, gamma, alpha, kind):
    z, t = logits(60), labels(60, kind=kind)
    weights = (1.0, 1.0) if alpha is None else alpha
    if isinstance(alpha, float):
        weights = (1 - alpha, alpha)
    args = (t.numpy(), gamma, weights)
    expected = reference.sigmoid_rows(z.detach().numpy(), *args)
    slope = reference.slope(reference.sigmoid_rows, z.detach().numpy(), *args)
    if isinstance(gamma, list):
        gamma = torch.tensor(gamma, dtype=torch.float64)
    loss = binary_focal_loss(z, t, gamma=gamma, alpha=alpha, reduction="none")
    np.testing.assert_allclose(loss.detach(), expected, rtol=1e-11, atol=1e-14)
    (gradient,) = torch.autograd.grad(loss.sum(), z)
    np.testing.assert_allclose(gradient, slope, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("alpha", [-1, 0.25])
def test_is_the_sigmoid_focal_loss_of_torchvision(alpha):
    from torchvision.ops import sigmoid_focal_loss

    z, t = logits(7, 5), labels(7, 5)
    ours = binary_focal_loss(z, t, 2.0, None if alpha < 0 else alpha)
    theirs = sigmoid_focal_loss(z, t, alpha=alpha, gamma=2.0, reduction="mean")
    assert_close(ours, theirs)
    assert_close(*(torch.autograd.grad(loss, z)[0] for loss in (ours, theirs)))


def test_is_the_softmax_form_of_two_classes():
    z, t = logits(40).detach(), labels(40)
    two = torch.stack([torch.zeros_like(z), z], 1)
    ours = BinaryFocalLoss(1.5, 0.25, reduction="none")(z, t)
    theirs = FocalLoss(1.5, [0.75, 0.25], reduction="none")(two, t.long())
    assert_close(ours, theirs)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("kind", ["hard", "mixed"])
@pytest.mark.parametrize("shape", [(), (9,), (9, 1), (3, 4, 5)], ids=str)
def test_without_gamma_is_binary_cross_entropy(route, reduction, kind, shape):
    z, t = logits(*shape), labels(*shape, kind=kind)
    ours = binary_focal_loss(z, t, 0.0, reduction=reduction)
    theirs = F.binary_cross_entropy_with_logits(z, t, reduction=reduction)
    assert_close(ours, theirs, rtol=1e-10, atol=1e-14)
    weights = torch.rand(ours.shape, dtype=torch.float64)
    ours, theirs = (torch.autograd.grad(x, z, weights)[0] for x in (ours, theirs))
    assert_close(ours, theirs, rtol=1e-10, atol=1e-14)


def test_without_gamma_is_binary_cross_entropy_in_float32():
    z = logits(1000).detach().float().requires_grad_()
    t = labels(1000, kind="mixed").float()
    ours, theirs = (
        binary_focal_loss(z, t, 0.0),
        F.binary_cross_entropy_with_logits(z, t),
    )
    assert_close(ours, theirs, rtol=1e-6, atol=0)
    ours, theirs = (torch.autograd.grad(loss, z)[0] for loss in (ours, theirs))
    assert (ours - theirs).norm() <= 1e-6 * theirs.norm()


class TestReduction:
    def test_mean_positive_divides_by_the_targets(self, route):
        z, t = logits(30).detach(), labels(30, kind="mixed")
        total = binary_focal_loss(z, t, reduction="sum")
        assert_close(
            binary_focal_loss(z, t, reduction="mean_positive"), total / t.sum()
        )

    def test_mean_positive_without_positives_is_the_sum(self, route):
        z = logits(30).detach()
        total = binary_focal_loss(z, torch.zeros_like(z), reduction="sum")
        mean = binary_focal_loss(z, torch.zeros_like(z), reduction="mean_positive")
        assert_close(mean, total)

    @pytest.mark.parametrize("reduction", ["none", "sum", "mean", "mean_positive"])
    def test_empty_batch(self, route, reduction):
        z = torch.zeros(0, 1, requires_grad=True)
        loss = binary_focal_loss(z, torch.zeros(0, 1), reduction=reduction)
        loss.sum().backward()
        assert loss.shape == ((0, 1) if reduction == "none" else ())
        assert (loss == 0).all()
        assert z.grad.shape == (0, 1)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16])
def test_any_dtype_of_the_target(dtype):
    z, t = logits(20).detach(), labels(20)
    assert_close(binary_focal_loss(z, t.to(dtype)), binary_focal_loss(z, t))


@pytest.mark.parametrize("reduction", ["mean", "none"])
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
def test_layout_makes_no_difference(monkeypatch, arrange, reduction):
    from gansampler.losses._kernels import _sigmoid

    # Several blocks, of hard and of soft targets, the last of them shorter.
    monkeypatch.setattr(_sigmoid, "block_numel", lambda *sizes: 32)
    z = arrange(logits(3, 4, 6, 5).detach())
    t = labels(*z.shape)
    t[1:] = labels(*z.shape, kind="soft")[1:]
    results = []
    for x in (z.detach(), z.detach().clone(memory_format=torch.contiguous_format)):
        x.requires_grad_()
        loss = binary_focal_loss(x, t, 2.0, 0.25, reduction=reduction)
        loss.backward(torch.ones_like(loss))
        results.append((loss, x.grad))
        monkeypatch.undo()
    assert_close(*results)


class TestErrors:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"alpha": 1.5}, r"`alpha` as a number must be in \[0, 1\].*Got 1.5"),
            ({"alpha": [1.0, 2.0, 3.0]}, "one number per class: 2. Got 3"),
            ({"alpha": "balanced"}, r"class_weights\(y"),
            ({"alpha": [1.0, -1.0]}, "`alpha` must be finite and >= 0"),
            ({"gamma": -0.5}, "`gamma` must be a finite number >= 0"),
            ({"gamma": [1.0]}, "one number per class: 2. Got 1"),
            ({"reduction": "avg"}, "`reduction` must be one of"),
        ],
        ids=str,
    )
    def test_parameters(self, options, message):
        with pytest.raises(ValueError, match=message):
            BinaryFocalLoss(**options)

    def test_target(self):
        with pytest.raises(ValueError, match=r"target.reshape\(\(3, 1\)\)"):
            binary_focal_loss(torch.zeros(3, 1), torch.zeros(3))
        with pytest.raises(ValueError, match="one label or probability per logit"):
            binary_focal_loss(torch.zeros(3), torch.zeros(2))
        with pytest.raises(TypeError, match="Got list"):
            binary_focal_loss(torch.zeros(3), [0, 1, 0])

    def test_input(self):
        with pytest.raises(TypeError, match="floating-point logits"):
            binary_focal_loss(torch.zeros(3).long(), torch.zeros(3))
