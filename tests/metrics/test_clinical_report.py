import dataclasses
import json
import time
from html.parser import HTMLParser

import numpy as np
import pytest
from sklearn import metrics as reference

from gansampler.metrics import (
    clinical_report,
    roc_auc_interval,
    sensitivity_score,
    specificity_score,
)

FEW = {"n_bootstrap": 50, "random_state": 0}


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    y_true = rng.permutation(np.repeat([0, 1], [80, 20]))
    y_score = 1 / (1 + np.exp(1 - rng.normal(size=100) - 2 * y_true))
    return y_true, y_score


def test_figures_agree_with_scikit_learn(case):
    y_true, y_score = case
    y_pred = (y_score >= 0.4).astype(int)
    report = clinical_report(y_true, None, y_score, threshold=0.4, **FEW)
    tn, fp, fn, tp = reference.confusion_matrix(y_true, y_pred).ravel()
    assert report.true_negatives == tn
    assert report.false_positives == fp
    assert report.false_negatives == fn
    assert report.true_positives == tp
    assert report.n_samples == 100
    assert report.prevalence == 0.2
    assert report.threshold == 0.4
    precision, npv = reference.precision_score(y_true, y_pred, average=None)[::-1]
    balanced = reference.balanced_accuracy_score(y_true, y_pred)
    for given, expected in {
        report.sensitivity: sensitivity_score(y_true, y_pred),
        report.specificity: specificity_score(y_true, y_pred),
        report.positive_predictive_value: precision,
        report.negative_predictive_value: npv,
        report.balanced_accuracy: balanced,
        report.roc_auc: reference.roc_auc_score(y_true, y_score),
        report.average_precision: reference.average_precision_score(y_true, y_score),
        report.brier_score: reference.brier_score_loss(y_true, y_score),
        report.geometric_mean**2: report.sensitivity * report.specificity,
    }.items():
        assert given == pytest.approx(expected)
    assert report.roc_auc_interval == roc_auc_interval(y_true, y_score)


def test_every_interval_holds_its_figure(case):
    report = clinical_report(case[0], y_score=case[1], **FEW)
    names = [f.name for f in dataclasses.fields(report) if "_interval" in f.name]
    assert len(names) == 6
    for name in names:
        low, high = getattr(report, name)
        assert 0 <= low < getattr(report, name.removesuffix("_interval")) < high <= 1


def test_a_higher_confidence_is_a_wider_interval(case):
    narrow, wide = (
        clinical_report(case[0], y_score=case[1], confidence_level=level, **FEW)
        for level in (0.5, 0.99)
    )
    for field in dataclasses.fields(narrow):
        if "_interval" in field.name:
            low, high = getattr(narrow, field.name)
            assert getattr(wide, field.name)[0] < low < high
            assert high < getattr(wide, field.name)[1]


@pytest.mark.parametrize("n_decimals", [1, 8], ids=["ties", "no ties"])
def test_interval_of_average_precision_is_a_bootstrap_within_classes(case, n_decimals):
    y_true, y_score = case[0], case[1].round(n_decimals)
    report = clinical_report(y_true, y_score=y_score, n_bootstrap=1000, random_state=0)
    rng = np.random.default_rng(1)
    positive, negative = y_score[y_true == 1], y_score[y_true == 0]
    resampled = [
        reference.average_precision_score(
            np.repeat([1, 0], [20, 80]),
            np.concatenate([rng.choice(positive, 20), rng.choice(negative, 80)]),
        )
        for _ in range(1000)
    ]
    expected = np.quantile(resampled, [0.025, 0.975])
    assert report.average_precision_interval == pytest.approx(expected, abs=0.03)


def test_random_state_fixes_the_bootstrap_and_no_global_state_moves(case):
    def interval(random_state):
        report = clinical_report(
            case[0], y_score=case[1], n_bootstrap=50, random_state=random_state
        )
        return report.average_precision_interval

    before = np.random.get_state()[1].copy()
    assert interval(3) == interval(3) == interval(np.random.RandomState(3))
    assert len({interval(3), interval(4), interval(None), interval(None)}) == 4
    assert (np.random.get_state()[1] == before).all()


def test_without_bootstrap(case):
    report = clinical_report(case[0], y_score=case[1], n_bootstrap=0)
    assert report.average_precision > 0
    assert report.average_precision_interval is None
    assert report.roc_auc_interval is not None
    (line,) = (s for s in str(report).splitlines() if s.startswith("average precision"))
    assert line.endswith(f"{report.average_precision:.3f}")
    json.dumps(report.to_dict())


@pytest.mark.slow
@pytest.mark.parametrize("n_positive", [500, 50_000])
def test_many_cases_take_seconds(n_positive):
    rng = np.random.default_rng(0)
    y_true = np.repeat([1, 0], [n_positive, 100_000 - n_positive])
    y_score = rng.normal(size=100_000) + y_true
    start = time.process_time()
    report = clinical_report(y_true, y_score=y_score, threshold=0.5, random_state=0)
    assert time.process_time() - start < 5
    low, high = report.average_precision_interval
    assert low < report.average_precision < high


def test_equal_scores_have_no_information(case):
    report = clinical_report(case[0], y_score=np.full(100, 0.3), **FEW)
    assert report.roc_auc == 0.5
    assert report.roc_auc_interval == (0, 1)


