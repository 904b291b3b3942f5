"""However the work is cut and shared out, the result is the same."""

import threading

import pytest
import torch
from torch.testing import assert_close

from gansampler.losses import _slabs, binary_focal_loss, focal_loss
from gansampler.losses._slabs import Layout

# Few classes and many, side by side or not; one label.
SHAPES = [(90_000, 10), (3, 19, 200, 150), (9000, 70), (300_000,)]


def case(shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    z = 3 * torch.randn(shape, generator=generator)
    if len(shape) == 1:
        return binary_focal_loss, z, (z > 4).float()
    target = torch.randint(shape[1], (shape[0], *shape[2:]), generator=generator)
    return focal_loss, z, target


def loss_and_gradient(loss, z, target, **settings):
    x = z.clone().requires_grad_()
    result = loss(x, target, **settings)
    result.sum().backward()
    return result.detach(), x.grad


@pytest.fixture
def set_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


class TestParts:
    @pytest.mark.parametrize(
        "shape",
        [(7, 3), (1, 3), (5, 3, 4), (2, 3, 17, 5), (3, 40, 6), (0, 3), (2, 3, 0)],
    )
    @pytest.mark.parametrize("numel", [1, 5, 30, 31, 64, 10_000])
    @pytest.mark.parametrize("channels_last", [False, True])
    def test_cover_everything_once(self, shape, numel, channels_last):
        z = torch.zeros(shape)
        if channels_last:
            z = z.movedim(1, -1).contiguous().movedim(-1, 1)
        layout = Layout(z)
        cube = layout.cube(z)
        for part in layout.parts(numel):
            cube[part] += 1
            # One column is the least there can be.
            assert cube[part].numel() <= max(numel, shape[1])
        assert (cube == 1).all()

    def test_are_even(self):
        widths = [
            part[2].stop - part[2].start
            for part in Layout(torch.zeros(2, 3, 100)).parts(3 * 99)
        ]
        assert widths == [50] * 4


@pytest.mark.parametrize("shape", SHAPES, ids=str)
class TestThreads:
    @pytest.mark.parametrize("reduction", ["mean", "none"])
    def test_any_number_gives_the_same(self, set_threads, shape, reduction):
        results = []
        for n_threads in (1, 2, 4):
            set_threads(n_threads)
            results.append(loss_and_gradient(*case(shape), reduction=reduction))
            assert torch.get_num_threads() == n_threads
        for result in results[1:]:
            assert_close(result, results[0])

    def test_several_callers_at_once(self, shape):
        cases = [case(shape, seed) for seed in range(3)]
        expected = [loss_and_gradient(*each) for each in cases]
        results = [None] * len(cases)

        def call(i):
            results[i] = loss_and_gradient(*cases[i])

        callers = [threading.Thread(target=call, args=(i,)) for i in range(len(cases))]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert_close(results, expected, rtol=1e-6, atol=0)

    def test_runs_are_bit_for_bit_the_same(self, shape):
        first, second = (loss_and_gradient(*case(shape)) for _ in range(2))
        assert_close(first, second, rtol=0, atol=0)


class TestRange:
    """Logits too large for their exponentials are another slab's affair."""

    @pytest.mark.parametrize("shape", [(40, 3), (2, 3, 5, 4)], ids=str)
    @pytest.mark.parametrize("outlier", [40.0, -60.0, 300.0, -torch.inf])
    def test_outlier_changes_no_other_row(self, monkeypatch, shape, outlier):
        monkeypatch.setattr(_slabs, "chunk_numel", lambda *sizes: 30)
        loss, z, target = case(shape)
        before = loss_and_gradient(loss, z, target, reduction="none")
        # The second slab, in either layout.
        row = (15,) if len(shape) == 2 else (0, 2, 3)
        at = (row[0], slice(None), *row[1:])
        z[at][target[row]] = outlier
        after = loss_and_gradient(loss, z, target, reduction="none")
        assert not torch.equal(after[0][row], before[0][row])
        for result in (before, after):
            result[0][row] = 0
            result[1][at] = 0
        assert_close(after, before, rtol=1e-5, atol=1e-8)
