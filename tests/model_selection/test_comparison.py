"""The tables, the verdicts and the data frame."""

import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from gansampler.model_selection import SamplerComparison
from gansampler.model_selection._intervals import corrected_difference

NONE, RANDOM = "none", "random over-sampling"


def comparison(scores, **params):
    """A comparison of the given scores: of score -> arm -> values."""
    arms = list(next(iter(scores.values())))
    n_splits = len(next(iter(scores.values()))[NONE])
    params = {
        "n_samples": 300,
        "n_train": np.full(n_splits, 240),
        "n_test": np.full(n_splits, 60),
        "n_added": {arm: np.full(n_splits, 10 * i) for i, arm in enumerate(arms)},
        "resample_seconds": {arm: np.full(n_splits, 1.0) for arm in arms},
        "fit_seconds": {arm: np.full(n_splits, 0.25) for arm in arms},
        **params,
    }
    arrays = {
        name: {arm: np.asarray(values, dtype=float) for arm, values in by_arm.items()}
        for name, by_arm in scores.items()
    }
    return SamplerComparison(scores=arrays, **params)


@pytest.fixture
def three():
    base = np.array([0.70, 0.72, 0.74, 0.71, 0.73])
    noise = np.array([0.001, -0.001, 0.002, -0.002, 0.0])
    return comparison(
        {
            "roc_auc": {
                NONE: base,
                RANDOM: base + 0.05 + noise,
                "better": base + 0.1 + noise[::-1],
                "worse": base - 0.1 + noise,
                "like": base + 0.05 + 10 * noise[::-1],
            }
        }
    )


def test_verdicts_follow_the_interval(three):
    texts = three.verdicts
    assert len(texts) == 6
    assert texts[0].startswith("better is better than no over-sampling on your data: ")
    assert texts[1].startswith("better is better than random over-sampling on your ")
    assert texts[2].startswith("worse is worse than no over-sampling on your data: ")
    assert texts[3].startswith("worse is worse than random over-sampling on your data")
    assert texts[4].startswith("like is better than no over-sampling on your data: ")
    mean, low, high = three.difference("like", RANDOM)
    assert low < 0 < high
    assert texts[5] == (
        "like is not better than random over-sampling on your data: roc_auc "
        f"{mean:z.3f} [{low:.3f}, {high:.3f}]. No difference can be seen with 300 "
        "samples and 5 splits."
    )


def test_equal_scores_are_not_better():
    same = comparison(
        {"accuracy": {arm: [0.5, 0.6] for arm in (NONE, RANDOM, "SMOTE")}}
    )
    assert same.verdicts[0].startswith(
        "SMOTE is not better than no over-sampling on your data: accuracy 0.000 "
        "[0.000, 0.000]. No difference"
    )


def test_difference(three):
    scores = three.scores["roc_auc"]
    expected = corrected_difference(
        scores["like"] - scores["worse"], np.full(5, 4), np.full(5, 1)
    )
    assert three.difference("like", "worse") == pytest.approx(expected)
    assert three.difference("like", "worse", "roc_auc").mean == expected.mean
    with pytest.raises(ValueError, match=r"`arm` must be one of .* mean 'like'\?"):
        three.difference("lik", NONE)
    with pytest.raises(ValueError, match="`baseline`"):
        three.difference("like", "x")
    with pytest.raises(ValueError, match="`scoring`"):
        three.difference("like", NONE, "x")


def test_table():
    found = comparison(
        {
            "roc_auc": {
                NONE: [0.7, 0.74, 0.72],
                RANDOM: [0.71, 0.75, 0.74],
                "SMOTE": [0.7, 0.77, 0.71],
            }
        },
        shared_translators={"SMOTE": "none"},
    )
    expected = """\
Means of 3 splits of 300 samples, and differences with 95% intervals

roc_auc
arm                   score      difference to none    difference to random  seconds
                                                              over-sampling
none                  0.720                                                     1.25
random over-sampling  0.733  +0.013 [-0.006, 0.032]                             1.25
SMOTE                 0.727  +0.007 [-0.062, 0.075]  -0.007 [-0.089, 0.076]     1.25
"""
    assert str(found).startswith(expected)
    assert str(found).endswith(
        "\n\nSMOTE used the translators of none: its seconds do not include their "
        "training."
    )


@pytest.mark.parametrize("scale", [1, 30, 1000, -250000])
def test_table_is_at_most_88_columns_wide(scale):
    rng = np.random.default_rng(0)
    arms = [NONE, RANDOM, "a" * 100, "an arm with a name of many words " * 4, "x"]
    found = comparison(
        {
            "neg_log_loss": {arm: scale * rng.random(5) for arm in arms},
            "roc_auc": {arm: rng.random(5) for arm in arms},
        },
        resample_seconds={arm: np.full(5, 123456.0) for arm in arms},
    )
    lines = str(found).splitlines()
    assert max(map(len, lines)) <= 88
    # Intervals are not broken.
    assert all(line.count("[") == line.count("]") for line in lines)
    # Long names are complete.
    assert str(found).count("a" * 80) == 4
    table = str(found).partition("difference to")[2].partition("\n\n")[0]
    parts = [line.split()[0] for line in table.splitlines() if line[:3] == "aaa"]
    assert "".join(parts) == "a" * 100


class Cells(HTMLParser):
    """Collect the tags and the texts of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.texts = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        if data.strip():
            self.texts.append(data)


def test_html_holds_the_table_and_escapes_names(three):
    arm = "<script>alert('x') & \"y\"</script>"
    scores = {name: dict(values) for name, values in three.scores.items()}
    scores["roc_auc"][arm] = scores["roc_auc"]["like"]
    found = comparison(scores, shared_translators={arm: "like"})
    page = Cells()
    page.feed(found._repr_html_())
    assert set(page.tags) == {
        *("div", "p", "table", "caption", "thead", "tbody", "tr", "th", "td"),
        *("ul", "li"),
    }
    assert page.tags.count("tr") == 7
    assert page.texts.count(arm) == 1
    for verdict in found.verdicts:
        assert verdict in page.texts
    difference = found.difference("worse", RANDOM)
    assert any(f"{difference.mean:.3f} [" in text for text in page.texts)


def test_frame(three):
    frame = three.to_frame()
    assert frame["arm"].tolist() == three.arms
    assert frame["scoring"].tolist() == ["roc_auc"] * 5
    row = frame.set_index("arm").loc["like"]
    scores = three.scores["roc_auc"]["like"]
    assert row["mean"] == pytest.approx(scores.mean())
    assert row["std"] == pytest.approx(np.std(scores, ddof=1))
    found = three.difference("like", RANDOM)
    names = ["difference_to_random" + end for end in ("", "_low", "_high")]
    assert row[names].tolist() == list(found)
    assert row["resample_seconds"] == 1.0
    assert row["fit_seconds"] == 0.25
    assert row["n_added"] == 40
    baselines = frame.set_index("arm").loc[[NONE, RANDOM]]
    assert baselines["difference_to_random"].isna().all()
    assert baselines["difference_to_none"].isna().tolist() == [True, False]


def test_frame_without_pandas_names_the_extra(three, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'gansampler\[pandas\]'"):
        three.to_frame()


def test_is_frozen_and_short(three):
    with pytest.raises(AttributeError):
        three.n_samples = 3
    assert repr(three) == (
        "SamplerComparison(arms=['none', 'random over-sampling', 'better', 'worse', "
        "'like'], scoring=['roc_auc'], n_splits=5)"
    )
