"""Compare images in files with the same images in memory: speed and peak memory.

    python benchmarks/reading.py [--folder F] [--files 1024] [--json OUT]

It measures the time to check and to hash a file; the files decoded per second, by size
and number of threads; the steps per second of a small CycleGAN, from arrays and from
files, in the first epoch and in later ones (the best of several alternating fits); the
share of a step that is spent on preparing its batch; and the peak memory of a child
process that reads every file once. Without --folder, temporary JPEG files of
600 x 450 px are used.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from gansampler import CycleGAN, Trainer
from gansampler.images import ImageSequence, chunks, count_threads, decode_file

SIDES = (64, 128)
SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"}
BATCH_SIZE = 4
N_EPOCHS = 4
N_TRAINING = 96
CUBIC = Image.Resampling.BICUBIC
ROUNDS = 4


def make_files(folder: Path, n_files: int) -> list[str]:
    """Write images like photographs: smooth colours with some noise."""
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
    """Return the number of files decoded per second."""
    shape = (side, side, 3)
    start = time.perf_counter()
    with ThreadPoolExecutor(n_threads) as pool:
        for _ in pool.map(lambda path: decode_file(path, shape, "crop"), paths):
            pass
    return len(paths) / (time.perf_counter() - start)


def steps_per_second(images: Any) -> tuple[float, float]:
    """Return the steps per second of the first epoch, and of the fastest later one."""
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


def seconds_per_batch(images: ImageSequence) -> float:
    """Return the shortest time to prepare a shuffled batch, after one epoch."""
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
    """Return the speeds from arrays, from cached files and from uncached files."""
    shape = (side, side, 3)
    array = ImageSequence(paths, shape).take(np.arange(len(paths)))
    forms = {
        "arrays": lambda: ImageSequence(array),
        "files": lambda: ImageSequence(paths, shape),
        "files, not cached": lambda: ImageSequence(paths, shape, cache=False),
    }
    # The first steps of a process are slow.
    steps_per_second(forms["arrays"]().subset(np.arange(16)))
    speeds: dict[str, list[tuple[float, float]]] = {name: [] for name in forms}
    for _ in range(ROUNDS):
        for name, make in forms.items():
            speeds[name].append(steps_per_second(make()))
    return {
        name: {
            "first_epoch": max(first for first, _ in pairs),
            "later_epochs": max(later for _, later in pairs),
            # A step needs a batch of each domain.
            "loading": 2 * seconds_per_batch(forms[name]()),
        }
        for name, pairs in speeds.items()
    }


def peak_memory(paths: list[str], side: int, *, cache: bool) -> float:
    """Return the MiB by which reading every file increases the peak of a child."""
    run = subprocess.run(
        [sys.executable, __file__, "--child", str(side), "cache" if cache else "none"],
        input="\n".join(paths),
        capture_output=True,
        text=True,
        check=True,
    )
    return float(run.stdout)


def child(side: int, *, cache: bool) -> None:
    """Read the files named on the standard input; print the increase of the peak."""
    paths = sys.stdin.read().splitlines()
    before = peak()
    shape = (side, side, 3)
    images = ImageSequence(paths, shape, cache=cache)
    for rows in images.prefetch(list(chunks(len(images), shape))):
        images.take(rows)
    print((peak() - before) / 1024)


def peak() -> int:
    """Return the peak memory of this process in KiB."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # The value of getrusage includes the memory of the parent at the fork.
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines["VmHWM"].split()[0])


def measure(paths: list[str], side: int) -> dict:
    """Measure and print all values."""
    rates = []
    start = time.perf_counter()
    images = ImageSequence(paths, (side, side, 3))
    checked = time.perf_counter()
    images.fingerprint()
    to_hash = (time.perf_counter() - checked) / len(paths)
    to_check = (checked - start) / len(paths)
    print(f"checking: {1e6 * to_check:.0f} us per file")
    print(f"hashing: {1e6 * to_hash:.0f} us per file")
    for size in SIDES:
        for n_threads in range(1, count_threads() + 1):
            rate = decode_rate(paths, size, n_threads)
            rates.append({"side": size, "threads": n_threads, "files_per_second": rate})
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
    for cache in (True, False):
        for n_files in (len(paths) // 4, len(paths)):
            name = f"{n_files} files, {'cached' if cache else 'not cached'}"
            memory[name] = peak_memory(paths[:n_files], side, cache=cache)
            print(f"peak memory above the start, {name}: {memory[name]:.0f} MiB")
    return {
        "check_seconds_per_file": to_check,
        "hash_seconds_per_file": to_hash,
        "decoding": rates,
        "training": training,
        "peak_mib": memory,
    }


def main() -> None:
    """Print the values, and write them as JSON if requested."""
    if sys.argv[1:2] == ["--child"]:
        child(int(sys.argv[2]), cache=sys.argv[3] == "cache")
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="folder of images")
    parser.add_argument("--files", type=int, default=1024, help="maximum number")
    parser.add_argument("--side", type=int, default=64, help="image size in px")
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
