"""Any input at all gives what the contract says, or an error of ours."""

import warnings
from collections import Counter
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from gansampler import CycleGAN, GANOverSampler, Trainer
from gansampler.exceptions import GANSamplerError
from tests.over_sampling.translators import Invert

# The same examples each time, on whatever machine.
REPRODUCIBLE: dict[str, Any] = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "suppress_health_check": list(hypothesis.HealthCheck),
}

# What is drawn where an example is to be good in one respect, and where not.
DTYPES = ["uint8", "uint8", "float32", "float64", "float16"]
ODD_DTYPES = ["bool", "int8", "int64", "uint16", "complex64", "object", "str"]
CHANNELS, ODD_CHANNELS = [3, 1, 3, 2], [0, 8]
SIDES, ODD_SIDES = [8, 9, 10], [0, 1, 3, 7]
VALUES, ODD_VALUES = [None], [np.nan, np.inf, -np.inf, -0.5, 300, "blank"]
FORMS, ODD_FORMS = ["array", "array", "list"], ["nested", "ragged", "first", "turned"]
LABELS = [[0, 1], ["a", "b"], ["a", "b", "c"], [True, False], [0.0, 1.0], [-3, 2**40]]
ODD_LABELS = [
    [0.5, 1.5],
    [0, float("nan")],
    ["a", None],
    ["a", 1],
    [None, 1],
    ["a", float("nan")],
    [b"a", b"b"],
    [b"a", "b"],
    [(1, 2), (3, 4)],
    [object, object()],
    ["majority", "rest"],
    [1, True],
    [0, 1j],
]
LABEL_FORMS = ["list", "array", "object"]
ODD_LABEL_FORMS: list[Any] = [
    "column",
    "shorter",
    "longer",
    None,
    3,
    "aaabb",
    [],
    [[0, 1]],
    [{}],
]
KEYS = [0, 1, "a", "b", "c", True, None, float("nan"), 7, ("a",)]
COUNTS = [0, -1, 3, 5, 9, 12, 6.0, 5.5, True, None, "5", float("inf"), float("nan")]
STRATEGIES = ["auto", "all", "minority", "not minority", 1.0, lambda y: {y[-1]: 9}]
ODD_STRATEGIES = st.one_of(
    st.sampled_from([0.1, 0.0, 2.0, float("nan"), -1, None, 3, ["a"], "al"]),
    st.dictionaries(st.sampled_from(KEYS), st.sampled_from(COUNTS), max_size=3),
    st.sampled_from([lambda y: {y[0]: 11.5}, lambda y: 3, lambda y: {}]),
)
SOURCES, ODD_SOURCES = ["majority", "rest"], [0, "a", "zz", None, [0], {}, np.nan]
IMAGE_SHAPES = [None]
ODD_IMAGE_SHAPES = [(8, 8, 1), (10, 10, 3), (3, 10, 10), (8,), 8, "8", (8.0, 8, 1)]
ODD_IMAGE_SHAPES += [(0, 0, 0), (-8, 8, 3), [8, 8, 1], (None, 8, 1), (), [[8], 8, 1]]


@st.composite
def calls(draw):
    """Return `X`, `y` and parameters: most often odd in one respect or two."""
    names = ["dims", "size", "side", "channels", "dtype", "values", "form"]
    names += ["labels", "minority", "label form", "strategy", "source", "image_shape"]
    odd = draw(st.lists(st.sampled_from(names), max_size=2))

    def choose(name, good, bad):
        return draw(st.sampled_from(bad if name in odd else good))

    n_dims = choose("dims", [4, 4, 3, 2], [1, 5])
    shape = [choose("size", [8, 10, 12], [0, 1, 2, 3])]
    shape += [choose("side", SIDES, ODD_SIDES) for _ in range(n_dims - 1)]
    if n_dims == 4:
        shape[3] = choose("channels", CHANNELS, ODD_CHANNELS)
    dtype = choose("dtype", DTYPES, ODD_DTYPES)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    X = rng.random(shape)
    if dtype in ("uint8", "uint16", "int64", "object"):
        X = np.floor(X * 256)
    X = X.astype(dtype)
    value = choose("values", VALUES, ODD_VALUES)
    if value == "blank":
        X[...] = 0
    elif value is not None and X.size and X.dtype.kind == "f":
        X[rng.integers(len(X))] = value
    X = bring_into_form(X, choose("form", FORMS, ODD_FORMS))
    y = draw_labels(choose, len(X))
    params = {
        "source": choose("source", SOURCES, ODD_SOURCES),
        "image_shape": choose("image_shape", IMAGE_SHAPES, ODD_IMAGE_SHAPES),
    }
    if "strategy" in odd:
        params["sampling_strategy"] = draw(ODD_STRATEGIES)
    else:
        params["sampling_strategy"] = draw(st.sampled_from(STRATEGIES))
    return X, y, params


def bring_into_form(X, form):
    if form == "list":
        return list(X)
    if form == "nested":
        return X.tolist()
    if form == "ragged" and X.ndim > 1 and len(X):
        return [*X[:-1], X[-1][..., :-1]]
    if form == "first" and len(X) and X.ndim > 1:
        return X[0]
    return X.swapaxes(1, X.ndim - 1) if form == "turned" and X.ndim > 1 else X


