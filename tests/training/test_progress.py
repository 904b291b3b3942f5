"""What is shown during training: width, figures, estimate, terminal and log."""

import os
import re
import subprocess
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from gansampler import CUT, CycleGAN, GANOverSampler, Trainer
from gansampler.exceptions import LongTrainingWarning
from gansampler.training import Progress, _estimate, _progress
from tests.training.line_task import LineTask

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (10, 8, 8, 3), dtype=np.uint8)
FIGURES = {
    "generator": 0.51234,
    "discriminator": 0.231,
    "epoch": "30/100",
    "img/s": 8.123,
}


class Clock:
    """Time that a test moves."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        fake = SimpleNamespace(monotonic=lambda: self.now)
        for module in (_estimate, _progress):
            monkeypatch.setattr(module, "time", fake)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.mark.parametrize("description", ["CycleGAN", "translating to " + 40 * "x"])
@pytest.mark.parametrize(("n", "seconds"), [(10, 1.0), (200_000, 0.5), (20_000, 9.0)])
def test_lines_of_a_log(capsys, clock, description, n, seconds):
    progress = Progress(n, description, shown=True, unit="step")
    for _ in range(min(n, 1000)):
        clock.now += seconds
        if progress.wants_note:
            progress.note(FIGURES)
        progress.update(1)
    progress.close()
    lines = capsys.readouterr().err.splitlines()
    assert max(map(len, lines)) <= 100
    # One after ten seconds, few in the first minutes, then one per minute.
    total = min(n, 1000) * seconds
    assert 1 <= len(lines) <= 2 + min(total / 15, 10) + total / 60
    if total > 15:
        assert "generator 0.512" in lines[0]
        assert " elapsed, " in lines[0]
        assert lines[0].count(" left") == 1


def test_the_first_line_has_an_estimate(capsys, clock):
    progress = Progress(1000, "CycleGAN", shown=True, unit="step")
    for _ in range(11):
        clock.now += 1
        progress.update(1)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "CycleGAN: 11/1000 step (1%), 00:11 elapsed, 16:29 left"


def test_figures_that_do_not_fit_are_left_out():
    parts = ["generator 0.5", "discriminator 0.2", "epoch 3/9"]
    assert _progress._join_what_fits(parts, " ", 100) == " " + " ".join(parts)
    assert _progress._join_what_fits(parts, " ", 15) == " generator 0.5"
    assert _progress._join_what_fits(parts, " ", 9) == ""


TERMINAL = """
import sys, time
from gansampler.training import Progress
progress = Progress(400, sys.argv[1], shown=True, unit="step")
for step in range(400):
    if step % 40 == 39:
        progress.note({"generator": 0.51234, "discriminator": 0.231,
                       "epoch": f"{step // 40 + 1}/10", "img/s": 8.1})
    progress.update(1)
    if step % 20 == 0:
        time.sleep(0.21)
