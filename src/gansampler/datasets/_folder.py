"""Images from one folder a class."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from gansampler.datasets._files import check_image_size, read_images

__all__ = ["load_image_folder"]


def load_image_folder(
    root: str | os.PathLike[str],
    *,
    image_size: int | tuple[int, int] | None,
    as_paths: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Load images from ``root/<class>/*``, with the folders' names as labels.

    Parameters
    ----------
    root : path-like
        Folder with one sub-folder a class. The images lie directly in these, in any
        format that Pillow opens, told by its extension in either case; hidden files
        and folders, other files and folders further down are passed over.
    image_size : int, tuple (height, width) or None
        Size in pixels that the images are resized to (bicubic, antialiased; the
        aspect ratio is not kept). None takes the files' own size, which must then
        be the same for all.
    as_paths : bool, default=False
        If True, nothing is decoded and the paths are returned; `image_size` is
        then not used.

    Returns
    -------
    X : ndarray of shape (n_samples, height, width, 3), uint8
        RGB images in [0, 255], turned upright as their EXIF orientation says and
        laid over white where they are transparent; or, with ``as_paths=True``,
        ndarray of str of shape (n_samples,) with their paths. Sorted by class, then
        by file name.
    y : ndarray of str of shape (n_samples,)
        The name of the folder of each.

    Raises
    ------
    NotADirectoryError
        If `root` is not a folder.
    OSError
        If image files are damaged.
    ValueError
        If `root` has no sub-folder, or one without images; if `image_size` is not
        one of the above; or if sizes differ with ``image_size=None``.

    See Also
    --------
    load_isic2016 : Load the images of the ISIC 2016 challenge.
    make_lesions : Draw lesions, without any data.

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
            f"`root` must be a folder with one sub-folder a class. Got {root}, which "
            f"{'is a file' if root.exists() else 'does not exist'}."
        )
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not _is_hidden(p))
    if not folders:
        raise ValueError(
            f"`root` must have one sub-folder a class. {root} has none. Move the "
            f"images of each class into a folder of its name, as {root / 'benign'}."
        )
    extensions = _image_extensions()
    files = {folder: _image_files(folder, extensions) for folder in folders}
    empty = [folder.name for folder in folders if not files[folder]]
    if empty:
        raise ValueError(
            f"Every class folder must hold at least one image. In {root} there is "
            f"none in {', '.join(map(repr, empty))}. Add images, or remove the folder."
        )
    paths = [path for folder in folders for path in files[folder]]
    y = np.array([path.parent.name for path in paths])
    if as_paths:
        return np.array([str(path) for path in paths]), y
    return read_images(paths, size), y


def _image_extensions() -> set[str]:
    """Extensions, with their dot, of the formats that Pillow reads."""
    known = Image.registered_extensions()
    return {extension for extension, name in known.items() if name in Image.OPEN}


def _image_files(folder: Path, extensions: set[str]) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in extensions and not _is_hidden(path) and path.is_file()
    )


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")
