"""What an image's shape must be."""

from __future__ import annotations

import operator

__all__ = ["MIN_SIDE", "check_image_shape"]

MIN_SIDE = 8


def check_image_shape(image_shape: object) -> tuple[int, int, int]:
    """Check that a shape is (height, width, n_channels) with sides from 8 px.

    Parameters
    ----------
    image_shape : sequence of 3 int
        Height, width and number of channels, in that order.

    Returns
    -------
    image_shape : tuple of 3 int

    Raises
    ------
    ValueError
        If it has another length, or if a number is too small.

    Examples
    --------
    >>> from gansampler.images import check_image_shape
    >>> check_image_shape([64, 48, 3])
    (64, 48, 3)
    """
    try:
        shape = tuple(map(operator.index, image_shape))  # type: ignore[call-overload]
    except (TypeError, ValueError):
        shape = ()
    if len(shape) != 3:
        raise ValueError(
            "`image_shape` must be (height, width, n_channels). "
            f"Got {image_shape!r}. Pass image_shape=(224, 224, 3) for RGB images, "
            "(224, 224, 1) for grey ones."
        )
    height, width, n_channels = shape
    if height in (1, 3, 4) and n_channels >= MIN_SIDE:
        raise ValueError(
            "`image_shape` must be (height, width, n_channels). Got "
            f"{shape}, which looks like channels first. Pass image_shape="
            f"{(width, n_channels, height)}, and the channels last in `X` too."
        )
    if min(height, width) < MIN_SIDE or n_channels < 1:
        raise ValueError(
            f"Images must be at least {MIN_SIDE} px high and wide and have at least "
            f"one channel. Got (height, width, n_channels) = {shape}. "
            "Resize the images before."
        )
    return height, width, n_channels
