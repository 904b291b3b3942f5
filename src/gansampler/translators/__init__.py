"""Unpaired translation from a source domain to a target domain."""

from gansampler.translators._base import BaseTranslator
from gansampler.translators._cut import CUT
from gansampler.translators._cyclegan import CycleGAN
from gansampler.translators._pool import ImagePool
from gansampler.translators._task import TranslationTask

__all__ = ["CUT", "BaseTranslator", "CycleGAN", "ImagePool", "TranslationTask"]
