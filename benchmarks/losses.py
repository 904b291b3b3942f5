"""Compare time and memory of the focal losses with other libraries in one run.

    python benchmarks/losses.py [--device cpu] [--threads 1] [--repeats 15] [--json F]

Forward plus backward, eager, float32, gamma 2. For each other library, ours and theirs
take turns in separate processes, so that other work on the machine affects both. The
time is the median. The ratio is computed per process; its median and range over several
processes are shown. Memory is the growth of a new process at its peak during forward
and backward, without the inputs (on Linux, or as counted by CUDA). Libraries that are
not installed are listed and left out.

On a busy machine, measure with one thread. Several threads that wait for a busy core
measure the scheduler.
"""

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor

from gansampler.losses import binary_focal_loss, focal_loss

Loss = Callable[[Tensor, Tensor], Tensor]

OURS = "gansampler"
PACKAGES = {
    "torchvision": "torchvision.ops",
    "kornia": "kornia.losses",
    "monai": "monai.losses",
    "segmentation-models-pytorch": "segmentation_models_pytorch.losses",
}
CASES = {
    "binary, 2,000,000 logits": (2_000_000,),
    "multi-class, (200000, 10)": (200_000, 10),
    "multi-class, (8, 19, 256, 256)": (8, 19, 256, 256),
}
# Torch's cross-entropy, which is not a focal loss, is shown for comparison.
UNFOCUSED = "torch (gamma 0)"
IMPORT_TIME = (
    "import torch, time; start = time.perf_counter()\n"
    "from gansampler import FocalLoss\n"
    "print(time.perf_counter() - start)"
)


def load_peers() -> dict[str, ModuleType]:
    """Import the libraries that are installed."""
    peers: dict[str, ModuleType] = {}
    for name, module in PACKAGES.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                peers[name] = importlib.import_module(module)
        except ImportError:
            continue
    return peers


def binary_losses(peers: dict[str, ModuleType]) -> dict[str, Loss]:
    """Return the sigmoid forms: logits (n,), targets 0.0 and 1.0."""
    losses: dict[str, Loss] = {
        OURS: binary_focal_loss,
        UNFOCUSED: F.binary_cross_entropy_with_logits,
    }
    if "torchvision" in peers:
        focal = peers["torchvision"].sigmoid_focal_loss
        losses["torchvision"] = lambda z, t: focal(z, t, alpha=-1, reduction="mean")
    # These two need a batch of images.
    if "kornia" in peers:
        kornia = peers["kornia"].binary_focal_loss_with_logits
        losses["kornia"] = lambda z, t: kornia(
            z.view(2, 1, -1), t.view(2, 1, -1), alpha=None, reduction="mean"
        )
    if "monai" in peers:
        monai = peers["monai"].FocalLoss()
        losses["monai"] = lambda z, t: monai(z.view(2, 1, -1), t.view(2, 1, -1))
    if "segmentation-models-pytorch" in peers:
        smp = peers["segmentation-models-pytorch"].FocalLoss("binary")
        losses["segmentation-models-pytorch"] = smp
    return losses


def multiclass_losses(peers: dict[str, ModuleType]) -> dict[str, Loss]:
    """Return the softmax forms: logits (N, C, ...), class indices."""
    losses: dict[str, Loss] = {OURS: focal_loss, UNFOCUSED: F.cross_entropy}
    if "kornia" in peers:
        kornia = peers["kornia"].focal_loss
        losses["kornia"] = lambda z, y: kornia(z, y, alpha=None, reduction="mean")
    if "monai" in peers:
        monai = peers["monai"].FocalLoss(use_softmax=True, to_onehot_y=True)
        losses["monai"] = lambda z, y: monai(z, y.unsqueeze(1))
    if "segmentation-models-pytorch" in peers:
        # Its multi-class form is one sigmoid per class.
        smp = peers["segmentation-models-pytorch"].FocalLoss("multiclass")
        losses["segmentation-models-pytorch"] = smp
    return losses


def make_case(case: str, device: str) -> tuple[dict[str, Loss], Tensor, Tensor]:
    """Return the losses of a case, its logits and its target."""
    torch.manual_seed(0)
    shape = CASES[case]
    z = torch.randn(shape, device=device, requires_grad=True)
    peers = load_peers()
    if len(shape) == 1:
        return binary_losses(peers), z, (torch.rand_like(z) < 0.1).float()
    target = torch.randint(shape[1], (shape[0], *shape[2:]), device=device)
    return multiclass_losses(peers), z, target


