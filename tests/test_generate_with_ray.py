"""Generation on a real Ray of two workers, of which one is killed, or the driver."""

import csv
import hashlib
import importlib.util
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gansampler import CycleGAN, Trainer

pytestmark = [
    pytest.mark.slow,
    # Not imported here: what Ray warns of is its own affair.
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None,
        reason='needs Ray: pip install "gansampler[ray]"',
    ),
]

SCRIPT = Path(__file__).resolve().parents[1] / "examples" / "generate_with_ray.py"
START_RAY = """
import ray, sys
started = ray.init(
    address="local",
    num_cpus=3,
    object_store_memory=100 * 2**20,
    include_dashboard=False,
    _temp_dir=sys.argv[1],
)
print(started.address_info["gcs_address"], flush=True)
sys.stdin.read()
"""
N_IMAGES, BATCH_SIZE, SIDE = 120, 2, 16
PATIENCE = 120


@pytest.fixture(scope="module")
def cluster():
    """Ray on this machine: the id of its first process, and what to find it by."""
    environment = {
        **os.environ,
        "RAY_USAGE_STATS_ENABLED": "0",
        # Without a token of our own, Ray would write one into the home folder.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }
    # Not pytest's folder: the names of sockets in it would be too long.
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        subprocess.Popen(
            [sys.executable, "-c", START_RAY, folder],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        address = process.stdout.readline().strip()
        assert address
        yield process.pid, {**environment, "RAY_ADDRESS": address}
        process.stdin.close()


@pytest.fixture(scope="module")
def translator(tmp_path_factory):
    path = tmp_path_factory.mktemp("translator") / "model.safetensors"
    X = np.random.default_rng(0).integers(0, 256, (8, SIDE, SIDE, 3), dtype=np.uint8)
    model = CycleGAN(ngf=4, ndf=4, n_blocks=1, n_epochs=1, batch_size=4, random_state=0)
    model.fit(X, 255 - X).save(path)
    return path


@pytest.fixture
def source(tmp_path):
    """Images in two folders, two of which differ in their extensions alone."""
    folder = tmp_path / "source"
    (folder / "more").mkdir(parents=True)
    rng = np.random.default_rng(1)
    for number in range(N_IMAGES):
        image = Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))
        image.save(folder / ("more" if number % 3 else "") / f"{number}.png")
    image.save(folder / "0.BMP")
    (folder / "notes.txt").write_text("no image")
    return folder


def start(source, output, translator, environment, log):
    with log.open("w") as file:
        return subprocess.Popen(
            [
                *(sys.executable, SCRIPT, source, output, "--translator", translator),
                *("--workers", "2", "--batch-size", str(BATCH_SIZE)),
            ],
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )


def translations(output):
    return sorted(path for path in output.rglob("*.png") if path.parent.name[0] != ".")


def wait_for_the_first(process, output, log):
    deadline = time.monotonic() + PATIENCE
    while not translations(output):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.005)


def translating_processes(pid_of_cluster):
    """Return the ids of the processes that translate, of this cluster alone."""
    parents, titles = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text()
            titles[int(folder.name)] = (folder / "cmdline").read_text()
        except OSError:
            continue
        parents[int(folder.name)] = int(status.rpartition(")")[2].split()[1])
    return [
        pid
        for pid, title in titles.items()
        # A worker is started by Ray's process for the node, which the first started.
        if title.startswith("ray::MapWorker")
        and parents.get(parents.get(pid)) == pid_of_cluster
    ]


def check_all(source, output, translator):
    """Hold files and manifest against what the translator gives here."""
    checksum = hashlib.sha256(translator.read_bytes()).hexdigest()
    parents = [path for path in source.rglob("*.*") if path.suffix in (".png", ".BMP")]
    with (output / "manifest.csv").open(newline="") as file:
        rows = {row["parent"]: row for row in csv.DictReader(file)}
    assert list(rows) == sorted(path.relative_to(source).as_posix() for path in parents)
    assert len({row["path"] for row in rows.values()}) == len(parents) == N_IMAGES + 1
    assert {row["translator_sha256"] for row in rows.values()} == {checksum}
    written = {path.relative_to(output).as_posix() for path in translations(output)}
    assert written == {row["path"] for row in rows.values()}
    assert all(row["path"].startswith(parent) for parent, row in rows.items())

    X = np.stack([np.asarray(Image.open(source / parent)) for parent in rows])
    model = CycleGAN.load(translator).set_params(trainer=Trainer(accelerator="cpu"))
    expected = model.translate(X)
    found = np.stack(
        [np.asarray(Image.open(output / row["path"])) for row in rows.values()]
    )
    # A batch of another size may be summed in another order.
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert (found == expected).mean() > 0.99
    # Neither a constant nor the sources: a mistake in the order would show.
    assert np.abs(found[0].astype(int) - found[1]).mean() > 10
    # Nothing is left of attempts that were cut short.
    assert {path.name for path in output.glob(".*")} == set()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_a_killed_worker_costs_nothing(cluster, source, translator, tmp_path):
    pid, environment = cluster
    output, log = tmp_path / "output", tmp_path / "log"
    process = start(source, output, translator, environment, log)
    wait_for_the_first(process, output, log)
    workers = translating_processes(pid)
    # The second may still be starting.
    assert len(workers) in (1, 2)
    os.kill(workers[0], signal.SIGKILL)
    assert len(translations(output)) < N_IMAGES
    assert process.wait(PATIENCE) == 0, log.read_text()
    check_all(source, output, translator)


def test_a_killed_run_goes_on(cluster, source, translator, tmp_path):
    _, environment = cluster
    output, log = tmp_path / "output", tmp_path / "log"
    process = start(source, output, translator, environment, log)
    wait_for_the_first(process, output, log)
    process.kill()
    process.wait(PATIENCE)
    assert not (output / "manifest.csv").exists()
    before = {path: path.stat().st_mtime_ns for path in translations(output)}
    assert 0 < len(before) < N_IMAGES

    damaged = source / "damaged.jpg"
    damaged.write_bytes(b"no image")
    process = start(source, output, translator, environment, log)
    assert process.wait(PATIENCE) == 1
    assert "damaged.jpg" in log.read_text()
    damaged.unlink()
    check_all(source, output, translator)
    assert (
        before.items()
        <= {path: path.stat().st_mtime_ns for path in translations(output)}.items()
    )


def test_translations_are_no_sources(source, translator, tmp_path):
    log = tmp_path / "log"
    process = start(source, source / "made", translator, dict(os.environ), log)
    assert process.wait(PATIENCE) == 2
    assert "outside of SOURCE" in log.read_text()
