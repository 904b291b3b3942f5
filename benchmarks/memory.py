"""Measure the memory of generation, by number of images and of files, and by form.

    python benchmarks/memory.py [--folder FOLDER] [--files 50000] [--json F]

Each value is the peak memory of a separate process (Linux only). The translator is tiny
and already fitted, so that the data dominate. --folder contains JPEG files; without it,
the benchmark writes --files temporary files of 64 px.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 64
N_IMAGES, N_MANY_IMAGES = 1_000, 20_000
N_ROWS = 40_000


def peak() -> float:
    """Return the peak memory of this process in MB."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def make_files(folder: Path, n: int) -> None:
    """Write small JPEG files of different images."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (n, 4, 4, 3), dtype=np.uint8)
    for i, pixels in enumerate(coarse):
        image = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        image.save(folder / f"{i:06d}.jpg", quality=90)


def child(kind: str, folder: str, n_sources: int, n_new: int) -> float:
    """Resample, and return the peak memory in MB."""
    from gansampler import CycleGAN, GANOverSampler

    rng = np.random.default_rng(0)
    some = rng.integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8)
    translator = CycleGAN(ngf=2, ndf=2, n_blocks=1, n_epochs=0, random_state=0)
    options = {"translator": translator.fit(some, some), "prefit": True}
    if kind == "nothing":
        return peak()
    y = np.zeros(n_sources, dtype=int)
    y[-2:] = 1
    strategy = {1: 2 + n_new}
    with tempfile.TemporaryDirectory() as output:
        X: object
        if kind in ("png", "jpeg"):
            X = sorted(str(path) for path in Path(folder).glob("*.jpg"))[:n_sources]
            options |= {
                "image_shape": (SIDE, SIDE, 3),
                "output_dir": Path(output) / "synthetic",
                "output_format": kind,
            }
        elif kind == "array":
            X = np.empty((n_sources, SIDE, SIDE, 3), dtype=np.uint8)
            for start in range(0, n_sources, 1000):
                part = (min(1000, n_sources - start), SIDE, SIDE, 3)
                X[start : start + 1000] = rng.integers(0, 256, part, dtype=np.uint8)
        else:
            path = Path(output) / "X.npy"
            X = np.lib.format.open_memmap(
                path, mode="w+", dtype=np.uint8, shape=(n_sources, SIDE, SIDE, 3)
            )
            X[:] = rng.integers(0, 256, X.shape[1:], dtype=np.uint8)
            X[:, 0, 0, 0] = np.arange(n_sources) % 256
            X = np.load(path, mmap_mode="r")
        sampler = GANOverSampler(sampling_strategy=strategy, random_state=0, **options)
        X_resampled, _ = sampler.fit_resample(X, y)
        assert len(X_resampled) == n_sources + n_new
    return peak()


def measure(kind: str, folder: Path | str, n_sources: int, n_new: int) -> float:
    """Return the peak memory of a new process in MB."""
    arguments = ["--child", kind, str(folder), str(n_sources), str(n_new)]
    ended = subprocess.run(
        [sys.executable, __file__, *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(ended.stdout.split()[-1])


def main() -> None:
    """Print a table, and write the values as JSON if requested."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    if args.child:
        kind, folder, n_sources, n_new = args.child
        print(child(kind, folder, int(n_sources), int(n_new)))
        return
    with tempfile.TemporaryDirectory() as made:
        folder, n_files = args.folder, args.files
        if folder is None:
            folder = Path(made)
            make_files(folder, n_files)
        n_files = min(n_files, len(list(folder.glob("*.jpg"))))
        base = measure("nothing", folder, 0, 0)
        results = {"nothing": base}
        print(f"imports and the translator only: {base:.0f} MB", flush=True)

        def show(name: str, kind: str, n_sources: int, n_new: int) -> None:
            results[name] = measure(kind, folder, n_sources, n_new)
            print(f"{name}: {results[name]:.0f} MB", flush=True)

        n_few = n_files // 10
        for kind in ("png", "jpeg"):
            for n_new in (N_IMAGES, N_MANY_IMAGES):
                show(f"{n_new} {kind} from {n_few} files", kind, n_few, n_new)
        show(f"{N_IMAGES} png from {n_files} files", "png", n_files, N_IMAGES)
    size = N_ROWS * SIDE * SIDE * 3 / 2**20
    print(f"an array of {N_ROWS} images has {size:.0f} MB")
    show(f"{N_IMAGES} from an array", "array", N_ROWS, N_IMAGES)
    show(f"{N_IMAGES} from a memory map", "memmap", N_ROWS, N_IMAGES)
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
