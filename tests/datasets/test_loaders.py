import re

import numpy as np
import pytest
from PIL import Image

from gansampler.datasets import load_image_folder, load_isic2016
from gansampler.exceptions import GANSamplerWarning

TRAIN = "ISBI2016_ISIC_Part3_Training"
TEST = "ISBI2016_ISIC_Part3_Test"


def write_image(path, colour=(200, 120, 40), size=(12, 8), **options):
    """Write a picture of one colour; size is (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, **options)


def write_isic(root, stem, truth, extension=".jpg"):
    """Write a split whose images have the grey levels 0, 10, 20 ..."""
    rows = [line.split(",")[0] for line in truth.splitlines() if line]
    for level, name in enumerate(rows):
        path = root / f"{stem}_Data" / f"{name}{extension}"
        write_image(path, (10 * level,) * 3, quality=95)
    (root / f"{stem}_GroundTruth.csv").write_text(truth)


class TestISIC2016:
    def test_labels_in_words(self, tmp_path):
        truth = "ISIC_7,benign\nISIC_2,malignant\nISIC_5,benign\n"
        write_isic(tmp_path, TRAIN, truth)
        X, y = load_isic2016(tmp_path, image_size=(4, 6))
        assert X.shape == (3, 4, 6, 3)
        assert X.dtype == np.uint8
        assert y.tolist() == ["benign", "malignant", "benign"]
        assert y.dtype.kind == "U"
        # In the order of the file.
        np.testing.assert_allclose(X.mean(axis=(1, 2, 3)), [0, 10, 20], atol=1.5)

    @pytest.mark.parametrize(
        "truth", ["a,0\nb,1\n", "a,0.0\nb,1.0\n", "a, 0\r\nb, 1\r\n", "a,0\n\nb,1"]
    )
    def test_labels_in_numbers(self, tmp_path, truth):
        write_isic(tmp_path, TEST, "a,0\nb,1\n")
        (tmp_path / f"{TEST}_GroundTruth.csv").write_bytes(truth.encode())
        X, y = load_isic2016(str(tmp_path), split="test", image_size=5)
        assert X.shape == (2, 5, 5, 3)
        assert y.tolist() == ["benign", "malignant"]

    def test_byte_order_mark_is_no_part_of_a_name(self, tmp_path):
        write_isic(tmp_path, TEST, "a,0\n")
        (tmp_path / f"{TEST}_GroundTruth.csv").write_text("a,0\n", encoding="utf-8-sig")
        assert len(load_isic2016(tmp_path, split="test")[0]) == 1

    def test_as_paths_decodes_nothing(self, tmp_path):
        write_isic(tmp_path, TRAIN, "a,benign\nb,malignant\n")
        (tmp_path / f"{TRAIN}_Data" / "b.jpg").write_bytes(b"no image")
        X, y = load_isic2016(tmp_path, as_paths=True)
        folder = tmp_path / f"{TRAIN}_Data"
        assert X.tolist() == [str(folder / "a.jpg"), str(folder / "b.jpg")]
        assert X.dtype.kind == "U"
        assert y.tolist() == ["benign", "malignant"]

    def test_default_size(self, tmp_path):
        write_isic(tmp_path, TRAIN, "a,benign\n")
        assert load_isic2016(tmp_path)[0].shape == (1, 256, 256, 3)

    @pytest.mark.parametrize("as_paths", [False, True])
    def test_absent_images_are_counted(self, tmp_path, as_paths):
        write_isic(tmp_path, TRAIN, "a,benign\nb,benign\nc,benign\nd,malignant\n")
        for name in "bcd":
            (tmp_path / f"{TRAIN}_Data" / f"{name}.jpg").unlink()
        message = r"lists 4 images, of which 3 are not there: .*b\.jpg and 2 others\."
        with pytest.raises(FileNotFoundError, match=message):
            load_isic2016(tmp_path, as_paths=as_paths)

    def test_one_absent_image(self, tmp_path):
        write_isic(tmp_path, TRAIN, "a,benign\nb,benign\n")
        (tmp_path / f"{TRAIN}_Data" / "b.jpg").unlink()
        with pytest.raises(FileNotFoundError, match=r"1 are not there: .*b\.jpg\. "):
            load_isic2016(tmp_path)

    def test_missing_layout(self, tmp_path):
        with pytest.raises(FileNotFoundError) as error:
            load_isic2016(tmp_path, split="test")
        message = str(error.value)
        assert f"must hold the folder {TEST}_Data" in message
        assert f"the file {TEST}_GroundTruth.csv" in message
        assert message.count(str(tmp_path)) == 2
        assert "challenge site of the ISIC archive" in message

    def test_missing_ground_truth(self, tmp_path):
        write_isic(tmp_path, TRAIN, "a,benign\n")
        (tmp_path / f"{TRAIN}_GroundTruth.csv").unlink()
        message = rf"Not found: \S+{TRAIN}_GroundTruth\.csv\. "
        with pytest.raises(FileNotFoundError, match=message):
            load_isic2016(tmp_path)

    def test_unknown_split(self, tmp_path):
        with pytest.raises(ValueError, match="'train' or 'test'. Got 'validation'"):
            load_isic2016(tmp_path, split="validation")

    @pytest.mark.parametrize(
        "line", ["b,2", "b,nevus", "b", "b,benign,1", "b,nan", "image_id,target"]
    )
    def test_unknown_line(self, tmp_path, line):
        write_isic(tmp_path, TRAIN, "a,benign\n")
        (tmp_path / f"{TRAIN}_GroundTruth.csv").write_text(f"a,benign\n{line}\n")
        with pytest.raises(ValueError, match=f"Got '{line}' in line 2 of"):
            load_isic2016(tmp_path)

    def test_empty_ground_truth(self, tmp_path):
        write_isic(tmp_path, TRAIN, "a,benign\n")
        (tmp_path / f"{TRAIN}_GroundTruth.csv").write_text("")
        with pytest.raises(ValueError, match="at least one image"):
            load_isic2016(tmp_path)

    def test_real_images(self, isic2016_root):
        for split, expected in {"train": (618, 147), "test": (251, 65)}.items():
            paths, y = load_isic2016(isic2016_root, split=split, as_paths=True)
            assert ((y == "benign").sum(), (y == "malignant").sum()) == expected
            assert len(set(paths)) == len(paths) == len(y)
        X, y_again = load_isic2016(isic2016_root, split="test", image_size=32)
        np.testing.assert_array_equal(y, y_again)
        assert X.shape == (316, 32, 32, 3)
        # Skin is red before it is green or blue.
        assert (X.mean(axis=(1, 2)).argmax(axis=1) == 0).mean() > 0.9


class TestImageFolder:
    def test_sorted_by_class_and_name(self, tmp_path):
        write_image(tmp_path / "zebra" / "b.png", (10, 10, 10))
        write_image(tmp_path / "zebra" / "a.bmp", (20, 20, 20))
        write_image(tmp_path / "horse" / "c.png", (30, 30, 30))
        X, y = load_image_folder(tmp_path, image_size=(8, 12))
        assert X.shape == (3, 8, 12, 3)
        assert X.dtype == np.uint8
        assert X[:, 0, 0, 0].tolist() == [30, 20, 10]
        assert y.tolist() == ["horse", "zebra", "zebra"]

    def test_what_is_no_image_is_passed_over(self, tmp_path):
        write_image(tmp_path / "cat" / "A.JPG")
        write_image(tmp_path / "cat" / "b.Png")
        write_image(tmp_path / "cat" / ".hidden.png")
        write_image(tmp_path / "cat" / "deeper" / "c.png")
        write_image(tmp_path / ".cache" / "d.png")
        write_image(tmp_path / "outside.png")
        for name in ("labels.csv", "notes", "paper.pdf"):
            (tmp_path / "cat" / name).write_text("text")
        paths, y = load_image_folder(str(tmp_path), image_size=8, as_paths=True)
        folder = tmp_path / "cat"
        assert paths.tolist() == [str(folder / "A.JPG"), str(folder / "b.Png")]
        assert y.tolist() == ["cat", "cat"]
        assert load_image_folder(tmp_path, image_size=8)[0].shape == (2, 8, 8, 3)

    def test_root_must_be_a_folder(self, tmp_path):
        with pytest.raises(NotADirectoryError, match="nowhere, which does not exist"):
            load_image_folder(tmp_path / "nowhere", image_size=8)
        write_image(tmp_path / "a.png")
        with pytest.raises(NotADirectoryError, match="which is a file"):
            load_image_folder(tmp_path / "a.png", image_size=8)

    def test_root_without_class_folders(self, tmp_path):
        write_image(tmp_path / "a.png")
        with pytest.raises(ValueError, match="must have one sub-folder per class"):
            load_image_folder(tmp_path, image_size=8)

    def test_empty_class_folders_are_named(self, tmp_path):
        write_image(tmp_path / "cat" / "a.png")
        (tmp_path / "dog").mkdir()
        (tmp_path / "eel").mkdir()
        (tmp_path / "eel" / "readme.txt").write_text("none yet")
        with pytest.raises(ValueError, match="none in 'dog', 'eel'"):
            load_image_folder(tmp_path, image_size=8)

    def test_paths_need_no_size(self, tmp_path):
        write_image(tmp_path / "cat" / "a.png")
        paths, y = load_image_folder(tmp_path, as_paths=True)
        assert paths.tolist() == [str(tmp_path / "cat" / "a.png")]
        assert y.tolist() == ["cat"]

    def test_folder_of_splits(self, tmp_path):
        for split in ("test", "train", "val"):
            write_image(tmp_path / split / "cat" / "a.png")
        message = f"'test', 'train', 'val'. Pass {str(tmp_path / 'train')!r}"
        for options in ({"image_size": 8}, {"as_paths": True}):
            with pytest.raises(ValueError, match=re.escape(message)):
                load_image_folder(tmp_path, **options)


class TestImageFiles:
    """Decoding, which both loaders share."""

    def load_one(self, path, image_size=None):
        X, _ = load_image_folder(path.parents[1], image_size=image_size)
        assert len(X) == 1
        return X[0]

    @pytest.mark.parametrize(
        ("orientation", "restore"),
        [
            (1, lambda a: a),
            (2, lambda a: a[:, ::-1]),
            (3, lambda a: a[::-1, ::-1]),
            (4, lambda a: a[::-1]),
            (5, lambda a: a.transpose(1, 0, 2)),
            (6, lambda a: np.rot90(a, -1)),
            (7, lambda a: a[::-1, ::-1].transpose(1, 0, 2)),
            (8, lambda a: np.rot90(a)),
        ],
    )
    def test_exif_orientation_is_honoured(self, tmp_path, orientation, restore):
        stored = np.random.RandomState(0).randint(256, size=(6, 9, 3), dtype=np.uint8)
        path = tmp_path / "class" / "a.png"
        path.parent.mkdir()
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(stored).save(path, exif=exif)
        np.testing.assert_array_equal(self.load_one(path), restore(stored))

    def test_size_is_that_of_the_upright_image(self, tmp_path):
        stored = np.zeros((40, 80, 3), dtype=np.uint8)
        stored[:, :40] = 255  # the left half, which becomes the upper one
        path = tmp_path / "class" / "a.jpg"
        path.parent.mkdir()
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(stored).save(path, exif=exif, quality=95)
        image = self.load_one(path, (16, 10))
        assert image.shape == (16, 10, 3)
        assert image[:6].min() > 240
        assert image[-6:].max() < 15

    def test_shrinking_averages(self, tmp_path):
        """A fine chequerboard becomes grey, not one of its fields."""
        fields = np.indices((64, 64)).sum(axis=0) % 2 * 255
        path = tmp_path / "class" / "a.png"
        path.parent.mkdir()
        Image.fromarray(fields.astype(np.uint8)).save(path)
        image = self.load_one(path, 8)
        np.testing.assert_allclose(image[1:-1, 1:-1], 127.5, atol=3)

    def test_large_photographs_shrink_like_small_ones(self, tmp_path):
        ramp = np.linspace(0, 255, 960).astype(np.uint8)
        large = np.stack(np.broadcast_arrays(ramp[:, None], ramp, 128), axis=-1)
        path = tmp_path / "class" / "a.jpg"
        path.parent.mkdir()
        Image.fromarray(large.astype(np.uint8)).save(path, quality=95)
        expected = large.reshape(24, 40, 24, 40, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(self.load_one(path, 24), expected, atol=4)

    @pytest.mark.parametrize(
        ("mode", "value", "expected"),
        [
            ("L", 77, (77, 77, 77)),
            ("1", 1, (255, 255, 255)),
            ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
            ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
            ("I;16", 40 * 257, (40, 40, 40)),
            ("P", 0, None),
        ],
    )
    def test_modes_become_rgb(self, tmp_path, mode, value, expected):
        path = tmp_path / "class" / "a.png"
        path.parent.mkdir()
        image = Image.new(mode, (5, 4), value)
        if mode == "P":
            image.putpalette([9, 8, 7] * 256)
            image.save(path, transparency=bytes(256))
            expected = (255, 255, 255)
        else:
            image.save(path)
        np.testing.assert_array_equal(
            self.load_one(path), np.broadcast_to(expected, (4, 5, 3))
        )

    def test_sixteen_bit_files_of_twelve_bits_are_warned_of(self, tmp_path):
        path = tmp_path / "class" / "a.png"
        path.parent.mkdir()
        Image.new("I;16", (5, 4), 4000).save(path)
        with pytest.warns(GANSamplerWarning, match="largest value found is 4000"):
            self.load_one(path)

    def test_32_bit_pixels_are_refused(self, tmp_path):
        path = tmp_path / "class" / "a.tiff"
        path.parent.mkdir()
        Image.new("F", (4, 4), 0.5).save(path)
        with pytest.raises(OSError, match="1 of 1 .*32-bit pixels have no known range"):
            self.load_one(path, 4)

    def test_unreadable_files_are_listed_in_one_error(self, tmp_path):
        folder = tmp_path / "class"
        write_image(folder / "a.png")
        (folder / "b.png").write_bytes(b"no image")
        noise = np.random.RandomState(0).randint(256, size=(40, 40, 3), dtype=np.uint8)
        for name in ("c.jpg", "d.png"):
            Image.fromarray(noise).save(folder / name)
            whole = (folder / name).read_bytes()
            (folder / name).write_bytes(whole[: len(whole) // 2])
        (folder / "e.png").write_bytes(b"")
        with pytest.raises(OSError, match="^4 of 5 image files could not be") as error:
            load_image_folder(tmp_path, image_size=8)
        for name in ("b.png", "c.jpg", "d.png", "e.png"):
            assert f"{folder / name} (" in str(error.value)
        assert "a.png" not in str(error.value)

    def test_many_unreadable_files_are_counted(self, tmp_path):
        (tmp_path / "class").mkdir()
        for i in range(13):
            (tmp_path / "class" / f"{i:02}.png").write_bytes(b"no image")
        with pytest.raises(OSError, match=r"^13 of 13 .*09\.png .*; and 3 more\. "):
            load_image_folder(tmp_path, image_size=8)

    def test_own_sizes_must_agree(self, tmp_path):
        for i in range(3):
            write_image(tmp_path / "class" / f"{i}.png", size=(12, 8))
        X, _ = load_image_folder(tmp_path, image_size=None)
        assert X.shape == (3, 8, 12, 3)
        write_image(tmp_path / "class" / "3.png", size=(8, 12))
        message = r"Got 2 sizes \(height x width\): 3 of 8 x 12, 1 of 12 x 8\."
        with pytest.raises(ValueError, match=message):
            load_image_folder(tmp_path, image_size=None)
        assert load_image_folder(tmp_path, image_size=9)[0].shape == (4, 9, 9, 3)

    @pytest.mark.parametrize(
        "image_size", [0, -4, 2.5, "8", True, (8,), (8, 8, 3), (8, 0), (8, None)]
    )
    def test_image_size_is_checked(self, tmp_path, image_size):
        for load in (load_isic2016, load_image_folder):
            with pytest.raises(ValueError, match=r"`image_size` must be .* Got"):
                load(tmp_path, image_size=image_size)
