"""Images to try the samplers on: drawn on the spot, or read from a folder."""

from gansampler.datasets._folder import load_image_folder
from gansampler.datasets._isic2016 import load_isic2016
from gansampler.datasets._lesions import make_lesions

__all__ = ["load_image_folder", "load_isic2016", "make_lesions"]
