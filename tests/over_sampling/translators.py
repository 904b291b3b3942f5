"""Translators whose output is known, for tests in this process and in others."""

import time

import numpy as np
import torch

from gansampler.translators import BaseTranslator


class Invert(BaseTranslator):
    """A translator whose output is known: the negative of the image."""

    def __init__(self, random_state=None, horizontal_flip=False, vertical_flip=False):
        self.random_state = random_state
        self.horizontal_flip = horizontal_flip
        self.vertical_flip = vertical_flip

    _parameter_constraints: dict = {
        "random_state": ["random_state"],
        "horizontal_flip": ["boolean"],
        "vertical_flip": ["boolean"],
    }

    def _fit(self, source, target):
        self.n_source_, self.n_target_ = len(source), len(target)
        self.seen_source_ = source.take(np.arange(len(source)))
        self.network_ = torch.nn.Identity()

    def _forward_network(self):
        return self.network_

    def translate(self, X):
        images = super().translate(X)
        return (255 if images.dtype == np.uint8 else 1) - images


class Collapsed(Invert):
    """A translator that gives one and the same image."""

    def translate(self, X):
        return np.zeros_like(X)


class Unsteady(Invert):
    """A translator that no second training gives again."""

    def _fit(self, source, target):
        super()._fit(source, target)
        self.shift_ = np.uint8(time.time_ns() // 1000 % 251 + 1)

    def translate(self, X):
        return super().translate(X) + self.shift_
