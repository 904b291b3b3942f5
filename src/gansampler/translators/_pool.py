"""A history of generated images for the discriminator (Shrivastava et al. 2017)."""

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
        The only source of randomness.
    """

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.size = size
        self.rng = rng
        self.images: torch.Tensor | None = None
        self.n_held = 0

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
