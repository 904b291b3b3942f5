"""Every mode and kind of file comes out as uint8 of the shape that was asked for."""

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from gansampler.exceptions import GANSamplerWarning
from gansampler.images import ImageSequence

SHAPE = (16, 16, 3)


def read(path, shape=SHAPE, **options):
    return ImageSequence([path], image_shape=shape, **options).take([0])[0]


@pytest.fixture
def picture(rng):
    return rng.integers(0, 256, SHAPE, dtype=np.uint8)


@pytest.mark.parametrize("kind", ["png", "bmp", "tiff", "webp", "ppm", "gif"])
def test_lossless_files_hold_what_was_written(save, picture, kind):
    options = {"lossless": True} if kind == "webp" else {}
    grey = np.repeat(picture[:, :, :1], 3, axis=2)
    image = grey[:, :, 0] if kind == "gif" else picture
    path = save(image, f"a.{kind}", **options)
    np.testing.assert_array_equal(read(path), grey if kind == "gif" else picture)


def test_grey_is_repeated_and_colour_is_weighed(save, picture):
    grey = save(picture[:, :, 0], "grey.png")
    np.testing.assert_array_equal(read(grey)[:, :, 1], picture[:, :, 0])
    expected = picture @ [0.299, 0.587, 0.114]
    colour = read(save(picture, "colour.png"), (16, 16, 1))
    np.testing.assert_allclose(colour[:, :, 0], expected, atol=0.51)


def test_bilevel_is_black_and_white(save, picture):
    path = save(Image.fromarray(picture[:, :, 0] > 127), "a.png")
    np.testing.assert_array_equal(read(path)[:, :, 0], 255 * (picture[:, :, 0] > 127))


def test_palette_with_a_transparent_colour(save):
    image = Image.new("P", (16, 16), 1)
    image.putpalette([0, 0, 0, 200, 10, 20])
    image.putpixel((3, 4), 0)
    plain = read(save(image, "plain.png"))
    assert plain[4, 3].tolist() == [0, 0, 0]
    assert plain[0, 0].tolist() == [200, 10, 20]
    seen = read(save(image, "transparent.png", transparency=0))
    assert seen[4, 3].tolist() == [255, 255, 255]
    assert seen[0, 0].tolist() == [200, 10, 20]
    by_colour = read(save(image, "bytes.png", transparency=b"\0\xff"))
    np.testing.assert_array_equal(by_colour, seen)


@pytest.mark.parametrize("alpha", [0, 51, 255])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_laid_over_white_unless_it_is_asked_for(save, mode, alpha):
    colour = (100, 100, 100) if mode == "RGBA" else (100,)
    path = save(Image.new(mode, (16, 16), (*colour, alpha)), "a.png")
    expected = round(100 * alpha / 255 + 255 * (1 - alpha / 255))
    for n_channels in (1, 3):
        held = read(path, (16, 16, n_channels))
        assert held.shape == (16, 16, n_channels)
        assert abs(int(held[0, 0, 0]) - expected) <= 1
    assert read(path, (16, 16, 4))[0, 0].tolist() == [100, 100, 100, alpha]


def test_opaque_files_get_an_alpha_channel_if_asked(save, picture):
    held = read(save(picture, "a.png"), (16, 16, 4))
    np.testing.assert_array_equal(held[:, :, :3], picture)
    assert (held[:, :, 3] == 255).all()


def test_cmyk_is_converted(save):
    path = save(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "a.tiff")
    assert read(path)[0, 0].tolist() == [255, 0, 0]
    assert read(path, (16, 16, 1))[0, 0, 0] == 76


def test_lab_is_converted(save):
    transform = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    lab = ImageCms.applyTransform(Image.new("RGB", (16, 16), (200, 60, 30)), transform)
    np.testing.assert_allclose(read(save(lab, "a.tiff"))[0, 0], [200, 60, 30], atol=4)


@pytest.mark.parametrize("kind", ["png", "tiff", "pgm"])
def test_sixteen_bits_are_scaled_by_their_whole_range(save, kind):
    deep = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    held = read(save(deep, f"a.{kind}"), (16, 16, 1))
    np.testing.assert_array_equal(held.ravel(), np.arange(256))


