"""Unpaired translation from a source domain to a target domain."""

from gansampler.translators._base import BaseTranslator
from gansampler.translators._cyclegan import CycleGAN

__all__ = ["BaseTranslator", "CycleGAN"]
