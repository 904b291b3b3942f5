import sys

import numpy as np
import pytest

from gansampler.inspection import plot_history, plot_translations


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
        "synthetic target",
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
