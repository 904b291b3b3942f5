"""A feature network as a module: prepare images, compute feature maps, pool."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

MIN_TRIED_SIDE, MAX_TRIED_SIDE = 8, 512


class Backbone(nn.Module):
    """Map images to features: normalisation, a network and global average pooling.

    Small images can be enlarged before.

    :func:`build_backbone` builds one from a name.

    Parameters
    ----------
    body : Module
        Network that maps normalised images of shape (n, in_channels, height, width) to
        feature maps of shape (n, n_features, h, w), or to feature vectors of shape
        (n, n_features).
    mean, std : sequence of float of length in_channels
        Mean and standard deviation of each channel, for values in [0, 1]. Images are
        normalised with them.
    norm : Module, default=None
        Layer that is applied to the pooled features, of shape (n, n_features). None
        means no layer.
    min_side : int, default=1
        Smaller side of the images in pixels. Images whose smaller side is shorter are
        enlarged (bicubic).

    Attributes
    ----------
    body : Module
        The network without its head.
    norm : Module
        Layer normalisation after the pooling in ConvNeXt and MaxViT of torchvision; an
        identity in other networks.

    See Also
    --------
    build_backbone : Build a backbone from its name, and load its weights.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from gansampler.backbones import Backbone
    >>> backbone = Backbone(nn.Conv2d(3, 5, 3), mean=[0.5] * 3, std=[0.5] * 3)
    >>> backbone(torch.zeros(4, 3, 8, 8)).shape
    torch.Size([4, 5])
    >>> [maps.shape for maps in backbone.stages(torch.zeros(4, 3, 8, 8))]
    [torch.Size([4, 5, 6, 6])]
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        body: nn.Module,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        norm: nn.Module | None = None,
        min_side: int = 1,
    ) -> None:
        super().__init__()
        self.body = body
        self.min_side = min_side
        self.norm = nn.Identity() if norm is None else norm
        for name, values in (("mean", mean), ("std", std)):
            tensor = torch.tensor(values, dtype=torch.float32)
            self.register_buffer(name, tensor.view(1, -1, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the pooled features.

        Parameters
        ----------
        images : Tensor of shape (n, in_channels, height, width)
            Images in [-1, 1].

        Returns
        -------
        features : Tensor of shape (n, n_features)
        """
        maps = self._feature_maps(self._prepare(images))
        with full_precision(maps.device):
            return self._pool(maps.to(self.mean.dtype))

    def stages(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the feature maps at each resolution, from fine to coarse.

        Parameters
        ----------
        images : Tensor of shape (n, in_channels, height, width)
            Images in [-1, 1].

        Returns
        -------
        maps : list of Tensor of shape (n, n_features, h, w)
            The last feature maps of each resolution. The list is empty if the network
            has no feature maps.
        """
        last: dict[torch.Size, torch.Tensor] = {}

        def keep(layer: nn.Module, args: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor) and output.ndim == 4:
                last[output.shape[2:]] = output

        layers = [self.body, *_layers_in_sequence(self.body)]
        handles = [layer.register_forward_hook(keep) for layer in layers]
        try:
            self.body(self._prepare(images))
        finally:
            for handle in handles:
                handle.remove()
        return sorted(last.values(), key=lambda maps: -maps.shape[2] * maps.shape[3])

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the size in which images of a size are processed.

        Parameters
        ----------
        height, width : int
            Size of the images in pixels.

        Returns
        -------
        size : tuple of (height, width)
            The same size, or the larger one that `min_side` requires.
        """
        scale = max(1.0, self.min_side / min(height, width))
        return round(scale * height), round(scale * width)

    def extra_repr(self) -> str:
        """Return the text of `min_side` for the repr of the module."""
        return f"min_side={self.min_side}"

    def _prepare(self, images: torch.Tensor) -> torch.Tensor:
        """Enlarge and normalise images."""
        height, width = images.shape[2:]
        size = self.input_size(height, width)
        if size != (height, width):
            images = F.interpolate(images, size, mode="bicubic", align_corners=False)
        images = ((images + 1) / 2 - self.mean) / self.std
        if images.device.type == "cpu":
            # Depthwise convolutions are 1.4 times as fast in this memory layout.
            images = images.contiguous(memory_format=torch.channels_last)
        return images

    def _feature_maps(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalised images to the input of :meth:`_pool`."""
        maps = self.body(images)
        is_tensor = isinstance(maps, torch.Tensor)
        if not is_tensor or maps.ndim not in (2, 4):
            got = f"shape {tuple(maps.shape)}" if is_tensor else type(maps).__name__
            raise TypeError(
                "A backbone must return feature maps of shape (n, n_features, h, w) or "
                f"features of shape (n, n_features), as a tensor. Got {got}. Wrap the "
                "network in a Module that returns one of these."
            )
        return maps

    def _pool(self, maps: torch.Tensor) -> torch.Tensor:
        return self.norm(maps.mean((2, 3)) if maps.ndim == 4 else maps)


def _layers_in_sequence(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers that run one after the other, in nested sequences too."""
    for child in module.children():
        yield child
        if isinstance(child, nn.Sequential):
            yield from _layers_in_sequence(child)


def full_precision(device: torch.device) -> AbstractContextManager:
    """Disable autocast. Rounded features and logits have ties, which lowers the AUC.

    Parameters
    ----------
    device : torch.device
        Device of the tensors.

    Returns
    -------
    context : context manager

    Examples
    --------
    >>> import torch
    >>> from gansampler.backbones import full_precision
    >>> a = torch.rand(2, 2)
    >>> with torch.autocast("cpu", dtype=torch.bfloat16):
    ...     rounded = a @ a
    ...     with full_precision(a.device):
    ...         exact = a @ a
    >>> rounded.dtype, exact.dtype
    (torch.bfloat16, torch.float32)
    """
    if device.type == "meta":
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def dry_run(module: nn.Module, shape: tuple[int, ...]) -> torch.Size:
    """Return the shape of a module's output, if possible without computing it.

    A module that cannot run without numbers is run on zeros, in evaluation mode.

    Parameters
    ----------
    module : Module
        The module. It stays as it is.
    shape : tuple of int
        Shape of the input.

    Returns
    -------
    shape : torch.Size
        Shape of the output.

    Examples
    --------
    >>> from torch import nn
    >>> from gansampler.backbones import dry_run
    >>> dry_run(nn.Conv2d(3, 8, 3), (1, 3, 10, 10))
    torch.Size([1, 8, 8, 8])
    """
    try:
        return _run_on_meta(module, shape)
    except Exception:
        modes = {part: part.training for part in module.modules()}
        tensors = chain(module.parameters(), module.buffers())
        device = next((tensor.device for tensor in tensors), None)
        try:
            with torch.no_grad():
                return module.eval()(torch.zeros(shape, device=device)).shape
        finally:
            for part, mode in modes.items():
                part.training = mode


def _run_on_meta(module: nn.Module, shape: tuple[int, ...]) -> torch.Size:
    tensors = {
        name: tensor.to("meta")
        for name, tensor in chain(module.named_parameters(), module.named_buffers())
    }
    with torch.no_grad():
        images = torch.zeros(shape, device="meta")
        return torch.func.functional_call(module, tensors, (images,)).shape


def check_image_size(
    network: nn.Module,
    backbone: str | nn.Module | Callable,
    shape: tuple[int, ...],
) -> torch.Size:
    """Raise an error if a network cannot be run on images of a shape.

    Parameters
    ----------
    network : Module
        Network that maps images of shape (n, n_channels, height, width) to features.
    backbone : str, Module or callable
        What the network was built from. The message names it.
    shape : tuple of (height, width, n_channels)
        Shape of the images.

    Returns
    -------
    output_shape : torch.Size
        Shape of the output for two images.

    Raises
    ------
    ValueError
        If the images do not fit. The message has the smallest size that fits.

    Examples
    --------
    >>> from gansampler.backbones import build_backbone, check_image_size
    >>> backbone = build_backbone("squeezenet1_1", weights=None)
    >>> check_image_size(backbone, "squeezenet1_1", (32, 32, 3))
    torch.Size([2, 512])
    """
    height, width, n_channels = shape
    try:
        return dry_run(network, (2, n_channels, height, width))
    except (RuntimeError, ValueError, AssertionError) as error:
        name = getattr(backbone, "__name__", type(backbone).__name__)
        name = backbone if isinstance(backbone, str) else name
        side = _smallest_side(network, n_channels)
        smallest = (
            f" The smallest images that {name} accepts are {side} x {side} px."
            if side
            else ""
        )
        raise ValueError(
            f"Images must have a size that the backbone accepts.{smallest} Got "
            f"{height} x {width} px ({error}). Resize the images, or choose another "
            "`backbone`."
        ) from error


def _smallest_side(network: nn.Module, n_channels: int) -> int | None:
    """Return the side of the smallest square images that a network accepts."""

    def fits(side: int) -> bool:
        try:
            _run_on_meta(network, (2, n_channels, side, side))
        except Exception:
            return False
        return True

    # In large steps first, because a trial takes up to half a second. A binary search
    # would be wrong: MaxViT accepts multiples of 224 px only.
    step = MIN_TRIED_SIDE
    coarse = next(filter(fits, range(step, MAX_TRIED_SIDE, step)), None)
    if coarse is None:
        return None
    return next(filter(fits, range(coarse - step + 1, coarse + 1)))
