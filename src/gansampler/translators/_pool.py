"""A history of generated images for the discriminator (Shrivastava et al. 2017)."""

from typing import Any

import numpy as np
import torch


class ImagePool:
    """Return a mix of new and earlier images.

    Until `size` images are stored, new images are stored and returned. After that,
    each new image is exchanged for a stored one with probability 1/2. If a
    discriminator sees only the latest images, training can oscillate.

    Parameters
    ----------
    size : int
        Number of stored images. 0 means that new images are returned unchanged.
    rng : numpy.random.Generator
        Source of randomness.

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
        self.n_stored = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the stored images and the state of `rng`."""
        return {
            "images": None if self.images is None else self.images[: self.n_stored],
            "rng": self.rng.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Restore what :meth:`state_dict` returned."""
        self.rng.bit_generator.state = state["rng"]
        self.images, self.n_stored = None, 0
        if state["images"] is not None:
            stored = state["images"].to(device)
            self.n_stored = len(stored)
            self.images = stored.new_empty(self.size, *stored.shape[1:])
            self.images[: self.n_stored] = stored

    def query(self, images: torch.Tensor) -> torch.Tensor:
        """Return one image per given image: itself or a stored one."""
        images = images.detach()
        if self.size == 0:
            return images
        if self.images is None:
            self.images = images.new_empty(self.size, *images.shape[1:])
        out = images.clone()
        for i in range(len(images)):
            if self.n_stored < self.size:
                self.images[self.n_stored] = images[i]
                self.n_stored += 1
            elif self.rng.random() < 0.5:
                j = int(self.rng.integers(self.size))
                out[i] = self.images[j]
                self.images[j] = images[i]
        return out
