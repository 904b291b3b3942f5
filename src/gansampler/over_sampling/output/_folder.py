"""The output folder of one run: this file decides where images are written.

Each class has a folder. Beside the class folders are ``manifest.csv`` and
``manifest.json``, which are written when all images exist, and the journal. Files are
compared by their bytes: a run that resumes another generates the missing chunks, and
writes only the files that are missing or damaged. If the training of a translator went
on, it replaces all images of its class.

Two processes that make the same call take turns, class by class. The second one waits
for a lock and then finds the files written. The system releases the lock if its owner
dies.
"""

from __future__ import annotations

import errno
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

from gansampler._validation import to_python_scalar
from gansampler.exceptions import GANSamplerWarning
from gansampler.images import ImageSequence
from gansampler.over_sampling._plan import ClassPlan
from gansampler.over_sampling._samples import ClassSamples, Rejection
from gansampler.over_sampling.output._class_files import ClassFiles
from gansampler.over_sampling.output._disk import (
    make_writable,
    refuse_source_folders,
    visible_files,
)
from gansampler.over_sampling.output._encoding import (
    check_channels,
    estimate_bytes,
)
from gansampler.over_sampling.output._journal import (
    Journal,
    TranslatorEntry,
)
from gansampler.over_sampling.output._manifest import write_manifest, write_rejected
from gansampler.over_sampling.output._names import (
    LOCK,
    folder_names,
)
from gansampler.over_sampling.output._settings import fingerprint, to_json
from gansampler.training import join_group, launched_from_outside


def is_first_process() -> bool:
    """Whether this process writes, of those that compute together."""
    return not launched_from_outside() or int(os.environ["RANK"]) == 0


def from_first_process(value: Any) -> Any:
    """Return the value of the first of the processes that compute together."""
    with join_group() as group:
        return group.from_first(value)


