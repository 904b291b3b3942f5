"""Major-to-minor translation, the networks: classifiers, and steps on the pixels."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from gansampler.backbones import full_precision

# The first noise has the length of 5 steps, as in the first implementation.
NOISE_STEPS = 5
N_ROUNDS = 8
MIN_LENGTH = 1e-12


class LinearClassifiers(nn.Module):
    """Two linear classifiers, source versus target, on the same frozen features.

    Parameters
    ----------
    features : Module
        Maps samples to features of shape (n_samples, n_features).
    n_features : int
    """

    noise_seed: torch.Tensor

    def __init__(self, features: nn.Module, n_features: int) -> None:
        super().__init__()
        self.features = features
        self.heads = nn.Linear(n_features, 2)
        # Beside the weights, because translations follow from both.
        self.register_buffer("noise_seed", torch.tensor(0))
        self.requires_grad_(False).eval()

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the logits of the target class, of shape (n_samples, 2)."""
        with full_precision(samples.device):
            return self.heads(self.features(samples.to(self.heads.weight.dtype)))


class TargetProbability(nn.Module):
    """The probability of the target class by the first classifier, (n_samples, 1)."""

    def __init__(self, classifier: LinearClassifiers) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the probabilities."""
        return self.classifier(samples)[:, :1].sigmoid()


class GradientSteps(nn.Module):
    """Change samples by gradient steps until the first classifier accepts them.

    Parameters
    ----------
    classifier : LinearClassifiers
    n_steps, step_size, lambda_source, gamma
        See :class:`MajorToMinor`; `step_size` in the units of the samples.
    is_image : bool
        Whether values stay in [-1, 1], and are accepted in steps of 8 bits.
    """

    def __init__(
        self,
        classifier: LinearClassifiers,
        *,
        n_steps: int,
        step_size: float,
        lambda_source: float,
        gamma: float,
        is_image: bool,
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self.n_steps, self.step_size = n_steps, step_size
        self.lambda_source, self.gamma = lambda_source, gamma
        self.is_image = is_image

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the changed samples."""
        # Networks are applied in inference mode, in which there are no gradients.
        with torch.inference_mode(False), torch.enable_grad():
            samples = samples.to(self.classifier.heads.weight.dtype, copy=True)
            result = self._clip(samples + self._noise(samples))
            pending = torch.arange(len(samples), device=samples.device)
            for number in range(N_ROUNDS):
                changed = result[pending]
                for _ in range(self.n_steps):
                    changed = self._step(changed, self.step_size * 2**number)
                result[pending] = changed
                pending = pending[~self._is_accepted(changed)]
                if not len(pending):
                    break
            return result

    def _step(self, samples: torch.Tensor, size: float) -> torch.Tensor:
        samples = samples.detach().requires_grad_(True)
        ours, other = self.classifier(samples).unbind(1)
        # Of two logits -z / 2 and z / 2, the first one is that of the source.
        losses = F.softplus(-ours) - self.lambda_source * other / 2
        (gradient,) = torch.autograd.grad(losses.sum(), samples)
        return self._clip(samples.detach() - size * _normalise(gradient))

    def _is_accepted(self, samples: torch.Tensor) -> torch.Tensor:
        if self.is_image:
            samples = ((samples + 1) * 127.5).round() / 127.5 - 1
        with torch.no_grad():
            return self.classifier(samples)[:, 0].sigmoid() >= self.gamma

    def _clip(self, samples: torch.Tensor) -> torch.Tensor:
        return samples.clamp(-1, 1) if self.is_image else samples

    def _noise(self, samples: torch.Tensor) -> torch.Tensor:
        """Return noise that follows from the values of each sample.

        So a sample has the same translation in every batch, and no two samples have
        the same noise, which a classifier would learn.
        """
        seed = int(self.classifier.noise_seed)
        rows = []
        for row in samples.detach().float().cpu().numpy():
            digest = hashlib.blake2b(row.tobytes(), digest_size=8).digest()
            rng = np.random.default_rng([seed, int.from_bytes(digest)])
            rows.append(rng.standard_normal(row.shape))
        noise = torch.from_numpy(np.stack(rows)).to(samples)
        return NOISE_STEPS * self.step_size * _normalise(noise)


def _normalise(samples: torch.Tensor) -> torch.Tensor:
    """Scale each sample to a root mean square of 1."""
    mean = samples.square().mean(tuple(range(1, samples.ndim)), keepdim=True)
    return samples / mean.sqrt().clamp_min(MIN_LENGTH)
