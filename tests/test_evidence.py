"""The benchmark of over-samplers: its arms, its intervals and its resumable runs."""

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.evidence import report, rulers, run
from benchmarks.evidence.arms import ARMS, GENERATED, Task
from benchmarks.evidence.intervals import Comparison, Scores, weighted_aucs

RNG = np.random.default_rng(0)


def make_scores(n_seeds, gain=0.0, *, n=200, generators=None, own_images=False):
    """Scores of several seeds, better by `gain` deviations than chance."""
    runs = []
    for seed in range(n_seeds):
        rng = np.random.default_rng(seed if own_images else 0)
        labels = rng.random(n) < 0.3
        noise = np.random.default_rng([seed, 7]).normal(size=n)
        shared = rng.normal(size=n)
        scores = gain * labels + shared + 0.3 * noise
        runs.append(Scores(seed, generators and generators[seed], scores, labels))
    return runs


def test_weighted_auc_is_that_of_scikit_learn():
    labels = RNG.random(60) < 0.4
    scores = np.round(RNG.normal(size=60), 1)
    weights = RNG.integers(0, 4, (5, 60))
    found = weighted_aucs(labels, scores, weights)
    expected = [roc_auc_score(labels, scores, sample_weight=w) for w in weights]
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("same_images", [True, False])
def test_gain_has_an_interval_around_it(same_images):
    own = not same_images
    arms = {
        "none": make_scores(4, 0.5, own_images=own),
        "better": make_scores(4, 1.5, own_images=own),
        "same": make_scores(4, 0.5, own_images=own),
    }
    comparison = Comparison(arms, same_images=same_images)
    gain, low, high = comparison.gain("better", "none")
    means = {
        arm: np.mean([roc_auc_score(r.labels, r.scores) for r in runs])
        for arm, runs in arms.items()
    }
    assert gain == pytest.approx(means["better"] - means["none"])
    assert 0 < low < gain < high
    gain, low, high = comparison.gain("same", "none")
    assert gain == 0
    assert low <= 0 <= high


def test_arms_are_compared_on_the_draws_that_both_have():
    arms = {
        "none": make_scores(5, 0.5, own_images=True),
        "slow": make_scores(3, 0.5, own_images=True),
    }
    assert Comparison(arms, same_images=False).gain("slow", "none")[0] == 0


def test_few_translators_make_the_interval_wider():
    # Translators that differ, with two runs each.
    runs = make_scores(6, 0.5)
    shifted = [
        Scores(r.seed, r.seed % 3, r.scores + 1.5 * (r.seed % 3) * r.labels, r.labels)
        for r in runs
    ]
    as_seeds = [Scores(r.seed, None, r.scores, r.labels) for r in shifted]
    widths = []
    for arm in (shifted, as_seeds):
        comparison = Comparison({"none": runs, "arm": arm}, same_images=True)
        _, low, high = comparison.gain("arm", "none")
        widths.append(high - low)
    assert widths[0] >= 0.95 * widths[1]


@pytest.mark.parametrize("arm", [name for name in ARMS if name not in GENERATED])
def test_arm_returns_the_samples_that_are_asked_for(arm):
    X = RNG.integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    y = (np.arange(40) < 8).astype(int)
    task = Task(X, y, 96, np.random.default_rng(0), 0)
    before = X.copy()
    training = ARMS[arm](task)
    assert np.array_equal(X, before)
    if training.feature_sampler is not None:
        assert training.X is X
        return
    assert training.X.shape == (96, 16, 16, 3)
    assert training.X.dtype == np.uint8
    assert {*training.y.tolist()} == {0, 1}
    is_balanced = arm.startswith(("random", "minority", "control"))
    if is_balanced:
        assert 40 <= training.y.sum() <= 56


def test_cmo_draws_the_small_class_more_often_than_cutmix():
    X = RNG.integers(0, 256, (400, 8, 8, 3), dtype=np.uint8)
    y = (np.arange(400) < 40).astype(int)
    shares = {}
    for arm in ("CutMix", "CMO"):
        task = Task(X, y, 4000, np.random.default_rng(0), 0)
        shares[arm] = ARMS[arm](task).y.mean()
    # Half of the images are mixed; half of the area is that of the other image.
    assert shares["CutMix"] == pytest.approx(0.1, abs=0.02)
    assert shares["CMO"] == pytest.approx(0.75 * 0.1 + 0.25 * 0.5, abs=0.04)


def test_runs_are_done_once_and_reported(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run, "RESULTS", tmp_path)
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    arms = ["none", "random over-sampling", "CMO"]
    arguments = ["--data", "absent", "--rulers", "digits-5", "--arms", *arms]
    arguments += ["--seeds", "2", "--classifier", "linear"]
    monkeypatch.setattr("sys.argv", ["run", *arguments])
    run.main()
    lines = (tmp_path / "runs.jsonl").read_text().splitlines()
    assert len(lines) == 6
    first = json.loads(lines[0])
    assert first["arm"] == "none"
    assert 0.5 < first["tests"]["E"]["auc"] <= 1
    run.main()
    assert (tmp_path / "runs.jsonl").read_text().splitlines() == lines
    out = tmp_path / "out"
    monkeypatch.setattr("sys.argv", ["report", "--out", str(out)])
    report.main()
    table = (out / "E-digits-5-64-linear.md").read_text()
    assert table.count("\n") == 5
    assert (out / "E-digits-5-64-linear.png").stat().st_size > 5_000


def test_drawn_rulers_have_the_ratio():
    for ratio in rulers.RATIOS:
        ruler = rulers.load(f"digits-{ratio}", 0, 32, None)
        n_negative = (ruler.y == 0).sum()
        assert ruler.y.sum() == max(1, n_negative // ratio)
        assert ruler.tests["E"][1].mean() == pytest.approx(0.5, abs=0.02)
