"""A class-balanced sampler for torch that supports distributed training."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import Sampler

# Each class is drawn in blocks of whole permutations, of about this many draws.
_BLOCK = 65536


class BalancedSampler(Sampler[int]):
    r"""Draw every class equally often, and each sample of a class equally often.

    The draws form an endless stream, in which the classes alternate. The samples of a
    class are drawn in the order of a random permutation, then of another one, and so
    on, so that no sample is drawn twice before all samples of its class were drawn
    once. An epoch is the next ``n_samples`` draws in random order, and each process
    takes an equal part of it. The draws depend on ``random_state`` and on the number of
    the epoch only, so that the processes need not communicate, and a run can be
    resumed at any point.

    Parameters
    ----------
    y : sequence or array of shape (n_samples,)
        Labels of the samples of the data set, in order. They must be sortable.
    n_samples : int, default=None
        Number of draws per epoch in all processes together, rounded up to a multiple
        of the number of processes. None means ``len(y)``.
    num_replicas : int, default=None
        Number of processes. None means the size of the default process group, or 1
        without a process group.
    rank : int, default=None
        Rank of this process, from 0 to ``num_replicas - 1``. None means the rank in
        the default process group, or 0 without a process group.
    random_state : int, default=0
        Seed, which must be the same in all processes. Global random states do not
        change.

    Attributes
    ----------
    epoch : int
        Number of the epoch that the next iteration draws.
    classes : list
        Sorted labels.

    Raises
    ------
    ValueError
        If ``y`` is empty, or if a number is out of range.

    See Also
    --------
    gansampler.losses.class_weights : Weight the classes in the loss instead.

    Notes
    -----
    Each iteration draws a new epoch, also if the previous iteration was not finished.
    ``set_epoch`` sets the epoch, as in ``torch.utils.data.DistributedSampler``.

    ``state_dict`` counts the draws. A ``DataLoader`` with workers draws more samples
    than it has returned. The ``StatefulDataLoader`` of ``torchdata`` takes this into
    account.

    Examples
    --------
    >>> import torch
    >>> from torch.utils.data import DataLoader, TensorDataset
    >>> from gansampler.data import BalancedSampler
    >>> y = torch.tensor([0] * 90 + [1] * 10)
    >>> sampler = BalancedSampler(y, random_state=0)
    >>> loader = DataLoader(TensorDataset(y), batch_size=50, sampler=sampler)
    >>> torch.bincount(torch.cat([batch for (batch,) in loader]))
    tensor([50, 50])
    """

    def __init__(
        self,
        y: Sequence[Any] | Tensor,
        *,
        n_samples: int | None = None,
        num_replicas: int | None = None,
        rank: int | None = None,
        random_state: int = 0,
    ) -> None:
        labels = y.tolist() if hasattr(y, "tolist") else list(y)
        if not labels or isinstance(labels[0], list):
            raise ValueError(
                "`y` must be one-dimensional, with at least one label. "
                f"Got {len(labels)} entries. Pass numpy.ravel(y)."
            )
        in_group = dist.is_available() and dist.is_initialized()
        if num_replicas is None:
            num_replicas = dist.get_world_size() if in_group else 1
        if rank is None:
            rank = dist.get_rank() if in_group else 0
        n_samples = len(labels) if n_samples is None else n_samples
        if n_samples < 1 or num_replicas < 1:
            raise ValueError(
                "`n_samples` and `num_replicas` must be at least 1. "
                f"Got {n_samples} and {num_replicas}. Leave them out for len(y) draws "
                "in the processes of the default group."
            )
        if not 0 <= rank < num_replicas:
            raise ValueError(
                f"`rank` must be from 0 to num_replicas - 1 = {num_replicas - 1}. "
                f"Got {rank}. Leave both out to take them from the process group."
            )
        self.classes = sorted(set(labels))
        number = {label: i for i, label in enumerate(self.classes)}
        codes = torch.tensor([number[label] for label in labels])
        self._members = [
            torch.nonzero(codes == i).squeeze(1) for i in range(len(self.classes))
        ]
        self.num_replicas = num_replicas
        self.rank = rank
        self.random_state = random_state
        self.epoch = 0
        self._share = -(-n_samples // num_replicas)
        self._position = 0
        self._begun = False

    def __len__(self) -> int:
        """Return the number of draws of this process per epoch."""
        return self._share

    def __iter__(self) -> Iterator[int]:
        """Iterate over the indices that this process draws in the epoch."""
        if self._begun:
            self._advance()
        self._begun = True
        indices = self._epoch_indices()[self.rank :: self.num_replicas].tolist()
        while self._position < len(indices):
            self._position += 1
            yield indices[self._position - 1]
        self._advance()

    def _advance(self) -> None:
        self.set_epoch(self.epoch + 1)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that the next iteration draws.

        Parameters
        ----------
        epoch : int
            Number of the epoch, from 0. If ``load_state_dict`` has loaded a position
            within this epoch, the position is kept.
        """
        if epoch != self.epoch or self._begun:
            self._position = 0
        self.epoch = epoch
        self._begun = False

    def state_dict(self) -> dict[str, int]:
        """Return the epoch, and the number of draws of this process in it.

        Returns
        -------
        dict of str to int
            ``"epoch"`` and ``"position"``.
        """
        return {"epoch": self.epoch, "position": self._position}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Continue from a position that ``state_dict`` has returned.

        Parameters
        ----------
        state_dict : dict of str to int
            Result of ``state_dict`` of a sampler with the same parameters.
        """
        self.epoch = state_dict["epoch"]
        self._position = state_dict["position"]
        self._begun = False

    def _generator(self, *key: object) -> torch.Generator:
        text = "/".join(map(str, (self.random_state, *key)))
        digest = hashlib.sha256(text.encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))

    def _epoch_indices(self) -> Tensor:
        """Return the indices of the epoch for all processes."""
        size = self._share * self.num_replicas
        n_classes = len(self._members)
        first = self.epoch * size
        slots = torch.arange(first, first + size)
        indices = torch.empty_like(slots)
        for i in range(n_classes):
            turns = slots % n_classes == i
            draws = slots[turns] // n_classes
            if len(draws):
                indices[turns] = self._draws(i, int(draws[0]), int(draws[-1]) + 1)
        generator = self._generator("order", self.epoch)
        return indices[torch.randperm(size, generator=generator)]

    def _draws(self, i: int, first: int, last: int) -> Tensor:
        """Return draws ``first`` to ``last - 1`` of class number ``i``."""
        members = self._members[i]
        rounds = max(1, _BLOCK // len(members))
        size = rounds * len(members)
        blocks = []
        for block in range(first // size, -(-last // size)):
            keys = torch.rand(
                (rounds, len(members)), generator=self._generator("class", i, block)
            )
            blocks.append(members[keys.argsort(1).flatten()])
        start = first // size * size
        return torch.cat(blocks)[first - start : last - start]
