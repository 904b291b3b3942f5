"""The losses as parts of other people's programs."""

import copy
import io
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gansampler import BinaryFocalLoss, FocalLoss
from gansampler.losses import (
    ClassBalancedLoss,
    LDAMLoss,
    LogitAdjustedLoss,
    binary_focal_loss,
    focal_loss,
)

C = 3
MODULES = [
    FocalLoss(),
    FocalLoss(
        gamma=[0.5, 1.0, 2.0],
        alpha=[1.0, 2.0, 3.0],
        reduction="sum",
        ignore_index=-1,
        label_smoothing=0.1,
    ),
    BinaryFocalLoss(alpha=0.25),
    BinaryFocalLoss(gamma=[1.0, 2.0], alpha=[1.0, 3.0], reduction="none"),
    ClassBalancedLoss([50, 20, 3], beta=0.99),
    LDAMLoss([50, 20, 3], reweight_epoch=2),
    LogitAdjustedLoss([50, 20, 3], tau=0.5),
]


def batch(criterion):
    z = torch.randn(8, C, generator=torch.Generator().manual_seed(0))
    y = torch.arange(8) % C
    if isinstance(criterion, BinaryFocalLoss):
        y = nn.functional.one_hot(y, C).float()
    return z, y


@pytest.mark.parametrize("criterion", MODULES, ids=repr)
class TestModule:
    @pytest.mark.parametrize(
        "clone", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))]
    )
    def test_copies(self, criterion, clone):
        other = clone(criterion)
        assert repr(other) == repr(criterion)
        assert_close(other(*batch(criterion)), criterion(*batch(criterion)))

    def test_state_dict(self, criterion):
        other = copy.deepcopy(criterion)
        for buffer in other.buffers():
            buffer.zero_()
        file = io.BytesIO()
        torch.save(criterion.state_dict(), file)
        file.seek(0)
        other.load_state_dict(torch.load(file, weights_only=True))
        assert_close(other.state_dict(), criterion.state_dict())
        assert_close(other(*batch(criterion)), criterion(*batch(criterion)))

    def test_has_nothing_to_train(self, criterion):
        assert not list(criterion.parameters())

    def test_moves_with_a_model(self, criterion):
        model = nn.Sequential(copy.deepcopy(criterion)).double()
        assert all(b.dtype == torch.float64 for b in model.buffers())
        z, y = batch(criterion)
        expected = criterion(z, y)
        result = model[0](z.double(), y)
        assert_close(result.float(), expected)
        # The weights follow the logits, whatever the module was cast to.
        assert_close(
            copy.deepcopy(criterion).half()(z, y), expected, rtol=1e-2, atol=1e-2
        )


def test_repr():
    assert repr(FocalLoss(0.5, [1, 2])) == (
        "FocalLoss(gamma=0.5, alpha=[1.0, 2.0], reduction='mean', "
        "ignore_index=-100, label_smoothing=0.0)"
    )
    assert repr(BinaryFocalLoss(alpha=0.25)) == (
        "BinaryFocalLoss(gamma=2.0, alpha=0.25, reduction='mean')"
    )


def test_weights_are_buffers():
    state = FocalLoss(gamma=[0.5, 1.0], alpha=[1.0, 2.0]).state_dict()
    assert {name: value.tolist() for name, value in state.items()} == {
        "gamma": [0.5, 1.0],
        "alpha": [1.0, 2.0],
    }
    assert FocalLoss().state_dict() == {}


@pytest.mark.parametrize("criterion", MODULES, ids=lambda module: type(module).__name__)
def test_torchscript_is_refused(criterion):
    for module in (criterion, nn.Sequential(nn.Linear(2, 2), criterion)):
        with (
            pytest.warns(FutureWarning, match="is deprecated"),
            pytest.raises(TypeError, match=r"does not support TorchScript.*export"),
        ):
            torch.jit.script(module)