def draw_labels(choose, n_samples):
    names = choose("labels", LABELS, ODD_LABELS)
    form = choose("label form", LABEL_FORMS, ODD_LABEL_FORMS)
    n_samples += (
        {"shorter": -1, "longer": 1}.get(form, 0) if isinstance(form, str) else 0
    )
    minority = choose("minority", [2, 3], [0, 1])
    n_rest = max(0, n_samples - minority * (len(names) - 1))
    y = [names[0]] * n_rest + [name for name in names[1:] for _ in range(minority)]
    y = y[: max(0, n_samples)]
    if form in (None, 3, "aaabb", []):
        return form
    if isinstance(form, list):
        return form * n_samples
    if form in ("list", "shorter"):
        return y
    array = np.empty(len(y), dtype=object)
    array[:] = y
    if form != "object" and not isinstance(names[0], tuple):
        array = np.array(y)
    return array.reshape(-1, 1) if form == "column" else array


def same(one, other):
    """Whether two inputs are equal to the bit, and of the same type."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and (
            one.tolist().__repr__() == other.tolist().__repr__()
        )
    return repr(one) == repr(other)


def is_ours(error):
    """Whether an error was raised by the library or by what it checks with."""
    return isinstance(error, (ValueError, TypeError, GANSamplerError))


def check_call(translator, X, y, params):
    """Resample; see that the contract holds, or that the error is one of ours."""
    sampler = GANOverSampler(translator=translator, random_state=0, **params)
    X_before, y_before = repr(X), repr(y)
    copies = [v.copy() if hasattr(v, "copy") else v for v in (X, y)]
    threads = torch.get_num_threads()
    result = failure = None
    with warnings.catch_warnings():
        # NumPy and scikit-learn warn of casts and of columns; that is theirs.
        warnings.simplefilter("ignore")
        try:
            result = sampler.fit_resample(X, y)
        except Exception as error:
            failure = error
    assert repr(X) == X_before
    assert repr(y) == y_before
    assert same(X, copies[0])
    assert same(y, copies[1])
    assert torch.get_num_threads() == threads
    if result is None:
        assert is_ours(failure), f"{type(failure).__name__}: {failure}"
        assert len(str(failure)) > 20
        assert not hasattr(sampler, "sample_indices_")
        return "refused"
    check_result(sampler, X, y, *result)
    return "resampled"


def check_result(sampler, X, y, X_resampled, y_resampled):
    assert type(X_resampled) is type(X)
    assert type(y_resampled) is type(y)
    rows = sampler.sample_indices_
    n_held = len(X)
    assert len(X_resampled) == len(y_resampled) == len(rows)
    before, after = np.asarray(X), np.asarray(X_resampled)
    # scikit-learn takes feature rows of numbers as objects, and makes them float64.
    assert after.dtype == (float if before.dtype == object else before.dtype)
    assert after.shape[1:] == before.shape[1:]
    assert np.array_equal(after[:n_held], before)
    assert np.array_equal(rows[:n_held], np.arange(n_held))
    assert np.array_equal(sampler.is_synthetic_, np.arange(len(rows)) >= n_held)
    y_before = np.asarray(y).ravel().tolist()
    y_after = np.asarray(y_resampled).ravel().tolist()
    assert y_after[:n_held] == y_before
    made = Counter(y_after[n_held:])
    assert made == {k: n for k, n in sampler.sampling_strategy_.items() if n}
    for row, label in zip(rows[n_held:], y_after[n_held:], strict=True):
        assert y_before[row] != label
    is_image = before.ndim > 2 or sampler.image_shape is not None
    if is_image:
        bytes_of = [sample.tobytes() for sample in after[n_held:]]
        samples = list(zip(map(repr, y_after[n_held:]), bytes_of, strict=True))
        assert len(set(samples)) == len(samples)
        if after.dtype.kind == "f" and len(samples):
            assert after[n_held:].min() >= 0
            assert after[n_held:].max() <= 1


outcomes: Counter = Counter()


@hypothesis.settings(max_examples=400, **REPRODUCIBLE)
@hypothesis.given(call=calls())
def test_any_input(call):
    X, y, params = call
    outcomes[check_call(Invert(), X, y, params)] += 1


def test_the_fuzz_reaches_both_ends():
    """Examples that are all refused, or all taken, would show nothing."""
    if sum(outcomes.values()) < 400:
        pytest.skip("follows on the whole of the fuzz test")
    assert min(outcomes["refused"], outcomes["resampled"]) > 60


@hypothesis.settings(max_examples=12, **REPRODUCIBLE)
@hypothesis.given(call=calls())
def test_any_input_with_a_cyclegan(call):
    X, y, params = call
    translator = CycleGAN(
        ngf=2,
        ndf=2,
        n_blocks=1,
        n_epochs=1,
        batch_size=8,
        trainer=Trainer(accelerator="cpu", precision="32-true"),
    )
    check_call(translator, X, y, params)


def test_errors_of_a_callable_are_the_callers_own():
    def raises(y):
        raise LookupError("of the caller")

    sampler = GANOverSampler(translator=Invert(), sampling_strategy=raises)
    X = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    with pytest.raises(LookupError, match="of the caller"):
        sampler.fit_resample(X, [0, 0, 0, 0, 1, 1])
