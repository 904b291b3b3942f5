"""The patch-wise contrastive loss (InfoNCE) of Park et al. (2020)."""

import torch
from torch import Tensor
from torch.nn import functional as F


def patch_contrastive_loss(
    query: Tensor, key: Tensor, temperature: float = 0.07
) -> Tensor:
    r"""Patch-wise contrastive loss (PatchNCE) of CUT.

    The loss is small if each query is similar to the key of the same place and not to
    the other keys of the same image. With queries :math:`q_i` and keys :math:`k_j` of
    one image, scaled to length 1, and the temperature :math:`\tau`, it is the mean over
    images and patches :math:`i` of

    .. math::
        -\log \frac{\exp(q_i \cdot k_i / \tau)}{\sum_j \exp(q_i \cdot k_j / \tau)}

    Parameters
    ----------
    query : Tensor of shape (n_images, n_patches, n_features)
        Features of the patches of the generated images. Floating point.
    key : Tensor of shape (n_images, n_patches, n_features)
        Features of the patches of the source images, at the same places. The gradient
        flows to them too; pass ``key.detach()`` to stop it.
    temperature : float, default=0.07
        Temperature of the softmax, above 0.

    Returns
    -------
    loss : Tensor of shape ()
        The loss, at least 0. It is 0 for a single patch, and ``log(n_patches)`` if all
        patches are the same.

    References
    ----------
    .. [1] Park, Efros, Zhang and Zhu, "Contrastive learning for unpaired image-to-image
       translation", ECCV 2020.

    Examples
    --------
    >>> import torch
    >>> from gansampler.losses import patch_contrastive_loss
    >>> features = torch.eye(4).unsqueeze(0)
    >>> patch_contrastive_loss(features, features, temperature=1.0)
    tensor(0.7437)
    >>> patch_contrastive_loss(torch.ones(1, 4, 3), torch.ones(1, 4, 3))  # log(4)
    tensor(1.3863)
    """
    n_images, n_patches, _ = query.shape
    query, key = F.normalize(query, dim=-1), F.normalize(key, dim=-1)
    logits = query @ key.transpose(1, 2) / temperature
    same_place = torch.arange(n_patches, device=query.device).repeat(n_images)
    return F.cross_entropy(logits.flatten(0, 1), same_place)
