"""A history of generated images for the discriminator (Shrivastava et al. 2017)."""

from typing import Any

import numpy as np
import torch

__all__ = ["ImagePool"]


class ImagePool:
    """Hand out a mix of new and earlier images, half and half.

    Until `size` images are held, new ones are stored and handed out. From then on
    each new image is, with probability 1/2, swapped for a stored one. Discriminators
    that see only the latest images let the generators go round in circles.

    Parameters
    ----------
    size : int
        Images held. 0 hands out every new image as it is.
    rng : numpy.random.Generator
        The only source of randomness, of this pool alone.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from gansampler.translators import ImagePool
    >>> pool = ImagePool(2, np.random.default_rng(0))
    >>> pool.query(torch.tensor([1.0, 2.0]))
    tensor([1., 2.])
    >>> mixed = pool.query(torch.tensor([3.0, 4.0]))
    >>> set(mixed.tolist()) <= {1.0, 2.0, 3.0, 4.0}
    True
    """

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.size = size
        self.rng = rng
        self.images: torch.Tensor | None = None
        self.n_held = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the images held, and the state of the randomness."""
        return {
            "images": None if self.images is None else self.images[: self.n_held],
            "rng": self.rng.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Take over what :meth:`state_dict` returned."""
        self.rng.bit_generator.state = state["rng"]
        self.images, self.n_held = None, 0
        if state["images"] is not None:
            held = state["images"].to(device)
            self.n_held = len(held)
            self.images = held.new_empty(self.size, *held.shape[1:])
            self.images[: self.n_held] = held

    def query(self, images: torch.Tensor) -> torch.Tensor:
        """Return as many images as are given, each new or from the history."""
        images = images.detach()
        if self.size == 0:
            return images
        if self.images is None:
            self.images = images.new_empty(self.size, *images.shape[1:])
        out = images.clone()
        for i in range(len(images)):
            if self.n_held < self.size:
                self.images[self.n_held] = images[i]
                self.n_held += 1
            elif self.rng.random() < 0.5:
                j = int(self.rng.integers(self.size))
                out[i] = self.images[j]
                self.images[j] = images[i]
        return out
