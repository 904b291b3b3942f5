"""Images in one folder per class."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from gansampler.datasets._files import check_image_size, read_images


def load_image_folder(
    root: str | os.PathLike[str],
    *,
    image_size: int | tuple[int, int] | None = None,
    as_paths: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Load images from ``root/<class>/*``; the names of the folders are the labels.

    Parameters
    ----------
    root : path-like
        Folder with one sub-folder per class. Each sub-folder contains images in any
        format that Pillow reads, recognised by the file extension in lower or upper
        case. Hidden files and folders, other files and deeper folders are ignored.
    image_size : int or tuple (height, width), default=None
        Size in pixels that the images are resized to (bicubic, antialiased; the
        aspect ratio is not kept). None keeps the size of the files, which must then
        be the same for all.
    as_paths : bool, default=False
        If True, return the paths and decode nothing. `image_size` is then ignored.

    Returns
    -------
    X : ndarray of shape (n_samples, height, width, 3), uint8
        RGB images in [0, 255], rotated according to their EXIF orientation, on a
        white background if they are transparent. With ``as_paths=True``, ndarray of
        str of shape (n_samples,) with their paths. Sorted by class, then by file name.
    y : ndarray of str of shape (n_samples,)
        Name of the folder of each image.

    Raises
    ------
    NotADirectoryError
        If `root` is not a folder.
    OSError
        If image files are damaged.
    ValueError
        If `root` has no sub-folder, or one without images; if the sub-folders have
        the class folders in them, as in ``root/train/<class>``; if `image_size` is
        invalid; or if sizes differ with ``image_size=None``.

    Warns
    -----
    GANSamplerWarning
        If 16-bit grey files use a small part of their range and become almost black.

    See Also
    --------
    load_isic2016 : Load the images of the ISIC 2016 challenge.
    make_lesions : Generate images of lesions.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from gansampler.datasets import load_image_folder
    >>> folder = tempfile.TemporaryDirectory()
    >>> for label, n_images in {"cat": 3, "dog": 1}.items():
    ...     (Path(folder.name) / label).mkdir()
    ...     for i in range(n_images):
    ...         picture = Image.new("RGB", (40, 30), (250, 120, 10 * i))
    ...         picture.save(Path(folder.name) / label / f"{i}.png")
    >>> X, y = load_image_folder(folder.name, image_size=(24, 32))
    >>> X.shape, y.tolist()
    ((4, 24, 32, 3), ['cat', 'cat', 'cat', 'dog'])
    >>> folder.cleanup()
    """
    size = check_image_size(image_size)
    root = Path(root).expanduser()
    if not root.is_dir():
        raise NotADirectoryError(
            f"`root` must be a folder with one sub-folder per class. Got {root}, which "
            f"{'is a file' if root.exists() else 'does not exist'}."
        )
    folders = _folders_in(root)
    if not folders:
        raise ValueError(
            f"`root` must have one sub-folder per class. {root} has none. Pass the "
            "folder that contains the folders of the classes. If it has images of all "
            "classes, move those of each class into a folder, for example "
            f"{root / 'benign'}."
        )
    extensions = _image_extensions()
    files = {folder: _image_files(folder, extensions) for folder in folders}
    empty = [folder.name for folder in folders if not files[folder]]
    nested = [folder for folder in folders if _has_class_folders(folder, extensions)]
    if empty and nested:
        names = ", ".join(repr(folder.name) for folder in nested)
        # Synthetic images are for training.
        first = min(nested, key=lambda folder: "train" not in folder.name.lower())
        raise ValueError(
            f"`root` must have one sub-folder per class, with images in it. In {root}, "
            f"the class folders are one level deeper, in {names}. Pass "
            f"{str(first)!r}, for example."
        )
    if empty:
        raise ValueError(
            f"Every class folder must contain at least one image. In {root} there is "
            f"none in {', '.join(map(repr, empty))}. Add images, or remove the folder."
        )
    paths = [path for folder in folders for path in files[folder]]
    y = np.array([path.parent.name for path in paths])
    if as_paths:
        return np.array([str(path) for path in paths]), y
    return read_images(paths, size), y


def _image_extensions() -> set[str]:
    """Return the extensions, with the dot, of the formats that Pillow reads."""
    known = Image.registered_extensions()
    return {extension for extension, name in known.items() if name in Image.OPEN}


def _image_files(folder: Path, extensions: set[str]) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in extensions and not _is_hidden(path) and path.is_file()
    )


def _folders_in(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not _is_hidden(p))


def _has_class_folders(folder: Path, extensions: set[str]) -> bool:
    """Whether a folder has no images, but folders with images."""
    is_split = any(_image_files(part, extensions) for part in _folders_in(folder))
    return is_split and not _image_files(folder, extensions)


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")
