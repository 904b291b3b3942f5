"""The patch-wise contrastive loss (InfoNCE) of Park et al. (2020)."""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["patch_contrastive_loss"]


def patch_contrastive_loss(
    query: Tensor, key: Tensor, temperature: float = 0.07
) -> Tensor:
    r"""Return how badly each query tells its own key from the others of its image.

    With queries :math:`q_i` and keys :math:`k_j` of one image, of length 1, and the
    temperature :math:`\tau`, it is the mean over images and patches `i` of

    .. math::

        -\log \frac{\exp(q_i \cdot k_i / \tau)}{\sum_j \exp(q_i \cdot k_j / \tau)}

    Parameters
    ----------
    query, key : Tensor of shape (n_images, n_patches, n_features)
        Floating; scaled to length 1 here. Row `i` of both is the same place.
    temperature : float, default=0.07
        Of the softmax.

    Returns
    -------
    loss : Tensor of shape ()
        Non-negative; 0 for a single patch, and about ``log(n_patches)`` where all
        patches look alike.
    """
    n_images, n_patches, _ = query.shape
    query, key = F.normalize(query, dim=-1), F.normalize(key, dim=-1)
    logits = query @ key.transpose(1, 2) / temperature
    own = torch.arange(n_patches, device=query.device).repeat(n_images)
    return F.cross_entropy(logits.flatten(0, 1), own)
