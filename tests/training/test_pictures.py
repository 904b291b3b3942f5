import io
import pickle
import sys
from base64 import b64decode
from types import SimpleNamespace

import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from IPython.display import Image as IPythonImage
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


class Handle:
    """A place in a notebook, as IPython gives it."""

    def __init__(self, shown):
        self.shown = shown

    def update(self, picture):
        self.shown[-1].append(png_of(picture))


def png_of(picture):
    """The pixels of the only picture that a notebook stores."""
    formats, _ = DisplayFormatter().format(picture)
    assert [name for name in formats if name.startswith("image")] == ["image/png"]
    with Image.open(io.BytesIO(b64decode(formats["image/png"]))) as image:
        return np.asarray(image)


@pytest.fixture
def notebook(monkeypatch):
    """The pictures in each place of a notebook."""
    shown = []

    def display(picture, *, display_id):
        assert display_id is True
        shown.append([png_of(picture)])
        return Handle(shown)

    shell = type("ZMQInteractiveShell", (), {})()
    ipython = SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    ours = SimpleNamespace(display=display, Image=IPythonImage)
    monkeypatch.setitem(sys.modules, "IPython.display", ours)
    return shown


def test_a_notebook_shows_the_latest_picture(tmp_path, notebook):
    callback = SavePictures(tmp_path, np.zeros((3, 4, 4, 3), dtype=np.uint8))
    trainer = Trainer(callbacks=[callback])
    for _ in range(2):
        trainer.fit(Inverting(), n_epochs=3)
    # One place per fit, in which the picture of each epoch replaces the one before.
    assert [len(place) for place in notebook] == [3, 3]
    with Image.open(tmp_path / "epoch-0003.png") as saved:
        np.testing.assert_array_equal(notebook[-1][-1], np.asarray(saved))
    assert pickle.loads(pickle.dumps(callback)).path == tmp_path


def test_the_first_eight_images_are_shown(tmp_path):
    given = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3), dtype=np.uint8)
    Trainer(callbacks=[SavePictures(tmp_path, given)]).fit(Inverting(), n_epochs=1)
    with Image.open(tmp_path / "epoch-0001.png") as saved:
        assert saved.size == (8 * 4, 2 * 4)
        upper = np.asarray(saved)[:4]
    np.testing.assert_array_equal(upper, np.concatenate(list(given[:8]), axis=1))
