"""Draw the focal loss for several gammas into docs/_static/focal_loss.png."""

from pathlib import Path

import matplotlib as mpl
import torch

from gansampler.losses import binary_focal_loss

mpl.use("Agg")
from matplotlib import pyplot as plt

OUT = Path(__file__).resolve().parents[1] / "_static" / "focal_loss.png"
GAMMAS = [0.0, 0.5, 1.0, 2.0, 5.0]


def main() -> None:
    """Draw the loss and the size of its gradient over the true class's probability."""
    p = torch.linspace(0.001, 0.999, 500, dtype=torch.float64)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for i, gamma in enumerate(GAMMAS):
        shade = mpl.colormaps["viridis"](0.2 * i)
        z = torch.logit(p).requires_grad_()
        loss = binary_focal_loss(z, torch.ones_like(z), gamma, reduction="none")
        (gradient,) = torch.autograd.grad(loss.sum(), z)
        label = r"$\gamma$ = " + f"{gamma:g}" + (" (cross-entropy)" * (gamma == 0))
        left.plot(p, loss.detach(), color=shade, label=label)
        right.plot(p, gradient.abs(), color=shade)
    left.set(xlabel="probability of the true class", ylabel="loss", ylim=(0, 5))
    right.set(xlabel="probability of the true class", ylabel="|gradient by the logit|")
    left.legend(frameon=False)
    for axes in (left, right):
        axes.set_xlim(0, 1)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(OUT, dpi=150)


if __name__ == "__main__":
    main()
