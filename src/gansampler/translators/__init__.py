"""Unpaired translation from a source domain to a target domain."""

from gansampler.translators._adversarial import AdversarialTranslator
from gansampler.translators._adversarial_task import AdversarialTask
from gansampler.translators._augmentation import augment
from gansampler.translators._base import BaseTranslator
from gansampler.translators._cut import CUT
from gansampler.translators._cyclegan import CycleGAN
from gansampler.translators._data import UnpairedData
from gansampler.translators._major_to_minor import MajorToMinor
from gansampler.translators._make import make_translator
from gansampler.translators._pool import ImagePool
from gansampler.translators._simgan import SimGAN
from gansampler.translators._task import TranslationTask

__all__ = [
    "CUT",
    "AdversarialTask",
    "AdversarialTranslator",
    "BaseTranslator",
    "CycleGAN",
    "ImagePool",
    "MajorToMinor",
    "SimGAN",
    "TranslationTask",
    "UnpairedData",
    "augment",
    "make_translator",
]
