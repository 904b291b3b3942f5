import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from gansampler.images import ImageSequence, check_image_shape


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    "shape", [(3, 8, 11, 3), (3, 9, 8), (3, 8, 8, 1), (3, 8, 8, 5)]
)
def test_a_batch_restores_to_the_input(rng, shape, dtype):
    X = rng.integers(0, 256, shape)
    X = X.astype(np.uint8) if dtype == np.uint8 else (X / 255).astype(dtype)
    images = ImageSequence(X)
    back = images.restore(images.batch(np.arange(3)))
    assert back.dtype == X.dtype
    assert back.shape == X.shape
    np.testing.assert_allclose(back, X, atol=0 if dtype == np.uint8 else 1e-6)


def test_batch_is_nchw_in_minus_one_to_one():
    X = np.zeros((1, 8, 9, 3), dtype=np.uint8)
    X[0, 2, 5] = (0, 255, 51)
    batch = ImageSequence(X).batch([0])
    assert batch.shape == (1, 3, 8, 9)
    assert batch.dtype == torch.float32
    np.testing.assert_allclose(batch[0, :, 2, 5], [-1, 1, 51 / 127.5 - 1], rtol=1e-6)


def test_flattened_rows_are_viewed_as_images(rng):
    X = rng.integers(0, 256, (4, 8 * 10 * 3), dtype=np.uint8)
    images = ImageSequence(X, image_shape=(8, 10, 3))
    assert images.sample_shape == (8, 10, 3)
    assert np.shares_memory(images.array, X)
    np.testing.assert_array_equal(images.restore(images.batch([2])), X[2:3])


def test_feature_rows_pass_unchanged(rng):
    X = rng.normal(size=(4, 3))
    images = ImageSequence(X)
    assert not images.is_image
    np.testing.assert_allclose(images.batch([1, 3]), X[[1, 3]], rtol=1e-6)


def test_integer_features_are_rounded_within_their_dtype():
    images = ImageSequence(np.array([[0, 255]], dtype=np.uint8))
    back = images.restore(torch.tensor([[-3.0, 254.6]]))
    assert back.tolist() == [[0, 255]]
    assert back.dtype == np.uint8


def test_subset_is_lazy_and_nests(rng):
    X = rng.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    part = ImageSequence(X).subset([5, 3, 1]).subset([2, 0])
    assert len(part) == 2
    assert part.array is ImageSequence(X).subset([0]).array or np.shares_memory(
        part.array, X
    )
    np.testing.assert_array_equal(part.take([0, 1]), X[[1, 5]])


def test_values_outside_are_clipped():
    images = ImageSequence(np.zeros((1, 8, 8, 1), dtype=np.uint8))
    over = images.restore(torch.full((1, 1, 8, 8), 1.7))
    assert over.max() == over.min() == 255


BAD_INPUTS = {
    "torch": (lambda: torch.zeros(2, 8, 8, 8), ValueError, r"permute\(0, 2, 3, 1\)"),
    "five dimensions": (lambda: np.zeros((2, 8, 8, 8, 3)), ValueError, "5 dimensions"),
    "channels first": (lambda: np.zeros((2, 3, 32, 32)), ValueError, "channels first"),
    "too small": (lambda: np.zeros((2, 7, 32, 3)), ValueError, "at least 8 px"),
    "wide integers": (lambda: np.zeros((2, 8, 8, 3), int), ValueError, "int64"),
    "over one": (lambda: np.full((2, 8, 8, 3), 2.0), ValueError, "Divide by 255"),
    "negative": (lambda: np.full((2, 8, 8, 3), -0.5), ValueError, r"\(X \+ 1\) / 2"),
    "nan": (lambda: np.full((2, 8, 8, 3), np.nan), ValueError, "NaN"),
    "infinity": (lambda: np.full((2, 8, 8, 3), np.inf), ValueError, "infinity"),
    "empty": (lambda: np.zeros((0, 8, 8, 3), np.uint8), ValueError, "minimum of 1"),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_images_are_refused_with_the_remedy(case):
    make, error, message = BAD_INPUTS[case]
    with pytest.raises(error, match=message):
        ImageSequence(make())


def test_flattened_rows_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"193 columns .* makes 192"):
        ImageSequence(np.zeros((2, 193)), image_shape=(8, 8, 3))


def test_image_shape_that_is_not_the_images_is_refused():
    with pytest.raises(ValueError, match="Leave it out"):
        ImageSequence(np.zeros((2, 8, 8, 3)), image_shape=(9, 8, 3))


@pytest.mark.parametrize("bad", [(224, 224), 224, "abc", (8, 8, 0), (7, 8, 3), None])
def test_check_image_shape_names_the_rule(bad):
    with pytest.raises(ValueError, match=r"height, width, n_channels|at least 8 px"):
        check_image_shape(bad)


def test_the_row_of_a_bad_pixel_is_named(monkeypatch):
    monkeypatch.setattr("gansampler.images._batches.PIXELS_PER_CHUNK", 1)
    X = np.zeros((9, 8, 8, 3))
    X[7, 1, 2, 0] = np.inf
    with pytest.raises(ValueError, match="infinity in row 7"):
        ImageSequence(X)
    X[5, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN in row 5"):
        ImageSequence(X)


def test_arrays_know_their_rows(rng):
    X = rng.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    images = ImageSequence(X)
    assert (images.form, images.paths, images.skipped) == ("array", None, [])
    assert images.rows.tolist() == [0, 1, 2, 3, 4, 5]
    assert images.subset([4, 1]).rows.tolist() == [4, 1]
    images.read_ahead([3])
    assert len(images) == 6


def test_repr(files, rng):
    paths, X = files
    text = "ImageSequence of {} images, 12 x 10 x 3, uint8"
    assert repr(ImageSequence(X)) == text.format(6)
    sequence = ImageSequence(paths, (12, 10, 3))
    assert repr(sequence) == text.format(6) + ", from files"
    assert repr(sequence.subset([0, 1])) == text.format(2) + ", from files"
    dataset = TensorDataset(torch.from_numpy(X).permute(0, 3, 1, 2))
    assert repr(ImageSequence(dataset)) == text.format(6) + ", from a data set"
    rows = ImageSequence(rng.normal(size=(5, 7)))
    assert repr(rows) == "ImageSequence of 5 feature rows, 7, float64"
