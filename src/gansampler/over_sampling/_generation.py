"""Generate distinct synthetic samples of one class, chunk by chunk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torchvision.transforms.v2 import functional as tv

from gansampler.exceptions import ShortfallError
from gansampler.images import ImageSequence
from gansampler.over_sampling._samples import Chunk, ClassSamples, digest_of
from gansampler.training import Progress
from gansampler.translators import BaseTranslator

# Large enough for full batches, and small enough for any memory.
BYTES_PER_CHUNK = 2**24
# Random rotations of a source that are tried to get a distinct translation.
MAX_RETRIES = 9
MAX_SHIFT = 3
# All shifts by whole pixels, the smallest first; the first one changes nothing.
SHIFTS = sorted(
    np.ndindex(2 * MAX_SHIFT + 1, 2 * MAX_SHIFT + 1),
    key=lambda at: (at[0] - MAX_SHIFT) ** 2 + (at[1] - MAX_SHIFT) ** 2,
)
# Standard deviation of the noise, as a share of each feature's among the sources.
ROW_JITTER = 0.1
RANDOM_ROTATION = 8
ALLOW_MORE = (
    "If the images have no orientation, allow more versions with horizontal_flip=True "
    "and vertical_flip=True in the translator. Otherwise use more sources "
    "(source='rest'), or ask for fewer."
)


class Flips(NamedTuple):
    """The flips that leave a source a plausible image."""

    horizontal: bool
    vertical: bool

    @classmethod
    def of(cls, translator: Any) -> Flips:
        """Return the flips that the parameters of a translator allow."""
        names = ("horizontal_flip", "vertical_flip")
        return cls(*(bool(getattr(translator, name, False)) for name in names))

    @property
    def n_versions(self) -> int | None:
        """The number of versions of a source image; None if it is unlimited."""
        return None if all(self) else len(SHIFTS) * (1 + any(self))


def check_n_versions(
    translator: Any, n_new: int, n_sources: int, label: object
) -> None:
    """Refuse a number of synthetic images for which there are too few sources.

    Parameters
    ----------
    translator : BaseTranslator
    n_new : int
        Number of synthetic images.
    n_sources : int
    label : object
        Label of the class, for the message.

    Raises
    ------
    ShortfallError
        If the images cannot all be distinct.
    """
    n_versions = Flips.of(translator).n_versions
    if n_versions is not None and n_new > n_versions * n_sources:
        raise ShortfallError(
            f"All synthetic images must be distinct. {n_new} for class {label!r} are "
            f"too many for {n_sources} sources, each of which has {n_versions} "
            f"versions: shifts by up to {MAX_SHIFT} pixels and the flips that the "
            f"translator allows. {ALLOW_MORE}"
        )


def draw_sources(n_sources: int, n_new: int, seed: int | list[int]) -> np.ndarray:
    """Draw the source of each synthetic sample; no source twice before all were drawn.

    Parameters
    ----------
    n_sources : int
    n_new : int
    seed : int or list of int

    Returns
    -------
    chosen : ndarray of int of shape (n_new,)
        Positions among the sources.
    """
    rng = np.random.default_rng(seed)
    n_rounds = -(-n_new // n_sources)
    return np.concatenate([rng.permutation(n_sources) for _ in range(n_rounds)])[:n_new]


def samples_per_chunk(images: ImageSequence) -> int:
    """Return the number of samples of a chunk, all of the size of these."""
    return max(1, BYTES_PER_CHUNK // max(images.take([0]).nbytes, 1))


def generate(
    translator: BaseTranslator,
    source: ImageSequence,
    chosen: np.ndarray,
    *,
    seed: int,
    label: object = None,
    finished: Mapping[int, list[bytes]] | None = None,
    n_before: int = 0,
    seen: set[bytes] | None = None,
    verbose: int = 0,
) -> Iterator[Chunk]:
    """Yield translations of the chosen sources, in order; all images are distinct.

    The first use of a source takes the sample itself, each further use another
    version of it. The chunks follow from the arguments alone. So a run that skips
    finished chunks generates the others as a run that generates all of them.

    Parameters
    ----------
    translator : BaseTranslator
        Fitted.
    source : ImageSequence
        The samples to translate.
    chosen : ndarray of int of shape (n_new,)
        Result of :func:`draw_sources`.
    seed : int
        Seed of random rotations and of noise.
    label : object, default=None
        Label of the class, for messages.
    finished : mapping of int -> list of bytes, default=None
        Digests of the chunks that exist already, by their start. They are skipped.
    n_before : int, default=0
        Number of samples that an earlier call has generated, which are skipped.
    seen : set of bytes, default=None
        Digests of images that are not to be generated. Those of the generated images,
        and of the finished ones, are added to it.
    verbose : int, default=0
        Progress is shown from 1.

    Yields
    ------
    chunk : Chunk

    Raises
    ------
    ShortfallError
        If there is no further distinct image.
    """
    n_new = len(chosen)
    n_rounds = -(-n_new // len(source))
    finished = {} if finished is None else finished
    seen = set() if seen is None else seen
    progress = Progress(n_new - n_before, f"translating to {label}", shown=verbose > 0)
    size = samples_per_chunk(source)
    noise_scale = None
    if not source.is_image and n_rounds > 1:
        all_rows = source.take(np.arange(len(source))).astype(np.float64)
        noise_scale = ROW_JITTER * all_rows.std(axis=0)
    try:
        for start in range(n_before, n_new, size):
            rows = np.arange(start, min(start + size, n_new))
            if start in finished:
                seen.update(finished[start])
                progress.update(len(rows))
                continue
            # The round in which a source is used is the number of its version.
            versions = rows // len(source)
            rng = np.random.default_rng([seed, start + 1])
            if not source.is_image:
                inputs = source.take(chosen[rows]).astype(np.float64)
                if noise_scale is not None:
                    again = np.flatnonzero(versions)
                    noise = rng.standard_normal((len(again), inputs.shape[1]))
                    inputs[again] += noise_scale * noise
                # The inputs are floating; `restore` gives the dtype of X.
                translated = torch.from_numpy(translator.translate(inputs))
                samples, digests = source.restore(translated), []
            else:
                samples, digests = _distinct_images(
                    translator, source, chosen[rows], versions, n_rounds, rng, seen
                )
            if samples is None:
                raise ShortfallError(
                    f"All synthetic images must be distinct. Of {n_new} for class "
                    f"{label!r}, only {len(seen)} were made: the translator gives "
                    "equal images for all versions of a source. It may have collapsed "
                    "to one output, or the sources may be uniform: look at the "
                    f"sources, and train for longer. {ALLOW_MORE}"
                )
            yield Chunk(start, samples, digests)
            progress.update(len(rows))
    finally:
        progress.close()


class Translations(ClassSamples):
    """Translations of the samples of a source, all distinct if they are images.

    Parameters
    ----------
    translator : BaseTranslator
        Fitted.
    images : ImageSequence
        The originals.
    source : ndarray of int of shape (n_source,)
        Positions of the samples that are translated.
    n_new : int
    seed : int
    label : object
        Label of the class, for messages.

    Attributes
    ----------
    source : ImageSequence
        The samples that are translated.
    digests : set of bytes
        Hashes of the images that were generated.
    """

    def __init__(
        self,
        translator: Any,
        images: ImageSequence,
        source: np.ndarray,
        n_new: int,
        *,
        seed: int,
        label: object,
    ) -> None:
        self.translator, self.n_new, self.seed = translator, n_new, seed
        self.source = images.subset(source)
        self.is_finished = getattr(translator, "is_finished_", True)
        self.digests: set[bytes] = set()
        self._images, self._label = images, label
        self._chosen = draw_sources(len(source), n_new, seed)
        self.parents = source[self._chosen]

    @property
    def name(self) -> str:
        """Class of the translator, and a hash of a translation."""
        translated = self.translator.translate(self._images.take([0]))
        digest = hashlib.blake2b(translated.tobytes(), digest_size=4).hexdigest()
        return f"{type(self.translator).__name__}-{digest}"

    def chunks(
        self, finished: Mapping[int, list[bytes]], *, verbose: int
    ) -> Iterator[Chunk]:
        """Yield translations of the sources, in order."""
        return generate(
            self.translator,
            self.source,
            self._chosen,
            seed=self.seed,
            label=self._label,
            finished=finished,
            seen=self.digests,
            verbose=verbose,
        )

    def scores(self, samples: np.ndarray) -> list[float | None]:
        """Return the scores of the discriminator, if there is one."""
        if not hasattr(self.translator, "realism_score"):
            return super().scores(samples)
        computed = self.translator.realism_score(samples)
        return [round(float(score), 6) for score in computed]


def _distinct_images(translator, source, chosen, versions, n_rounds, rng, seen):
    """Return images and their digests, or None for the images if some stay equal."""
    flips = Flips.of(translator)

    def translate(chosen, versions):
        images = source.take(chosen)
        for i in np.flatnonzero(versions):
            images[i] = _version_of(images[i], int(versions[i]), flips, rng)
        return translator.translate(images)

    n_versions = flips.n_versions
    if n_versions is not None:
        versions = versions % n_versions
    samples = translate(chosen, versions)
    digests = [digest_of(sample) for sample in samples]
    pending = _repeated(digests, np.arange(len(samples)), seen)
    for attempt in range(n_versions or MAX_RETRIES):
        if not len(pending):
            break
        if n_versions is None:
            others = np.full(len(pending), RANDOM_ROTATION)
        else:
            # First the versions that no round uses, in the end all of them.
            others = (versions[pending] + n_rounds + attempt) % n_versions
        samples[pending] = translate(chosen[pending], others)
        for row in pending:
            digests[row] = digest_of(samples[row])
        pending = _repeated(digests, pending, seen)
    return (None if len(pending) else samples), digests


def _repeated(digests: list[bytes], rows: np.ndarray, seen: set[bytes]) -> np.ndarray:
    """Return the rows that equal an earlier image, and add the others to `seen`."""
    repeated = []
    for row in rows:
        if digests[row] in seen:
            repeated.append(row)
        seen.add(digests[row])
    return np.asarray(repeated, dtype=np.intp)


def _version_of(
    image: np.ndarray, version: int, flips: Flips, rng: np.random.Generator
) -> np.ndarray:
    """Return a version of an image of shape (height, width, n_channels).

    With both flips, 1 to 7 are the flips and turns by 90 degrees (1 to 3 if the image
    is not square), and all others are random rotations. Without, the versions are
    shifts, each with and without the flip that is allowed.
    """
    if all(flips):
        is_square = image.shape[0] == image.shape[1]
        if version >= (RANDOM_ROTATION if is_square else 4):
            return _rotate(image, rng.uniform(0, 360), rng.random() < 0.5)
        if version & 1:
            image = image[:, ::-1]
        if version & 2:
            image = image[::-1]
        return image.transpose(1, 0, 2) if version & 4 else image
    if any(flips):
        version, is_flipped = divmod(version, 2)
        if is_flipped:
            image = np.flip(image, axis=1 if flips.horizontal else 0)
    height, width = image.shape[:2]
    top, left = SHIFTS[version]
    padded = _reflect(image, MAX_SHIFT)
    return padded[top : top + height, left : left + width]


def _reflect(image: np.ndarray, margin: int) -> np.ndarray:
    return np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")


def _rotate(image: np.ndarray, angle: float, is_flipped: bool) -> np.ndarray:
    """Return an image rotated by any angle, with its reflection in the corners."""
    height, width = image.shape[:2]
    if is_flipped:
        image = image[:, ::-1]
    # No corner is further from the centre than half the diagonal.
    padded = _reflect(image, int(np.hypot(height, width) / 2) + 1)
    tensor = torch.from_numpy(np.ascontiguousarray(padded)).permute(2, 0, 1).float()
    rotated = tv.rotate(tensor, angle, interpolation=tv.InterpolationMode.BILINEAR)
    cropped = tv.center_crop(rotated, [height, width]).permute(1, 2, 0).numpy()
    if image.dtype == np.uint8:
        cropped = np.rint(cropped)
    return cropped.astype(image.dtype)
