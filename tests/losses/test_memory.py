import pytest
import torch
from torch.testing import assert_close

from gansampler.losses import _memory, binary_focal_loss, focal_loss


class TestChunks:
    def test_stay_within_an_eighth(self):
        for numel in (10, 10**6, 10**8):
            z = torch.empty(1).expand(numel)
            assert _memory.chunk_numel(z, 8) <= max(numel // 8, 65536)

    def test_occupy_every_thread(self):
        z = torch.empty(1).expand(10**9)
        assert _memory.chunk_numel(z, 8) >= 32768 * torch.get_num_threads()


class TestLargePages:
    @pytest.mark.parametrize("n", [1, 1000, 5000, 100_000])
    def test_advice_changes_nothing(self, monkeypatch, n):
        z, t = torch.randn(n, 2), torch.rand(n, 2).round()
        gradients = []
        for bound in (1 << 40, 0):
            monkeypatch.setattr(_memory, "_MAPPED_BYTES", bound)
            x = z.clone().requires_grad_()
            (binary_focal_loss(x, t) + focal_loss(x, t[:, 0].long())).backward()
            gradients.append(x.grad)
        assert_close(*gradients, rtol=0, atol=0)

    def test_only_whole_pages_of_the_tensor_itself(self, monkeypatch):
        calls = []

        class Library:
            @staticmethod
            def madvise(start, length, advice):
                calls.append((start.value, length.value, advice))

        monkeypatch.setattr(_memory.ctypes, "CDLL", lambda name: Library)
        monkeypatch.setattr(_memory.sys, "platform", "linux")
        page = _memory.mmap.PAGESIZE
        big = torch.empty(_memory._MAPPED_BYTES // 4 + 3)
        small = torch.empty(10)
        assert _memory.with_large_pages(big) is big
        assert _memory.with_large_pages(small) is small
        ((start, length, _),) = calls
        assert start % page == length % page == 0
        assert big.data_ptr() <= start < big.data_ptr() + page
        end = big.data_ptr() + 4 * big.numel()
        assert end - page < start + length <= end
