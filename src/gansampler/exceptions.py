"""Errors and warnings of gansampler.

All errors inherit from :class:`GANSamplerError`, and all warnings from
:class:`GANSamplerWarning`. Errors also inherit from a built-in error, such as
ValueError or OSError, so that code written for scikit-learn handles them.
"""

__all__ = [
    "CheckpointError",
    "CheckpointWarning",
    "GANSamplerError",
    "GANSamplerWarning",
    "ImageFileError",
    "LongTrainingWarning",
    "ModelFileError",
    "OutOfMemoryError",
    "ProcessFailedError",
    "ShortfallError",
    "TrainingDivergedError",
    "TrainingRestoredWarning",
    "TrainingStoppedWarning",
    "TranslationFailedError",
    "TranslationFailedWarning",
    "WeightsDownloadError",
]


class GANSamplerError(Exception):
    """Base class of the errors of gansampler."""


class TrainingDivergedError(GANSamplerError, ArithmeticError):
    """A loss or a weight is NaN or infinite, so that the networks are of no use."""


class TranslationFailedError(GANSamplerError, RuntimeError):
    """The translations show that a translator's training failed."""


class CheckpointError(GANSamplerError, OSError):
    """A checkpoint could not be written. The earlier ones are undamaged."""


class OutOfMemoryError(GANSamplerError, MemoryError):
    """Training needs more memory than the device has."""


class ProcessFailedError(GANSamplerError, RuntimeError):
    """Another of the processes that train together failed."""


class ShortfallError(GANSamplerError, RuntimeError):
    """Too few distinct samples were generated, or too few that pass the filters."""


class WeightsDownloadError(GANSamplerError, OSError):
    """Pretrained weights could not be downloaded."""


class ModelFileError(GANSamplerError, ValueError):
    """A file is damaged, or is not a model that gansampler saved."""


class ImageFileError(GANSamplerError, OSError):
    """An image file could not be decoded, or was changed or removed during use."""


class GANSamplerWarning(UserWarning):
    """Base class of the warnings of gansampler."""


class CheckpointWarning(GANSamplerWarning):
    """A checkpoint was skipped, or a finished run was read instead of trained."""


class LongTrainingWarning(GANSamplerWarning):
    """Training will take more than an hour, by the time of its first steps."""


class TrainingRestoredWarning(GANSamplerWarning):
    """A loss was NaN or infinite, and training continued from an earlier state."""


class TrainingStoppedWarning(GANSamplerWarning):
    """Training stopped before its last epoch. The fitted model can be used."""


class TranslationFailedWarning(GANSamplerWarning):
    """The translations show that a translator's training failed."""
