"""Images in any form as one lazy sequence.

Users pass images as NHWC arrays, NHW grey arrays, flattened rows, paths of files, a
data frame with a column of paths, or a torch data set; or they pass feature rows.
Networks get batches of float32: NCHW images in [-1, 1], or unchanged feature rows.
:class:`ImageSequence` converts in both directions. It copies and decodes nothing before
a batch is requested.
"""

from gansampler.images._arrays import check_image_shape
from gansampler.images._batches import chunks, flip_chosen
from gansampler.images._decode import decode_file, to_array, warn_if_dark
from gansampler.images._forms import find_form, stack_images
from gansampler.images._lazy import count_threads
from gansampler.images._sequence import ImageSequence

__all__ = [
    "ImageSequence",
    "check_image_shape",
    "chunks",
    "count_threads",
    "decode_file",
    "find_form",
    "flip_chosen",
    "stack_images",
    "to_array",
    "warn_if_dark",
]
