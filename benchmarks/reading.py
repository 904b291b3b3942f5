"""Images from files against the same images in memory: speed and peak memory.

    python benchmarks/reading.py [--folder F] [--files 1024] [--json OUT]

Four tables: files decoded a second, by size and number of threads; steps a second of
a small CycleGAN, from arrays and from files, in the first epoch and in later ones, the
best of several fits that take turns; what part of a step it takes to have its batch
ready; and the peak memory of a child process that reads every file once. Without a
folder, JPEG files of 600 x 450 px are made for the time of the run.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from gansampler import CycleGAN, Trainer
from gansampler.images import ImageSequence, chunks
from gansampler.images._checks import check_files
from gansampler.images._files import FileReader
from gansampler.images._lazy import LazyImages, count_threads

SIDES = (64, 128)
SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"}
BATCH_SIZE = 4
N_EPOCHS = 4
N_TRAINING = 96
CUBIC = Image.Resampling.BICUBIC
ROUNDS = 4


def make_files(folder: Path, n_files: int) -> list[str]:
    """Write photographs of a kind: smooth colours with some noise."""
    rng = np.random.default_rng(0)
    paths = []
    for i in range(n_files):
        coarse = rng.integers(60, 220, (6, 8, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize((600, 450), CUBIC))
        noisy = smooth + rng.normal(0, 4, smooth.shape)
        paths.append(str(folder / f"{i:06d}.jpg"))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(paths[-1], quality=90)
    return paths


def decode_rate(paths: list[str], side: int, n_threads: int) -> float:
    """Return the files decoded a second, in batches of 64."""
    shape = (side, side, 3)
    checks = check_files(paths, n_threads)
    reader = FileReader(
        np.array(paths, dtype=object),
        np.arange(len(paths)),
        np.array([(check.n_bytes, check.mtime_ns) for check in checks]),
        shape,
        "crop",
    )
    images = LazyImages(reader, len(paths), shape, n_threads=n_threads, keep=False)
    start = time.perf_counter()
    for first in range(0, len(paths), 64):
        images.take(np.arange(first, min(first + 64, len(paths))))
    return len(paths) / (time.perf_counter() - start)


def steps_a_second(images: Any) -> tuple[float, float]:
    """Return those of the first epoch, and the best of the later ones."""
    half = len(images) // 2
    translator = CycleGAN(
        ngf=8,
        ndf=8,
        n_blocks=2,
        n_epochs=N_EPOCHS,
        n_epochs_decay=0,
        batch_size=BATCH_SIZE,
        trainer=Trainer(accelerator="cpu", precision="32-true"),
        random_state=0,
    )
    translator.fit(
        images.subset(np.arange(half)), images.subset(np.arange(half, 2 * half))
    )
    speeds = [record["n_steps"] / record["seconds"] for record in translator.history_]
    return speeds[0], max(speeds[1:])


def seconds_a_batch(images: ImageSequence) -> float:
    """Return the best seconds until a shuffled batch is ready, after one epoch."""
    order = np.random.default_rng(0).permutation(len(images))
    parts = np.array_split(order, len(images) // BATCH_SIZE)
    times = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        for rows in images.prefetch(parts):
            images.batch(rows)
        times.append((time.perf_counter() - start) / len(parts))
    return min(times[1:])


def compare_training(paths: list[str], side: int) -> dict:
    """Return the speeds from arrays, and from files that are kept or read each time."""
    shape = (side, side, 3)
    array = ImageSequence(paths, shape).take(np.arange(len(paths)))
    forms = {
        "arrays": lambda: ImageSequence(array),
        "files": lambda: ImageSequence(paths, shape),
        "files, not kept": lambda: ImageSequence(paths, shape, cache=False),
    }
    # The first steps of a process are slow.
    steps_a_second(forms["arrays"]().subset(np.arange(16)))
    speeds: dict[str, list[tuple[float, float]]] = {name: [] for name in forms}
    for _ in range(ROUNDS):
        for name, make in forms.items():
            speeds[name].append(steps_a_second(make()))
    return {
        name: {
            "first_epoch": max(first for first, _ in pairs),
            "later_epochs": max(later for _, later in pairs),
            # A step takes a batch of each domain.
            "loading": 2 * seconds_a_batch(forms[name]()),
        }
        for name, pairs in speeds.items()
    }


def peak_memory(paths: list[str], side: int, *, keep: bool) -> float:
    """Return the MiB by which reading every file raises a child's peak."""
    run = subprocess.run(
        [sys.executable, __file__, "--child", str(side), "keep" if keep else "drop"],
        input="\n".join(paths),
        capture_output=True,
        text=True,
        check=True,
    )
    return float(run.stdout)


def child(side: int, *, keep: bool) -> None:
    """Read the files named on the standard input, and print the rise of the peak."""
    paths = sys.stdin.read().splitlines()
    before = peak()
    shape = (side, side, 3)
    images = ImageSequence(paths, shape, cache=keep)
    for rows in images.prefetch(list(chunks(len(images), shape))):
        images.take(rows)
    print((peak() - before) / 1024)


def peak() -> int:
    """Return the peak of this program's memory in KiB."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # What getrusage tells includes the parent's memory at the fork.
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines["VmHWM"].split()[0])


def measure(paths: list[str], side: int) -> dict:
    """Take and print every figure."""
    rates = []
    start = time.perf_counter()
    check_files(paths, count_threads())
    per_file = (time.perf_counter() - start) / len(paths)
    print(f"checking before work: {1e6 * per_file:.0f} us a file")
    for size in SIDES:
        for n_threads in range(1, count_threads() + 1):
            rate = decode_rate(paths, size, n_threads)
            rates.append({"side": size, "threads": n_threads, "files_a_second": rate})
            print(f"decoding to {size} px, {n_threads} threads: {rate:.0f} files/s")
    training = compare_training(paths[:N_TRAINING], side)
    for name, speed in training.items():
        share = speed["later_epochs"] / training["arrays"]["later_epochs"]
        print(
            f"training from {name}: {speed['first_epoch']:.2f} steps/s in the first "
            f"epoch, {speed['later_epochs']:.2f} later ({share:.3f} of arrays); its "
            f"batches take {1e6 * speed['loading']:.0f} us, "
            f"{100 * speed['loading'] * speed['later_epochs']:.2f} % of a step"
        )
    memory = {}
    for keep in (True, False):
        for n_files in (len(paths) // 4, len(paths)):
            name = f"{n_files} files, {'kept' if keep else 'not kept'}"
            memory[name] = peak_memory(paths[:n_files], side, keep=keep)
            print(f"peak memory above the start, {name}: {memory[name]:.0f} MiB")
    return {
        "check_seconds_a_file": per_file,
        "decoding": rates,
        "training": training,
        "peak_mib": memory,
    }


def main() -> None:
    """Print the figures, and write them as JSON where asked to."""
    if sys.argv[1:2] == ["--child"]:
        child(int(sys.argv[2]), keep=sys.argv[3] == "keep")
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="with image files, at any depth")
    parser.add_argument("--files", type=int, default=1024, help="how many, at most")
    parser.add_argument("--side", type=int, default=64, help="of the training images")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as scratch:
        if args.folder is None:
            paths = make_files(Path(scratch), args.files)
        else:
            found = (p for p in args.folder.rglob("*") if p.suffix.lower() in SUFFIXES)
            paths = [str(path) for path in sorted(found)][: args.files]
        print(f"{len(paths)} files, {args.threads} threads for arithmetic")
        results = measure(paths, args.side)
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