def run_once(loss: Loss, z: Tensor, target: Tensor) -> None:
    """Run forward and backward, and free the gradient as a part of the time."""
    loss(z, target).backward()
    z.grad = None
    if z.is_cuda:
        torch.cuda.synchronize()


def print_times(case: str, device: str, name: str, repeats: int) -> None:
    """Print the median seconds of our loss and of another, which take turns."""
    losses, z, target = make_case(case, device)
    pair = (OURS, name)
    measured: dict[str, list[float]] = {side: [] for side in pair}
    for turn in range(repeats + 1):
        for side in pair:
            start = time.perf_counter()
            run_once(losses[side], z, target)
            if turn:  # the first warms up
                measured[side].append(time.perf_counter() - start)
    print(*(statistics.median(measured[side]) for side in pair))


def times(case: str, options: argparse.Namespace, name: str) -> list[list[float]]:
    """Return the median seconds of our loss and of another, for several processes.

    Each process runs one other library only, because the memory that a library leaves
    behind affects the next one.
    """
    arguments = ["--times-of", case, name, "--repeats", str(options.repeats)]
    if options.threads:
        arguments += ["--threads", str(options.threads)]
    outputs = [run_child(options.device, arguments) for _ in range(options.processes)]
    return [[float(part) for part in output.split()] for output in outputs]


def run_child(device: str, arguments: list[str]) -> str:
    """Run this file in a new process and return the last line it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, "--device", device, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[-1]


def _status(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(field))
    return int(line.split()[1]) / 1024


def print_memory(case: str, device: str, name: str) -> None:
    """Print the peak MiB without the inputs, in a process that does nothing else."""
    losses, z, target = make_case(case, device)
    small = {"z": z.detach()[:2].clone().requires_grad_(), "t": target[:2]}
    run_once(losses[name], small["z"], small["t"])
    if z.is_cuda:
        torch.cuda.reset_peak_memory_stats()
        allocated = torch.cuda.memory_allocated()
        run_once(losses[name], z, target)
        print((torch.cuda.max_memory_allocated() - allocated) / 2**20)
        return
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is in use
    before = _status("VmRSS")
    run_once(losses[name], z, target)
    print(_status("VmHWM") - before)


def memory(case: str, device: str, name: str) -> float | None:
    """Return the peak MiB of one library, measured in a new process."""
    if device == "cpu" and not Path("/proc/self/clear_refs").exists():
        return None
    return float(run_child(device, ["--memory-of", case, name]))


def import_seconds(repeats: int = 5) -> float:
    """Return what importing FocalLoss adds to importing torch."""
    command = [sys.executable, "-c", IMPORT_TIME]
    outputs = (
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for _ in range(repeats)
    )
    return statistics.median(float(output) for output in outputs)


def main() -> None:
    """Measure, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="of torch, on the CPU")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    parser.add_argument("--processes", type=int, default=3, help="for each pair")
    parser.add_argument("--memory-of", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--times-of", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.memory_of:
        case, name = options.memory_of
        print_memory(case, options.device, name)
        return
    if options.times_of:
        case, name = options.times_of
        print_times(case, options.device, name, options.repeats)
        return

    missing = [name for name in PACKAGES if name not in load_peers()]
    print(f"torch {torch.__version__}, {options.device}, ", end="")
    print(f"{torch.get_num_threads()} threads")
    print(f"not installed: {', '.join(missing) or 'none'}")
    added = import_seconds()
    print(f"importing FocalLoss adds {1e3 * added:.0f} ms to importing torch")
    figures: dict[str, object] = {"missing": missing, "import_seconds": added}
    for case in CASES:
        names = list(make_case(case, "meta")[0])
        peaks = {name: memory(case, options.device, name) for name in names}
        pairs = {n: times(case, options, n) for n in names if n != OURS}
        figures[case] = {
            name: {"ours_theirs_seconds": pairs.get(name), "peak_mib": peaks[name]}
            for name in names
        }
        seconds = {
            name: statistics.median(theirs for _, theirs in pair)
            for name, pair in pairs.items()
        }
        seconds[OURS] = statistics.median(
            ours for pair in pairs.values() for ours, _ in pair
        )
        print(f"\n{case}\n{'':30}{'ms':>9}{'ratio':>8}{'(range)':>17}{'peak MiB':>10}")
        for name in sorted(seconds, key=seconds.__getitem__):
            ratios = sorted(b / a for a, b in pairs.get(name, [[1, 1]]))
            extent = f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
            shown = "n/a" if peaks[name] is None else f"{peaks[name]:.0f}"
            print(
                f"{name:30}{1e3 * seconds[name]:9.2f}{statistics.median(ratios):8.2f}"
                f"{extent:>17}{shown:>10}",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
