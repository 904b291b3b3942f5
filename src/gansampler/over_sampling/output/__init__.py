"""Where synthetic samples are stored: in an array, or in files of an output folder.

:func:`open_output` returns an output. Each class is written in three steps: ``seed``
returns the seed of its draws, ``open_class`` says which chunks are finished, and
``put`` stores each of the others. ``finish`` returns the samples, or the paths of their
files.
"""

from gansampler.over_sampling.output._outputs import open_output
from gansampler.over_sampling.output._settings import (
    RunIdentity,
    identify_translators,
)

__all__ = ["RunIdentity", "identify_translators", "open_output"]