class TestGammaByPosition:
    """Torch's losses take the class weights in the position of gamma."""

    @pytest.mark.parametrize("loss", [FocalLoss, BinaryFocalLoss])
    @pytest.mark.parametrize(
        "values", [torch.tensor([1.0, 5.0]), [1.0, 5.0], np.array([1.0, 5.0])], ids=type
    )
    def test_one_per_class_is_refused(self, loss, values):
        message = r"single number. Got .*5.*Pass alpha=\.\.\."
        with pytest.raises(TypeError, match=message):
            loss(values)
        assert loss(gamma=values).gamma.tolist() == [1.0, 5.0]

    def test_one_per_class_is_refused_by_the_functions(self):
        z, weights = torch.zeros(3, 2), torch.tensor([1.0, 5.0])
        for loss, target in ((focal_loss, [0, 1, 1]), (binary_focal_loss, z)):
            with pytest.raises(TypeError, match=r"Pass alpha=\.\.\. for class weights"):
                loss(z, torch.as_tensor(target), weights)

    @pytest.mark.parametrize("value", [1, 1.0, np.float32(1), torch.tensor(1.0)])
    def test_single_number(self, value):
        assert FocalLoss(value).gamma == BinaryFocalLoss(value).gamma == 1.0


@pytest.mark.parametrize("loss", [FocalLoss, BinaryFocalLoss])
@pytest.mark.parametrize(
    "options",
    [
        {"gamma": nn.Parameter(torch.tensor(2.0))},
        {"gamma": nn.Parameter(torch.tensor([1.0, 2.0]))},
        {"alpha": nn.Parameter(torch.tensor([1.0, 2.0]))},
    ],
    ids=str,
)
def test_settings_are_not_trained(loss, options):
    (name,) = options
    with pytest.raises(TypeError, match=rf"`{name}` is not trained.*{name}.detach\(\)"):
        loss(**options)


def test_gamma_that_requires_a_gradient_is_not_used_without_one():
    gamma = torch.tensor(2.0, requires_grad=True)
    with pytest.raises(TypeError, match="`gamma` is not trained"):
        focal_loss(torch.zeros(3, 2), torch.zeros(3).long(), gamma=gamma)


@pytest.mark.parametrize("values", [[1.0, 2.0], (1, 2), np.array([1, 2])], ids=type)
def test_alpha_from_any_sequence(values):
    assert_close(
        FocalLoss(alpha=values).alpha, torch.tensor([1.0, 2.0]), check_dtype=False
    )


def two_moons(n=200, seed=0):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.3).astype(np.int64)
    angle = np.pi * rng.random(n)
    X = np.column_stack(
        [np.cos(angle) + y, np.where(y, -1, 1) * np.sin(angle) + 0.5 * y]
    )
    return (X + 0.1 * rng.standard_normal(X.shape)).astype(np.float32), y


def network(n_outputs):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, n_outputs))


@pytest.mark.parametrize("form", ["softmax", "sigmoid"])
def test_in_a_plain_loop(form):
    X, y = (torch.from_numpy(array) for array in two_moons())
    if form == "softmax":
        model, criterion = network(2), FocalLoss(alpha=[0.25, 0.75])
    else:
        model, criterion = network(1), BinaryFocalLoss(alpha=0.75)
        y = y.float().unsqueeze(1)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(100):
        optimiser.zero_grad()
        loss = criterion(model(X), y)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    output = model(X).detach()
    predicted = output.argmax(1) if form == "softmax" else (output > 0).float()
    assert (predicted == y).float().mean() > 0.95


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_in_skorch():
    from skorch import NeuralNetClassifier

    X, y = two_moons()
    net = NeuralNetClassifier(
        network(2),
        criterion=FocalLoss,
        criterion__gamma=1.5,
        criterion__alpha=[0.25, 0.75],
        predict_nonlinearity=partial(torch.softmax, dim=-1),
        optimizer=torch.optim.Adam,
        lr=0.02,
        max_epochs=30,
        batch_size=50,
        verbose=0,
    )
    net.fit(X, y)
    assert net.criterion_.gamma == 1.5
    assert net.score(X, y) > 0.9
    np.testing.assert_allclose(net.predict_proba(X).sum(1), 1, rtol=1e-5)
