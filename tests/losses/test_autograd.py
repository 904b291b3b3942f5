"""Second derivatives, transforms, compilers: wherever torch's own losses work."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import forward_ad
from torch.testing import assert_close

from gansampler import BinaryFocalLoss, FocalLoss
from gansampler.losses import binary_focal_loss, focal_loss
from gansampler.losses._kernels import _autograd

GAMMAS = [0.0, 0.5, 1.0, 2.0, 5.0, torch.tensor([0.0, 0.5, 2.0])]
N, C = 4, 3


def softmax_case(kind, gamma, reduction="mean"):
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(N, C, 2, dtype=torch.float64, generator=generator)
    if kind == "probabilities":
        target = torch.softmax(z.flip(0), 1)
    else:
        target = torch.arange(2 * N).view(N, 2) % C
        target[0, 0] = -100
    alpha = torch.tensor([0.5, 1.0, 2.0]).double()

    def loss(z):
        return focal_loss(
            z,
            target,
            gamma=gamma,
            alpha=alpha,
            reduction=reduction,
            label_smoothing=0.1 * (kind == "smooth"),
        )

    return loss, z.requires_grad_()


def sigmoid_case(kind, gamma, reduction="mean"):
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(N, C, dtype=torch.float64, generator=generator)
    target = torch.sigmoid(z.flip(0))
    if kind == "indices":
        target = target.round()
    if isinstance(gamma, torch.Tensor):
        gamma = gamma[1:]

    def loss(z):
        return binary_focal_loss(
            z, target, gamma=gamma, alpha=0.25, reduction=reduction
        )

    return loss, z.requires_grad_()


CASES = [
    pytest.param(case, kind, id=f"{case.__name__.removesuffix('_case')}-{kind}")
    for case, kinds in (
        (softmax_case, ("indices", "smooth", "probabilities")),
        (sigmoid_case, ("indices", "probabilities")),
    )
    for kind in kinds
]


@pytest.mark.parametrize(("case", "kind"), CASES)
@pytest.mark.parametrize("gamma", GAMMAS, ids=str)
@pytest.mark.parametrize("reduction", ["mean", "none"])
class TestDerivatives:
    def test_first(self, case, kind, gamma, reduction):
        loss, z = case(kind, gamma, reduction)
        assert torch.autograd.gradcheck(loss, z, check_batched_grad=True)

    def test_second(self, case, kind, gamma, reduction):
        loss, z = case(kind, gamma, reduction)
        assert torch.autograd.gradgradcheck(loss, z)


@pytest.mark.parametrize(("case", "kind"), CASES)
class TestBackward:
    def test_twice_through_a_retained_graph(self, case, kind):
        loss, z = case(kind, 2.0)
        result = loss(z)
        first, second = (
            torch.autograd.grad(result, z, factor, retain_graph=True)[0]
            for factor in (torch.tensor(1.0).double(), torch.tensor(3.0).double())
        )
        assert_close(3 * first, second)
        (graph,) = torch.autograd.grad(result, z, create_graph=True)
        assert graph.requires_grad
        assert_close(graph.detach(), first)

    def test_gradient_penalty(self, case, kind):
        loss, z = case(kind, 2.0)
        (gradient,) = torch.autograd.grad(loss(z), z, create_graph=True)
        (gradient**2).sum().backward()
        hessian = torch.autograd.functional.hessian(loss, z).view(z.numel(), z.numel())
        expected = 2 * hessian @ gradient.detach().flatten()
        assert_close(z.grad.flatten(), expected)

    def test_input_of_a_network(self, case, kind):
        loss, z = case(kind, 2.0)
        x = z.detach().clone().requires_grad_()
        (loss(z) + 2 * loss(z)).backward()
        (3 * loss(1.0 * x)).backward()
        assert_close(z.grad, x.grad)

    def test_changed_input_is_noticed(self, case, kind):
        loss, z = case(kind, 2.0)
        y = z * 1.0
        result = loss(y)
        y.add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            result.backward()

    def test_without_gradient(self, case, kind):
        loss, z = case(kind, 2.0)
        with torch.no_grad():
            result = loss(z)
        assert not result.requires_grad
        with torch.inference_mode():
            assert_close(loss(z.detach()), result)
        assert_close(loss(z), result, check_device=False)


@pytest.mark.parametrize(("case", "kind"), CASES)
class TestTransforms:
    def test_grad(self, case, kind):
        loss, z = case(kind, 2.0)
        expected = torch.autograd.grad(loss(z), z)[0]
        assert_close(torch.func.grad(loss)(z.detach()), expected)

    def test_vmap_of_grad(self, case, kind):
        loss, z = case(kind, 2.0)
        batch = torch.stack([z.detach(), z.detach() + 1, -z.detach()])
        expected = torch.stack([torch.func.grad(loss)(x) for x in batch])
        assert_close(torch.func.vmap(torch.func.grad(loss))(batch), expected)

    # torch itself raises this warning in its forward mode.
    @pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
    @pytest.mark.parametrize("gamma", [0.0, 2.0])
    def test_hessian(self, case, kind, gamma):
        loss, z = case(kind, gamma)
        expected = torch.autograd.functional.hessian(loss, z)
        assert_close(torch.func.jacrev(torch.func.jacrev(loss))(z.detach()), expected)
        # Forward mode over reverse mode.
        assert_close(torch.func.hessian(loss)(z.detach()), expected)

    @pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
    def test_forward_mode(self, case, kind):
        loss, z = case(kind, 2.0)
        tangent = torch.ones_like(z)
        expected = torch.autograd.grad(loss(z), z)[0].sum()
        _, derivative = torch.func.jvp(loss, (z.detach(),), (tangent,))
        assert_close(derivative, expected)
        with forward_ad.dual_level():
            dual = loss(forward_ad.make_dual(z.detach(), tangent))
            assert_close(forward_ad.unpack_dual(dual).tangent, expected)

    @pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
    @pytest.mark.parametrize("reduction", ["mean", "none"])
    def test_forward_mode_is_the_numerical_derivative(self, case, kind, reduction):
        loss, z = case(kind, 2.0, reduction)
        assert torch.autograd.gradcheck(
            loss, z, check_forward_ad=True, check_backward_ad=False
        )

    def test_without_torchs_private_functions(self, monkeypatch, case, kind):
        loss, z = case(kind, 2.0)
        expected = loss(z)
        missing = _autograd._private_test("_functorch.no_longer_there")
        monkeypatch.setattr(_autograd, "_are_transforms_active", missing)
        monkeypatch.setattr(_autograd, "_is_batched", missing)
        assert_close(loss(z), expected)
        assert torch.autograd.gradcheck(loss, z, check_batched_grad=True)
        batch = torch.stack([z.detach(), -z.detach()])
        rows = torch.stack([loss(x) for x in batch])
        assert_close(torch.func.vmap(loss)(batch), rows)


class Net(nn.Module):
    def __init__(self, criterion):
        super().__init__()
        self.layer = nn.Linear(5, C)
        self.criterion = criterion

    def forward(self, x, y):
        return self.criterion(self.layer(x), y)


MODULES = [
    pytest.param(FocalLoss(), torch.tensor([0, 1, 2, -100]), id="indices"),
    pytest.param(
        FocalLoss(gamma=[0.5, 1.0, 2.0], alpha=[1.0, 2.0, 3.0], label_smoothing=0.1),
        torch.tensor([0, 1, 2, -100]),
        id="smooth",
    ),
    pytest.param(FocalLoss(), torch.full((4, C), 1 / C), id="probabilities"),
    pytest.param(BinaryFocalLoss(alpha=0.25), torch.eye(4)[:, :C], id="binary"),
    pytest.param(
        BinaryFocalLoss(reduction="mean_positive"), torch.full((4, C), 0.3), id="soft"
    ),
]


@pytest.mark.parametrize(("criterion", "y"), MODULES)
class TestCompilers:
    def check(self, net, transformed, x, y):
        expected = net(x, y)
        result = transformed(x, y)
        assert_close(result, expected)
        parameters = list(net.parameters())
        assert_close(
            torch.autograd.grad(result, parameters),
            torch.autograd.grad(expected, parameters),
        )

    def test_compile(self, criterion, y):
        torch.compiler.reset()
        net, x = Net(criterion), torch.randn(4, 5)
        self.check(net, torch.compile(net, fullgraph=True, backend="aot_eager"), x, y)

    def test_export(self, criterion, y):
        net, x = Net(criterion), torch.randn(4, 5)
        exported = torch.export.export(net, (x, y)).module()
        assert_close(exported(x, y), net(x, y))


class TestOtherGradients:
    """The kernels give the gradient with respect to the input only."""

    def test_target(self):
        z = torch.randn(N, C, dtype=torch.float64, requires_grad=True)
        q = torch.softmax(torch.randn(N, C).double(), 1).requires_grad_()
        assert torch.autograd.gradcheck(focal_loss, (z, q))
        t = q.detach().requires_grad_()
        assert torch.autograd.gradcheck(binary_focal_loss, (z, t))

    # A target may leave [0, 1] for the numerical derivative: the loss is linear in it.
    @pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
    @pytest.mark.parametrize("loss", [focal_loss, binary_focal_loss])
    def test_target_of_0_and_1(self, loss, gamma):
        z = torch.randn(N, C, dtype=torch.float64, requires_grad=True)
        t = torch.eye(N, C, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda z, t: loss(z, t, gamma), (z, t))

    def test_target_without_gamma_is_torchs(self):
        z = torch.randn(N, C, dtype=torch.float64)
        for ours, theirs in (
            (focal_loss, F.cross_entropy),
            (binary_focal_loss, F.binary_cross_entropy_with_logits),
        ):
            t = torch.eye(N, C, dtype=torch.float64, requires_grad=True)
            (gradient,) = torch.autograd.grad(ours(z, t, 0.0), t)
            (expected,) = torch.autograd.grad(theirs(z, t), t)
            assert_close(gradient, expected)

    def test_excluded_label_of_infinite_loss(self):
        z = torch.tensor([torch.inf, -torch.inf], requires_grad=True)
        t = torch.tensor([1.0, 0.0], requires_grad=True)
        loss = binary_focal_loss(z, t)
        loss.backward()
        assert loss == 0
        assert z.grad.tolist() == [0, 0]
        assert not t.grad.isnan().any()

    def test_alpha_and_gamma(self):
        z = torch.randn(N, C, dtype=torch.float64, requires_grad=True)
        y = torch.arange(N) % C
        gamma = torch.tensor([0.5, 1.0, 2.0]).double().requires_grad_()
        alpha = torch.tensor([0.5, 1.0, 2.0]).double().requires_grad_()
        assert torch.autograd.gradcheck(
            lambda z, gamma, alpha: focal_loss(z, y, gamma=gamma, alpha=alpha),
            (z, gamma, alpha),
        )


@pytest.mark.parametrize("device", ["cuda", "mps"])
class TestAccelerator:
    @pytest.mark.gpu
    def test_is_as_on_the_cpu(self, device):
        if device == "mps" and not torch.backends.mps.is_available():
            pytest.skip("needs an MPS device")
        z = torch.randn(64, C)
        for criterion, y in (
            (FocalLoss(2.0, [1.0, 2.0, 3.0]), torch.arange(64) % C),
            (FocalLoss(label_smoothing=0.1), torch.arange(64) % C),
            (BinaryFocalLoss(2.0, [1.0, 2.0]), (z < 0).float()),
        ):
            results = []
            for place in ("cpu", device):
                x = z.to(place).detach().requires_grad_()
                loss = criterion.to(place)(x, y.to(place))
                loss.backward()
                results.append((loss.cpu(), x.grad.cpu()))
            assert_close(*results)
