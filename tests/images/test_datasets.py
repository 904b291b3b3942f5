"""torch data sets of the map style."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, Subset, TensorDataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from gansampler.exceptions import GANSamplerWarning
from gansampler.images import ImageSequence

LABELS = ["dog", "cat", "dog", "dog", "cat", "cat"]


class Pairs(Dataset):
    """Images turned into some kind, with labels."""

    def __init__(self, X, kind, labels=LABELS):
        self.X, self.kind, self.labels, self.n_read = X, kind, labels, 0

    def __len__(self):
        return len(self.X)

    def __getitem__(self, index):
        self.n_read += 1
        return self.kind(self.X[index]), self.labels[index]


class Images(Pairs):
    def __getitem__(self, index):
        return self.kind(self.X[index])


def chw(image):
    return torch.from_numpy(image).permute(2, 0, 1)


KINDS = {
    "PIL": Image.fromarray,
    "uint8 tensor": chw,
    "float tensor": lambda image: chw(image) / 255,
    "float64 array": lambda image: image / 255,
    "uint8 array": lambda image: image,
    "tv_tensor": lambda image: v2.functional.to_image(Image.fromarray(image)),
}


@pytest.fixture
def X(rng):
    return rng.integers(0, 256, (6, 12, 10, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_items_become_uint8(kind, X):
    dataset = Pairs(X, KINDS[kind])
    images = ImageSequence(dataset)
    assert images.form == "dataset"
    assert images.paths is None
    assert images.sample_shape == (12, 10, 3)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images.take([5, 0]), X[[5, 0]])
    np.testing.assert_array_equal(images.subset([3, 2]).take([1]), X[2:3])
    np.testing.assert_array_equal(images.restore(images.batch([1])), X[1:2])
    n_read = dataset.n_read
    images.take([5, 0])
    assert dataset.n_read == n_read


@pytest.mark.parametrize("kind", ["PIL", "uint8 tensor", "float tensor", "uint8 array"])
def test_items_are_fit_to_the_image_shape(kind, X):
    fit = ImageSequence(Pairs(X, KINDS[kind]), (8, 8, 1), resize="stretch").take([2])
    expected = (
        Image.fromarray(X[2]).convert("L").resize((8, 8), Image.Resampling.BICUBIC)
    )
    np.testing.assert_array_equal(fit[0, :, :, 0], np.asarray(expected))


def test_an_item_keeps_its_dtype(X):
    # Between two values of 8 bits, so that rounding would show.
    values = ((X + 0.5) / 256).astype(np.float32)
    images = ImageSequence(Pairs(values, chw))
    assert images.take([2]).dtype == np.uint8
    assert images.subset([4, 2]).item(1).dtype == np.float32
    np.testing.assert_array_equal(images.item(2), values[2])
    fit = ImageSequence(Pairs(values, chw), (8, 8, 3))
    assert fit.item(2).dtype == np.float32
    np.testing.assert_allclose(fit.item(2), fit.take([2])[0] / 255, rtol=1e-6)
    for data in (X, Pairs(X, Image.fromarray), Pairs(X, chw)):
        np.testing.assert_array_equal(ImageSequence(data).item(2), X[2])


class Rows:
    """A data set of dicts with columns, as those of Hugging Face are."""

    def __init__(self, X, image="image", label="label", names=None):
        self.X, self.image, self.label, self.n_read = X, image, label, 0
        self.column_names = [image, label]
        self.features = {label: type("Feature", (), {"names": names} if names else {})}
        self.shape = (len(X), 2)

    def __len__(self):
        return len(self.X)

    def __getitem__(self, key):
        if key == self.label:
            return [int(label == "dog") for label in LABELS]
        self.n_read += 1
        return {
            self.image: Image.fromarray(self.X[key]),
            self.label: int(LABELS[key] == "dog"),
        }


def test_data_set_of_dicts(X):
    rows = Rows(X, names=["cat", "dog"])
    images = ImageSequence(rows)
    assert images.form == "dataset"
    assert images.classes == ["cat", "dog"]
    np.testing.assert_array_equal(images.take([5, 0]), X[[5, 0]])
    n_read = rows.n_read
    assert images.labels().tolist() == [1, 0, 1, 1, 0, 0]
    assert rows.n_read == n_read
    assert ImageSequence(Rows(X)).classes is None
    del rows.features
    assert ImageSequence(rows).classes is None
    with pytest.raises(TypeError, match=r"keys \['img', 'label'\].*row\['img'\]"):
        ImageSequence(Rows(X, image="img"))
    # A torch data set of dicts, whose labels are read with the items.
    pairs = [
        {"image": chw(image), "label": label}
        for image, label in zip(X, LABELS, strict=True)
    ]
    dicts = Images(np.arange(6), lambda i: pairs[i])
    assert ImageSequence(dicts).labels().tolist() == LABELS


def test_grey_items(X):
    grey = X[:, :, :, 0]
    for kind in (Image.fromarray, torch.from_numpy, lambda image: image):
        images = ImageSequence(Pairs(grey, kind))
        assert images.sample_shape == (12, 10, 1)
        np.testing.assert_array_equal(images.take([4])[0, :, :, 0], grey[4])


def test_items_of_many_channels(rng):
    X = rng.integers(0, 256, (3, 8, 9, 6), dtype=np.uint8)
    images = ImageSequence(Pairs(X, chw))
    np.testing.assert_array_equal(images.take([1]), X[1:2])
    with pytest.raises(ValueError, match=r"Item 0 is of \(8, 9, 6\), not of"):
        ImageSequence(Pairs(X, chw), (8, 8, 3)).take([0])


def test_upright_is_made_without_a_change_to_the_item(X, save):
    exif = Image.Exif()
    exif[0x0112] = 6
    held = Image.open(save(X[0], "a.png", exif=exif))
    held.load()
    dataset = Pairs(X[:1], lambda image: held, ["a"])
    images = ImageSequence(dataset, (10, 12, 3), cache=False)
    first, second = images.take([0]), images.take([0])
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first[0], np.rot90(X[0], -1))
    assert held.size == (10, 12)


def test_labels_are_those_of_the_items(X):
    dataset = Pairs(X, chw)
    images = ImageSequence(dataset)
    assert images.subset([4, 0]).labels().tolist() == ["cat", "dog"]
    assert images.labels().tolist() == LABELS
    # The first one tells the shape; then each is read once, with its label.
    assert dataset.n_read == 7
    images.take(np.arange(6))
    assert dataset.n_read == 7
    assert pickle.loads(pickle.dumps(images)).labels().tolist() == LABELS


@pytest.mark.parametrize("to_label", [int, np.int64, torch.tensor])
def test_labels_are_plain(X, to_label):
    dataset = Pairs(X, chw, [to_label(i % 2) for i in range(6)])
    labels = ImageSequence(dataset).labels()
    assert labels.dtype == np.int64
    assert labels.tolist() == [0, 1, 0, 1, 0, 1]


def test_labels_of_a_tensor_dataset(X):
    inputs = torch.from_numpy(X).permute(0, 3, 1, 2)
    images = ImageSequence(TensorDataset(inputs, torch.arange(6)))
    assert images.labels().tolist() == list(range(6))
    np.testing.assert_array_equal(images.take([3]), X[3:4])


def test_listed_labels_need_no_reading(X, tmp_path):
    for i, image in enumerate(X):
        folder = tmp_path / ["benign", "malignant"][i % 2]
        folder.mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / f"{i}.png")
    dataset = ImageFolder(tmp_path, transform=v2.PILToTensor())
    images = ImageSequence(dataset)
    (tmp_path / "malignant" / "5.png").unlink()
    assert images.labels().tolist() == [0, 0, 0, 1, 1, 1]
    assert images.classes == ["benign", "malignant"]
    part = Subset(Subset(dataset, [4, 0, 1]), [2, 0])
    held = ImageSequence(part)
    assert held.classes == ["benign", "malignant"]
    assert held.labels().tolist() == [0, 1]
    np.testing.assert_array_equal(held.take([0, 1]), X[[2, 3]])


def test_listed_labels_that_a_transform_changes_are_not_taken(X):
    dataset = Pairs(X, chw)
    dataset.targets, dataset.target_transform = [0] * 6, str
    assert ImageSequence(dataset).labels().tolist() == LABELS
    dataset.target_transform, dataset.targets = None, [0] * 5
    assert ImageSequence(dataset).labels().tolist() == LABELS


def test_items_without_labels(X):
    images = ImageSequence(Images(X, chw))
    np.testing.assert_array_equal(images.take([3]), X[3:4])
    with pytest.raises(ValueError, match=r"Item 0 has no label\. Pass `y`"):
        images.labels()


def test_arrays_and_files_have_no_labels(X, files):
    for images in (ImageSequence(X), ImageSequence(files[0], (12, 10, 3))):
        with pytest.raises(ValueError, match="Only a torch data set holds labels"):
            images.labels()


def test_items_that_fail_are_named_or_left_out(X):
    def kind(image):
        if (image == X[3]).all():
            raise KeyError("lost")
        return chw(image)

    images = ImageSequence(Pairs(X, kind))
    with pytest.raises(KeyError, match="lost") as caught:
        images.take([3])
    assert caught.value.__notes__ == ["It was raised by item 3 of the torch data set."]
    with pytest.warns(GANSamplerWarning, match="1 of 6 .*row 3: damaged: 'lost'"):
        images = ImageSequence(Pairs(X, kind), on_error="skip")
    assert images.rows.tolist() == [0, 1, 2, 4, 5]
    assert images.skipped == [(3, None, "damaged: 'lost'")]
    assert images.labels().tolist() == LABELS[:3] + LABELS[4:]


def test_a_small_part_of_sixteen_bits_is_warned_of(X):
    dataset = Pairs(X[..., 0].astype(np.uint16) * 16, Image.fromarray)
    with pytest.warns(GANSamplerWarning, match=r"have 12 bits.*divided by 4095"):
        ImageSequence(dataset)


class NoLength(Dataset):
    def __getitem__(self, index):
        return torch.zeros(3, 8, 8), 0


def test_fingerprint_is_that_of_the_pixels(X):
    dataset = ImageSequence(Pairs(X, chw))
    assert dataset.fingerprint() == ImageSequence(X).fingerprint()


BAD = {
    "no length": (lambda X: NoLength(), TypeError, "NoLength has no length"),
    "empty": (lambda X: Pairs(X[:0], chw), ValueError, "Got one of length 0"),
    "normalised": (
        lambda X: Pairs(X, lambda image: chw(image) / 127.5 - 1),
        ValueError,
        r"must lie in \[0, 1\]",
    ),
    "nan": (
        lambda X: Pairs(X, lambda image: torch.full((3, 8, 8), torch.nan)),
        ValueError,
        "NaN",
    ),
    "integers": (lambda X: Pairs(X, lambda i: chw(i).int()), ValueError, "int32"),
    "text": (lambda X: Pairs(X, lambda i: "a.png"), TypeError, "begins with str"),
    "dict": (
        lambda X: Images(X, lambda i: {"fine": 1, "img": i}),
        TypeError,
        r"keys \['fine', 'img'\].*\[row\['img'\] for row in X\] as `X`, and "
        r"\[row\['fine'\] for",
    ),
    "channels first": (
        lambda X: Pairs(X, lambda image: image.transpose(2, 0, 1)),
        ValueError,
        "looks like channels first",
    ),
    "batches": (
        lambda X: Pairs(X, lambda image: chw(image)[None]),
        ValueError,
        "two or three dimensions",
    ),
    "small": (lambda X: Pairs(X, lambda i: chw(i[:4])), ValueError, "at least 8 px"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_items_are_refused(case, X):
    make, error, message = BAD[case]
    with pytest.raises(error, match=message):
        ImageSequence(make(X))