def test_predictions_alone(case):
    y_true, y_score = case
    y_pred = y_score >= 0.5
    report = clinical_report(y_true == 1, y_pred)
    scored = clinical_report(y_true, y_score=y_score, **FEW)
    assert report.sensitivity == scored.sensitivity
    assert report.sensitivity_interval == scored.sensitivity_interval
    assert report.threshold is None
    assert scored.threshold == 0.5
    for name in ("roc_auc", "average_precision"):
        assert getattr(report, name) is getattr(report, f"{name}_interval") is None
    assert report.brier_score is None
    assert "AUC" not in str(report)


def test_predictions_need_not_follow_the_scores(case):
    y_true, y_score = case
    report = clinical_report(y_true, y_true, y_score, **FEW)
    assert report.sensitivity == report.specificity == 1
    assert report.roc_auc < 1
    assert "by the given predictions" in str(report)


def test_scores_that_are_no_probabilities(case):
    y_true, y_score = case
    logits = np.log(y_score / (1 - y_score))
    with pytest.raises(ValueError, match="Pass threshold=0 for a decision function"):
        clinical_report(y_true, y_score=logits)
    report = clinical_report(y_true, y_score=logits, threshold=0, **FEW)
    same = clinical_report(y_true, y_score=y_score, **FEW)
    assert report.brier_score is None
    changed = {"threshold": 0.5, "brier_score": same.brier_score}
    assert dataclasses.replace(report, **changed) == same


def test_nothing_called_positive_or_negative():
    report = clinical_report([0, 0, 1], [0, 0, 0])
    assert report.positive_predictive_value is None
    assert report.positive_predictive_value_interval is None
    assert report.negative_predictive_value == pytest.approx(2 / 3)
    assert "PPV" not in str(report)
    report = clinical_report([0, 0, 1], [1, 1, 1])
    assert report.negative_predictive_value is None
    assert report.sensitivity == 1
    assert report.specificity == 0


def test_single_positive_case():
    report = clinical_report([0, 0, 1], y_score=[0.1, 0.6, 0.7], **FEW)
    assert report.roc_auc_interval == report.average_precision_interval == (0, 1)


@pytest.mark.parametrize(
    ("kind", "pos_label"),
    [(int, None), (bool, None), (str, "1"), (str, np.str_("1")), (int, np.int64(1))],
)
def test_to_dict_survives_json(case, kind, pos_label):
    y_true, y_score = case
    report = clinical_report(
        y_true.astype(kind), y_score=y_score, pos_label=pos_label, **FEW
    )
    figures = report.to_dict()
    assert json.loads(json.dumps(figures)) == figures
    assert figures["sensitivity"] == report.sensitivity
    assert figures["roc_auc_interval"] == list(report.roc_auc_interval)
    assert figures["n_samples"] == 100
    assert figures["pos_label"] == kind(1)


def test_report_cannot_be_changed():
    report = clinical_report([0, 1], [0, 1])
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.sensitivity = 0.99


def test_table_shows_what_the_report_holds(case):
    report = clinical_report(case[0], y_score=case[1], **FEW)
    table = str(report)
    for line in [
        f"100 cases, 20 of them positive (1, {report.prevalence:.1%})",
        f"= {report.true_positives} / 20",
        f"= {report.true_negatives} / 80",
        f"{report.roc_auc:.3f}   {report.roc_auc_interval[0]:.3f} to",
        f"{report.brier_score:.3f}",
        "95% interval",
    ]:
        assert line in table
    assert max(map(len, table.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([0, 1],), {}, "needs `y_pred` or `y_score`. Got neither"),
        (([0, 1], [0, 1]), {"threshold": 0.5}, "threshold=0.5 and `y_pred`"),
        (([0, 1], [0.25, 1]), {}, "such as 0.25. Pass scores .* by name, y_score="),
        ((["a", "b"], [0.5, 0.1]), {"pos_label": "b"}, "by name, y_score="),
        (([0, 0], [0, 1]), {}, "at least one positive case"),
        (([1, 1], [0, 1]), {}, "at least one negative case"),
        ((["b", "m"], ["b", "m"]), {}, "e.g. pos_label='m'"),
        (([0, 1], [0, 1], [0.2]), {}, r"Got \(1,\)"),
        (([0, 1], [0, 1]), {"confidence_level": 1}, "Got 1. Pass"),
        (([0, 1], [0, 1]), {"n_bootstrap": -1}, "an int >= 0. Got -1. Pass 0 for no"),
    ],
)
def test_errors(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        clinical_report(*arguments, **options)


class Tables(HTMLParser):
    """Read the rows of all tables, and check that every tag is closed."""

    def __init__(self):
        super().__init__()
        self.rows, self.open = [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def test_html():
    report = clinical_report([0] * 6 + [1] * 4, y_score=np.arange(10) / 10)
    tables = Tables()
    html = report._repr_html_()
    tables.feed(html)
    assert tables.open == []
    rows = {row[0]: row[1:] for row in tables.rows}
    assert rows["is positive"] == ["4 (true positives)", "0 (false negatives)"]
    assert rows["is negative"] == ["1 (false positives)", "5 (true negatives)"]
    value, interval, meaning = rows["Specificity"]
    assert (value, meaning) == (
        "0.833",
        "5 of the 6 negative cases are called negative.",
    )
    assert interval == "{:.3f} to {:.3f}".format(*report.specificity_interval)
    assert rows["Brier score"][:2] == [f"{report.brier_score:.3f}", ""]
    assert "10 cases, 4 of them positive (label <i>1</i>, 40.0%)" in html
    assert "if its score is at least 0.5" in html


def test_html_without_scores_is_escaped():
    y = ["<b>", "<b>", "benign", "benign"]
    html = clinical_report(y, y, pos_label="<b>")._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;" in html
    assert "ROC" not in html