class FileOutput:
    """The files of the synthetic images of one call of the sampler.

    The first of several processes that compute together writes them.

    Parameters
    ----------
    output_dir : path-like
        ``"{run}"`` in it is replaced by the fingerprint of the run.
    output_format : {"png", "jpeg"}
    settings : dict
        JSON-able settings of the run. A folder takes the images of one run.
    images : ImageSequence
        The originals.
    plan : sequence of ClassPlan
    continues_training : bool
        Whether a second call continues the training of the translators.

    Attributes
    ----------
    path : Path
        The output folder.
    """

    def __init__(
        self,
        output_dir: str | os.PathLike[str],
        output_format: str,
        settings: dict[str, Any],
        images: ImageSequence,
        plan: Sequence[ClassPlan],
        *,
        continues_training: bool,
    ) -> None:
        check_channels(images.n_channels, output_format)
        self._run = fingerprint(settings)
        self._continues_training = continues_training
        # A run with more epochs may continue this one.
        self._n_epochs = settings.get("n_epochs")
        settings = {key: v for key, v in settings.items() if key != "n_epochs"}
        self.path = Path(os.fspath(output_dir).replace("{run}", self._run)).expanduser()
        self._format, self._settings, self._images = output_format, settings, images
        self._names = folder_names(grown.label for grown in plan)
        # No part of the settings: a run that resumes another uses the seeds of that.
        self._classes: dict[str, dict[str, Any]] = {
            self._names[label]: {"label": to_json(label), "n_new": int(n), "seed": seed}
            for label, n, *_, seed in plan
        }
        self._journal = Journal(self.path)
        self._lock = filelock.FileLock(self.path / LOCK)
        self._paths: list[str] = []
        # None without quality filters.
        self._rejections: list[tuple[object, Rejection]] | None = None

    def open(self) -> None:
        """Begin a run in the folder, or find the run that is to be resumed.

        Raises
        ------
        ValueError
            If the folder is a folder of originals, contains other files or another
            run, or is of a training that this call would not continue.
        OSError
            If it cannot be written to, or if the images will not fit on the disk.
        """
        if not is_first_process():
            return
        paths = () if self._images.paths is None else self._images.paths
        refuse_source_folders(self.path, {str(Path(path).parent) for path in paths})
        make_writable(self.path)
        bytes_per_image = estimate_bytes(self._images, self._format)
        if self._is_free():
            with self._locked():
                # Another process may have begun a run since.
                if self._is_free():
                    self._check_space(bytes_per_image)
                    header = {"settings": self._settings, "classes": self._classes}
                    self._journal.begin(header)
        self._classes = self._check_settings()["classes"]
        self._check_n_epochs()
        self._check_space(bytes_per_image)

    def _is_free(self) -> bool:
        """Whether a run can begin here; refuse a folder with other files.

        A run that ended before its first image leaves the folder free.
        """
        header, files = self._journal.header(), visible_files(self.path)
        if header is None and files:
            raise ValueError(
                "`output_dir` must be empty, new, or contain an earlier run of the "
                f"sampler. {str(self.path)!r} contains {files[0]!r}, and no record of "
                "such a run. Pass another, or empty it."
            )
        return header is None or (header["settings"] != self._settings and not files)

    def _check_settings(self) -> dict[str, Any]:
        """Return the header of the journal; refuse that of another run."""
        header = self._journal.header() or {"settings": {}}
        found = header["settings"]
        names = sorted(found.keys() | self._settings.keys())
        other = [name for name in names if found.get(name) != self._settings.get(name)]
        if other:
            raise ValueError(
                "`output_dir` takes the images of one run. The same data and "
                f"parameters resume it. {str(self.path)!r} contains another run, "
                f"which differs in {', '.join(other)}. Pass another output_dir, delete "
                "that folder, or put {run} into the name, as in "
                "output_dir='synthetic/{run}': then each run has a separate folder, "
                "which cross-validation needs."
            )
        return header

    def _check_n_epochs(self) -> None:
        """Refuse a number of epochs for which no training can be continued."""
        entries = filter(None, map(self._journal.translator, self._classes))
        known = [entry.n_epochs for entry in entries if entry.n_epochs is not None]
        longest = max(known, default=None)
        if longest is None or self._n_epochs in (None, longest):
            return
        found = (
            f"The images in {str(self.path)!r} are by translators with "
            f"n_epochs={longest}. Got n_epochs={self._n_epochs}."
        )
        if self._n_epochs < longest:
            raise ValueError(
                f"A training can be continued, but not shortened. {found} Pass "
                f"n_epochs={longest} or more, or another output_dir."
            )
        if not self._continues_training:
            raise ValueError(
                "A training can be continued if the trainer has a `checkpoint_dir`. "
                f"{found} Without checkpoints, all translators would be trained from "
                "the beginning. Pass another output_dir, or delete that folder. To be "
                "able to raise n_epochs later, pass "
                "trainer=Trainer(checkpoint_dir=...) to the translator from the start."
            )

    def _check_space(self, bytes_per_image: int) -> None:
        n_missing = sum(described["n_new"] for described in self._classes.values())
        if visible_files(self.path):
            for name in self._classes:
                chunks = self._journal.chunks(name).values()
                n_missing -= sum(len(chunk.images) for chunk in chunks)
        needed = n_missing * bytes_per_image
        free = shutil.disk_usage(self.path).free
        if needed > free:
            raise OSError(
                errno.ENOSPC,
                f"The synthetic images must fit on the disk. {n_missing} files of "
                f"about {bytes_per_image / 1e3:.0f} kB need {needed / 1e6:.1f} MB; "
                f"{str(self.path)!r} has {free / 1e6:.1f} MB free. Make space, pass "
                "another output_dir or output_format='jpeg', or ask for fewer.",
            )

    def is_begun(self) -> bool:
        """Whether a translator has begun to write images; in the first process."""
        return is_first_process() and any(map(self._journal.translator, self._classes))

    def seed(self, label: object) -> int:
        """Return the seed of a class; that of the run that is resumed, if any."""
        return from_first_process(self._classes[self._names[label]]["seed"])

    @contextmanager
    def open_class(self, label: object, samples: ClassSamples) -> Iterator[ClassFiles]:
        """Lock the folder, to write the images of a class that are missing.

        Parameters
        ----------
        label : object
        samples : ClassSamples

        Yields
        ------
        class_files : ClassFiles

        Raises
        ------
        OSError
            If a file cannot be written.

        Warns
        -----
        GANSamplerWarning
            If the images of an earlier translator are replaced.
        """
        files = ClassFiles(
            self.path, self._names[label], self._format, self._images, samples
        )
        entry = TranslatorEntry(
            self._names[label], samples.name, samples.is_finished, self._n_epochs
        )
        if is_first_process():
            with self._locked():
                # Another process may have begun a run during the training.
                self._check_settings()
                if files.open(self._journal, entry):
                    self._warn_replaced(label)
                from_first_process(files.finished)
                yield files
        else:
            files.finished = from_first_process(None)
            yield files
        self._paths += [str(self.path / name) for name in files.names]
        rejections = samples.rejections()
        if rejections is not None:
            known = self._rejections or []
            self._rejections = known + [(to_json(label), r) for r in rejections]

    def finish(self) -> list[str]:
        """Write the manifest; return the paths when all processes can read the files.

        Returns
        -------
        paths : list of str
            In the order of the classes.
        """
        if is_first_process():
            with self._locked():
                write_manifest(self.path, self._classes, self._run)
                if self._rejections is not None:
                    write_rejected(self.path, self._rejections)
        from_first_process(None)
        return self._paths

    def _warn_replaced(self, label: object) -> None:
        """Say why the images of a class are written anew."""
        reason = "its translator was trained for longer"
        advice = ""
        if not self._continues_training:
            reason = "its translator was trained from the beginning, to other weights"
            advice = (
                " To continue a training, pass trainer=Trainer(checkpoint_dir=...) to "
                "the translator."
            )
        warnings.warn(
            f"The synthetic images of class {to_python_scalar(label)!r} in "
            f"{str(self.path)!r} are "
            f"replaced, because {reason}.{advice}",
            GANSamplerWarning,
            stacklevel=5,
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            warnings.warn(
                f"Another process is writing to {str(self.path)!r}. This process "
                "waits for it.",
                GANSamplerWarning,
                stacklevel=2,
            )
            self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()
