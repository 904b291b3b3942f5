"""Task 3 of the ISIC 2016 challenge, from a local folder."""

import csv
import os
from pathlib import Path

import numpy as np

from gansampler.datasets._files import check_image_size, read_images

_SPLITS = {"train": "Training", "test": "Test"}
_LABELS = {
    "benign": "benign",
    "malignant": "malignant",
    0.0: "benign",
    1.0: "malignant",
}


def load_isic2016(
    root: str | os.PathLike[str],
    *,
    split: str = "train",
    image_size: int | tuple[int, int] | None = 256,
    as_paths: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Load the dermoscopic images of ISIC 2016, task 3 (benign or malignant).

    `root` contains the unpacked archives of the challenge; nothing is downloaded. The
    complete challenge has 900 images for training (727 benign, 173 malignant) and 379
    for testing (304 and 75). The images that the ground-truth file in `root` lists are
    loaded, in its order.

    Parameters
    ----------
    root : path-like
        Folder with the images and labels of each split::

            ISBI2016_ISIC_Part3_Training_Data/ISIC_0000000.jpg ...
            ISBI2016_ISIC_Part3_Training_GroundTruth.csv
            ISBI2016_ISIC_Part3_Test_Data/ISIC_0000003.jpg ...
            ISBI2016_ISIC_Part3_Test_GroundTruth.csv

    split : {"train", "test"}, default="train"
        Which part to load.
    image_size : int, tuple (height, width) or None, default=256
        Size in pixels that the images are resized to (bicubic, antialiased; the
        aspect ratio is not kept). None keeps the size of the files, which must then
        be the same for all.
    as_paths : bool, default=False
        If True, return the paths and decode nothing. `image_size` is then ignored.

    Returns
    -------
    X : ndarray of shape (n_samples, height, width, 3), uint8
        RGB images in [0, 255]. With ``as_paths=True``, ndarray of str of shape
        (n_samples,) with their paths.
    y : ndarray of str of shape (n_samples,)
        "benign" or "malignant".

    Raises
    ------
    FileNotFoundError
        If the folder, the ground truth, or images that it lists do not exist.
    OSError
        If image files are damaged.
    ValueError
        If `split` or `image_size` is invalid, if a line of the ground truth is
        invalid, or if sizes differ with ``image_size=None``.

    See Also
    --------
    fetch_isic2016 : Download the images first.
    load_image_folder : Load images from one folder per class.
    make_lesions : Generate images of lesions.

    Notes
    -----
    The ground-truth files of the challenge have no header. They use two formats:
    ``ISIC_0000000,benign`` for training, and ``ISIC_0000003,0`` for testing, where 1
    (or 1.0) is malignant.

    The images are in the public domain (CC0).

    References
    ----------
    .. [1] D. Gutman, N. C. F. Codella, E. Celebi, B. Helba, M. Marchetti, N. Mishra
       and A. Halpern, "Skin lesion analysis toward melanoma detection: a challenge
       at the International Symposium on Biomedical Imaging (ISBI) 2016, hosted by
       the International Skin Imaging Collaboration (ISIC)", arXiv:1605.01397, 2016.

    Examples
    --------
    Write two generated images in the layout of the challenge, and load them:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from gansampler.datasets import load_isic2016, make_lesions
    >>> folder = tempfile.TemporaryDirectory()
    >>> root = Path(folder.name)
    >>> (root / "ISBI2016_ISIC_Part3_Test_Data").mkdir()
    >>> for name, lesion in zip("ab", make_lesions(2, random_state=0)[0]):
    ...     path = root / "ISBI2016_ISIC_Part3_Test_Data" / f"{name}.jpg"
    ...     Image.fromarray(lesion).save(path)
    >>> truth = root / "ISBI2016_ISIC_Part3_Test_GroundTruth.csv"
    >>> _ = truth.write_text("a,0\nb,1\n")
    >>> X, y = load_isic2016(root, split="test", image_size=32)
    >>> X.shape, y.tolist()
    ((2, 32, 32, 3), ['benign', 'malignant'])
    >>> folder.cleanup()
    """
    stem = split_stem(split)
    size = check_image_size(image_size)
    root = Path(root).expanduser()
    folder = root / f"{stem}_Data"
    truth = root / f"{stem}_GroundTruth.csv"
    absent = [p for p in (folder, truth) if not p.exists()]
    if absent:
        raise FileNotFoundError(
            f"`root` must hold the folder {folder.name} and the file {truth.name}. "
            f"Not found: {' and '.join(map(str, absent))}. Get the training and test "
            "data and ground truth of the 2016 challenge, task 3 (ISBI 2016, part 3), "
            "from the challenge site of the ISIC archive and unpack them into `root`, "
            "or let fetch_isic2016 do so."
        )
    names, labels = read_ground_truth(truth)
    paths = [folder / f"{name}.jpg" for name in names]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        others = f" and {len(missing) - 1} others" if len(missing) > 1 else ""
        raise FileNotFoundError(
            f"{truth.name} lists {len(paths)} images, of which {len(missing)} are not "
            f"there: {missing[0]}{others}. Unpack the whole archive, or take the "
            "lines of missing images out of the file."
        )
    y = np.array(labels)
    if as_paths:
        return np.array([str(path) for path in paths]), y
    return read_images(paths, size), y


def split_stem(split: str) -> str:
    """Return the common prefix of the folder and the ground truth of a split."""
    if split not in _SPLITS:
        raise ValueError(f"`split` must be 'train' or 'test'. Got {split!r}.")
    return f"ISBI2016_ISIC_Part3_{_SPLITS[split]}"


def read_ground_truth(path: Path) -> tuple[list[str], list[str]]:
    """Return the names of the images (without .jpg) and their labels."""
    names, labels = [], []
    with path.open(newline="", encoding="utf-8-sig") as file:
        for number, row in enumerate(csv.reader(file), start=1):
            if not row:
                continue
            label = _parse_label(row[1]) if len(row) == 2 else None
            if label is None:
                raise ValueError(
                    "A line of the ground truth must be a name and a label, the label "
                    "'benign' or 'malignant', 0 or 1. Got "
                    f"{','.join(row)!r} in line {number} of {path}. Use the file as "
                    "the challenge published it."
                )
            names.append(row[0].strip())
            labels.append(label)
    if not names:
        raise ValueError(
            f"The ground truth must list at least one image. {path} is empty. Use the "
            "file as the challenge published it."
        )
    return names, labels


def _parse_label(text: str) -> str | None:
    text = text.strip()
    try:
        return _LABELS.get(float(text))
    except ValueError:
        return _LABELS.get(text)
