"""Generated images of skin lesions, of two overlapping classes."""

from collections.abc import Iterable, Sequence
from numbers import Integral

import numpy as np
from sklearn.utils import check_random_state

from gansampler.datasets._drawing import LesionScores, draw_lesion

# Difference of the mean scores of the classes, in standard deviations. With normal
# scores the best possible AUC is Phi(|shift| / sqrt(2)), here .969.
_SHIFT = LesionScores(asymmetry=0.6, border=0.7, colour=1.7, diameter=1.8)
_MIN_IMAGE_SIZE = 16


def make_lesions(
    n_samples: int = 100,
    *,
    weights: Sequence[float] = (0.9, 0.1),
    image_size: int = 64,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Generate dermoscopic images of benign and malignant skin lesions.

    The images replace real data in examples and tests. They are imbalanced, and their
    two classes look different but overlap. Malignant lesions differ from benign ones
    according to the ABCD rule of dermatologists [1]_: they tend to have more Asymmetry,
    a more irregular Border, more Colours (black, red, blue-grey and white besides
    brown), and a larger Diameter. Skin, light, lens, hair and gel bubbles vary in the
    same way in both classes.

    Parameters
    ----------
    n_samples : int, default=100
        Number of images, at least 1.
    weights : sequence of 2 floats, default=(0.9, 0.1)
        Proportions of benign and malignant images, which sum to 1. The counts are
        rounded. A class with a positive weight has at least one image if `n_samples`
        allows it.
    image_size : int, default=64
        Height and width in pixels, at least 16.
    random_state : int, RandomState instance or None, default=None
        Seed. Pass an int to get the same images at every call.

    Returns
    -------
    X : ndarray of shape (n_samples, image_size, image_size, 3), uint8
        RGB images in [0, 255].
    y : ndarray of str of shape (n_samples,)
        "benign" or "malignant", in random order.

    Raises
    ------
    TypeError
        If `n_samples` or `image_size` is not an integer.
    ValueError
        If a parameter is out of range.

    See Also
    --------
    load_isic2016 : Load real dermoscopic images.
    sklearn.datasets.make_classification : Generate feature rows of several classes.

    Notes
    -----
    Each lesion has four scores :math:`s \sim \mathcal{N}(\pm\delta / 2, I)`, with
    plus for malignant lesions and :math:`\delta = (0.6, 0.7, 1.7, 1.8)` for A, B, C and
    D. The image depends on the class only through the scores. A classifier that knows
    the scores reaches an area under the ROC curve of
    :math:`\Phi(\lVert\delta\rVert / \sqrt{2}) = .969`; from the pixels less is
    possible. The colours follow from the absorption of red, green and blue light by
    melanin and haemoglobin.

    For the same `random_state`, the image at an index depends on its class and size,
    but not on `n_samples`. At another size it shows the same lesion.

    The images must not be used to learn about skin cancer.

    References
    ----------
    .. [1] F. Nachbar et al., "The ABCD rule of dermatoscopy: high prospective value
       in the diagnosis of doubtful melanocytic skin lesions", Journal of the
       American Academy of Dermatology 30(4), 1994.

    Examples
    --------
    >>> from collections import Counter
    >>> from gansampler.datasets import make_lesions
    >>> X, y = make_lesions(40, weights=(0.85, 0.15), random_state=0)
    >>> X.shape, X.dtype
    ((40, 64, 64, 3), dtype('uint8'))
    >>> sorted(Counter(y.tolist()).items())
    [('benign', 34), ('malignant', 6)]
    """
    n_samples = _check_count("n_samples", n_samples, 1)
    image_size = _check_count("image_size", image_size, _MIN_IMAGE_SIZE)
    n_malignant = _n_malignant(n_samples, weights)
    rng = check_random_state(random_state)
    entropy = int(rng.randint(2**31 - 1))
    is_malignant = rng.permutation(n_samples) < n_malignant
    X = np.empty((n_samples, image_size, image_size, 3), dtype=np.uint8)
    for i in range(n_samples):
        # One random state per image, so that images do not depend on each other.
        image_rng = np.random.RandomState([entropy, i])
        scores = _draw_scores(bool(is_malignant[i]), image_rng)
        X[i] = draw_lesion(scores, image_size, image_rng)
    return X, np.where(is_malignant, "malignant", "benign")


def _draw_scores(is_malignant: bool, rng: np.random.RandomState) -> LesionScores:
    mean = np.array(_SHIFT) * (0.5 if is_malignant else -0.5)
    return LesionScores(*(float(s) for s in rng.standard_normal(4) + mean))


def _check_count(name: str, value: object, minimum: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(
            f"`{name}` must be an integer. Got {value!r} of type "
            f"{type(value).__name__}."
        )
    if value < minimum:
        raise ValueError(f"`{name}` must be at least {minimum}. Got {value!r}.")
    return int(value)


def _n_malignant(n_samples: int, weights: Sequence[float]) -> int:
    values = list(weights) if isinstance(weights, Iterable) else []
    if (
        len(values) != 2
        or not all(w >= 0 for w in values)
        or not np.isclose(sum(values), 1)
    ):
        raise ValueError(
            "`weights` must be two proportions, of benign and of malignant images, "
            f"that sum to 1. Got {weights!r}. Pass weights=(0.85, 0.15) for 15 % "
            "malignant ones."
        )
    # The inner rounding removes floating-point errors: 10 * 0.15 must be 1.5.
    n_malignant = int(np.floor(round(n_samples * values[1], 6) + 0.5))
    if n_samples >= 2:
        n_malignant = max(n_malignant, int(values[1] > 0))
        n_malignant = min(n_malignant, n_samples - int(values[0] > 0))
    return n_malignant
