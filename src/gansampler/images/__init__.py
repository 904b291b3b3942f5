"""One sequence for every form in which users hold images.

Outside, images are NHWC arrays, NHW grey arrays, flattened rows, paths of files, a
data frame with a column of paths, or a torch data set; feature rows pass as they are.
Inside, a batch is a float32 tensor: NCHW with values in [-1, 1], or rows as they are.
:class:`ImageSequence` knows the way in and the way back, and copies or decodes nothing
until a batch is asked for.
"""

from gansampler.images._batches import chunks, flip_chosen
from gansampler.images._decode import RESIZE, decode_file, to_array
from gansampler.images._forms import find_form, stack_images
from gansampler.images._lazy import count_threads
from gansampler.images._sequence import ImageSequence
from gansampler.images._shapes import check_image_shape

__all__ = [
    "RESIZE",
    "ImageSequence",
    "check_image_shape",
    "chunks",
    "count_threads",
    "decode_file",
    "find_form",
    "flip_chosen",
    "stack_images",
    "to_array",
]
