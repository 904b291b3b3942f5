import pickle
import random
from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Sampler, TensorDataset

from gansampler.data import BalancedSampler

Y = np.repeat([0, 1, 2], [70, 25, 5])


def labels_of(indices):
    return Counter(Y[list(indices)].tolist())


class TestOneProcess:
    def test_classes_are_equally_frequent(self):
        sampler = BalancedSampler(Y)
        assert isinstance(sampler, Sampler)
        counts = [labels_of(sampler) for _ in range(6)]
        assert all(max(c.values()) - min(c.values()) <= 1 for c in counts)
        # Over the epochs no class is favoured.
        total = sum(counts, Counter())
        assert total == {0: 200, 1: 200, 2: 200}

    def test_every_sample_of_a_class_equally_often(self):
        sampler = BalancedSampler(Y)
        drawn = Counter(i for _ in range(21) for i in sampler)
        assert set(drawn) == set(range(100))
        for label in range(3):
            times = [drawn[i] for i in np.flatnonzero(label == Y)]
            assert max(times) - min(times) <= 1

    @pytest.mark.parametrize("n_samples", [1, 7, 100, 1001])
    def test_number_of_samples(self, n_samples):
        sampler = BalancedSampler(Y, n_samples=n_samples)
        assert len(sampler) == len(list(sampler)) == n_samples

    def test_reshuffled_by_epoch(self):
        sampler = BalancedSampler(Y)
        first, second = list(sampler), list(sampler)
        assert sampler.epoch == 2
        assert first != second
        assert Counter(first) != Counter(second)
        sampler.set_epoch(0)
        assert list(sampler) == first

    def test_order_is_random(self):
        order = Y[list(BalancedSampler(Y))]
        assert (order[1:] != (order[:-1] + 1) % 3).any()
        # About a third of all neighbours are of one class.
        assert 15 <= (order[1:] == order[:-1]).sum() <= 55

    def test_iteration_that_was_left_is_not_repeated(self):
        sampler = BalancedSampler(Y)
        first = [next(iter(sampler)) for _ in range(20)]
        assert sampler.epoch == 19
        assert len(set(first)) > 5

    def test_random_state(self):
        assert list(BalancedSampler(Y)) == list(BalancedSampler(Y))
        assert list(BalancedSampler(Y)) != list(BalancedSampler(Y, random_state=1))

    def test_leaves_the_global_random_states_alone(self):
        before = random.getstate(), np.random.get_state()[1], torch.get_rng_state()
        list(BalancedSampler(Y))
        after = random.getstate(), np.random.get_state()[1], torch.get_rng_state()
        assert before[0] == after[0]
        assert (before[1] == after[1]).all()
        assert torch.equal(before[2], after[2])

    @pytest.mark.parametrize(
        "y",
        [
            ["benign"] * 8 + ["malignant"] * 2,
            torch.tensor([0] * 8 + [5] * 2),
            np.array([False] * 8 + [True] * 2),
        ],
        ids=["strings", "tensor", "booleans"],
    )
    def test_labels_of_any_type(self, y):
        sampler = BalancedSampler(y)
        drawn = list(sampler)
        assert sum(i >= 8 for i in drawn) == 5
        assert len(sampler.classes) == 2

    def test_large_class_spans_blocks(self):
        y = np.zeros(100_000, int)
        y[:3] = 1
        sampler = BalancedSampler(y)
        drawn = Counter(i for _ in range(2) for i in sampler)
        # 100,000 draws a class: every sample of class 0 but the three that are not.
        assert all(drawn[i] in (1, 2) for i in range(3, 100_000))
        assert max(drawn[i] for i in range(3)) - min(drawn[i] for i in range(3)) <= 1

    def test_in_a_loader(self):
        dataset = TensorDataset(torch.from_numpy(Y))
        loader = DataLoader(dataset, batch_size=16, sampler=BalancedSampler(Y))
        labels = torch.cat([batch for (batch,) in loader])
        assert torch.bincount(labels).tolist() in ([34, 33, 33], [33, 34, 33])


class TestResume:
    @pytest.mark.parametrize("position", [0, 1, 40, 99, 100])
    def test_continues_where_it_was(self, position):
        sampler = BalancedSampler(Y)
        list(sampler)
        iterator = iter(sampler)
        for _ in range(position):
            next(iterator)
        state = pickle.loads(pickle.dumps(sampler.state_dict()))
        expected = list(iterator) + list(sampler)
        resumed = BalancedSampler(Y)
        resumed.load_state_dict(state)
        assert list(resumed) + list(resumed) == expected

    def test_set_epoch_of_the_same_epoch_keeps_the_position(self):
        sampler = BalancedSampler(Y)
        sampler.load_state_dict({"epoch": 3, "position": 60})
        sampler.set_epoch(3)
        assert len(list(sampler)) == 40
        assert len(list(sampler)) == 100
        sampler.load_state_dict({"epoch": 3, "position": 60})
        sampler.set_epoch(4)
        assert len(list(sampler)) == 100

    def test_sampler_can_be_pickled_half_way(self):
        sampler = BalancedSampler(Y)
        iterator = iter(sampler)
        next(iterator)
        assert pickle.loads(pickle.dumps(sampler)).state_dict() == sampler.state_dict()


class TestReplicas:
    @pytest.mark.parametrize("num_replicas", [1, 2, 3, 8])
    def test_shares_are_the_whole(self, num_replicas):
        size = -(-len(Y) // num_replicas) * num_replicas
        whole = BalancedSampler(Y, n_samples=size)
        shares = [
            BalancedSampler(Y, num_replicas=num_replicas, rank=rank)
            for rank in range(num_replicas)
        ]
        for _ in range(3):
            drawn = [list(share) for share in shares]
            assert {len(d) for d in drawn} == {len(shares[0])} == {size // num_replicas}
            expected = list(whole)
            assert Counter(i for d in drawn for i in d) == Counter(expected)
            counts = labels_of(i for d in drawn for i in d)
            assert max(counts.values()) - min(counts.values()) <= 1

    def test_each_share_reaches_every_sample(self):
        for rank in range(2):
            share = BalancedSampler(Y, num_replicas=2, rank=rank)
            assert {i for _ in range(40) for i in share} == set(range(100))


def _draw(rank, folder):
    import torch.distributed as dist

    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    sampler = BalancedSampler(Y)
    mine = torch.tensor([list(sampler), list(sampler)])
    gathered = [torch.empty_like(mine) for _ in range(2)]
    dist.all_gather(gathered, mine)
    if rank == 0:
        torch.save(
            {"rank": sampler.rank, "drawn": torch.stack(gathered)}, f"{folder}/out"
        )
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.ddp
def test_two_processes(tmp_path):
    context = torch.multiprocessing.get_context("spawn")
    processes = [context.Process(target=_draw, args=(r, str(tmp_path))) for r in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    drawn = torch.load(tmp_path / "out", weights_only=True)["drawn"]
    whole = BalancedSampler(Y)
    for epoch in range(2):
        ours = Counter(drawn[:, epoch].flatten().tolist())
        assert ours == Counter(list(whole))


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        ([], {}, "`y` must be one-dimensional"),
        ([[0, 1]], {}, "`y` must be one-dimensional"),
        ([0, 1], {"n_samples": 0}, "`n_samples` and `num_replicas` must be at least 1"),
        ([0, 1], {"num_replicas": 2, "rank": 2}, "`rank` must be from 0 to .* = 1"),
    ],
)
def test_errors(y, options, message):
    with pytest.raises(ValueError, match=message):
        BalancedSampler(y, **options)
