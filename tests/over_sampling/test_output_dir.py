"""The output folder: whole files, continued runs, two processes, bad folders."""

import copy
import errno
import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import filelock
import numpy as np
import pytest
import torch
from PIL import Image

from gansampler import CycleGAN, GANOverSampler, Trainer
from gansampler.exceptions import GANSamplerWarning
from gansampler.networks import ResNetGenerator
from gansampler.over_sampling import _generation
from gansampler.over_sampling.output import _class_files, _names
from tests.over_sampling.translators import Invert, Unsteady

ROOT = Path(__file__).resolve().parents[2]


def sampler(output_dir, **params):
    params = {"translator": Invert(), "random_state": 0, **params}
    return GANOverSampler(image_shape=(12, 12, 3), output_dir=output_dir, **params)


@pytest.fixture(autouse=True)
def chunks_of_four(monkeypatch):
    monkeypatch.setattr(_generation, "BYTES_PER_CHUNK", 4 * 12 * 12 * 3)


@pytest.fixture
def expected(files, tmp_path):
    """What an uninterrupted run writes: path -> bytes."""
    sampler(tmp_path / "expected").fit_resample(files.paths, files.y)
    return contents(tmp_path / "expected")


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".gansampler")
    }


def times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.png")}


def stop_after(monkeypatch, n_writes, error):
    """Let the writing of an image fail, after so many have been written."""
    write, left = _class_files.write_file, [n_writes]

    def fail_in_the_end(path, data):
        if left[0] == 0:
            raise error
        left[0] -= 1
        write(path, data)

    monkeypatch.setattr(_class_files, "write_file", fail_in_the_end)
    return lambda: monkeypatch.setattr(_class_files, "write_file", write)


