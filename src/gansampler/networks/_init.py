"""The initialisation of the CycleGAN paper."""

from torch import nn


def init_weights(module: nn.Module, std: float = 0.02) -> nn.Module:
    """Draw the weights of convolutions and linear layers from N(0, std^2).

    Their biases are set to 0.

    Parameters
    ----------
    module : Module
        Changed in place.
    std : float, default=0.02
        Standard deviation of the weights.

    Returns
    -------
    module : Module
        The same object.

    Examples
    --------
    >>> from torch import nn
    >>> from gansampler.networks import init_weights
    >>> layer = init_weights(nn.Conv2d(3, 8, 3))
    >>> float(layer.bias.detach().abs().max())
    0.0
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module