progress.close()
"""


def run_in_terminal(columns, code, *args, rows=24):
    """Return what a program writes to a terminal, as lines and redrawn lines."""
    pty = pytest.importorskip("pty", reason="needs pseudo-terminals")
    import fcntl
    import struct
    import termios

    parent, child = pty.openpty()
    size = struct.pack("HHHH", rows, columns, 0, 0)
    fcntl.ioctl(child, termios.TIOCSWINSZ, size)
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-c", code, *args],
        stdin=child,
        stdout=child,
        stderr=child,
        env={**env, "TERM": "xterm"},
    )
    os.close(child)
    output = b""
    try:
        while part := os.read(parent, 4096):
            output += part
    except OSError:
        # On Linux, the end of a terminal's output is an error.
        pass
    finally:
        os.close(parent)
    assert process.wait() == 0, output.decode()
    return [line for line in re.split(r"[\r\n]+", output.decode()) if line.strip()]


@pytest.mark.slow
@pytest.mark.parametrize("columns", [60, 80, 100, 101, 250])
@pytest.mark.parametrize("description", ["CycleGAN", "translating to malignant"])
def test_a_bar_in_a_terminal(columns, description):
    lines = run_in_terminal(columns, TERMINAL, description)
    assert max(map(len, lines)) <= min(columns - 1, 100)
    assert lines[-1].startswith(f"{description}: 100%|")
    assert columns < 80 or all(" left" in line for line in lines)
    if columns >= 80 and description == "CycleGAN":
        assert "generator 0.512 discriminator 0.231" in lines[-1]
    if columns > 100:
        assert " elapsed, " in lines[-1]
        assert description != "CycleGAN" or "epoch 10/10" in lines[-1]
    assert not any("e+" in line for line in lines)


def test_a_terminal_that_does_not_know_its_size():
    lines = run_in_terminal(0, TERMINAL, "CycleGAN", rows=0)
    assert len(lines) > 5
    assert max(map(len, lines)) <= 100
    assert lines[-1].startswith("CycleGAN: 100%|")


COMPARISON = """
import time
from gansampler.training import Progress
outer = Progress(2, "comparing samplers", shown=True, unit="fit", estimates=False)
for arm in ("none", "a sampler"):
    outer.note({"split": "1/3", "sampler": arm})
    inner = Progress(3, f"fitting {arm}", shown=True, unit="step")
    for step in range(3):
        inner.update(1)
        time.sleep(0.21)
    inner.close()
    outer.update(1)
outer.close()
"""


def test_a_bar_within_a_bar():
    """What is fitted is shown at once, and without a time that would be wrong."""
    lines = run_in_terminal(80, COMPARISON)
    outer = [line for line in lines if line.startswith("comparing samplers: ")]
    ends = [" 0/2 fit", " 0/2 fit, split 1/3 sampler none"]
    ends += [f" 1/2 fit, split 1/3 sampler {arm}" for arm in ("none", "a sampler")]
    ends += [" 2/2 fit, split 1/3 sampler a sampler"]
    for end in ends:
        assert any(line.endswith(f"|{end}") for line in outer)
    # A finished bar stays, above the outer one, which ends the output.
    kept = [line for line in lines if "100%" in line and "\x1b" not in line]
    assert [line.partition(":")[0] for line in kept[:2]] == [
        "fitting none",
        "fitting a sampler",
    ]
    assert lines[-1].startswith("comparing samplers: 100%|")


def test_lines_of_a_comparison(capsys, clock):
    progress = Progress(6, "comparing", shown=True, unit="fit", estimates=False)
    for split in (1, 2, 3):
        for sampler in ("none", "mine"):
            progress.note({"split": f"{split}/3", "sampler": sampler})
            clock.now += 8
            progress.update(1)
    progress.close()
    # The first one after ten seconds, the next one after fifteen more.
    assert capsys.readouterr().err.splitlines() == [
        "comparing: 2/6 fit (33%), split 2/3, sampler none",
        "comparing: 4/6 fit (67%), split 3/3, sampler none",
        "comparing: 6/6 fit (100%), split 3/3, sampler mine",
    ]


LIMITED = """
import time
from gansampler.training import Progress
progress = Progress(100000, "CycleGAN", shown=True, unit="step", max_seconds=9.0)
for step in range(3):
    time.sleep(0.25)
    progress.update(1)
