"""Translators for a time budget: the settings of each budget, in one table."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal, NamedTuple

from sklearn.base import clone

from gansampler._validation import explain_name, nearest_name
from gansampler.training import Trainer
from gansampler.translators._adversarial import AdversarialTranslator
from gansampler.translators._cyclegan import CycleGAN
from gansampler.translators._simgan import SimGAN


class Budget(NamedTuple):
    """The settings of a budget, and the time after which training stops."""

    translator: type[AdversarialTranslator]
    params: dict[str, Any]
    max_time: timedelta | None


# Few images, and little time: see "Few images" in the documentation.
FEW_IMAGES: dict[str, Any] = {
    "ngf": 16,
    "ndf": 64,
    "n_blocks": 6,
    "global_skip": True,
    "discriminator": "projected",
    "augment_discriminator": True,
    "n_layers": 3,
    "n_epochs_decay": 0,
    "batch_size": 8,
    "lr": 2e-4,
    "betas": (0.0, 0.99),
    "pool_size": 0,
    "ema_decay": 0.995,
    "patience": 10,
    "on_failure": "warn",
    "horizontal_flip": False,
    "vertical_flip": False,
    "lambda_color": 2.0,
    "lambda_content": 0.25,
}
BUDGETS = {
    "minutes": Budget(SimGAN, {**FEW_IMAGES, "n_epochs": 100}, timedelta(minutes=20)),
    "hours": Budget(
        SimGAN,
        {**FEW_IMAGES, "n_epochs": 1_500, "patience": 30},
        timedelta(hours=6),
    ),
    # As published: see `make_melanet`.
    "paper": Budget(
        CycleGAN,
        {
            "generator": "unet",
            "ngf": 32,
            "ndf": 64,
            "n_blocks": "auto",
            "global_skip": False,
            "discriminator": "patch",
            "augment_discriminator": False,
            "n_layers": 4,
            "n_epochs": 100,
            "n_epochs_decay": 0,
            "batch_size": 1,
            "lr": 2e-4,
            "betas": (0.5, 0.999),
            "pool_size": 0,
            "ema_decay": 0.0,
            "patience": None,
            "on_failure": "warn",
            "horizontal_flip": True,
            "vertical_flip": False,
            "lambda_cycle": 10.0,
            "lambda_identity": 1.0,
        },
        None,
    ),
}


def make_translator(
    budget: Literal["minutes", "hours", "paper"] = "minutes",
    *,
    trainer: Trainer | None = None,
    random_state: Any = None,
    verbose: int = 0,
    **overrides: Any,
) -> AdversarialTranslator:
    """Return a translator with settings for a time budget.

    Parameters
    ----------
    budget : {"minutes", "hours", "paper"}, default="minutes"
        ``"minutes"`` trains for about ten minutes, and ``"hours"`` for about two
        hours, on two processor cores, with 300 images of 64 x 64 px in the larger
        class. The time grows in proportion to the images and to their pixels.
        ``"paper"`` has the settings of "MelaNet", see
        :func:`~gansampler.make_melanet`. The documentation of the translators has
        the table of all settings. For images, the first two need the extra
        ``gansampler[pretrained]``.
    trainer : Trainer, default=None
        Device, precision, checkpoints. If its `max_time` is None, the translator gets
        a copy in which ``"minutes"`` stops each training after 20 minutes, and
        ``"hours"`` after 6 hours. With ``"paper"`` there is no limit.
    random_state : int, RandomState instance or None, default=None
        Source of all randomness.
    verbose : int, default=0
        From 1 on, progress is shown.
    **overrides : dict
        Parameters of the translator that replace those of the budget, such as
        ``n_epochs=50``. Parameters of the trainer are named
        ``trainer__<name>``.

    Returns
    -------
    translator : AdversarialTranslator
        Not fitted: a :class:`~gansampler.SimGAN`, or a :class:`~gansampler.CycleGAN`
        with ``"paper"``. It has no reference to the budget, so that it can be cloned
        and searched like any other.

    Raises
    ------
    ValueError
        If the budget is unknown.
    TypeError
        If the translator has no parameter of that name.

    Examples
    --------
    >>> from gansampler import GANOverSampler, make_translator
    >>> translator = make_translator("minutes", n_epochs=10, random_state=0)
    >>> translator.n_epochs
    10
    >>> sampler = GANOverSampler(translator=make_translator("hours", verbose=1))
    """
    if budget not in BUDGETS:
        raise ValueError(
            f"`budget` must be one of {list(BUDGETS)}. Got {budget!r}."
            f"{nearest_name(budget, list(BUDGETS))}"
        )
    chosen = BUDGETS[budget]
    if chosen.max_time is not None and getattr(trainer, "max_time", None) is None:
        trainer = Trainer() if trainer is None else clone(trainer)
        trainer.set_params(max_time=chosen.max_time)
    translator = chosen.translator(
        **chosen.params, trainer=trainer, random_state=random_state, verbose=verbose
    )
    known = sorted(translator.get_params())
    for name, value in overrides.items():
        if name not in known:
            raise TypeError(explain_name(type(translator), name, value, known))
    return translator.set_params(**overrides)