@pytest.mark.parametrize(("largest", "factor"), [(4095, 16), (3000, 16), (900, 64)])
def test_a_small_part_of_sixteen_bits_is_warned_of(save, picture, largest, factor):
    deep = np.linspace(0, largest, 256).astype(np.uint16).reshape(16, 16)
    paths = [save(deep // 2, "a.png"), save(deep, "b.tiff"), save(picture, "c.png")]
    message = rf"largest value found is {largest}, in the first 2 .*by {factor}, or .*"
    with pytest.warns(GANSamplerWarning, match=message) as caught:
        images = ImageSequence(paths, (16, 16, 1))
    assert len(caught) == 1
    assert caught[0].filename == __file__
    # What the warning advises leads to the whole range.
    deep = np.minimum(deep.astype(int) * factor, 65535).astype(np.uint16)
    held = read(save(deep, "b.png"), (16, 16, 1))
    assert held.max() > 180 > 20 > images.take([0, 1]).max()


def test_sixteen_bits_are_not_warned_of_if_one_image_is_bright(save):
    deep = np.full((16, 16), 3000, np.uint16)
    paths = [save(deep, "dark.png"), save(deep * 20, "bright.png")]
    ImageSequence(paths, (16, 16, 1))
    ImageSequence([save(deep * 0, "black.png")], (16, 16, 1))


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_thirty_two_bits_are_refused(save, dtype):
    path = save(np.zeros((16, 16), dtype), "a.tiff")
    with pytest.raises(ValueError, match="no known range; save it with 8 or 16 bits"):
        read(path)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_images_are_turned_upright(save, orientation, kind):
    ramp = np.add.outer(np.arange(24) * 5, np.arange(16) * 8).astype(np.uint8)
    stored = Image.fromarray(np.repeat(ramp[:, :, None], 3, axis=2))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(stored, f"a.{kind}", exif=exif)
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image)
    shape = (*np.asarray(upright).shape[:2], 3)
    assert shape == ((24, 16, 3) if orientation < 5 else (16, 24, 3))
    np.testing.assert_array_equal(read(path, shape), np.asarray(upright))
    with pytest.raises(ValueError, match=rf"image_shape=\({shape[0]}, {shape[1]}, 3"):
        ImageSequence([path])


def test_damaged_exif_is_passed_over(save, picture):
    path = save(picture, "a.png", exif=b"Exif\0\0MM\0\x2a\xff\xff\xff\xff")
    np.testing.assert_array_equal(read(path), picture)


def test_of_frames_and_pages_the_first_is_taken_with_one_warning(save):
    frames = [Image.new("RGB", (16, 16), (v, v, v)) for v in (10, 250)]
    paths = [
        save(frames[0], name, save_all=True, append_images=frames[1:])
        for name in ("a.gif", "b.tiff", "c.png")
    ]
    with pytest.warns(GANSamplerWarning, match=r"3 files have several, .* row 0") as w:
        images = ImageSequence(paths, image_shape=SHAPE)
    assert len(w) == 1
    assert (images.take(np.arange(3)) == 10).all()


def half_and_half():
    """White to the left, black to the right, twice as wide as high."""
    wide = np.zeros((20, 40, 3), np.uint8)
    wide[:, :20] = 255
    return wide


def test_crop_keeps_the_ratio_and_the_middle(save):
    wide = half_and_half()
    wide[:, :9] = wide[:, 31:] = 120
    held = read(save(wide, "a.png"), (10, 10, 3), resize="crop")
    assert (held[:, :4] == 255).all()
    assert (held[:, 6:] == 0).all()


def test_stretch_keeps_everything(save):
    held = read(save(half_and_half(), "a.png"), (10, 10, 3), resize="stretch")
    assert (held[:, :4] == 255).all()
    assert (held[:, 6:] == 0).all()


def test_pad_adds_black(save):
    path = save(np.full((20, 40, 3), 255, np.uint8), "a.png")
    held = read(path, (10, 10, 3), resize="pad")
    assert (held[[0, 1, 8, 9]] == 0).all()
    assert (held[3:7] == 255).all()
    transparent = read(path, (10, 10, 4), resize="pad")
    assert transparent[0, 0].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("resize", ["crop", "stretch", "pad"])
@pytest.mark.parametrize("size", [(1, 300), (300, 1), (3, 3), (8, 9), (33, 64)])
def test_any_size_is_fit(save, resize, size):
    held = read(save(np.full((*size, 3), 200, np.uint8), "a.png"), resize=resize)
    assert held.shape == SHAPE
    assert 199 <= held.max() <= 201


def test_shrinking_is_antialiased(save):
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    held = read(save(stripes, "a.png"))
    assert np.ptp(held[:, 2:-2].astype(int)) <= 12
    assert abs(held.mean() - 127.5) < 2


def test_large_jpegs_look_as_if_decoded_in_full(save):
    y, x = np.mgrid[:512, :768] / 40
    waves = 127 + 60 * np.sin(y) + 60 * np.cos(x)
    photo = np.stack([waves, waves.T[:512, :512].repeat(2, 1)[:, :768], 255 - waves], 2)
    path = save(photo.astype(np.uint8), "a.jpg", quality=95)
    with Image.open(path) as image:
        full = ImageOps.fit(image, (32, 32), Image.Resampling.BICUBIC)
    difference = np.abs(read(path, (32, 32, 3)).astype(int) - np.asarray(full))
    assert difference.mean() < 2
    grey = np.abs(read(path, (32, 32, 1))[:, :, 0].astype(int) - full.convert("L"))
    assert grey.mean() < 2


def test_resize_is_one_of_three(save, picture):
    with pytest.raises(ValueError, match=r"`resize` must be one of .*'squash'"):
        read(save(picture, "a.png"), resize="squash")
