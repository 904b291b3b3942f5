"""Photographs as they come, and files as they break."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from gansampler.exceptions import ImageFileError
from gansampler.images import ImageSequence


def test_photographs_are_read_as_pillow_reads_them(isic2016_root):
    paths = sorted(isic2016_root.rglob("*.jpg"))[::40]
    images = ImageSequence(paths, image_shape=(200, 256, 3))
    assert len(images) > 10
    for row, image in enumerate(images.take(np.arange(len(paths)))):
        with Image.open(paths[row]) as opened:
            cropped = ImageOps.fit(opened, (256, 200), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(image, np.asarray(cropped))


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Cut bytes out, put others in, or change some."""
    changed = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(0, len(changed)))
        n = int(rng.integers(1, 30))
        match rng.integers(0, 4):
            case 0:
                del changed[at : at + n]
            case 1:
                changed[at:at] = rng.bytes(n)
            case 2:
                changed[at : at + n] = rng.bytes(n)
            case 3:
                del changed[at:]
        if not changed:
            return b"\0"
    return bytes(changed)


@pytest.mark.filterwarnings("ignore:Of a file with several frames")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_whatever_is_wrong_with_a_file_the_error_is_ours(
    kind, rng, tmp_path, monkeypatch
):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    picture = Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    path = tmp_path / "image"
    messages = []
    for _ in range(150):
        path.write_bytes(damaged(buffer.getvalue(), rng))
        try:
            held = ImageSequence([path], image_shape=(16, 16, 3)).take([0])
        except (ValueError, ImageFileError) as error:
            messages.append(str(error))
        else:
            assert held.shape == (1, 16, 16, 3)
    # Else nothing was tried.
    assert messages
    assert all(f"ow 0 ({path})" in message for message in messages)
