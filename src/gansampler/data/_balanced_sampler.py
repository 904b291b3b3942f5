"""A class-balanced sampler that is right under distributed training."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import Sampler

__all__ = ["BalancedSampler"]

# Draws of a class are made in blocks of whole permutations of about this size.
_BLOCK = 65536


class BalancedSampler(Sampler[int]):
    r"""Draw every class equally often, each sample of a class equally often.

    There is one endless stream of draws, in which the classes take turns. The draws of
    a class run through a random permutation of its samples, then through another, and
    so on: no sample comes a second time before all others of its class have come once.
    An epoch is the next ``n_samples`` draws in random order, of which each process
    takes its share. All of it follows from ``random_state`` and the epoch's number, so
    that nothing has to be communicated, and a run can be resumed anywhere.

    Parameters
    ----------
    y : sequence or array of shape (n,)
        Labels of the data set's samples, in its order; any type that sorts.
    n_samples : int, default=None
        Draws in an epoch over all processes, rounded up to a multiple of their number;
        None: ``len(y)``.
    num_replicas : int, default=None
        Number of processes; None: that of the default process group, or 1 without one.
    rank : int, default=None
        This process, from 0 to ``num_replicas - 1``; None: that in the default process
        group, or 0 without one.
    random_state : int, default=0
        Seed, the same in all processes. The global random states are left alone.

    Attributes
    ----------
    epoch : int
        The epoch that the next iteration draws.
    classes : list
        The labels that occur, sorted.

    Raises
    ------
    ValueError
        If ``y`` is empty, or a number is out of its range.

    See Also
    --------
    gansampler.losses.class_weights : Weigh the classes in the loss instead.

    Notes
    -----
    The epoch advances by itself: an iteration that follows another, whether that came
    to its end or was left, is a new draw. ``set_epoch`` sets it, as for
    ``torch.utils.data.DistributedSampler``.

    ``state_dict`` counts what has been drawn. A ``DataLoader`` with workers draws
    ahead of what it has given out; ``torchdata``'s ``StatefulDataLoader`` accounts for
    that.

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
                "`y` must hold one label a sample, in one dimension, and at least one. "
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
        """Return the number of draws of this process in an epoch."""
        return self._share

    def __iter__(self) -> Iterator[int]:
        """Iterate over this process's indices of the epoch."""
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
        """Draw epoch ``epoch`` next.

        Parameters
        ----------
        epoch : int
            Number of the epoch, from 0. A position within it that was loaded by
            ``load_state_dict`` is kept if this is the epoch that it belongs to.
        """
        if epoch != self.epoch or self._begun:
            self._position = 0
        self.epoch = epoch
        self._begun = False

    def state_dict(self) -> dict[str, int]:
        """Return the epoch, and how much of it this process has drawn.

        Returns
        -------
        dict of str to int
            ``"epoch"`` and ``"position"``.
        """
        return {"epoch": self.epoch, "position": self._position}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Continue where ``state_dict`` was taken.

        Parameters
        ----------
        state_dict : dict of str to int
            What ``state_dict`` returned, in a sampler of the same settings.
        """
        self.epoch = state_dict["epoch"]
        self._position = state_dict["position"]
        self._begun = False

    def _generator(self, *key: object) -> torch.Generator:
        text = "/".join(map(str, (self.random_state, *key)))
        digest = hashlib.sha256(text.encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))

    def _epoch_indices(self) -> Tensor:
        """Return the indices of the epoch, of all processes."""
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
