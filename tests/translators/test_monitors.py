"""Signs of failure: each on images or a history that were made to have it."""

import numpy as np
import pytest

from gansampler.datasets import make_lesions
from gansampler.translators._monitors import find_failures, measure


@pytest.fixture(scope="module")
def classes():
    X, y = make_lesions(80, weights=(0.5, 0.5), image_size=32, random_state=0)
    X = X / 255.0
    return X[y == "benign"], X[y == "malignant"]


def sentences(source, translated, target):
    history = [{"n_steps": 200, **measure(source, translated, target)}]
    return find_failures(history, hinge=False)


def test_the_other_class_itself_is_healthy(classes):
    source, target = classes
    n = min(len(source), len(target))
    assert sentences(source[:n], target[:n], target) == []
    assert sentences(target[:n], source[:n], source) == []


def test_a_tint_and_noise_are_healthy(classes):
    source, target = classes
    rng = np.random.default_rng(0)
    noisy = source * [0.9, 0.8, 0.8] + rng.normal(0, 0.01, source.shape)
    assert sentences(source, noisy.clip(0, 1), target) == []


def test_translations_that_equal_their_sources(classes):
    source, target = classes
    (sentence,) = sentences(source, source + 1e-4, target)
    assert "almost equal to their sources" in sentence


def test_one_translation_for_all_sources(classes):
    source, target = classes
    same = np.repeat(target[:1], len(source), axis=0) + 0.01 * source
    (sentence,) = sentences(source, same, target)
    assert "ignore their sources" in sentence


def test_colours_that_no_class_has(classes):
    source, target = classes
    (sentence,) = sentences(source, source[..., ::-1], target)
    assert "outside of the range of both classes" in sentence


@pytest.mark.parametrize("period", [2, 4])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_grid(classes, period, axis):
    source, target = classes
    wave = np.cos(2 * np.pi * np.arange(source.shape[1 + axis]) / period)
    wave = wave.reshape([-1, 1, 1] if axis == 0 else [1, -1, 1])
    (sentence,) = sentences(source, 0.9 * source + 0.03 * wave, target)
    assert "a grid of 2 or 4 pixels" in sentence


def records(**losses):
    n = len(next(iter(losses.values())))
    return [
        {"n_steps": 100, **{name: values[i] for name, values in losses.items()}}
        for i in range(n)
    ]


def test_a_discriminator_without_error():
    losses = [0.4, 0.2, 0.1, 0.004, 0.003]
    (sentence,) = find_failures(records(discriminator_t=losses), hinge=False)
    assert "without error (its loss is 0.003)" in sentence


def test_a_cycle_loss_that_rises():
    falling, rising = np.linspace(1, 0.2, 20), np.linspace(0.2, 0.6, 20)
    both = np.concatenate([falling, rising]).tolist()
    (sentence,) = find_failures(
        records(cycle_source=both, discriminator_t=[0.3] * 40),
        hinge=False,
    )
    assert "'cycle_source' has risen from" in sentence
    healthy = records(cycle_source=falling.tolist())
    assert find_failures(healthy, hinge=False) == []


def test_only_some_epochs_are_evaluated():
    history = records(discriminator_t=[0.4, 0.3])
    history[1]["change"] = 0.001
    (sentence,) = find_failures(history, hinge=False)
    assert "almost equal to their sources" in sentence


def test_short_runs_are_not_judged():
    history = [{"n_steps": 99, "change": 0.0, "discriminator_t": 0.0}]
    assert find_failures(history, hinge=False) == []
    history[0]["n_steps"] = 100
    assert len(find_failures(history, hinge=False)) == 2


def test_a_run_without_evaluations_or_without_epochs_has_no_failures():
    assert find_failures([], hinge=False) == []
    assert find_failures(records(loss=[1.0]), hinge=False) == []


def test_translations_that_are_farther_than_their_sources():
    healthy = {"change": 0.5, "kernel_distance_of_sources": 0.1}
    history = [{"n_steps": 200, **healthy, "kernel_distance": 0.12}]
    (sentence,) = find_failures(history, hinge=False)
    assert "farther from the target class than their sources" in sentence
    assert "0.120" in sentence
    assert "0.100" in sentence


def test_the_kept_generator_is_judged():
    best = {"change": 0.5, "kernel_distance": 0.05, "kernel_distance_of_sources": 0.1}
    later = best | {"change": 0.001, "kernel_distance": 0.2}
    history = [{"n_steps": 200, **best}, {"n_steps": 200, **later}]
    assert find_failures(history, hinge=False) == []
    assert len(find_failures(history[1:], hinge=False)) == 2
