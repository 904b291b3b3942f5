"""Tensors and data sets as input of the sampler, and its result in their form."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import ToTensor

from gansampler import GANOverSampler
from gansampler.data import OverSampledDataset
from tests.over_sampling.translators import Invert

Y = np.repeat([0, 1], [5, 3])


@pytest.fixture
def X():
    return np.random.default_rng(0).integers(0, 256, (8, 12, 10, 3), dtype=np.uint8)


@pytest.fixture
def sampler():
    return GANOverSampler(translator=Invert(), random_state=0)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("channels_first", [False, True])
def test_a_tensor_comes_back(sampler, X, dtype, channels_first):
    axes = (0, 3, 1, 2) if channels_first else (0, 1, 2, 3)
    tensor = torch.from_numpy(X).permute(axes)
    tensor = tensor if dtype == torch.uint8 else (tensor / 255).to(dtype)
    resampled, y = sampler.fit_resample(tensor, torch.from_numpy(Y))
    assert (resampled.dtype, y.dtype) == (dtype, torch.int64)
    assert torch.equal(resampled[:8], tensor)
    assert y.tolist() == [*Y, 1, 1]
    parents = tensor[torch.from_numpy(sampler.sample_indices_[8:])]
    if dtype == torch.uint8:
        assert torch.equal(resampled[8:], 255 - parents)
    else:
        torch.testing.assert_close(resampled[8:], 1 - parents, atol=0.005, rtol=0)


@pytest.mark.parametrize("form", ["array", "paths", "data set"])
def test_examples(sampler, X, folder, form):
    data, y = X, Y
    if form == "paths":
        data = sorted(map(str, folder.glob("*/*")))
        sampler.set_params(image_shape=(12, 10, 3), output_dir=folder.parent / "new")
    if form == "data set":
        data, y = ImageFolder(folder), None
    sampler.fit_resample(data, y)
    assert list(sampler.examples_) == [1]
    source, translated, target, labels = sampler.examples_[1]
    np.testing.assert_array_equal(source, X[sampler.sample_indices_[8:]])
    np.testing.assert_array_equal(translated, 255 - source)
    np.testing.assert_array_equal(target, X[5:])
    assert labels.tolist() == [0, 0]
    copy = pickle.loads(pickle.dumps(sampler))
    assert not hasattr(copy, "examples_")
    assert copy.resample_groups(np.arange(8)).shape == (10,)
    sampler.set_params(image_shape=None, output_dir=None)
    sampler.fit_resample(X[:, 0, :, 0].astype(float), Y)
    assert sampler.examples_ == {}


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_arrays_with_a_folder(sampler, X, tmp_path, dtype):
    data = X if dtype == np.uint8 else (X / 255).astype(dtype)
    sampler.set_params(output_dir=tmp_path / "new")
    resampled, _ = sampler.fit_resample(data, Y)
    assert resampled.dtype == dtype
    np.testing.assert_array_equal(resampled[:8], data)
    parents = sampler.sample_indices_[8:]
    folder = tmp_path / "new" / "1"
    names = [f"1_{i:06d}_from_row-{row}.png" for i, row in enumerate(parents)]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    for name, new, row in zip(names, resampled[8:], parents, strict=True):
        pixels = np.asarray(Image.open(folder / name))
        np.testing.assert_array_equal(pixels, 255 - X[row])
        expected = pixels if dtype == np.uint8 else pixels / 255
        np.testing.assert_allclose(new, expected, rtol=1e-6)
    # The same call finds the files, and a tensor comes back as a tensor.
    np.testing.assert_array_equal(sampler.fit_resample(data, Y)[0], resampled)
    tensor = torch.from_numpy(data).permute(0, 3, 1, 2)
    again, _ = sampler.fit_resample(tensor, Y)
    np.testing.assert_array_equal(again.permute(0, 2, 3, 1), resampled)
    nothing, _ = sampler.set_params(
        output_dir=tmp_path / "none", sampling_strategy={1: 3}
    ).fit_resample(data, Y)
    np.testing.assert_array_equal(nothing, data)


def test_other_tensors(sampler, X):
    tensor = torch.from_numpy(X).permute(0, 3, 1, 2)
    resampled, _ = sampler.fit_resample(list(tensor), Y)
    assert torch.equal(torch.stack(resampled[:8]), tensor)
    resampled, _ = sampler.fit_resample(tensor[:, 0], Y)
    assert resampled.shape == (10, 12, 10)


@pytest.fixture
def folder(tmp_path, X):
    for i, image in enumerate(X):
        path = tmp_path / "data" / ["benign", "malignant"][Y[i]]
        path.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path / f"{i}.png")
    return tmp_path / "data"


@pytest.mark.parametrize("writes", [False, True])
def test_image_folder_of_floats(sampler, folder, writes):
    dataset = ImageFolder(folder, transform=ToTensor())
    output_dir = folder.parent / "new" if writes else None
    resampled, y = sampler.set_params(output_dir=output_dir).fit_resample(dataset)
    assert resampled.classes == ["benign", "malignant"]
    assert resampled.class_to_idx == {"benign": 0, "malignant": 1}
    assert resampled.targets == y.tolist() == [*Y, 1, 1]
    for i in range(8):
        assert torch.equal(resampled[i][0], dataset[i][0])
    for i in (8, 9):
        parent = dataset[resampled.parent[i]][0]
        assert resampled[i][0].dtype == torch.float32
        torch.testing.assert_close(resampled[i][0], 1 - parent, atol=0.003, rtol=0)


def test_floats_are_not_rounded(sampler, X):
    class Floats(Dataset):
        def __len__(self):
            return 8

        def __getitem__(self, index):
            return torch.from_numpy((X[index] + 0.5) / 256).permute(2, 0, 1), Y[index]

    resampled, _ = sampler.fit_resample(Floats())
    for i in range(8):
        assert torch.equal(resampled[i][0], Floats()[i][0].float())


class Rows:
    """A data set of dicts with text as labels."""

    def __init__(self, X):
        self.X = X

    def __len__(self):
        return len(self.X)

    def __getitem__(self, index):
        label = ["nevus", "melanoma"][Y[index]]
        return {"image": Image.fromarray(self.X[index]), "label": label}


def test_data_set_of_dicts(sampler, X):
    resampled, y = sampler.fit_resample(Rows(X))
    assert isinstance(resampled, OverSampledDataset)
    assert y.tolist() == ["nevus"] * 5 + ["melanoma"] * 5
    assert resampled.classes == ["melanoma", "nevus"]
    images, labels = next(iter(DataLoader(resampled, batch_size=10)))
    assert labels.tolist() == [1] * 5 + [0] * 5
    np.testing.assert_array_equal(images[:8].permute(0, 2, 3, 1), X)


def test_other_labels_than_those_of_the_data_set(sampler, folder):
    dataset = ImageFolder(folder, transform=ToTensor())
    other = ["x" if label else "y" for label in dataset.targets]
    resampled, _ = sampler.fit_resample(dataset, other)
    assert resampled.classes == ["x", "y"]
    resampled, _ = sampler.fit_resample(dataset, 1 - np.array(dataset.targets))
    assert resampled.classes is None
