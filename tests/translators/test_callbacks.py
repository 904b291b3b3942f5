"""Callbacks that translate in the middle of training."""

import numpy as np
import pytest
from PIL import Image

from gansampler import CUT, CycleGAN, Trainer
from gansampler.datasets import make_lesions
from gansampler.training import Callback, SavePictures

X, y = make_lesions(14, weights=(0.5, 0.5), image_size=16, random_state=0)
SOURCE, TARGET = X[y == "benign"], X[y == "malignant"]


class Translations(Callback):
    """Translate after each epoch, and keep the results."""

    def __init__(self):
        self.images = []

    def on_epoch_end(self, task, record):
        self.images.append(task.translate(SOURCE[:3]))


def tiny(kind, **params):
    settings = {"ngf": 4, "ndf": 4, "n_blocks": 1, "n_epochs": 3, "batch_size": 4}
    return kind(**settings, random_state=0, **params)


@pytest.mark.parametrize("ema_decay", [0.0, 0.5])
@pytest.mark.parametrize("kind", [CycleGAN, CUT])
def test_translating_leaves_training_as_it_was(kind, ema_decay):
    undisturbed = tiny(kind, ema_decay=ema_decay).fit(SOURCE, TARGET)
    callback = Translations()
    model = tiny(kind, ema_decay=ema_decay, trainer=Trainer(callbacks=[callback]))
    model.fit(SOURCE, TARGET)
    expected = undisturbed.translate(SOURCE[:3])
    np.testing.assert_array_equal(model.translate(SOURCE[:3]), expected)
    np.testing.assert_array_equal(callback.images[-1], expected)
    assert not np.array_equal(callback.images[0], expected)


def test_pictures_show_sources_and_translations(tmp_path):
    pictures = SavePictures(tmp_path / "pictures", SOURCE[:4], every=2)
    model = tiny(CycleGAN, trainer=Trainer(callbacks=[pictures]))
    model.set_params(n_epochs=4).fit(SOURCE, TARGET)
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert names == ["epoch-0002.png", "epoch-0004.png"]
    last = np.asarray(Image.open(tmp_path / "pictures" / "epoch-0004.png"))
    rows = [np.concatenate(list(images), axis=1) for images in (SOURCE[:4],)]
    rows.append(np.concatenate(list(model.translate(SOURCE[:4])), axis=1))
    np.testing.assert_array_equal(last, np.concatenate(rows))


@pytest.mark.ddp
def test_pictures_of_two_processes(tmp_path):
    trainer = Trainer(devices=2, callbacks=[SavePictures(tmp_path, SOURCE[:4])])
    tiny(CycleGAN, trainer=trainer).fit(SOURCE, TARGET)
    assert len(list(tmp_path.glob("epoch-*.png"))) == 3
