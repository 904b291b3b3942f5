"""Image data sets: generated, loaded from a folder, or downloaded."""

from gansampler.datasets._folder import load_image_folder
from gansampler.datasets._isic2016 import load_isic2016
from gansampler.datasets._isic2016_fetch import fetch_isic2016
from gansampler.datasets._lesions import make_lesions

__all__ = [
    "fetch_isic2016",
    "load_image_folder",
    "load_isic2016",
    "make_lesions",
]