progress.close()
"""


def test_the_time_left_is_at_most_that_of_the_limit(capsys, clock):
    lines = run_in_terminal(80, LIMITED)
    assert re.search(r", 00:0[0-8] left$", lines[-1])
    # 300 steps of 11 seconds.
    for max_time, left in ((None, "54:49"), (100.0, "01:29")):
        fit_for(clock, 11.0, max_time=max_time, verbose=1)
        first, *_ = capsys.readouterr().err.splitlines()
        assert f"1/300 step (0%), 00:11 elapsed, {left} left" in first


def notes_of(monkeypatch, fit):
    notes = []
    monkeypatch.setattr(Progress, "note", lambda self, figures: notes.append(figures))
    monkeypatch.setattr(Progress, "wants_note", property(lambda self: True))
    fit()
    return notes


def test_the_speed_is_that_of_the_steps(monkeypatch):
    """At the first step too, when no time was counted before."""
    task = LineTask(pause=0.02)
    notes = notes_of(monkeypatch, lambda: Trainer().fit(task, n_epochs=2))
    assert len(notes) == 8
    assert all(0 < note["img/s"] < 4 / 0.02 for note in notes)
    assert [note["epoch"] for note in notes] == 4 * ["1/2"] + 4 * ["2/2"]
    assert list(notes[0]) == ["loss", "epoch", "img/s"]


@pytest.mark.parametrize("kind", [CycleGAN, CUT])
def test_two_losses_of_a_translator(monkeypatch, kind):
    model = kind(ngf=4, ndf=4, n_blocks=1, n_epochs=1, batch_size=4, random_state=0)
    notes = notes_of(monkeypatch, lambda: model.fit(X[:6], X[6:]))
    (record,) = model.history_
    assert list(notes[-1])[:2] == ["generator", "discriminator"]
    for figure, start in (("generator", "adversarial"), ("discriminator",) * 2):
        values = [value for name, value in record.items() if name.startswith(start)]
        assert notes[-1][figure] == pytest.approx(np.mean(values))
    assert len(record) > 6


def fit_for(clock, seconds, *, n_epochs=100, verbose=0, **params):
    """Fit on a clock by which each step takes so many seconds."""

    class Slow(LineTask):
        def training_step(self, batch):
            clock.now += seconds
            return super().training_step(batch)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Trainer(**params).fit(Slow(), n_epochs=n_epochs, verbose=verbose)
    return [w for w in caught if issubclass(w.category, LongTrainingWarning)]


def test_a_long_training_is_announced_once(clock):
    (warning,) = fit_for(clock, 30.0)
    # The first of 300 steps does not count, the next three are measured.
    assert "about 2 h 30 min: 296 steps of 30 s each" in str(warning.message)
    for way_out in ("fewer epochs", "`max_time`", "GPU"):
        assert way_out in str(warning.message)


def test_a_shorter_training_is_not_announced(clock):
    assert fit_for(clock, 11.0) == []
    assert fit_for(clock, 30.0, n_epochs=2) == []


def test_a_time_limit_below_the_estimate_is_a_choice(clock):
    assert fit_for(clock, 30.0, max_time=7200) == []
    assert len(fit_for(clock, 30.0, max_time=36000)) == 1


def test_no_warning_in_other_processes(clock, monkeypatch):
    worker = SimpleNamespace(current_process=lambda: SimpleNamespace(name="Loky-1"))
    monkeypatch.setattr(_estimate, "multiprocessing", worker)
    assert fit_for(clock, 30.0) == []


def test_the_estimate_waits_for_ten_seconds(clock):
    estimate = _estimate.TimeEstimate(10**6, np.inf, "wait", on_gpu=True)
    for _ in range(100):
        estimate.note_step()
        clock.now += 0.1
    clock.now = 10.0
    with pytest.warns(LongTrainingWarning, match=r"28 h: .* wait, set `max_time` in "):
        estimate.note_step()
    estimate.note_step()


def test_a_translator_names_the_budget_and_the_sampler_the_class(clock, monkeypatch):
    real = _estimate.TimeEstimate.note_step

    def slowly(self):
        clock.now += 100.0
        real(self)

    monkeypatch.setattr(_estimate.TimeEstimate, "note_step", slowly)
    translator = CycleGAN(ngf=2, ndf=2, n_blocks=1, n_epochs=60, batch_size=6)
    over = GANOverSampler(translator=translator, random_state=0)
    message = r'^Class 1: .* make_translator\("minutes"\), set `max_time` in .* GPU\.$'
    with pytest.warns(LongTrainingWarning, match=message):
        over.fit_resample(X, np.repeat([0, 1], [6, 4]))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3700, "1 h"), (5000, "1 h 20 min"), (36000, "10 h"), (360000, "100 h")],
)
def test_times_in_words(seconds, text):
    assert _estimate.describe(seconds) == text
