"""References in plain NumPy, at the highest precision it has."""

import numpy as np
import pytest

WIDE = np.longdouble


def _log_sum_exp(z):
    if z.shape[-1] == 0:
        return np.full(z.shape[:-1], -np.inf, WIDE)
    return np.logaddexp.reduce(z, axis=-1)


def _term(u, gamma):
    """(1 - p)^gamma * -log p from the log-odds against the class."""
    with np.errstate(over="ignore"):
        loss = np.logaddexp(WIDE(0), u)
        if gamma == 0:
            return loss
        factor = np.exp(-WIDE(gamma) * np.logaddexp(WIDE(0), -u))
        return np.where(loss == 0, 0, factor * np.where(loss == 0, 1, loss))


def softmax_rows(z, q, gamma=2.0, alpha=None):
    """Loss of (N, C) logits against (N, C) class probabilities, class by class."""
    z, q = np.asarray(z, WIDE), np.asarray(q, WIDE)
    n_classes = z.shape[1]
    gamma = np.broadcast_to(gamma, n_classes)
    alpha = np.ones(n_classes) if alpha is None else np.asarray(alpha)
    total = np.zeros(len(z), WIDE)
    for c in range(n_classes):
        u = _log_sum_exp(np.delete(z, c, axis=1)) - z[:, c]
        part = q[:, c] != 0
        total[part] += (q[:, c] * alpha[c])[part] * _term(u, gamma[c])[part]
    return total


def sigmoid_rows(z, t, gamma=2.0, alpha=(1.0, 1.0)):
    """Loss of logits of any shape against targets between 0 and 1."""
    z, t = np.asarray(z, WIDE), np.asarray(t, WIDE)
    gamma = np.broadcast_to(gamma, 2)
    positive, negative = _term(-z, gamma[1]), _term(z, gamma[0])
    return np.where(t == 0, 0, t * alpha[1] * np.where(t == 0, 0, positive)) + np.where(
        t == 1, 0, (1 - t) * alpha[0] * np.where(t == 1, 0, negative)
    )


def slope(rows, z, *args, step=1e-6, **kwargs):
    """Central differences of the sum of each row's loss by each of its logits."""
    z = np.asarray(z, WIDE)
    gradient = np.empty(z.shape, WIDE)
    columns = range(z.shape[1]) if z.ndim > 1 else [slice(None)]
    for c in columns:
        moved = np.zeros(z.shape, WIDE)
        moved[..., c] = step
        up, down = (rows(z + s * moved, *args, **kwargs) for s in (1, -1))
        gradient[..., c] = (up - down) / (2 * WIDE(step))
    return gradient


def one_hot(target, n_classes, label_smoothing=0.0):
    return np.eye(n_classes)[target] * (1 - label_smoothing) + (
        label_smoothing / n_classes
    )


class Reference:
    softmax_rows = staticmethod(softmax_rows)
    sigmoid_rows = staticmethod(sigmoid_rows)
    slope = staticmethod(slope)
    one_hot = staticmethod(one_hot)


@pytest.fixture(scope="session")
def reference():
    return Reference


KERNELS = [
    f"gansampler.losses._kernels._{name}"
    for name in ("autograd", "class_indices", "class_probabilities", "sigmoid")
]


@pytest.fixture(params=["kernel", "kernel without reading values", "differentiable"])
def route(request, monkeypatch):
    """Each of the ways in which a loss is computed."""
    if request.param == "differentiable":
        for module in (KERNELS[0], "gansampler.losses._focal"):
            monkeypatch.setattr(f"{module}.is_transformed", lambda *tensors: True)
    elif request.param == "kernel without reading values":
        # As on an accelerator.
        for module in (*KERNELS, "gansampler.losses._focal"):
            monkeypatch.setattr(f"{module}.can_read", lambda tensor: False)
    return request.param
