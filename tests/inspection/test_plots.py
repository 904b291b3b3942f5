import itertools
import pickle
import sys
from io import BytesIO

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from gansampler import CycleGAN, GANOverSampler, TransferClassifier
from gansampler.inspection import plot_history, plot_translations
from tests.over_sampling.translators import Invert


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)


def drawn(ax):
    return np.asarray(ax.images[0].get_array())


def test_each_translation_stands_under_its_source(images):
    figure = plot_translations(images, 255 - images, images[:2], n_columns=4)
    axes = np.array(figure.axes).reshape(3, 4)
    for column in range(4):
        np.testing.assert_allclose(
            drawn(axes[0, column]), images[column] / 255, rtol=1e-6
        )
        np.testing.assert_allclose(
            drawn(axes[1, column]), 1 - images[column] / 255, rtol=1e-5, atol=1e-6
        )
    assert [ax.get_visible() for ax in axes[2]] == [True, True, False, False]
    assert [line[0].get_ylabel() for line in axes] == [
        "real source",
        "synthetic\ntarget",
        "real target",
    ]


@pytest.mark.parametrize("n_channels", [1, 2, 5])
def test_other_channels_are_shown_by_their_mean(n_channels):
    X = np.random.default_rng(0).random((2, 8, 8, n_channels)).astype(np.float32)
    figure = plot_translations(X, X)
    np.testing.assert_allclose(drawn(figure.axes[0]), X[0].mean(-1), rtol=1e-5)


def test_it_can_be_saved(images, tmp_path):
    plot_translations(images, images).savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_what_cannot_be_shown(images, monkeypatch):
    with pytest.raises(ValueError, match="5 sources and 4 translations"):
        plot_translations(images, images[:4])
    for labels in (np.array(list("abcab")), list("abcab"), [0, 1, 1, 0, 1]):
        with pytest.raises(ValueError, match="Got 5 values, which may be labels"):
            plot_translations(images, labels)
    with pytest.raises(ValueError, match="feature rows of 192 values"):
        plot_translations(images.reshape(5, -1), images.reshape(5, -1))
    with pytest.raises(ValueError, match="empty history"):
        plot_history([])
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"gansampler\[plots\]"):
        plot_translations(images, images)


def test_history_draws_the_losses_and_nothing_else():
    history = [
        {"epoch": e, "seconds": 9.0, "lr": 0.1, "n_steps": 3, "loss": 1 / e, "other": e}
        for e in (1, 2, 3)
    ]
    (ax,) = plot_history(history).axes
    lines = {line.get_label(): line.get_ydata().tolist() for line in ax.lines}
    assert lines == {"loss": [1.0, 0.5, 1 / 3], "other": [1, 2, 3]}


def test_a_notebook_shows_the_figure_once(images):
    """Notebooks call `_repr_png_` of the last value, and show figures of pyplot."""
    figure = plot_translations(images, images)
    with Image.open(BytesIO(figure._repr_png_())) as picture:
        assert picture.format == "PNG"
        pixels = np.asarray(picture.convert("RGB"))
    assert 500 < pixels.shape[1] < 1200
    assert len(np.unique(pixels)) > 100
    assert plot_history([{"epoch": 1, "loss": 1.0}])._repr_png_()[:4] == b"\x89PNG"
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


@pytest.mark.parametrize(
    "titles",
    [
        ("real benign", "synthetic malignant", "real malignant"),
        ("a " * 60, "dermatofibroma_malignum" * 3, "x"),
    ],
)
def test_row_labels_do_not_run_together(images, titles):
    figure = plot_translations(images, images, images, titles=titles)
    FigureCanvasAgg(figure).draw()
    lines = np.array(figure.axes).reshape(3, 5)
    boxes = [line[0].yaxis.label.get_window_extent() for line in lines]
    for upper, lower in itertools.pairwise(boxes):
        assert upper.y0 > lower.y1
    for box, line in zip(boxes, lines, strict=True):
        assert box.x0 >= 0
        assert box.x1 < line[0].get_window_extent().x0


@pytest.fixture
def sampler():
    X = np.random.default_rng(0).integers(0, 256, (12, 12, 10, 3), dtype=np.uint8)
    y = np.repeat(["benign", "malignant", "naevus"], [6, 4, 2])
    sampler = GANOverSampler(translator=Invert(), random_state=0)
    sampler.fit_resample(X, y)
    return sampler


def test_translations_of_a_sampler(sampler):
    figure = plot_translations(sampler)
    lines = np.array(figure.axes).reshape(6, 4)
    assert [line[0].get_ylabel() for line in lines] == [
        "real benign",
        "synthetic\nmalignant",
        "real malignant",
        "real benign",
        "synthetic\nnaevus",
        "real naevus",
    ]
    for i in (0, 1):
        drawn_pair = drawn(lines[0, i]) + drawn(lines[1, i])
        np.testing.assert_allclose(drawn_pair, 1, atol=1e-6)
    with pytest.raises(ValueError, match="sampler comes from a pickle"):
        plot_translations(pickle.loads(pickle.dumps(sampler)))
    with pytest.raises(NotFittedError):
        plot_translations(GANOverSampler())
    with pytest.raises(ValueError, match=r"plot_translations\(X, translator"):
        plot_translations(np.zeros((2, 8, 8, 3)))


def test_history_of_what_was_fitted(sampler):
    X = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    translator = CycleGAN(ngf=2, ndf=2, n_blocks=1, n_epochs=2, batch_size=3)
    translator.fit(X[:3], X[3:])
    (ax,) = plot_history(translator).axes
    assert ax.get_title() == "CycleGAN"
    lines = {line.get_label(): line.get_ydata() for line in ax.lines}
    expected = [record["cycle_source"] for record in translator.history_]
    assert lines["cycle_source"].tolist() == expected
    several = GANOverSampler(translator=translator, random_state=0)
    several.fit_resample(X, [0, 0, 0, 0, 1, 1])
    (ax,) = plot_history(several).axes
    assert ax.get_title() == "translator of the class 1"
    several.translators_ = {"a": translator, "b": translator}
    assert len(plot_history(several).axes) == 2
    given = Figure().subplots()
    with pytest.raises(ValueError, match="Got a sampler with 2 translators"):
        plot_history(several, ax=given)
    assert plot_history(translator, ax=given) is given
    assert len(given.lines) == len(ax.lines)


def test_history_of_what_has_none(sampler):
    with pytest.raises(NotFittedError):
        plot_history(TransferClassifier())
    with pytest.raises(ValueError, match="empty history"):
        plot_history(sampler)
    fitted = LogisticRegression().fit([[0], [1]], [0, 1])
    resampled = (np.zeros((2, 8, 8, 3)), np.array([0, 1]))
    for other in (fitted, make_pipeline(fitted), "history", None, resampled):
        with pytest.raises(TypeError, match="must be a fitted translator"):
            plot_history(other)
