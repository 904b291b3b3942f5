"""Unreadable files are all named before any work starts, or are left out."""

import os
import re
import warnings

import numpy as np
import pytest
from PIL import Image, ImageFile

from gansampler.exceptions import GANSamplerWarning
from gansampler.images import ImageSequence

SHAPE = (12, 10, 3)


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


@pytest.fixture
def noise(rng):
    return rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)


def missing(folder, save, noise):
    return folder / "nowhere.png", "there is no such file"


def folder_for_file(folder, save, noise):
    return folder, "a folder, not a file"


def empty(folder, save, noise):
    (folder / "empty.png").touch()
    return folder / "empty.png", "an empty file"


def text_in_disguise(folder, save, noise):
    path = folder / "text.jpg"
    path.write_text("label,path\n1,a.jpg\n" * 20)
    return path, "no image that Pillow knows"


def dicom(folder, save, noise):
    path = folder / "scan.png"
    path.write_bytes(bytes(128) + b"DICM" + bytes(64))
    return path, r"a DICOM file.*convert it to PNG first, with dcmj2pnm"


def pipe(folder, save, noise):
    os.mkfifo(folder / "pipe.png")
    return folder / "pipe.png", "not a regular file"


def loop(folder, save, noise):
    (folder / "loop.png").symlink_to(folder / "loop.png")
    return folder / "loop.png", "symbolic links"


def null_character(folder, save, noise):
    return "a\0b.png", "null byte"


def no_path(folder, save, noise):
    return None, "the path is missing"


def not_a_number(folder, save, noise):
    return float("nan"), "the path is missing"


def empty_path(folder, save, noise):
    return "", "the path is missing"


def header_only(folder, save, noise):
    return cut(save(noise, "a.png"), 0.003), "no image that Pillow knows|damaged"


def truncated(kind):
    def make(folder, save, noise):
        return cut(save(noise, f"truncated.{kind}"), 0.6), "damaged"

    return make


def bomb(folder, save, noise):
    return save(Image.new("1", (200, 150)), "bomb.png"), "200 x 150 px, more than the"


def great_bomb(folder, save, noise):
    return save(Image.new("1", (400, 150)), "bomb.png"), "could be decompression bomb"


def floating(folder, save, noise):
    path = save(np.zeros((12, 10), np.float32), "a.tiff")
    return path, "32-bit pixels have no known range"


BAD = {
    make.__name__: make
    for make in (
        missing,
        folder_for_file,
        empty,
        text_in_disguise,
        dicom,
        pipe,
        loop,
        null_character,
        no_path,
        not_a_number,
        empty_path,
        header_only,
        bomb,
        great_bomb,
        floating,
    )
} | {
    f"truncated {kind}": truncated(kind)
    for kind in ("jpg", "png", "gif", "bmp", "tiff", "webp", "ppm")
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_named_with_row_and_reason_or_left_out(
    case, tmp_path, save, noise, files, monkeypatch
):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20_000)
    paths, X = files
    bad, reason = BAD[case](tmp_path, save, noise)
    mixed = [*paths[:2], bad, *paths[2:]]
    with pytest.raises(ValueError, match=rf"(?s)1 of 7 are not: row 2.*({reason})"):
        ImageSequence(mixed, image_shape=SHAPE)
    with pytest.warns(
        GANSamplerWarning, match=rf"1 of 7 .*row 2.*({reason})"
    ) as caught:
        images = ImageSequence(mixed, image_shape=SHAPE, on_error="skip")
    assert len(caught) == 1
    assert images.rows.tolist() == [0, 1, 3, 4, 5, 6]
    assert images.paths.tolist() == [str(path) for path in paths]
    np.testing.assert_array_equal(images.take(np.arange(6)), X)
    [(row, path, why)] = images.skipped
    assert (row, path) == (2, "" if reason.endswith("missing") else str(bad))
    assert re.search(reason.split(".*")[0], why)


def test_all_unreadable_files_are_in_one_error(files, tmp_path):
    paths, _ = files
    gone = [tmp_path / f"gone{i}.png" for i in range(14)]
    mixed = [gone[0], *paths, tmp_path, *gone[1:]]
    with pytest.raises(ValueError, match="15 of 21 are not: row 0 ") as caught:
        ImageSequence(mixed, image_shape=SHAPE)
    message = str(caught.value)
    assert f"row 7 ({tmp_path}): a folder" in message
    assert message.count("there is no such file") == 9
    assert "and 5 more" in message


