"""Training steps and generation, compared with a textbook implementation.

    python benchmarks/cyclegan.py [--device cpu] [--threads 2] [--steps 8] [--json F]

The textbook's step is that of the tutorials: six generator passes and four
discriminator passes, one after the other, in float32, with torch's default Adam. The
generators' loss computes gradients for the discriminators, which are not needed. The
networks have the same weights as ours, in torch's own layers. The two take turns step
by step, so that other load on the machine affects both. Times are medians.

Generation is compared with a loop over single images in float32, without gradients. The
share of the rate of large bfloat16 matrix products on the same device shows how much
could still be gained.
"""

import argparse
import copy
import json
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from gansampler import CycleGAN, Trainer
from gansampler.networks import ResNetGenerator
from gansampler.networks._layers import (
    InstanceNorm2d,
    ReflectionPad2d,
    RowwiseConv2d,
    UpsampledConv2d,
)
from gansampler.training import Callback, TrainingTask
from gansampler.translators import ImagePool

LAMBDA_CYCLE, LAMBDA_IDENTITY = 10.0, 1.0
CASES = {
    "cpu": [(64, 64, 4), (128, 64, 1)],
    "cuda": [(256, 64, 1), (256, 64, 2), (256, 64, 4), (256, 64, 8), (256, 64, 16)],
}
WARM_UP = 2


def in_plain_layers(network: nn.Module) -> nn.Module:
    """Return a copy of a network with torch's own layers and default memory layout."""
    layers: nn.Module = copy.deepcopy(network.get_submodule("layers"))
    for name, layer in list(layers.named_modules()):
        if isinstance(layer, UpsampledConv2d | RowwiseConv2d):
            conv = nn.Conv2d(
                layer.in_channels,
                layer.out_channels,
                layer.kernel_size[0],
                bias=layer.bias is not None,
            )
            conv.load_state_dict(layer.state_dict())
            plain: nn.Module = conv
            if isinstance(layer, UpsampledConv2d):
                plain = nn.Sequential(
                    nn.Upsample(scale_factor=2), nn.ReflectionPad2d(1), conv
                )
        elif isinstance(layer, InstanceNorm2d):
            plain = nn.InstanceNorm2d(layer.num_features)
        elif isinstance(layer, ReflectionPad2d):
            plain = nn.ReflectionPad2d(layer.padding)
        else:
            continue
        layers.set_submodule(name, plain)
    if isinstance(network, ResNetGenerator):
        layers = nn.Sequential(layers, nn.Tanh())
    return layers


def check_same(network: nn.Module, plain: nn.Module) -> None:
    """Check that both networks compute the same."""
    images = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(network(images), plain(images), rtol=0, atol=1e-4)


class TextbookStep:
    """The training step of CycleGAN as in the tutorials."""

    def __init__(self, networks: dict[str, nn.Module], device: torch.device) -> None:
        nets = {}
        for name, network in networks.items():
            ours = copy.deepcopy(network).cpu()
            nets[name] = in_plain_layers(ours)
            check_same(ours, nets[name])
            nets[name].to(device)
        self.st, self.ts = nets["generator_st"], nets["generator_ts"]
        self.d_s, self.d_t = nets["discriminator_s"], nets["discriminator_t"]
        for net in nets.values():
            net.train().requires_grad_(True)
        self.opt_g = torch.optim.Adam(
            [*self.st.parameters(), *self.ts.parameters()], lr=2e-4, betas=(0.5, 0.999)
        )
        self.opt_d = torch.optim.Adam(
            [*self.d_s.parameters(), *self.d_t.parameters()],
            lr=2e-4,
            betas=(0.5, 0.999),
        )
        rng = np.random.default_rng(0)
        self.pool_s, self.pool_t = ImagePool(50, rng), ImagePool(50, rng)

    def __call__(self, s: torch.Tensor, t: torch.Tensor) -> None:
        """Update the generators, then the discriminators."""
        self.opt_g.zero_grad()
        fake_t, fake_s = self.st(s), self.ts(t)
        idt_t, idt_s = self.st(t), self.ts(s)
        score_t, score_s = self.d_t(fake_t), self.d_s(fake_s)
        loss = F.mse_loss(score_t, torch.ones_like(score_t))
        loss = loss + F.mse_loss(score_s, torch.ones_like(score_s))
        cycle = F.l1_loss(self.ts(fake_t), s) + F.l1_loss(self.st(fake_s), t)
        identity = F.l1_loss(idt_t, t) + F.l1_loss(idt_s, s)
        (loss + LAMBDA_CYCLE * cycle + LAMBDA_IDENTITY * identity).backward()
        self.opt_g.step()

        self.opt_d.zero_grad()
        for discriminator, real, fake, pool in (
            (self.d_s, s, fake_s, self.pool_s),
            (self.d_t, t, fake_t, self.pool_t),
        ):
            on_real = discriminator(real)
            on_fake = discriminator(pool.query(fake.detach()))
            loss = F.mse_loss(on_real, torch.ones_like(on_real))
            loss = loss + F.mse_loss(on_fake, torch.zeros_like(on_fake))
            (0.5 * loss).backward()
        self.opt_d.step()


