"""The command line: ``python -m gansampler balance ROOT --out DIR``."""

from __future__ import annotations

import argparse
import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gansampler import __version__
from gansampler._balance import balance_folder
from gansampler.exceptions import (
    GANSamplerError,
    GANSamplerWarning,
    LongTrainingWarning,
    TrainingStoppedWarning,
)

STRATEGIES = ("auto", "minority", "not minority", "not majority", "all")
# Warnings end with advice for programs. The command line has its own.
OWN_ADVICE = {
    LongTrainingWarning: (
        " To train for less time,",
        "Ctrl-C stops it. A smaller --image-size takes less time, and so does "
        "--budget minutes.",
    ),
    TrainingStoppedWarning: (
        " Make the same call again",
        "The same command continues it.",
    ),
}
# Names of parameters in errors, and what they are called here.
OPTIONS = {
    "`root`": "ROOT",
    "`output_dir`": "--out",
    "`image_shape`": "--image-size",
    "`sampling_strategy`": "--sampling-strategy",
}
EXAMPLE = """\
example:
  python -m gansampler balance photos --out balanced

  reads photos/benign/*, photos/malignant/*, ... and writes balanced/benign/*,
  balanced/malignant/*, ... with as many images of each class as of the largest one.
  This takes about ten minutes on two processor cores for some hundred images. Ctrl-C
  stops it, and the same command continues it.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, default=None
        None takes those of the process.

    Returns
    -------
    status : int
        0 after success, 2 for bad usage or data, 130 after Ctrl-C.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    parser = _make_parser()
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    args = parser.parse_args(arguments)
    command = shlex.join(["python", "-m", "gansampler", *arguments])
    try:
        with _plain_warnings():
            balance_folder(args, command)
    except (KeyboardInterrupt, TrainingStoppedWarning):
        print(f"\nStopped. The same command continues:\n{command}", file=sys.stderr)
        return 130
    except (GANSamplerError, OSError, TypeError, ValueError) as error:
        text = str(error)
        for name, option in OPTIONS.items():
            text = text.replace(name, option)
        print(f"gansampler: error: {text}", file=sys.stderr)
        return 2
    return 0


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m gansampler",
        description="Over-sample imbalanced image data.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"gansampler {__version__}"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    balance = commands.add_parser(
        "balance",
        help="write a balanced copy of a folder of images",
        description="Write a balanced copy of a folder with one sub-folder per class.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    balance.add_argument("root", metavar="ROOT", help="folder with ROOT/<class>/*")
    balance.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help="folder to write to; new, empty, or that of the same command",
    )
    balance.add_argument(
        "--budget",
        choices=["minutes", "hours", "paper"],
        default="minutes",
        help="time for each class that grows: about ten minutes (the default) or two "
        "to three hours, on two processor cores with 300 images of 64 px, or the "
        "settings of the paper",
    )
    balance.add_argument(
        "--image-size",
        type=_image_size,
        default=64,
        metavar="N",
        help="height and width of the synthetic images in pixels (default: 64)",
    )
    balance.add_argument(
        "--sampling-strategy",
        type=_strategy,
        default="auto",
        metavar="S",
        help="'auto' (the default) grows all classes to the size of the largest one; "
        f"others are {', '.join(map(repr, STRATEGIES[1:]))}, a ratio such as 0.5 for "
        "two classes, or counts such as malignant=100,nevus=200",
    )
    balance.add_argument(
        "--random-state",
        type=int,
        default=0,
        metavar="N",
        help="seed of all random numbers (default: 0)",
    )
    balance.add_argument(
        "--synthetic-only",
        action="store_true",
        help="leave out the originals, so that DIR has only the synthetic images",
    )
    balance.add_argument(
        "--quiet", action="store_true", help="show warnings and errors only"
    )
    return parser


def _image_size(text: str) -> int:
    if not text.isdecimal() or int(text) < 8:
        raise argparse.ArgumentTypeError(
            f"must be a number of pixels of at least 8, such as 64. Got {text!r}."
        )
    return int(text)


def _strategy(text: str) -> str | float | dict[str, int]:
    """Return a value of `sampling_strategy`."""
    if text in STRATEGIES:
        return text
    if "=" in text:
        pairs = [pair.rpartition("=") for pair in text.split(",")]
        if all(label and count.isdecimal() for label, _, count in pairs):
            return {label.strip(): int(count) for label, _, count in pairs}
    else:
        try:
            ratio = float(text)
        except ValueError:
            ratio = 0.0
        if 0 < ratio <= 1:
            return ratio
    raise argparse.ArgumentTypeError(
        f"must be one of {', '.join(map(repr, STRATEGIES))}, a ratio of at most 1, or "
        f"the number of images of classes, such as malignant=100. Got {text!r}."
    )


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show the warnings of the package as lines of text; Ctrl-C becomes an error."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def show_plainly(message, category, *args, **kwargs) -> None:
            if not issubclass(category, GANSamplerWarning):
                show(message, category, *args, **kwargs)
                return
            from tqdm import tqdm

            text = str(message)
            if category in OWN_ADVICE:
                start, advice = OWN_ADVICE[category]
                text = f"{text.partition(start)[0]} {advice}"
            tqdm.write(f"Warning: {text}", file=sys.stderr)

        warnings.showwarning = show_plainly
        warnings.simplefilter("always", GANSamplerWarning)
        # The last checkpoint is written before the warning.
        warnings.filterwarnings(
            "error", ".*because of Ctrl-C", category=TrainingStoppedWarning
        )
        yield


if __name__ == "__main__":
    sys.exit(main())
