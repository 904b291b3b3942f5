"""Hash what the library computes, so that a redesign can be held to its behaviour.

    python tests/golden/pin.py write before.json     # at one commit
    python tests/golden/pin.py check before.json     # at another one

Hashes depend on the processor and on the versions of the dependencies, so both commands
run on one machine, and no hashes are committed. A case whose name is given as a further
argument runs alone.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

import gansampler
from gansampler import (
    CUT,
    CycleGAN,
    GANOverSampler,
    Trainer,
    TransferClassifier,
    metrics,
    networks,
)
from gansampler import losses as gl
from gansampler.datasets import make_lesions
from gansampler.images import ImageSequence
from gansampler.training import Callback

torch.set_num_threads(1)

CASES: dict[str, Callable[[], Any]] = {}


def case(function: Callable[[], Any]) -> Callable[[], Any]:
    CASES[function.__name__] = function
    return function


def digest(value: Any) -> str:
    state = hashlib.blake2b(digest_size=12)

    def add(item: Any) -> None:
        if isinstance(item, torch.Tensor):
            item = item.detach().float().numpy()
        if hasattr(item, "to_numpy"):
            item = item.to_numpy()
        if isinstance(item, np.ndarray):
            state.update(f"{item.shape}{item.dtype.kind}".encode())
            if item.dtype.kind in "OUS":
                add(item.tolist())
            else:
                state.update(np.ascontiguousarray(item).tobytes())
        elif isinstance(item, dict):
            for key, held in item.items():
                add(str(key))
                add(held)
        elif isinstance(item, list | tuple):
            for held in item:
                add(held)
        else:
            state.update(repr(item).encode() + b";")

    add(value)
    return state.hexdigest()


# --- losses -------------------------------------------------------------------------


def loss_values(loss: Callable[..., torch.Tensor], *shape: int, soft: bool = False):
    rng = torch.Generator().manual_seed(3)
    results = []
    for scale in (1.0, 30.0):
        logits = (scale * torch.randn(*shape, generator=rng)).requires_grad_()
        if soft:
            target = torch.rand(*shape, generator=rng)
        else:
            size = (shape[0], *shape[2:])
            target = torch.randint(shape[1], size, generator=rng)
        value = loss(logits, target)
        value.sum().backward()
        results += [value, logits.grad]
    return results


def on_hard_targets(loss: torch.nn.Module) -> Callable[..., torch.Tensor]:
    return lambda logits, target: loss(logits, (target > 0.5).float())


@case
def losses_softmax():
    weights = [0.2, 0.3, 0.5]
    options = [
        {},
        {"gamma": 0.0},
        {"gamma": 0.5, "alpha": weights},
        {"alpha": weights, "reduction": "none"},
        {"reduction": "sum", "label_smoothing": 0.1},
    ]
    return [
        loss_values(gl.FocalLoss(**chosen), *shape)
        for chosen in options
        for shape in ((17, 3), (2, 3, 5, 7), (30000, 3))
    ]


@case
def losses_softmax_ignored():
    logits = torch.linspace(-3, 3, 15).reshape(5, 3).requires_grad_()
    value = gl.focal_loss(logits, torch.tensor([0, -100, 2, 1, -100]))
    value.backward()
    return value, logits.grad


@case
def losses_sigmoid():
    options = [
        {},
        {"alpha": 0.25},
        {"gamma": 1.0, "reduction": "none"},
        {"gamma": 3.5, "reduction": "sum"},
    ]
    results = []
    for chosen in options:
        for shape in ((17, 3), (300000, 1)):
            loss = gl.BinaryFocalLoss(**chosen)
            results.append(loss_values(loss, *shape, soft=True))
            results.append(loss_values(on_hard_targets(loss), *shape, soft=True))
    return results


@case
def losses_relatives():
    counts = [50, 20, 4]
    return [
        loss_values(loss, 40, 3)
        for loss in (
            gl.ClassBalancedLoss(counts),
            gl.LDAMLoss(counts),
            gl.LogitAdjustedLoss(counts),
        )
    ] + [gl.class_weights(counts)]


# --- translators --------------------------------------------------------------------


def lesions(n: int = 24, size: int = 16, minority: float = 0.4):
    return make_lesions(
        n, weights=(1 - minority, minority), image_size=size, random_state=0
    )


def domains(**settings: Any):
    X, y = lesions(**settings)
    return X[y == "benign"], X[y == "malignant"]


def flips(cls: type) -> dict[str, bool]:
    """Flips left to right were always on before they were a parameter."""
    known = inspect.signature(cls).parameters
    return {"horizontal_flip": True} if "horizontal_flip" in known else {}


def cyclegan(**params: Any) -> CycleGAN:
    settings: dict[str, Any] = {
        "ngf": 4,
        "ndf": 4,
        "n_blocks": 1,
        "n_epochs": 2,
        "batch_size": 4,
        "random_state": 0,
        "trainer": Trainer(precision="32-true"),
        **flips(CycleGAN),
    }
    return CycleGAN(**{**settings, **params})


def cut(**params: Any) -> CUT:
    settings: dict[str, Any] = {
        "ngf": 4,
        "ndf": 4,
        "n_blocks": 2,
        "n_epochs": 2,
        "batch_size": 4,
        "random_state": 0,
        "trainer": Trainer(precision="32-true"),
        **flips(CUT),
    }
    return CUT(**{**settings, **params})


def history(estimator: Any) -> list[dict[str, float]]:
    clocks = ("seconds", "images_per_second")
    return [
        {name: value for name, value in record.items() if name not in clocks}
        for record in estimator.history_
    ]


def fitted(translator: Any, source: Any, target: Any):
    translator.fit(source, target)
    score = getattr(translator, "realism_score", None)
    score = score or translator.score_samples
    result = [translator.translate(source), score(source)]
    # The names of the losses may change, their values and order not.
    result.append([list(record.values()) for record in history(translator)])
    if hasattr(translator, "inverse_translate"):
        result.append(translator.inverse_translate(target))
    with tempfile.TemporaryDirectory() as folder:
        translator.save(Path(folder) / "model")
        loaded = {}
        if callable(getattr(translator, "generator", None)):
            loaded = {"generator": translator.generator}
        again = type(translator).load(Path(folder) / "model", **loaded)
        again.set_params(trainer=translator.trainer)
        assert np.array_equal(again.translate(source), result[0])
    return result


def small_resnet(n_channels: int) -> torch.nn.Module:
    return networks.ResNetGenerator(n_channels, ngf=4, n_blocks=1, global_skip=True)


@case
def cyclegan_default():
    return fitted(cyclegan(), *domains())


@case
def cyclegan_settings():
    return fitted(
        cyclegan(ema_decay=0.5, pool_size=3, n_epochs_decay=2, vertical_flip=True),
        *domains(),
    )


@case
def cyclegan_without_identity():
    return fitted(cyclegan(lambda_identity=0.0, pool_size=0), *domains())


@case
def cyclegan_unet_odd_size():
    return fitted(cyclegan(generator="unet"), *domains(size=21))


@case
def cyclegan_callable():
    return fitted(cyclegan(generator=small_resnet, batch_size=5), *domains())


@case
def cyclegan_floating():
    source, target = domains()
    return fitted(cyclegan(), source / np.float32(255), target / np.float32(255))


@case
def cyclegan_grey():
    source, target = domains()
    return fitted(cyclegan(), source[..., 0], target[..., 0])


@case
def cyclegan_feature_rows():
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(20, 5)), rng.normal(3, 2, size=(9, 5))
    return fitted(cyclegan(), source, target)


@case
def cyclegan_bfloat16():
    trainer = Trainer(precision="bf16-mixed")
    return fitted(cyclegan(trainer=trainer), *domains())


@case
def cut_default():
    return fitted(cut(), *domains())


@case
def cut_settings():
    return fitted(cut(ema_decay=0.5, pool_size=3, n_blocks=3), *domains())


@case
def cut_fast():
    return fitted(cut(fast=True), *domains(size=20))


class KilledError(Exception):
    """Stands for a process that was killed."""


class KillAt(Callback):
    def __init__(self, n_steps: int) -> None:
        self.n_steps = n_steps

    def on_step_end(self, task, epoch, step):
        self.n_steps -= 1
        if self.n_steps == 0:
            raise KilledError


def continued(make: Callable[..., Any], **params: Any):
    source, target = domains()
    with tempfile.TemporaryDirectory() as folder:
        settings = {"checkpoint_dir": folder, "checkpoint_every": 0}
        settings["precision"] = "32-true"
        try:
            killed = Trainer(**settings, callbacks=[KillAt(6)])
            make(trainer=killed, **params).fit(source, target)
        except KilledError:
            translator = make(trainer=Trainer(**settings), **params)
            return fitted(translator, source, target)
    raise AssertionError("it was to be killed")


@case
def cyclegan_continued():
    return continued(cyclegan, pool_size=3, ema_decay=0.5)


@case
def cut_continued():
    return continued(cut, fast=True)


@case
def cyclegan_two_processes():
    trainer = Trainer(devices=2, precision="32-true")
    translator = cyclegan(trainer=trainer).fit(*domains())
    return translator.generator_st_(torch.zeros(1, 3, 16, 16)).round(decimals=3)


# --- the sampler --------------------------------------------------------------------


def sampler(**params: Any) -> GANOverSampler:
    return GANOverSampler(
        **{"translator": cyclegan(random_state=None), "random_state": 0, **params}
    )


def resampled(model: GANOverSampler, X: Any, y: Any):
    X_new, y_new = model.fit_resample(X, y)
    return X_new, y_new, model.sample_indices_, model.is_synthetic_


@case
def sampler_array():
    return resampled(sampler(), *lesions())


@case
def sampler_float_cut():
    X, y = lesions()
    model = sampler(translator=cut(random_state=None))
    return resampled(model, X / 255.0, y)


@case
def sampler_list():
    X, y = lesions()
    return resampled(sampler(), list(X), list(y))


@case
def sampler_flat_rows():
    X, y = lesions()
    return resampled(sampler(image_shape=(16, 16, 3)), X.reshape(len(X), -1), y)


@case
def sampler_feature_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 4)) + np.repeat([0, 3], [20, 10])[:, None]
    return resampled(sampler(), X, np.repeat([0, 1], [20, 10]))


@case
def sampler_frame_of_numbers():
    import pandas as pd

    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(30, 3)), columns=list("abc"))
    return resampled(sampler(), X, pd.Series(np.repeat(["a", "b"], [20, 10])))


@case
def sampler_multi_class():
    X, _ = lesions(n=36)
    y = np.repeat([2, 0, 1], [20, 10, 6])
    strategies = ("not majority", "minority", {0: 14, 1: 8})
    return [
        resampled(sampler(sampling_strategy=strategy, source=source), X, y)
        for strategy, source in zip(strategies, ("majority", "rest", 2), strict=True)
    ]


@case
def sampler_prefit():
    X, y = lesions()
    translator = cyclegan().fit(X[y == "benign"], X[y == "malignant"])
    return resampled(sampler(translator=translator, prefit=True), X, y)


def write_files(folder: Path, X: np.ndarray) -> list[str]:
    from PIL import Image

    paths = [folder / f"image-{i}.png" for i in range(len(X))]
    for path, image in zip(paths, X, strict=True):
        Image.fromarray(image).save(path)
    return [str(path) for path in paths]


def from_files(as_given: Callable[[list[str]], Any], **params: Any):
    X, y = lesions()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        given = as_given(write_files(folder / "in", X))
        model = sampler(image_shape=(16, 16, 3), output_dir=folder / "out", **params)
        X_new, y_new = model.fit_resample(given, y)
        files = sorted(path for path in folder.glob("out/*/*"))
        images = [path.read_bytes() for path in files]
        names = [path.name for path in files]
        manifest = (folder / "out" / "manifest.csv").read_text()
        # The columns of paths and labels; those of parents hold the folder.
        rows = [line.split(",")[:2] for line in manifest.splitlines()]
        column = X_new["path"] if hasattr(X_new, "columns") else X_new
        bare = [Path(path).name for path in column]
        return bare, list(y_new), names, images, rows, model.sample_indices_


@case
def sampler_paths():
    return from_files(list)


@case
def sampler_paths_jpeg():
    return from_files(np.asarray, output_format="jpeg", sampling_strategy=0.9)


@case
def sampler_frame_of_paths():
    import pandas as pd

    return from_files(
        lambda paths: pd.DataFrame({"path": paths, "site": range(len(paths))}),
        path_column="path",
    )


@case
def sampler_polars_frame():
    import polars as pl

    return from_files(
        lambda paths: pl.DataFrame({"path": paths, "site": range(len(paths))}),
        path_column="path",
    )


@case
def sampler_dataset():
    X, y = lesions()
    names = sorted(set(y))
    pairs = [
        (torch.from_numpy(x).permute(2, 0, 1), names.index(label))
        for x, label in zip(X, y, strict=True)
    ]

    class Pairs(torch.utils.data.Dataset):
        def __len__(self):
            return len(pairs)

        def __getitem__(self, i):
            return pairs[i]

    model = sampler()
    dataset, y_new = model.fit_resample(Pairs())
    images = [np.asarray(dataset[i][0]) for i in range(len(dataset))]
    return images, y_new, model.sample_indices_


# --- the classifier, images and metrics ---------------------------------------------


def classifier(**params: Any) -> TransferClassifier:
    settings: dict[str, Any] = {
        "weights": None,
        "n_epochs": 2,
        "batch_size": 8,
        "random_state": 0,
        "trainer": Trainer(precision="32-true"),
    }
    backbone = params.pop("backbone", "squeezenet1_1")
    return TransferClassifier(backbone, **{**settings, **params})


def classified(model: TransferClassifier, X: Any, y: Any, **fit: Any):
    model.fit(X, y, **fit)
    result = [model.predict_proba(X), model.predict(X), history(model)]
    if len(model.sample_shape_) == 3:
        result.append(model.embed(X))
    return result


@case
def classifier_default():
    return classified(classifier(), *lesions(size=32))


@case
def classifier_settings():
    X, y = lesions(size=32)
    model = classifier(
        loss="cross_entropy",
        class_weight="balanced",
        optimizer="sgd",
        lr=0.01,
        patience=1,
        lr_patience=1,
        vertical_flip=True,
    )
    return classified(model, X, y, validation_data=(X[::2], y[::2]))


@case
def classifier_frozen_resnet():
    model = classifier(backbone="resnet18", freeze=True, n_epochs=1)
    return classified(model, *lesions(size=32))


@case
def classifier_weighted():
    X, y = lesions(size=32)
    return classified(classifier(), X, y, sample_weight=np.arange(len(y)) % 3)


@case
def classifier_feature_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 4)) + np.repeat([0, 3], [20, 10])[:, None]
    return classified(classifier(), X, np.repeat([0, 1], [20, 10]))


@case
def classifier_paths():
    X, y = lesions(size=32)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_files(Path(folder), X)
        return classified(classifier(image_shape=(28, 32, 3)), paths, y)


@case
def pipeline():
    from imblearn.pipeline import make_pipeline

    X, y = lesions(size=32)
    model = make_pipeline(sampler(), classifier(n_epochs=1)).fit(X, y)
    return model.predict_proba(X)


@case
def images_in_and_out():
    X, _ = lesions()
    results = []
    for form in (X, X[..., 0], X / 255.0, X.reshape(len(X), -1)):
        shape = (16, 16, 3) if form.ndim == 2 else None
        images = ImageSequence(form, shape)
        batch = images.subset(range(3, 11)).batch([0, 2, 5])
        results += [batch, images.restore(batch), images.fingerprint()]
    with tempfile.TemporaryDirectory() as folder:
        paths = write_files(Path(folder), X)
        for resize in ("crop", "stretch", "pad"):
            images = ImageSequence(paths, (12, 20, 3), resize=resize)
            results.append(images.take(np.arange(len(paths))))
    return results


@case
def report():
    rng = np.random.default_rng(0)
    y = rng.random(300) < 0.3
    score = np.clip(y * 0.2 + rng.random(300) * 0.8, 0, 1)
    make = getattr(metrics, "clinical_report", None)
    make = make or metrics.classification_report_imbalanced
    return str(make(y, y_score=score, random_state=0))


def main() -> int:
    action, path, *names = sys.argv[1:]
    if action not in ("write", "check"):
        raise SystemExit(__doc__)
    warnings.simplefilter("ignore")
    hashes = {}
    for name in names or CASES:
        try:
            hashes[name] = digest(CASES[name]())
        except Exception:
            hashes[name] = traceback.format_exc().splitlines()[-1]
            traceback.print_exc()
        print(f"{name:28} {hashes[name]}", flush=True)
    if action == "write":
        Path(path).write_text(json.dumps(hashes, indent=1))
        return 0
    before = json.loads(Path(path).read_text())
    changed = [name for name in hashes if hashes[name] != before.get(name)]
    print(f"{len(hashes) - len(changed)} of {len(hashes)} as before", *changed)
    return int(bool(changed))


if __name__ == "__main__":
    print(f"gansampler {gansampler.__version__} in {Path(gansampler.__file__).parent}")
    sys.exit(main())