@pytest.mark.parametrize("n_writes", [0, 1, 4, 7, 8, 13, 16])
def test_a_stopped_run_is_continued_to_the_same_end(
    files, tmp_path, monkeypatch, expected, n_writes
):
    out = tmp_path / "out"
    undo = stop_after(monkeypatch, n_writes, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        sampler(out).fit_resample(files.paths, files.y)
    undo()
    written = times(out)
    assert len(written) == n_writes
    assert not (out / "manifest.csv").exists()
    X, y = sampler(out).fit_resample(files.paths, files.y)
    assert contents(out) == expected
    assert written.items() <= times(out).items()
    assert len(X) == len(y) == 36


def test_a_second_run_writes_nothing(files, tmp_path, expected):
    out = tmp_path / "expected"
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    X, _ = sampler(out).fit_resample(files.paths, files.y)
    after = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    ignored = {out, out / _names.LOCK}
    assert {p: t for p, t in before.items() if p not in ignored} == {
        p: t for p, t in after.items() if p not in ignored
    }
    assert [str(out / name) for name in json_paths(out)] == X[19:]


def json_paths(out):
    listed = json.loads((out / "manifest.json").read_text())["images"]
    return [row["path"] for row in listed]


def test_damage_is_repaired_and_nothing_else_touched(files, tmp_path, expected):
    out = tmp_path / "expected"
    pictures = sorted(out.rglob("*.png"))
    pictures[0].write_bytes(pictures[0].read_bytes()[:-40])
    pictures[6].write_bytes(b"")
    pictures[10].unlink()
    (out / "b" / ".123.tmp").write_bytes(b"half")
    with (out / ".gansampler.jsonl").open("a") as file:
        file.write('{"folder": "c", "start": 8, "ima')
    before = times(out)
    sampler(out).fit_resample(files.paths, files.y)
    assert contents(out) == expected
    after = times(out)
    assert {p for p in after if before.get(p) != after[p]} == {
        pictures[0],
        pictures[6],
        pictures[10],
    }
    # A journal with a torn line goes on as one without.
    pictures[3].unlink()
    sampler(out).fit_resample(files.paths, files.y)
    assert contents(out) == expected


def test_a_lost_journal_line_rewrites_no_whole_file(files, tmp_path, expected):
    out = tmp_path / "expected"
    journal = out / ".gansampler.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:3]) + lines[3][:20])
    before = times(out)
    sampler(out).fit_resample(files.paths, files.y)
    assert contents(out) == expected
    assert times(out) == before


def test_repeated_images_are_turned_alike_when_continued(files, tmp_path, monkeypatch):
    # Many more than sources, two of which are equal: retries, and random rotations.
    Image.fromarray(files.images[0]).save(files.paths[1])
    strategy = {"c": 150}
    whole = sampler(tmp_path / "whole", sampling_strategy=strategy)
    X, _ = whole.fit_resample(files.paths, files.y)
    made = {np.asarray(Image.open(path)).tobytes() for path in X[19:]}
    assert len(made) == 147
    undo = stop_after(monkeypatch, 101, KeyboardInterrupt())
    again = sampler(tmp_path / "out", sampling_strategy=strategy)
    with pytest.raises(KeyboardInterrupt):
        again.fit_resample(files.paths, files.y)
    undo()
    again.fit_resample(files.paths, files.y)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


OTHER_RUNS = {
    "seed": ({"random_state": 1}, "random_state"),
    "counts": ({"sampling_strategy": {"c": 9}}, "sampling_strategy"),
    "format": ({"output_format": "jpeg"}, "output_format"),
    "size": ({"image_shape": (16, 12, 3)}, "X"),
    "source": ({"source": "rest"}, "source"),
    "translator": ({"translator": Invert(random_state=3)}, "translator"),
}


@pytest.mark.parametrize("kind", OTHER_RUNS)
def test_a_run_with_other_settings_is_refused(files, expected, tmp_path, kind):
    params, name = OTHER_RUNS[kind]
    out = tmp_path / "expected"
    over = sampler(out).set_params(**params)
    with pytest.raises(
        ValueError, match=rf"differs in {name}\. Pass another .*{{run}}"
    ):
        over.fit_resample(files.paths, files.y)
    assert contents(out) == expected


def test_other_data_are_refused(files, expected, tmp_path):
    out = tmp_path / "expected"
    with pytest.raises(ValueError, match=r"differs in y\."):
        sampler(out).fit_resample(files.paths, np.roll(files.y, 1))
    Image.fromarray(255 - files.images[5]).save(files.paths[5])
    with pytest.raises(ValueError, match=r"differs in X\."):
        sampler(out).fit_resample(files.paths, files.y)


def test_a_run_that_made_nothing_leaves_the_folder_free(
    files, tmp_path, monkeypatch, expected
):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(Invert, "_fit", never_trains)
        with pytest.raises(AssertionError):
            sampler(out, random_state=5).fit_resample(files.paths, files.y)
    sampler(out).fit_resample(files.paths, files.y)
    assert contents(out) == expected


def test_a_folder_that_was_taken_meanwhile(files, tmp_path, monkeypatch, expected):
    out = tmp_path / "out"
    fit = Invert._fit

    def fit_while_another_runs(self, **domains):
        monkeypatch.setattr(Invert, "_fit", fit)
        sampler(out).fit_resample(files.paths, files.y)
        fit(self, **domains)

    monkeypatch.setattr(Invert, "_fit", fit_while_another_runs)
    with pytest.raises(ValueError, match="differs in random_state"):
        sampler(out, random_state=5).fit_resample(files.paths, files.y)
    assert contents(out) == expected


def test_the_images_of_another_translator_are_replaced(files, tmp_path, monkeypatch):
    """A second training may give another translator: no class has images of both."""
    out = tmp_path / "out"
    undo = stop_after(monkeypatch, 5, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        sampler(out, translator=Unsteady()).fit_resample(files.paths, files.y)
    undo()
    over = sampler(out, translator=Unsteady())
    with pytest.warns(GANSamplerWarning, match=r"class 'b' .* replaced.*trained from"):
        X, _ = over.fit_resample(files.paths, files.y)
    for label, rows in (("b", range(19, 27)), ("c", range(27, 36))):
        shift = over.translators_[label].shift_
        for row in rows:
            parent = files.images[over.sample_indices_[row]]
            written = np.asarray(Image.open(X[row]))
            np.testing.assert_array_equal(written, 255 - parent + shift)


def never_trains(*args, **kwargs):
    raise AssertionError("trained before the folder was checked")


def test_without_a_seed_a_run_is_not_continued(files, tmp_path, monkeypatch):
    over = sampler(tmp_path / "out", random_state=None)
    stop_after(monkeypatch, 5, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        over.fit_resample(files.paths, files.y)
    monkeypatch.setattr(Invert, "_fit", never_trains)
    with pytest.raises(ValueError, match=r"random_state=None a second training"):
        over.fit_resample(files.paths, files.y)


def test_a_fitted_translator_goes_on_with_the_seed_of_the_folder(files, tmp_path):
    fitted = Invert().fit(files.images[:12], files.images[12:])
    over = sampler(tmp_path / "out", random_state=None)
    over.set_params(translator={"b": fitted, "c": fitted}, prefit=True)
    first, _ = over.fit_resample(files.paths, files.y)
    again, _ = over.fit_resample(files.paths, files.y)
    assert first == again


def test_a_fingerprint_for_each_content_of_fitted_networks(files, tmp_path):
    """Fitted translators with equal parameters are not the same."""

    def run(translator):
        over = sampler(tmp_path / "{run}", prefit=True, sampling_strategy={"b": 6})
        over.set_params(translator=translator).fit_resample(files.paths, files.y)
        return {path.name for path in tmp_path.iterdir()} - {"originals"}

    source, target = files.images[:12], files.images[12:]
    translator = CycleGAN(ngf=2, ndf=2, n_blocks=1, n_epochs=1, batch_size=9)
    translator.fit(source, target)
    first = run(translator)
    assert len(first) == 1
    assert run(copy.deepcopy(translator)) == first
    assert len(run({"b": translator})) == 2
    with torch.no_grad():
        next(translator.generator_st_.parameters()).add_(1e-4)
    assert len(run(translator)) == 3
    # A discriminator changes the scores.
    with torch.no_grad():
        next(translator.discriminator_t_.parameters()).add_(1e-4)
    assert len(run(translator)) == 4


@pytest.mark.filterwarnings("ignore::gansampler.exceptions.CheckpointWarning")
def test_without_a_seed_checkpoints_let_it_go_on(files, tmp_path, monkeypatch):
    trainer = Trainer(accelerator="cpu", checkpoint_dir=tmp_path / "checkpoints")
    translator = CycleGAN(
        ngf=4, ndf=4, n_blocks=1, n_epochs=1, batch_size=4, trainer=trainer
    )
    over = sampler(tmp_path / "out", random_state=None, translator=translator)
    undo = stop_after(monkeypatch, 11, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        over.fit_resample(files.paths, files.y)
    undo()
    written = times(tmp_path / "out")
    over.fit_resample(files.paths, files.y)
    assert written.items() <= times(tmp_path / "out").items()
    assert len(times(tmp_path / "out")) == 17


def make_file(folder):
    folder.write_text("I am a file")


def make_full_folder(folder):
    folder.mkdir()
    (folder / "thesis.tex").write_text("\\end{document}")


BAD_FOLDERS = {
    "file": ("taken", make_file, OSError, "must be a folder. .*taken' is a file"),
    "below a file": ("taken/out", None, OSError, "can be written to. Got .*taken/out"),
    "in the source": ("originals/out", None, ValueError, "must be apart from the fold"),
    "is the source": ("originals", None, ValueError, "and originals in .*originals'"),
    "holds the source": (".", None, ValueError, "and originals in .*originals'"),
    "foreign": (
        "full",
        make_full_folder,
        ValueError,
        "contains 'thesis.tex', and no",
    ),
}


@pytest.mark.parametrize("case", BAD_FOLDERS)
def test_bad_folders_are_refused_before_training(files, tmp_path, monkeypatch, case):
    name, prepare, error, message = BAD_FOLDERS[case]
    monkeypatch.setattr(Invert, "_fit", never_trains)
    out = tmp_path / name
    if prepare is not None:
        prepare(out)
    elif case == "below a file":
        make_file(out.parent)
    before = contents(tmp_path)
    with pytest.raises(error, match=message):
        sampler(out).fit_resample(files.paths, files.y)
    assert contents(tmp_path) == before


@pytest.mark.usefixtures("no_privileges")
def test_read_only_folder(files, tmp_path, monkeypatch):
    monkeypatch.setattr(Invert, "_fit", never_trains)
    out = tmp_path / "out"
    out.mkdir(mode=0o500)
    with pytest.raises(PermissionError, match="give permission"):
        sampler(out).fit_resample(files.paths, files.y)


def test_folder_that_refuses_files(files, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Invert, "_fit", never_trains)
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(PermissionError, match="can be written to. Got .*out' .Permis"):
        sampler(tmp_path / "out").fit_resample(files.paths, files.y)


def test_what_will_not_fit_is_not_begun(files, tmp_path, monkeypatch):
    monkeypatch.setattr(Invert, "_fit", never_trains)
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: SimpleNamespace(free=17 * 4096 - 1)
    )
    message = r"17 files of about 4 kB need 0.1 MB; .* Make space"
    with pytest.raises(OSError, match=message) as caught:
        sampler(tmp_path / "out").fit_resample(files.paths, files.y)
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.undo()
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: SimpleNamespace(free=17 * 4096)
    )
    sampler(tmp_path / "out").fit_resample(files.paths, files.y)
    # Nothing is missing any more, so no room is needed.
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    sampler(tmp_path / "out").fit_resample(files.paths, files.y)


def test_a_disk_that_fills_up_leaves_whole_files(
    files, tmp_path, monkeypatch, expected
):
    out = tmp_path / "out"
    replace, left = Path.replace, [9]

    def fill_up(self, target):
        if self.suffix == ".tmp" and Path(target).suffix == ".png":
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fill_up)
    with pytest.raises(OSError, match=r"The disk is full at .* to resume") as caught:
        sampler(out).fit_resample(files.paths, files.y)
    assert not list(out.rglob("*.tmp"))
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.setattr(Path, "replace", replace)
    held = contents(out)
    assert len(held) == 9
    assert held.items() <= expected.items()
    sampler(out).fit_resample(files.paths, files.y)
    assert contents(out) == expected


def test_a_second_process_waits_and_says_so(files, tmp_path, expected):
    out = tmp_path / "out"
    out.mkdir()
    held = threading.Event()

    def hold():
        with filelock.FileLock(out / _names.LOCK):
            held.set()
            time.sleep(0.5)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    start = time.monotonic()
    with pytest.warns(GANSamplerWarning, match="Another process is writing"):
        sampler(out).fit_resample(files.paths, files.y)
    thread.join()
    assert time.monotonic() - start > 0.4
    assert contents(out) == expected


def test_output_dir_and_form_must_go_together(files, tmp_path):
    of_rows = sampler(tmp_path / "out").set_params(image_shape=None)
    with pytest.raises(ValueError, match="is for images. Got output_dir=.*feature row"):
        of_rows.fit_resample(files.images[:, 0, :, 0], files.y)
    with pytest.raises(ValueError, match="Got output_dir=None. Pass output_dir="):
        sampler(None).fit_resample(files.paths, files.y)
    with pytest.raises(ValueError, match="'output_format' parameter of GANOverSampler"):
        sampler("out", output_format="gif").fit_resample(files.paths, files.y)
    over = sampler(tmp_path / "out", output_format="jpeg")
    over.set_params(image_shape=(12, 12, 4))
    with pytest.raises(ValueError, match="store images of 1 or 3 channels. Got 4"):
        over.fit_resample(files.paths, files.y)
    with pytest.raises(ValueError, match="requires y to be passed"):
        sampler(tmp_path / "out").fit_resample(files.paths)
    assert not (tmp_path / "out").exists()


CHILD = """
import sys, time
sys.path.insert(0, sys.argv[1])
import numpy as np
from gansampler import CycleGAN, GANOverSampler, Trainer
from gansampler.over_sampling import _generation
from gansampler.over_sampling.output import _class_files, _names
from tests.over_sampling.translators import Invert
_generation.BYTES_PER_CHUNK = 4 * 12 * 12 * 3
write = _class_files.write_file
def write_slowly(path, data):
    time.sleep(float(sys.argv[4]))
    write(path, data)
_class_files.write_file = write_slowly
folder = sys.argv[2]
paths = [f"{folder}/scan {i}.png" for i in range(19)]
GANOverSampler(
    image_shape=(12, 12, 3), output_dir=sys.argv[3], translator=Invert(),
    random_state=0, sampling_strategy={"b": 120, "c": 120},
).fit_resample(paths, np.repeat(["a", "b", "c"], [12, 4, 3]))
"""


def start_child(files, out, seconds_a_write=0.0):
    command = [sys.executable, "-W", "ignore", "-c", CHILD]
    arguments = [str(ROOT), str(files.folder), str(out), str(seconds_a_write)]
    return subprocess.Popen([*command, *arguments])


@pytest.mark.slow
def test_killed_at_random_moments(files, tmp_path):
    over = sampler(tmp_path / "whole", sampling_strategy={"b": 120, "c": 120})
    over.fit_resample(files.paths, files.y)
    out = tmp_path / "out"
    rng = np.random.default_rng()
    n_written = 0
    for _ in range(3):
        child = start_child(files, out, seconds_a_write=0.004)
        wanted = n_written + rng.integers(1, 45)
        while len(list(out.rglob("*.png"))) < wanted and child.poll() is None:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.004))
        child.kill()
        assert child.wait() != 0
        known = times(out)
        assert n_written < len(known) < 233
        n_written = len(known)
    over.set_params(output_dir=out).fit_resample(files.paths, files.y)
    assert contents(out) == contents(tmp_path / "whole")
    # Of the last kill: what was there is still the same file.
    assert known.items() <= times(out).items()