@pytest.mark.usefixtures("no_privileges")
def test_files_without_permission_are_unreadable(files):
    paths, _ = files
    paths[1].chmod(0)
    with pytest.raises(ValueError, match=r"row 1 .*Permission denied"):
        ImageSequence(paths, image_shape=SHAPE)


def broken_inside(save, noise):
    """A PNG whose header and end are whole, and whose middle is not."""
    path = save(noise, "inside.png")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 400] = bytes(400)
    path.write_bytes(content)
    return path


def test_damage_inside_a_file_is_seen_when_it_is_decoded(files, save, noise):
    from gansampler.exceptions import GANSamplerError, ImageFileError

    path = broken_inside(save, noise)
    images = ImageSequence([*files[0], path], image_shape=SHAPE)
    images.take(np.arange(6))
    with pytest.raises(ImageFileError, match=r"Row 6 \(.*inside.png\): damaged") as e:
        images.take([0, 6])
    assert isinstance(e.value, GANSamplerError)
    assert isinstance(e.value, OSError)
    images.take([0])


def test_damage_inside_a_file_is_seen_at_once_with_skip(files, save, noise):
    path = broken_inside(save, noise)
    with pytest.warns(GANSamplerWarning, match=r"row 0 .*inside.png.*damaged"):
        images = ImageSequence([path, *files[0]], image_shape=SHAPE, on_error="skip")
    assert images.rows.tolist() == [1, 2, 3, 4, 5, 6]
    assert images.subset([5, 0]).rows.tolist() == [6, 1]
    np.testing.assert_array_equal(images.take([5, 0]), files[1][[5, 0]])


def test_skip_is_silent_where_all_is_well(files):
    images = ImageSequence(files[0], image_shape=SHAPE, on_error="skip")
    assert images.skipped == []
    assert images.rows.tolist() == list(range(6))


def test_nothing_left_is_an_error(tmp_path, save, noise):
    with pytest.raises(ValueError, match=r"1 of 1 are not: row 0"):
        ImageSequence([tmp_path], image_shape=SHAPE, on_error="skip")
    inside = broken_inside(save, noise)
    with pytest.raises(ValueError, match=r"one image must be readable.*row 0.*damaged"):
        ImageSequence([inside], image_shape=SHAPE, on_error="skip")


def test_truncated_files_are_read_where_pillow_is_told_to(save, noise, monkeypatch):
    path = cut(save(noise, "a.jpg"), 0.6)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert ImageSequence([path], image_shape=SHAPE).take([0]).shape == (1, *SHAPE)


@pytest.mark.parametrize("kind", ["jpg", "png", "gif"])
def test_bytes_after_the_end_do_no_harm(save, noise, kind):
    path = save(noise, f"a.{kind}")
    expected = ImageSequence([path], image_shape=SHAPE).take([0])
    with path.open("ab") as file:
        file.write(b"x" * 10_000)
    images = ImageSequence([path], image_shape=SHAPE)
    np.testing.assert_array_equal(images.take([0]), expected)


def test_no_warning_of_pillow_leaks(save, monkeypatch):
    path = save(Image.new("1", (200, 150)), "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20_000)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(ValueError, match="decompression bomb"):
            ImageSequence([path], image_shape=SHAPE)
    assert caught == []
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    ImageSequence([path], image_shape=SHAPE).take([0])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda path: path.unlink(), "it was removed since"),
        (lambda path: path.write_bytes(b"something else"), "it was changed since"),
        (lambda path: os.utime(path, (1, 1)), "it was changed since"),
    ],
    ids=["removed", "rewritten", "touched"],
)
def test_a_file_must_stay_as_it_was(files, change, reason):
    from gansampler.exceptions import ImageFileError

    paths, X = files
    images = ImageSequence(paths, image_shape=SHAPE)
    images.take([0])
    for path in paths[:2]:
        change(path)
    # What was decoded before is kept.
    np.testing.assert_array_equal(images.take([0]), X[:1])
    with pytest.raises(ImageFileError, match=rf"Row 1 \(.*1.png\): {reason}"):
        images.take([0, 1])


def test_on_error_is_one_of_two(files):
    with pytest.raises(ValueError, match=r"`on_error` must be one of .*'ignore'"):
        ImageSequence(files[0], image_shape=SHAPE, on_error="ignore")