class TakeTurns(Callback):
    """After each step of ours, one of the textbook's on a batch of the same size."""

    def __init__(self, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
        self.batch = batch
        self.ours: list[float] = []
        self.textbook: list[float] = []

    def on_fit_start(self, task: TrainingTask, n_epochs: int) -> None:
        """Build the textbook step with the same weights."""
        self.device = task.device
        self.step = TextbookStep(task.modules, task.device)
        self.tensors = [tensor.to(task.device) for tensor in self.batch]
        self.start = self._now()

    def on_step_end(self, task: TrainingTask, epoch: int, step: int) -> None:
        """Measure our step, then the textbook's."""
        now = self._now()
        self.ours.append(now - self.start)
        if step == 1:
            # The first step is not part of the result.
            with FlopCounterMode(display=False) as counter:
                task.training_step(tuple(self.tensors))
            self.flops = counter.get_total_flops()
        now = self._now()
        self.step(*self.tensors)
        self.start = self._now()
        self.textbook.append(self.start - now)

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def random_images(n: int, side: int) -> np.ndarray:
    """Return noise; the time does not depend on the values."""
    rng = np.random.default_rng(n)
    return rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def compare_steps(
    side: int, ngf: int, batch_size: int, precision: str, device: str, n_steps: int
) -> dict[str, Any]:
    """Return the median seconds per step, ours and the textbook's."""
    n = batch_size * (n_steps + WARM_UP)
    source, target = random_images(n, side), random_images(n, side)
    as_batch = [
        torch.from_numpy(x[:batch_size]).permute(0, 3, 1, 2).float().contiguous()
        / 127.5
        - 1
        for x in (source, target)
    ]
    turns = TakeTurns((as_batch[0], as_batch[1]))
    CycleGAN(
        ngf=ngf,
        ndf=ngf,
        n_epochs=1,
        batch_size=batch_size,
        lambda_cycle=LAMBDA_CYCLE,
        lambda_identity=LAMBDA_IDENTITY,
        trainer=Trainer(accelerator=device, precision=precision, callbacks=[turns]),
        random_state=0,
    ).fit(source, target)
    ours = statistics.median(turns.ours[WARM_UP:])
    textbook = statistics.median(turns.textbook[WARM_UP:])
    return {
        "side": side,
        "ngf": ngf,
        "batch_size": batch_size,
        "precision": precision,
        "seconds": ours,
        "textbook_seconds": textbook,
        "ratio": textbook / ours,
        "images_per_second": batch_size / ours,
        "flops": turns.flops,
    }


def compare_generation(
    side: int, ngf: int, device: str, n_images: int
) -> dict[str, Any]:
    """Return the images per second of ``translate`` and of a loop over images."""
    images = random_images(n_images, side)
    model = CycleGAN(
        ngf=ngf, n_epochs=0, trainer=Trainer(accelerator=device), random_state=0
    ).fit(images, images)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.generator_st_(torch.zeros(1, 3, side, side))
    network = in_plain_layers(model.generator_st_).to(device)
    ours, loop = [], []
    for _ in range(3):
        start = time.perf_counter()
        model.translate(images)
        middle = time.perf_counter()
        with torch.no_grad():
            for image in images:
                batch = torch.from_numpy(image).permute(2, 0, 1)[None].contiguous()
                output = network((batch.float() / 127.5 - 1).to(device)).cpu()
                ((output + 1) * 127.5).round().clamp(0, 255).byte().numpy()
        loop.append(time.perf_counter() - middle)
        ours.append(middle - start)
    return {
        "side": side,
        "ngf": ngf,
        "images_per_second": n_images / statistics.median(ours),
        "loop_images_per_second": n_images / statistics.median(loop),
        "ratio": statistics.median(loop) / statistics.median(ours),
        "flops": counter.get_total_flops(),
    }


def matrix_rate(device: str) -> float:
    """Return the operations per second of large bfloat16 matrix products."""
    n = 8192 if device == "cuda" else 2048
    a = torch.randn(n, n, device=device, dtype=torch.bfloat16)
    times = []
    for _ in range(7):
        start = time.perf_counter()
        (a @ a).sum().item()
        times.append(time.perf_counter() - start)
    return 2 * n**3 / min(times)


def main() -> None:
    """Print a table, and write the figures as JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore")
    rate = matrix_rate(args.device)
    results: dict = {
        "device": args.device,
        "threads": args.threads,
        "bf16_matrix_tflops": rate / 1e12,
        "steps": [],
        "generation": [],
    }
    print(f"large bfloat16 matrix products: {rate / 1e12:.2f} TFLOP/s")
    for side, ngf, batch_size in CASES[args.device]:
        for precision in ("auto", "32-true"):
            row = compare_steps(
                side, ngf, batch_size, precision, args.device, args.steps
            )
            results["steps"].append(row)
            row["share"] = row["flops"] / row["seconds"] / rate
            print(
                f"step, {side} px, ngf {ngf}, batch {batch_size}, {precision:>7}: "
                f"{1000 * row['seconds']:7.0f} ms, textbook "
                f"{1000 * row['textbook_seconds']:7.0f} ms: {row['ratio']:.2f}x; "
                f"{row['share']:.0%} of that rate"
            )
    for side in (64, 128, 256) if args.device == "cpu" else (256,):
        n_images = 64 if args.device == "cuda" else 2**20 // side**2
        row = compare_generation(side, 64, args.device, n_images)
        results["generation"].append(row)
        row["share"] = row["flops"] * row["images_per_second"] / rate
        print(
            f"generation, {side} px, ngf 64: {row['images_per_second']:.1f} images/s, "
            f"one at a time in float32 {row['loop_images_per_second']:.1f}: "
            f"{row['ratio']:.2f}x; {row['share']:.0%} of that rate"
        )
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
