"""Adversarial losses, each for the discriminator and for the generator."""

from torch import Tensor
from torch.nn import functional as F


def least_squares_discriminator_loss(
    real_scores: Tensor, fake_scores: Tensor
) -> Tensor:
    r"""Least-squares loss of a discriminator.

    .. math::
        \tfrac{1}{2} \left(
            \mathbb{E} \left[ (D(x_{\text{real}}) - 1)^2 \right]
            + \mathbb{E} \left[ D(x_{\text{fake}})^2 \right]
        \right)

    CycleGAN and CUT use this loss [1]_.

    Parameters
    ----------
    real_scores : Tensor of any shape
        Scores of real images, without a sigmoid. Floating point.
    fake_scores : Tensor of any shape
        Scores of generated images, without a sigmoid. Floating point.

    Returns
    -------
    loss : Tensor of shape ()
        The loss, at least 0.

    See Also
    --------
    least_squares_generator_loss : The loss of the generator.

    References
    ----------
    .. [1] Mao, Li, Xie, Lau, Wang and Smolley, "Least squares generative adversarial
       networks", ICCV 2017.

    Examples
    --------
    >>> import torch
    >>> from gansampler.losses import least_squares_discriminator_loss
    >>> least_squares_discriminator_loss(torch.tensor([1.0]), torch.tensor([1.0]))
    tensor(0.5000)
    """
    return 0.5 * ((real_scores - 1).square().mean() + fake_scores.square().mean())


def least_squares_generator_loss(fake_scores: Tensor) -> Tensor:
    r"""Least-squares loss of a generator.

    .. math:: \mathbb{E} \left[ (D(x_{\text{fake}}) - 1)^2 \right]

    CycleGAN and CUT use this loss [1]_.

    Parameters
    ----------
    fake_scores : Tensor of any shape
        Scores of generated images, without a sigmoid. Floating point.

    Returns
    -------
    loss : Tensor of shape ()
        The loss, at least 0.

    See Also
    --------
    least_squares_discriminator_loss : The loss of the discriminator.

    References
    ----------
    .. [1] Mao, Li, Xie, Lau, Wang and Smolley, "Least squares generative adversarial
       networks", ICCV 2017.

    Examples
    --------
    >>> import torch
    >>> from gansampler.losses import least_squares_generator_loss
    >>> least_squares_generator_loss(torch.tensor([0.0, 1.0]))
    tensor(0.5000)
    """
    return (fake_scores - 1).square().mean()


def hinge_discriminator_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    r"""Hinge loss of a discriminator.

    .. math::
        \mathbb{E} \left[ \max(0, 1 - D(x_{\text{real}})) \right]
        + \mathbb{E} \left[ \max(0, 1 + D(x_{\text{fake}})) \right]

    Parameters
    ----------
    real_scores : Tensor of any shape
        Scores of real images, without a sigmoid. Floating point.
    fake_scores : Tensor of any shape
        Scores of generated images, without a sigmoid. Floating point.

    Returns
    -------
    loss : Tensor of shape ()
        The loss, at least 0.

    See Also
    --------
    hinge_generator_loss : The loss of the generator.

    References
    ----------
    .. [1] Lim and Ye, "Geometric GAN", arXiv:1705.02894, 2017.
    .. [2] Miyato, Kataoka, Koyama and Yoshida, "Spectral normalization for generative
       adversarial networks", ICLR 2018.

    Examples
    --------
    >>> import torch
    >>> from gansampler.losses import hinge_discriminator_loss
    >>> hinge_discriminator_loss(torch.tensor([2.0, 0.0]), torch.tensor([-2.0, 0.0]))
    tensor(1.)
    """
    return F.relu(1 - real_scores).mean() + F.relu(1 + fake_scores).mean()


def hinge_generator_loss(fake_scores: Tensor) -> Tensor:
    r"""Loss of a generator whose discriminator is trained with the hinge loss.

    .. math:: -\mathbb{E} \left[ D(x_{\text{fake}}) \right]

    Parameters
    ----------
    fake_scores : Tensor of any shape
        Scores of generated images, without a sigmoid. Floating point.

    Returns
    -------
    loss : Tensor of shape ()
        The loss. It has no lower bound.

    See Also
    --------
    hinge_discriminator_loss : The loss of the discriminator.

    References
    ----------
    .. [1] Lim and Ye, "Geometric GAN", arXiv:1705.02894, 2017.

    Examples
    --------
    >>> import torch
    >>> from gansampler.losses import hinge_generator_loss
    >>> hinge_generator_loss(torch.tensor([0.5, -1.5]))
    tensor(0.5000)
    """
    return -fake_scores.mean()


def non_saturating_discriminator_loss(
    real_scores: Tensor, fake_scores: Tensor
) -> Tensor:
    r"""Logistic loss of a discriminator.

    With the sigmoid :math:`\sigma`,

    .. math::
        -\mathbb{E} \left[ \log \sigma(D(x_{\text{real}})) \right]
        - \mathbb{E} \left[ \log (1 - \sigma(D(x_{\text{fake}}))) \right]

    Parameters
    ----------
    real_scores : Tensor of any shape
        Scores of real images, without a sigmoid. Floating point.
    fake_scores : Tensor of any shape
        Scores of generated images, without a sigmoid. Floating point.

    Returns
    -------
    loss : Tensor of shape ()
        The loss, at least 0.

    See Also
    --------
    non_saturating_generator_loss : The loss of the generator.

    References
    ----------
    .. [1] Goodfellow, Pouget-Abadie, Mirza, Xu, Warde-Farley, Ozair, Courville and
       Bengio, "Generative adversarial nets", NeurIPS 2014.

    Examples
    --------
    >>> import torch
    >>> from gansampler.losses import non_saturating_discriminator_loss
    >>> non_saturating_discriminator_loss(torch.zeros(1), torch.zeros(1))  # 2 log(2)
    tensor(1.3863)
    """
    return -(F.logsigmoid(real_scores).mean() + F.logsigmoid(-fake_scores).mean())


def non_saturating_generator_loss(fake_scores: Tensor) -> Tensor:
    r"""Non-saturating logistic loss of a generator.

    With the sigmoid :math:`\sigma`,

    .. math:: -\mathbb{E} \left[ \log \sigma(D(x_{\text{fake}})) \right]

    Its gradient stays large while the discriminator recognises every generated image,
    unlike that of :math:`\log (1 - \sigma(D(x_{\text{fake}})))` [1]_.

    Parameters
    ----------
    fake_scores : Tensor of any shape
        Scores of generated images, without a sigmoid. Floating point.

    Returns
    -------
    loss : Tensor of shape ()
        The loss, at least 0.

    See Also
    --------
    non_saturating_discriminator_loss : The loss of the discriminator.

    References
    ----------
    .. [1] Goodfellow, Pouget-Abadie, Mirza, Xu, Warde-Farley, Ozair, Courville and
       Bengio, "Generative adversarial nets", NeurIPS 2014.

    Examples
    --------
    >>> import torch
    >>> from gansampler.losses import non_saturating_generator_loss
    >>> non_saturating_generator_loss(torch.zeros(1))  # log(2)
    tensor(0.6931)
    """
    return -F.logsigmoid(fake_scores).mean()