@pytest.mark.slow
def test_two_processes_at_once(files, tmp_path):
    over = sampler(tmp_path / "whole", sampling_strategy={"b": 120, "c": 120})
    over.fit_resample(files.paths, files.y)
    children = [start_child(files, tmp_path / "out", 0.002) for _ in range(2)]
    assert [child.wait(timeout=120) for child in children] == [0, 0]
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_two_threads_at_once(files, tmp_path, expected):
    errors = []

    def run():
        try:
            sampler(tmp_path / "out").fit_resample(files.paths, files.y)
        except GANSamplerWarning:
            pass  # It had to wait, and warnings are errors here.
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert contents(tmp_path / "out") == expected


def test_translators_with_other_functions_have_folders_of_their_own(files, tmp_path):
    def with_blocks(n_blocks):
        return CycleGAN(
            generator=lambda n: ResNetGenerator(n, ngf=4, n_blocks=n_blocks),
            ndf=4,
            n_epochs=0,
        )

    for n_blocks in (1, 2, 1):
        translator = with_blocks(n_blocks)
        over = sampler(tmp_path / "{run}", translator=translator)
        over.fit_resample(files.paths, files.y)
    runs = [path for path in tmp_path.iterdir() if (path / "manifest.csv").exists()]
    assert len(runs) == 2
