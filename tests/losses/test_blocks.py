"""Blocks and threads do not change the result."""

import threading

import pytest
import torch
from torch.testing import assert_close

from gansampler.losses import binary_focal_loss, focal_loss
from gansampler.losses._kernels import _blocks
from gansampler.losses._kernels._blocks import Layout, block_numel

# Few classes and many, adjacent in memory or not; one label.
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


class TestBlockNumel:
    def test_is_at_most_an_eighth(self):
        for numel in (10, 10**6, 10**8):
            z = torch.empty(1).expand(numel)
            assert block_numel(z, 8) <= max(numel // 8, 65536)

    def test_uses_every_thread(self):
        z = torch.empty(1).expand(10**9)
        assert block_numel(z, 8) >= 32768 * torch.get_num_threads()


class TestLargePages:
    @pytest.mark.parametrize("n", [1, 1000, 5000, 100_000])
    def test_do_not_change_the_result(self, monkeypatch, n):
        z, t = torch.randn(n, 2), torch.rand(n, 2).round()
        gradients = []
        for bound in (1 << 40, 0):
            monkeypatch.setattr(_blocks, "_MAPPED_BYTES", bound)
            x = z.clone().requires_grad_()
            (binary_focal_loss(x, t) + focal_loss(x, t[:, 0].long())).backward()
            gradients.append(x.grad)
        assert_close(*gradients, rtol=0, atol=0)

    def test_only_whole_pages_within_the_tensor(self, monkeypatch):
        calls = []

        class Library:
            @staticmethod
            def madvise(start, length, advice):
                calls.append((start.value, length.value, advice))

        monkeypatch.setattr(_blocks.ctypes, "CDLL", lambda name: Library)
        monkeypatch.setattr(_blocks.sys, "platform", "linux")
        page = _blocks.mmap.PAGESIZE
        big = torch.empty(_blocks._MAPPED_BYTES // 4 + 3)
        small = torch.empty(10)
        assert _blocks.with_large_pages(big) is big
        assert _blocks.with_large_pages(small) is small
        ((start, length, _),) = calls
        assert start % page == length % page == 0
        assert big.data_ptr() <= start < big.data_ptr() + page
        end = big.data_ptr() + 4 * big.numel()
        assert end - page < start + length <= end


class TestBlocks:
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
        for block in layout.blocks(numel):
            cube[block] += 1
            # A block has at least one row with all its classes.
            assert cube[block].numel() <= max(numel, shape[1])
        assert (cube == 1).all()

    def test_are_even(self):
        widths = [
            block[2].stop - block[2].start
            for block in Layout(torch.zeros(2, 3, 100)).blocks(3 * 99)
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
    """Logits out of range change the computation of the other blocks."""

    @pytest.mark.parametrize("shape", [(40, 3), (2, 3, 5, 4)], ids=str)
    @pytest.mark.parametrize("outlier", [40.0, -60.0, 300.0, -torch.inf])
    def test_outlier_changes_no_other_row(self, monkeypatch, shape, outlier):
        monkeypatch.setattr(_blocks, "block_numel", lambda *sizes: 30)
        loss, z, target = case(shape)
        before = loss_and_gradient(loss, z, target, reduction="none")
        # The second block, in either layout.
        row = (15,) if len(shape) == 2 else (0, 2, 3)
        at = (row[0], slice(None), *row[1:])
        z[at][target[row]] = outlier
        after = loss_and_gradient(loss, z, target, reduction="none")
        assert not torch.equal(after[0][row], before[0][row])
        for result in (before, after):
            result[0][row] = 0
            result[1][at] = 0
        assert_close(after, before, rtol=1e-5, atol=1e-8)
