"""The quality report: known sets, groups, small sets, forms of images, and the page."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from torch import nn

from gansampler.datasets import make_lesions
from gansampler.images import ImageSequence
from gansampler.quality import (
    FeatureExtractor,
    _figures,
    _report,
    kernel_distance,
    quality_report,
)
from gansampler.quality._detectors import detector_auc, target_votes
from gansampler.quality._sets import blend, group_images

SETS = {"synthetic", "real", "untranslated", "smote", "repeated"}
X, y = make_lesions(240, weights=(0.5, 0.5), image_size=24, random_state=0)
BENIGN, MALIGNANT = X[y == "benign"], X[y == "malignant"]
REAL, NEW = MALIGNANT[:60], MALIGNANT[60:120]
# Blue instead of red, which no other image is.
SOURCE = BENIGN[:60, ..., ::-1]


@pytest.fixture(scope="module", autouse=True)
def few_draws():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_figures, "N_DRAWS", 12)
        patch.setattr(_report, "N_DRAWS", 12)
        yield


@pytest.fixture(scope="module")
def extractor():
    """Features that a reader can imagine: colours of 4 x 4 parts of an image."""
    thumbnail = nn.Sequential(nn.AvgPool2d(6), nn.Flatten())
    return FeatureExtractor(thumbnail, min_side=1)


@pytest.fixture(scope="module")
def report_of(extractor):
    """Return a function that compares images with the same real ones."""

    def compare(synthetic, *, source=SOURCE, target=REAL, **params):
        params = {"extractor": extractor, "random_state": 0, **params}
        return quality_report(source, target, synthetic, **params)

    return compare


@pytest.fixture(scope="module")
def of_untranslated(report_of):
    return report_of(SOURCE, parents=np.arange(60), labels=("benign", "malignant"))


@pytest.fixture(scope="module")
def of_collapsed(report_of):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 2, size=(60, *REAL.shape[1:]))
    return report_of(np.clip(REAL[3] + noise, 0, 255).astype(np.uint8))


class TestKnownSets:
    def test_new_real_images_are_like_real_ones(self, report_of):
        report = report_of(NEW)
        for figure in report.figures.values():
            assert figure.status in {"like real", "cannot tell", "biased"}, figure
        assert report.figures["kernel_distance"].status == "like real"
        assert report.figures["diversity"].values["synthetic"] == pytest.approx(
            1, abs=0.1
        )
        assert "no clear difference from real" in report.summary[0]

    def test_untranslated_images_are_no_gain(self, of_untranslated):
        figures = of_untranslated.figures
        for name in ("kernel_distance", "detector_auc", "target_share", "precision"):
            assert figures[name].status in {"no gain", "cannot tell"}, figures[name]
        assert figures["kernel_distance"].status == "no gain"
        assert figures["source_copies"].values["synthetic"] == 1
        assert figures["source_copies"].status == "too high"
        assert figures["target_share"].values["synthetic"] == pytest.approx(
            figures["target_share"].values["untranslated"]
        )
        assert "no clear sign" in of_untranslated.summary[0]

    def test_copies_are_found(self, report_of):
        figure = report_of(REAL[::-1]).figures["target_copies"]
        assert figure.values["synthetic"] == figure.values["repeated"] == 1
        assert figure.values["untranslated"] < 0.5
        assert figure.status == "too high"

    def test_collapse_is_seen(self, of_collapsed):
        figures = of_collapsed.figures
        assert figures["precision"].values["synthetic"] == 1
        for name in ("recall", "coverage", "diversity"):
            assert figures[name].values["synthetic"] < 0.25
            assert figures[name].status != "like real"
        assert figures["diversity"].status == "worse"
        assert figures["detector_auc"].status != "like real"

    def test_negatives_are_worse_than_nothing(self, report_of):
        report = report_of(255 - NEW)
        assert report.figures["kernel_distance"].status == "worse"
        assert report.figures["precision"].values["synthetic"] == 0
        assert report.figures["detector_auc"].values["synthetic"] > 0.95
        assert "farther from real" in report.summary[0]


class TestFigures:
    def test_have_values_and_intervals_of_all_sets(self, of_untranslated):
        for figure in of_untranslated.figures.values():
            assert set(figure.values) == SETS
            assert set(figure.intervals) == SETS
            for low, high in figure.intervals.values():
                assert low <= high

    def test_draws_have_the_distance_of_all_images(self, of_untranslated, extractor):
        """The kernel distance has no bias, so that halves have the same on average."""
        figure = of_untranslated.figures["kernel_distance"]
        features = [extractor.transform(images) for images in (REAL, SOURCE)]
        expected = kernel_distance(*features)
        assert figure.values["synthetic"] == pytest.approx(expected, rel=0.25)
        assert figure.values["real"] == pytest.approx(0, abs=expected / 10)

    def test_near_duplicates_equal_their_definition(self, report_of, extractor):
        synthetic = np.concatenate([NEW[:30], REAL[:10] // 2 + NEW[:10] // 2])
        real, fake = extractor.transform(REAL), extractor.transform(synthetic)
        real, fake = real.astype(float), fake.astype(float)
        others = [
            min(np.linalg.norm(a - b) for j, b in enumerate(real) if i != j)
            for i, a in enumerate(real)
        ]
        nearest = [min(np.linalg.norm(a - b) for b in real) for a in fake]
        values = report_of(synthetic).figures["target_copies"].values
        expected = np.mean(np.array(nearest) <= np.quantile(others, 0.05))
        assert values["synthetic"] == pytest.approx(expected)
        assert values["real"] == pytest.approx(0.05, abs=0.03)

    def test_of_few_images_the_frechet_distance_is_not_judged(self, of_untranslated):
        figure = of_untranslated.figures["frechet_distance"]
        assert figure.status == "biased"
        assert "too high for fewer than 2,048 images, and 30 are compared" in (
            figure.meaning
        )

    def test_same_seed_same_report(self, report_of):
        assert report_of(NEW).to_dict() == report_of(NEW).to_dict()

    def test_max_images(self, report_of):
        parents = np.arange(60)[::-1].copy()
        report = report_of(SOURCE[::-1], parents=parents, max_images=20)
        assert report.n_images == {"source": 20, "target": 20, "synthetic": 20}
        assert report.n_draw == 10
        # The parents are among the images.
        assert report.figures["source_copies"].values["synthetic"] == 1


class TestSmallSets:
    @pytest.mark.parametrize(("n_target", "n_synthetic"), [(2, 1), (3, 5), (9, 12)])
    def test_say_what_is_undefined(self, report_of, n_target, n_synthetic):
        report = report_of(
            NEW[:n_synthetic],
            target=REAL[:n_target],
            parents=np.arange(n_synthetic),
        )
        figures = report.figures
        for name in ("precision", "recall", "density", "coverage"):
            assert figures[name].status == "not defined"
            assert "needs 12 images of each set" in figures[name].verdict
        assert "needs 20 images" in figures["detector_auc"].verdict
        assert (figures["kernel_distance"].status == "not defined") == (n_target < 4)
        smallest = min(n_target, n_synthetic)
        assert f"smallest set has {smallest} images" in report.summary[-1]
        assert "How good" in report._repr_html_()
        assert "kernel distance" in str(report)

    def test_equal_images(self, report_of):
        """Features without any variance."""
        same = np.repeat(REAL[:1], 24, axis=0)
        report = report_of(same, target=same, source=same)
        assert report.figures["detector_auc"].status == "not defined"
        assert report.figures["target_share"].status == "not defined"
        assert "diversity" in report.to_dict()["figures"]
        assert "How good" in report._repr_html_()


class TestForms:
    def test_floats_paths_and_sequences(self, report_of, tmp_path):
        expected = report_of(NEW).to_dict()
        paths = [tmp_path / f"{i:02}.png" for i in range(len(NEW))]
        for path, image in zip(paths, NEW, strict=True):
            Image.fromarray(image).save(path)
        files = report_of(paths, image_shape=(24, 24, 3))
        assert files.to_dict() == expected
        assert report_of(ImageSequence(NEW)).to_dict() == expected

    def test_grey_images_in_floats(self, report_of):
        grey = [part[..., 0] / 255 for part in (NEW, SOURCE // 2, REAL)]
        report = report_of(grey[0], source=grey[1], target=grey[2])
        assert report.figures["kernel_distance"].status == "like real"

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"parents": [0, 1]}, "one row of `real_source` for each synthetic image"),
            ({"parents": np.full(60, 60)}, "60 ints from 0 to 59"),
            ({"parents": np.zeros(60)}, "dtype float64"),
            ({"target": REAL[:1]}, "`real_target` must have at least 2 images. Got 1"),
            ({"target": REAL[:, :20]}, r"one shape.*real_target \(20, 24, 3\)"),
            ({"max_images": 3}, "`max_images` must be an int >= 4. Got 3."),
        ],
    )
    def test_bad_input(self, report_of, params, message):
        with pytest.raises(ValueError, match=message):
            report_of(NEW, **params)


class TestGroups:
    def test_same_images_cannot_be_detected(self):
        """Without groups, the detector would know half of the images already."""
        features = np.random.default_rng(0).normal(size=(40, 100))
        groups = np.arange(40)
        assert detector_auc(features, features, groups, groups, 0) == 0.5

    def test_detector_finds_a_difference(self):
        real, fake = np.random.default_rng(0).normal(size=(2, 40, 5))
        groups = np.arange(80)
        auc = detector_auc(real, fake + 2, groups[:40], groups[40:], 0)
        assert auc > 0.95
        chance = detector_auc(real, fake, groups[:40], groups[40:], 0)
        assert chance == pytest.approx(0.5, abs=0.2)

    def test_votes_are_cross_fitted(self):
        """Without any difference, only a classifier that saw an image knows it."""
        source, target = np.random.default_rng(0).normal(size=(2, 60, 300))
        features = {"source": source, "target": target, "synthetic": target}
        groups = {"source": np.arange(60), "target": np.arange(60, 120)}
        votes = target_votes(features, groups, 0)
        assert votes["target"].mean() == pytest.approx(0.5, abs=0.2)
        # An image that is not known to be in the data.
        assert votes["synthetic"].mean() > 0.9
        votes = target_votes(features, {**groups, "synthetic": groups["target"]}, 0)
        np.testing.assert_array_equal(votes["synthetic"], votes["target"])

    def test_groups_of_copies_and_versions(self):
        images = {
            "source": ImageSequence(BENIGN[:3]),
            "target": ImageSequence(REAL[[0, 1, 0]]),
            "synthetic": ImageSequence(np.concatenate([NEW[:2], BENIGN[:1]])),
        }
        groups = group_images(images, np.array([2, 2, 1]))
        source, target, synthetic = groups.values()
        assert target[0] == target[2] != target[1]
        assert synthetic[0] == synthetic[1] == source[2]
        # A copy of the first source image, whose parent is the second one.
        assert synthetic[2] == source[0] == source[1] != source[2]


def test_blends_are_between_two_images():
    images = REAL[:6].astype(float)
    blends = blend(ImageSequence(REAL[:6]), 9, np.random.RandomState(0))
    assert blends.shape == (9, 24, 24, 3)
    assert blends.dtype == np.uint8
    for mixed in blends.astype(float):
        errors = []
        for a in images:
            for b in images:
                way = (b - a).ravel()
                share = way @ (mixed - a).ravel() / max(way @ way, 1)
                errors.append(abs(a + np.clip(share, 0, 1) * (b - a) - mixed).max())
        assert min(errors) <= 1


class Links(HTMLParser):
    """What a page would load, and its tags."""

    def __init__(self):
        super().__init__()
        self.tags, self.urls, self.open = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        values = [value for name, value in attrs if name in ("src", "href", "srcset")]
        self.urls += values
        if tag not in ("meta", "img", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("circle",):
            assert self.open.pop() == tag


class TestPage:
    def test_is_one_file(self, of_untranslated, tmp_path):
        path = tmp_path / "report.html"
        of_untranslated.to_html(path)
        text = path.read_text(encoding="utf-8")
        page = Links()
        page.feed(text)
        assert page.open == []
        assert not {"script", "link", "iframe"} & set(page.tags)
        # Six columns of three images, for three galleries.
        assert len(page.urls) == page.tags.count("img") == 54
        assert all(url.startswith("data:image/png;base64,") for url in page.urls)
        assert "url(" not in text
        assert "@import" not in text
        assert page.tags.count("article") == 11
        for sentence in of_untranslated.summary:
            assert sentence in text
        for figure in of_untranslated.figures.values():
            assert figure.meaning in text
            assert figure.verdict in text

    def test_without_parents(self, report_of):
        page = report_of(NEW)._page()
        assert "What was changed" not in page
        assert page.count('alt="Synthetic image"') == 18

    def test_names_are_escaped_and_numbers_become_names(self, report_of):
        names = ("<b>&", "{target}")
        page = report_of(NEW[:8], labels=names)._page()
        assert "<b>" not in page
        assert "real &lt;b&gt;&amp; images" in page
        assert "real {target} images" in page
        report = report_of(NEW[:8], labels=(0, 1))
        assert report.labels == ("class 0", "class 1")

    def test_notebooks_show_it_in_a_frame(self, of_untranslated):
        html = of_untranslated._repr_html_()
        assert html.startswith('<iframe srcdoc="&lt;!DOCTYPE html&gt;')
        assert html.count("<") == 2

    def test_figures_in_json_and_text(self, of_untranslated):
        figures = of_untranslated.to_dict()
        assert json.loads(json.dumps(figures)) == figures
        lines = str(of_untranslated).splitlines()
        assert lines[0] == (
            "60 synthetic malignant images, 60 real ones, and 60 of benign"
        )
        (line,) = (line for line in lines if line.startswith("unchanged source"))
        assert line.split()[2] == "100%"
        assert line.endswith("too high")
        assert max(map(len, lines)) <= 100


def test_progress(report_of, capsys):
    report_of(NEW[:8], verbose=1)
    assert "quality report: 16/16 steps (100%)" in capsys.readouterr().err
    report_of(NEW[:8])
    assert capsys.readouterr().err == ""
