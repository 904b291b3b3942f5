"""Time and memory of a training step of each translator.

    python benchmarks/translators.py [--device cpu] [--steps 5] [--json F]

CycleGAN, CUT and FastCUT train the same networks, of 64 or 32 filters, on the same
batches. They take turns step by step, so that other load on the machine affects all of
them. Times are medians. Memory is the peak of a separate process that takes two steps,
without what it used before it built its networks: as reported by Linux, or, on a GPU,
as allocated by torch. It includes weights, gradients and Adam's moments.

Quality is not measured here. Steps of different methods are not worth the same.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gansampler import CUT, CycleGAN
from gansampler.images import ImageSequence
from gansampler.translators import TranslationTask

# (side, ngf, batch size)
CASES = {
    "cpu": [(64, 32, 1), (64, 32, 4), (64, 64, 1), (64, 64, 4)],
    "cuda": [(256, 64, 1), (256, 64, 4)],
}
NAMES = ("CycleGAN", "CUT", "FastCUT")
WARM_UP = 1


def random_images(n: int, side: int) -> np.ndarray:
    """Return noise; the time does not depend on the values."""
    rng = np.random.default_rng(n)
    return rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def make_task(
    name: str, side: int, ngf: int, batch_size: int, device: str
) -> TranslationTask:
    """Build a translator's networks and optimisers as its ``fit`` does."""
    torch.manual_seed(0)
    images = ImageSequence(random_images(batch_size, side))
    settings: dict[str, Any] = {"ngf": ngf, "ndf": ngf, "batch_size": batch_size}
    model = (
        CycleGAN(**settings)
        if name == "CycleGAN"
        else CUT(fast=name == "FastCUT", **settings)
    )
    model.sample_shape_, model.scalers_ = images.sample_shape, None
    task = model._prepare(images, images)
    for network in task.modules.values():
        network.to(device).train()
    return task


def step(task: TranslationTask, batch: torch.Tensor, precision: str) -> float:
    """Take a step; return its seconds."""
    begin = _now(batch.device)
    with torch.autocast(
        batch.device.type, torch.bfloat16, enabled=precision == "bf16-mixed"
    ):
        task.training_step((batch, batch))
    return _now(batch.device) - begin


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def make_batch(side: int, batch_size: int, device: str) -> torch.Tensor:
    """Return a batch for the networks."""
    images = ImageSequence(random_images(batch_size, side))
    return images.batch(np.arange(batch_size)).to(device)


def compare_times(
    case: tuple[int, int, int], precision: str, device: str, n_steps: int
) -> dict[str, float]:
    """Return the median seconds per step of each translator."""
    side, ngf, batch_size = case
    tasks = {name: make_task(name, side, ngf, batch_size, device) for name in NAMES}
    batch = make_batch(side, batch_size, device)
    seconds: dict[str, list[float]] = {name: [] for name in NAMES}
    for _ in range(WARM_UP + n_steps):
        for name, task in tasks.items():
            seconds[name].append(step(task, batch, precision))
    return {name: statistics.median(taken[WARM_UP:]) for name, taken in seconds.items()}


def measure_memory(
    name: str, case: tuple[int, int, int], precision: str, device: str
) -> int:
    """Return the peak memory of two steps in bytes; call it in a new process."""
    side, ngf, batch_size = case
    batch = make_batch(side, batch_size, device)
    before = _reset_peak(device)
    task = make_task(name, side, ngf, batch_size, device)
    for _ in range(2):
        step(task, batch, precision)
    return _peak_bytes(device) - before


def _reset_peak(device: str) -> int:
    """Start a new measurement of the peak; return the memory that is used now."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    Path("/proc/self/clear_refs").write_text("5")
    return _peak_bytes(device)


def _peak_bytes(device: str) -> int:
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def memory_in_a_child(
    name: str, case: tuple[int, int, int], precision: str, device: str
) -> int:
    """Call :func:`measure_memory` in a new process."""
    asked = json.dumps([name, case, precision, device])
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    # Memory of large tensors is returned when they are freed. The peak is then that of
    # the tensors, and does not depend on the allocator's caches.
    allocator = {"MALLOC_MMAP_THRESHOLD_": str(1 << 16)}
    done = subprocess.run(
        [sys.executable, __file__, "--child", asked],
        env={**os.environ, **threads, **allocator},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout.split()[-1])


def main() -> None:
    """Print a table, and write the figures as JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=list(CASES))
    parser.add_argument(
        "--precision", default="32-true", choices=["32-true", "bf16-mixed"]
    )
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.child:
        print(measure_memory(*args.child))
        return
    rows = []
    print(f"{args.device}, {args.precision}, {args.threads} threads")
    for case in CASES[args.device]:
        seconds = compare_times(case, args.precision, args.device, args.steps)
        memory: dict[str, int] = {}
        for name in NAMES:
            n_bytes = memory_in_a_child(name, case, args.precision, args.device)
            row = {
                "translator": name,
                "side": case[0],
                "ngf": case[1],
                "batch_size": case[2],
                "seconds": seconds[name],
                "bytes": n_bytes,
            }
            rows.append(row)
            memory[name] = n_bytes
            print(
                f"{case[0]} px, ngf {case[1]}, batch {case[2]}, {name:>8}: "
                f"{1000 * seconds[name]:6.0f} ms "
                f"({seconds[name] / seconds['CycleGAN']:.2f} of CycleGAN's), "
                f"{n_bytes / 2**20:6.0f} MiB ({n_bytes / memory['CycleGAN']:.2f})"
            )
    if args.json:
        settings = {"device": args.device, "precision": args.precision}
        args.json.write_text(json.dumps({**settings, "steps": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
