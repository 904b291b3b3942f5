import numpy as np
import pytest
from PIL import Image

from gansampler import Trainer
from gansampler.training import SavePictures
from tests.training.line_task import LineTask


class Inverting(LineTask):
    """Fits a line, and translates images to their negatives."""

    def translate(self, X):
        return 255 - X if X.dtype == np.uint8 else 1 - X


@pytest.mark.parametrize("shape", [(3, 4, 5, 3), (3, 4, 5, 4), (3, 4, 5, 1), (3, 4, 5)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_sources_are_above_their_translations(tmp_path, shape, dtype):
    X = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    given = X if dtype == np.uint8 else (X / 255).astype(dtype)
    folder = tmp_path / "pictures"
    trainer = Trainer(callbacks=[SavePictures(folder, given, every=2)])
    trainer.fit(Inverting(), n_epochs=5)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["epoch-0002.png", "epoch-0004.png"]
    picture = np.asarray(Image.open(folder / names[-1]))
    for i, image in enumerate(X.reshape(3, 4, 5, -1).squeeze()):
        columns = slice(5 * i, 5 * i + 5)
        np.testing.assert_array_equal(picture[:4, columns], image)
        np.testing.assert_array_equal(picture[4:, columns], 255 - image)


@pytest.mark.parametrize("shape", [(0, 4, 4, 3), (4, 4, 3, 2), (5, 7)])
def test_what_is_no_image_is_refused_before_the_first_step(tmp_path, shape):
    task = Inverting()
    with pytest.raises(ValueError, match=r"`X` of SavePictures must be .* Got shape"):
        Trainer(callbacks=[SavePictures(tmp_path, np.zeros(shape))]).fit(
            task, n_epochs=1
        )
    assert task.visited == []


def test_every_is_checked(tmp_path):
    callback = SavePictures(tmp_path, np.zeros((1, 4, 4, 3)), every=0)
    with pytest.raises(ValueError, match="`every` of SavePictures must be at least 1"):
        Trainer(callbacks=[callback]).fit(Inverting(), n_epochs=1)


def test_a_task_that_does_not_translate_says_so(tmp_path):
    callback = SavePictures(tmp_path, np.zeros((1, 4, 4, 3)))
    with pytest.raises(NotImplementedError, match="LineTask has no method `translate`"):
        Trainer(callbacks=[callback]).fit(LineTask(), n_epochs=1)
