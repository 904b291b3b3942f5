import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Subset
from torchvision.transforms import v2

from gansampler.data import BalancedSampler, OverSampledDataset
from gansampler.images import ImageSequence


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (8, 10, 9, 3), dtype=np.uint8)


@pytest.fixture
def paths(images, tmp_path):
    paths = [str(tmp_path / f"{i}.png") for i in range(8)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return paths


Y = ["b", "b", "b", "b", "m", "m", "m", "m"]
PARENTS = [0, 1, 2, 3, 4, 5, 2, 0]
MADE = np.arange(8) >= 6

FORMS = {
    "array": (lambda X, paths: X, {}),
    "list": (lambda X, paths: list(X), {}),
    "flattened": (lambda X, paths: X.reshape(8, -1), {"image_shape": (10, 9, 3)}),
    "paths": (lambda X, paths: paths, {"image_shape": (10, 9, 3)}),
    "Series": (lambda X, paths: pd.Series(paths), {"image_shape": (10, 9, 3)}),
    "frame": (
        lambda X, paths: pd.DataFrame({"site": "arm", "file": paths}),
        {"image_shape": (10, 9, 3), "path_column": "file"},
    ),
    "dataset": (
        lambda X, paths: [(Image.fromarray(image), 0) for image in X],
        {},
    ),
}


class Pairs(torch.utils.data.Dataset):
    def __init__(self, pairs):
        self.pairs = pairs

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        return self.pairs[index]


@pytest.mark.parametrize("form", FORMS)
def test_items_of_every_form(images, paths, form):
    make, params = FORMS[form]
    X = make(images, paths)
    if form == "dataset":
        X = Pairs(X)
    dataset = OverSampledDataset(X, Y, PARENTS, MADE, **params)
    assert len(dataset) == 8
    for i in (0, 7, -2):
        image, label = dataset[i]
        assert image.dtype == torch.uint8
        np.testing.assert_array_equal(image.permute(1, 2, 0), images[i])
        assert dataset.classes[label] == Y[i]
    assert dataset.parent.tolist() == PARENTS
    assert dataset.is_synthetic.tolist() == MADE.tolist()
    assert dataset.targets == [0, 0, 0, 0, 1, 1, 1, 1]
    assert dataset.class_to_idx == {"b": 0, "m": 1}
    with pytest.raises(IndexError):
        dataset[8]


@pytest.mark.parametrize("of_files", [False, True])
def test_originals_and_synthetic_images_apart(images, paths, of_files):
    made = paths[6:] if of_files else images[6:]
    originals = ImageSequence(images).subset(np.arange(6))
    dataset = OverSampledDataset(originals, np.array(Y), PARENTS, synthetic=made)
    assert dataset.is_synthetic.tolist() == MADE.tolist()
    for i in range(8):
        np.testing.assert_array_equal(dataset[i][0].permute(1, 2, 0), images[i])
    nothing = OverSampledDataset(images, Y, PARENTS, synthetic=made[:0])
    assert not nothing.is_synthetic.any()
    assert len(nothing) == 8


def test_text_becomes_integers_in_a_loader(images):
    dataset = OverSampledDataset(images, np.array(Y), PARENTS, MADE)
    _, labels = next(iter(DataLoader(dataset, batch_size=8)))
    assert labels.dtype == torch.int64
    assert [dataset.classes[label] for label in labels] == Y
    numbers = OverSampledDataset(images, [5] * 6 + [7] * 2, PARENTS, MADE)
    assert (numbers.classes, numbers.class_to_idx) == (None, None)
    assert numbers.targets == [5] * 6 + [7] * 2


def test_repr(images):
    dataset = OverSampledDataset(images, Y, PARENTS, MADE)
    assert repr(dataset) == (
        "OverSampledDataset of 8 images, 2 of them synthetic, 10 x 9 x 3, uint8"
    )


def test_floating_images_are_float32(images):
    dataset = OverSampledDataset(images / 255, Y, PARENTS, MADE)
    assert dataset[3][0].dtype == torch.float32
    np.testing.assert_allclose(dataset[3][0].permute(1, 2, 0), images[3] / 255)


def test_writing_to_an_item_leaves_the_data(images):
    before = images.copy()
    OverSampledDataset(images, Y, PARENTS, MADE)[0][0].zero_()
    np.testing.assert_array_equal(images, before)


def test_transform_and_pickle(images, paths):
    transform = v2.Compose(
        [
            v2.CenterCrop(8),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5], [0.5]),
        ]
    )
    dataset = OverSampledDataset(
        paths, Y, PARENTS, MADE, image_shape=(10, 9, 3), transform=transform
    )
    copy = pickle.loads(pickle.dumps(dataset))
    for i in range(8):
        assert torch.equal(copy[i][0], dataset[i][0])
    assert dataset[0][0].shape == (3, 8, 8)
    expected = images[0].transpose(2, 0, 1)[:, 1:9, 0:8] / 127.5 - 1
    np.testing.assert_allclose(dataset[0][0], expected, atol=1e-6)


@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.slow
# From Python 3.12 on it is said of every fork of a process with threads.
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_workers_read_the_same(paths, images, start):
    dataset = OverSampledDataset(paths, Y, PARENTS, MADE, image_shape=(10, 9, 3))
    # What the parent process has read must not trouble its children.
    dataset[0]
    loader = DataLoader(
        dataset, batch_size=3, num_workers=2, multiprocessing_context=start
    )
    batches = torch.cat([batch for batch, _ in loader])
    np.testing.assert_array_equal(batches.permute(0, 2, 3, 1), images)


def test_goes_with_the_balanced_sampler_and_subsets(images):
    dataset = OverSampledDataset(images, [0] * 6 + [1] * 2, PARENTS, MADE)
    loader = DataLoader(
        dataset, batch_size=8, sampler=BalancedSampler(dataset.targets, n_samples=8)
    )
    (_, labels) = next(iter(loader))
    assert labels.sum() == 4
    # As input of whatever reads torch data sets.
    part = ImageSequence(Subset(dataset, [7, 0]))
    assert part.labels().tolist() == [1, 0]
    np.testing.assert_array_equal(part.take([0, 1]), images[[7, 0]])


BAD = {
    "no labels": ((None, PARENTS, MADE), "`y` must have the label .* Got None"),
    "labels": ((Y[:-1], PARENTS, MADE), "`y` must have one entry for each .* Got 7"),
    "parents": ((Y, PARENTS[1:], MADE), "`sample_indices` must have .* Got 7 for 8"),
    "made": ((Y, PARENTS, MADE[1:]), "`is_synthetic` must have .* Got 7 for 8"),
    "made unsaid": ((Y, PARENTS), "`is_synthetic` must say .* Got None"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(images, case):
    arguments, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        OverSampledDataset(images, *arguments)
    with pytest.raises(ValueError, match="must contain images. Got feature rows"):
        OverSampledDataset(images.reshape(8, -1), Y, PARENTS, MADE)
