import io
import time
import tracemalloc
import warnings

import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import StratifiedGroupKFold

from gansampler.data import _duplicates, _perceptual_hash
from gansampler.data._duplicates import (
    find_near_duplicates,
    group_near_duplicates,
    warn_near_duplicates,
)
from gansampler.data._perceptual_hash import close_pairs, hash_bits, low_frequencies
from gansampler.datasets import load_isic2016, make_lesions
from gansampler.exceptions import GANSamplerWarning
from gansampler.images import ImageSequence


@pytest.fixture(scope="module")
def lesions():
    return make_lesions(40, image_size=64, random_state=0)[0]


def jpeg(image, quality):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "jpeg", quality=quality)
    return np.asarray(Image.open(file))


def resized(image, size):
    return np.asarray(Image.fromarray(image).resize(size))


SMALL_CHANGES = {
    "none": lambda image: image,
    "compressed": lambda image: jpeg(image, 60),
    "smaller": lambda image: resized(image, (40, 40)),
    "larger": lambda image: resized(image, (100, 100)),
    "of another shape": lambda image: resized(image, (64, 48)),
    "brighter": lambda image: np.minimum(image * 1.08, 255).astype(np.uint8),
    "darker": lambda image: (image * 0.7).astype(np.uint8),
    "paler": lambda image: (image * 0.6 + 90).astype(np.uint8),
    "grey": lambda image: image.mean(axis=-1, keepdims=True).astype(np.uint8),
    "floating": lambda image: (image / 255).astype(np.float32),
}
# By the documented numbers.
ORIENTATIONS = [
    lambda a: a,
    lambda a: a[:, :, ::-1],
    lambda a: a[:, ::-1],
    lambda a: a[:, ::-1, ::-1],
    lambda a: a.transpose(0, 2, 1, 3),
    lambda a: a[:, :, ::-1].transpose(0, 2, 1, 3),
    lambda a: a[:, ::-1].transpose(0, 2, 1, 3),
    lambda a: a[:, ::-1, ::-1].transpose(0, 2, 1, 3),
]


class TestFindNearDuplicates:
    @pytest.mark.parametrize("change", SMALL_CHANGES.values(), ids=SMALL_CHANGES)
    def test_changed_copies_are_found(self, lesions, change):
        copies = np.stack([change(image) for image in lesions[::-1]])
        pairs, distances = find_near_duplicates(lesions, copies)
        np.testing.assert_array_equal(pairs, [(i, 39 - i) for i in range(40)])
        assert distances.max() <= 24

    def test_identical_copies_have_distance_0(self, lesions):
        X = np.concatenate([lesions, lesions[[7, 3, 7]]])
        pairs, distances = find_near_duplicates(X)
        assert pairs.tolist() == [[3, 41], [7, 40], [7, 42], [40, 42]]
        assert distances.tolist() == [0, 0, 0, 0]
        assert pairs.dtype == distances.dtype == np.intp

    def test_distinct_images_are_not_found(self, lesions):
        pairs, distances = find_near_duplicates(lesions)
        assert pairs.shape == (0, 2)
        assert distances.shape == (0,)
        others = make_lesions(30, image_size=64, random_state=1)[0]
        assert len(find_near_duplicates(lesions, others)[0]) == 0

    def test_max_distance_is_a_bound_that_is_reached(self, lesions):
        loose, distances = find_near_duplicates(lesions, max_distance=110)
        assert 24 < distances.min() < distances.max() <= 110
        limit = int(np.median(distances))
        tight, tight_distances = find_near_duplicates(lesions, max_distance=limit)
        assert tight_distances.max() == limit
        np.testing.assert_array_equal(tight, loose[distances <= limit])

    @pytest.mark.parametrize("turn", ORIENTATIONS)
    def test_flips_and_turns(self, lesions, turn):
        pairs, _ = find_near_duplicates(lesions, turn(lesions), any_orientation=True)
        np.testing.assert_array_equal(pairs, np.repeat(np.arange(40), 2).reshape(-1, 2))
        upright, _ = find_near_duplicates(lesions, turn(lesions))
        assert len(upright) == (40 if turn is ORIENTATIONS[0] else 0)

    def test_turned_copies_within_one_set(self, lesions):
        X = np.concatenate([lesions[:5], ORIENTATIONS[5](lesions[2:4]), lesions[2:3]])
        pairs, distances = find_near_duplicates(X, any_orientation=True)
        assert pairs.tolist() == [[2, 5], [2, 7], [3, 6], [5, 7]]
        assert distances[1] == 0

    def test_a_symmetric_image_is_one_pair(self):
        half = np.random.RandomState(0).rand(1, 16, 8, 3)
        X = np.concatenate([half, half[:, :, ::-1]], axis=2)
        pairs, distances = find_near_duplicates(X, X, any_orientation=True)
        assert pairs.tolist() == [[0, 0]]
        assert distances.tolist() == [0]
        assert len(find_near_duplicates(X, any_orientation=True)[0]) == 0

    def test_one_image(self, lesions):
        assert find_near_duplicates(lesions[:1])[0].shape == (0, 2)
        assert find_near_duplicates(lesions[:1], lesions)[0].tolist() == [[0, 0]]

    def test_no_image(self):
        with pytest.raises(ValueError, match="0 sample"):
            find_near_duplicates(np.empty((0, 16, 16, 3), dtype=np.uint8))

    def test_images_of_one_colour_are_alike(self):
        X = np.full((3, 20, 20, 3), [[[[0]]], [[[130]]], [[[255]]]], dtype=np.uint8)
        assert find_near_duplicates(X)[0].tolist() == [[0, 1], [0, 2], [1, 2]]
        # In floating point a mean of equal values is not quite that value.
        assert len(find_near_duplicates(X / 255)[0]) == 3

    def test_flattened_rows(self, lesions):
        X = np.concatenate([lesions, lesions[:1]])
        rows = X.reshape(41, -1)
        pairs, _ = find_near_duplicates(rows, image_shape=(64, 64, 3))
        assert pairs.tolist() == [[0, 40]]
        with pytest.raises(ValueError, match="among images. Got feature rows.*41"):
            find_near_duplicates(rows)
        with pytest.raises(ValueError, match="Got feature rows"):
            find_near_duplicates(X, rows)

    def test_an_image_sequence_is_taken_as_it_is(self, lesions):
        images = ImageSequence(lesions).subset([5, 8, 5])
        assert find_near_duplicates(images)[0].tolist() == [[0, 2]]

    @pytest.mark.parametrize("value", [-1, 256, 2.0, "4", None, True])
    def test_max_distance_is_checked(self, lesions, value):
        message = r"`max_distance` must be an int in \[0, 255\].* Got"
        with pytest.raises(ValueError, match=message):
            find_near_duplicates(lesions, max_distance=value)

    def test_too_many_pairs(self, monkeypatch):
        monkeypatch.setattr(_duplicates, "MAX_PAIRS", 9)
        X = np.zeros((5, 16, 16, 3), dtype=np.uint8)
        with pytest.raises(ValueError, match=r"At most 9 pairs .*max_distance=24"):
            find_near_duplicates(X)
        assert len(find_near_duplicates(X[:4])[0]) == 6

    def test_arrays_are_left_alone(self, lesions):
        before = lesions.copy()
        find_near_duplicates(lesions, any_orientation=True)
        np.testing.assert_array_equal(lesions, before)

    def test_isic2016_splits_share_no_image(self, isic2016_root):
        train, test = (
            load_isic2016(isic2016_root, split=split, image_size=64)[0]
            for split in ("train", "test")
        )
        assert len(find_near_duplicates(train)[0]) == 0
        assert len(find_near_duplicates(train, test, any_orientation=True)[0]) == 0
        copies = np.stack([jpeg(image, 80) for image in test])
        found = np.unique(find_near_duplicates(test, copies)[0], axis=0)
        assert (found[:, 0] == found[:, 1]).all()
        assert len(found) > 0.97 * len(test)


class TestHash:
    def test_orientations_are_those_of_the_image(self, lesions):
        frequencies = low_frequencies(ImageSequence(lesions))
        for number, turn in enumerate(ORIENTATIONS):
            turned = ImageSequence(np.ascontiguousarray(turn(lesions)))
            expected = hash_bits(low_frequencies(turned))
            differing = hash_bits(frequencies, number) ^ expected
            # Rounding may tip a frequency that is almost nought.
            assert np.bitwise_count(differing).sum(axis=1).max() <= 2

    def test_bits_are_signs_of_cosine_sums(self):
        """Against the definition of the transform, written out."""
        thumbnail = np.random.RandomState(0).rand(1, 32, 32, 1).astype(np.float32)
        wave = np.cos(np.pi * np.outer(np.arange(16), np.arange(32) + 0.5) / 32)
        sums = wave @ thumbnail[0, :, :, 0] @ wave.T
        sums[0, 0] = 0
        bits = np.unpackbits(
            hash_bits(low_frequencies(ImageSequence(thumbnail))).view(np.uint8)
        )
        np.testing.assert_array_equal(bits, (sums > 0).ravel())

    @pytest.mark.parametrize("block", [1, 100, 10**6])
    def test_blocks_give_what_comparing_all_gives(self, monkeypatch, block):
        monkeypatch.setattr(_perceptual_hash, "PAIRS_PER_BLOCK", block)
        rng = np.random.RandomState(0)
        # Few distinct words, so that many pairs are near and many are not.
        words = rng.randint(2**63, size=6).astype(np.uint64)
        hashes, others = (words[rng.randint(6, size=(n, 4))] for n in (50, 37))
        bits, other_bits = (
            np.unpackbits(h.view(np.uint8), axis=1) for h in (hashes, others)
        )
        for limit in (0, 60, 90):
            distances = (bits[:, None] != other_bits).sum(axis=2)
            rows, columns = np.nonzero(distances <= limit)
            parts = [np.stack(p) for p in close_pairs(hashes, others, limit)]
            expected = [rows, columns, distances[rows, columns]]
            np.testing.assert_array_equal(np.concatenate(parts, axis=1), expected)
            within = (bits[:, None] != bits).sum(axis=2)
            rows, columns = np.nonzero(np.triu(within <= limit, k=1))
            parts = [np.stack(p) for p in close_pairs(hashes, None, limit)]
            expected = [rows, columns, within[rows, columns]]
            np.testing.assert_array_equal(np.concatenate(parts, axis=1), expected)
        assert len(rows) > 20


def random_hashes(n, seed):
    return np.random.default_rng(seed).integers(0, 2**64, (n, 4), dtype=np.uint64)


def with_changed_bits(hashes, n_bits, seed=0):
    """Copies of hashes that differ from them in a number of random bits."""
    bits = np.unpackbits(hashes.view(np.uint8), axis=1)
    rng = np.random.default_rng(seed)
    for row, n in zip(bits, n_bits, strict=True):
        row[rng.permutation(256)[:n]] ^= 1
    return np.packbits(bits, axis=1).view(np.uint64)


class TestIndex:
    @pytest.mark.parametrize("block", [100, 2**20])
    @pytest.mark.parametrize("limit", [0, 10, 24, 31])
    def test_finds_exactly_the_pairs_within_the_limit(self, monkeypatch, limit, block):
        monkeypatch.setattr(_perceptual_hash, "PAIRS_PER_BLOCK", block)
        monkeypatch.setattr(_perceptual_hash, "_all_candidates", None)
        others = random_hashes(400, 0)
        near = with_changed_bits(others[:40], np.arange(40))
        hashes = np.concatenate([random_hashes(60, 1), near])
        parts = [np.stack(p) for p in close_pairs(hashes, others, limit)]
        n = min(limit, 39) + 1
        expected = [60 + np.arange(n), np.arange(n), np.arange(n)]
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), expected)
        joined = np.concatenate([others, near])
        parts = [np.stack(p) for p in close_pairs(joined, None, limit)]
        expected = [np.arange(n), 400 + np.arange(n), np.arange(n)]
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), expected)

    def test_compares_few_of_all_pairs(self, monkeypatch):
        compared = []
        count = np.bitwise_count

        def counting(differing):
            compared.append(differing.size)
            return count(differing)

        monkeypatch.setattr(np, "bitwise_count", counting)
        hashes, others = random_hashes(2000, 0), random_hashes(20_000, 1)
        others[5] = hashes[7]
        start = time.perf_counter()
        parts = list(close_pairs(hashes, others, 24))
        assert time.perf_counter() - start < 2
        assert [int(rows[0]) for rows, _, _ in parts if len(rows)] == [7]
        assert sum(compared) < 0.05 * len(hashes) * len(others)

    @pytest.mark.parametrize("are_alike", [False, True])
    def test_memory_is_bounded(self, are_alike):
        hashes = random_hashes(20_000, 0)
        if are_alike:
            hashes[:] = 0
        tracemalloc.start()
        n_pairs = sum(len(rows) for rows, _, _ in close_pairs(hashes[:500], hashes, 24))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert n_pairs == (500 * 20_000 if are_alike else 500)
        assert peak < 200 * 2**20


class TestGroups:
    def test_chains_are_one_group(self, lesions):
        X = np.concatenate([lesions[:4], lesions[[1, 3, 1]]])
        groups = group_near_duplicates(X)
        assert groups.tolist() == [0, 1, 2, 3, 1, 3, 1]
        assert groups.dtype == np.intp

    def test_arguments_are_passed_on(self, lesions):
        X = np.concatenate([lesions[:3], lesions[:1, :, ::-1]])
        assert group_near_duplicates(X).tolist() == [0, 1, 2, 3]
        turned = group_near_duplicates(X, any_orientation=True)
        assert turned.tolist() == [0, 1, 2, 0]
        assert len(set(group_near_duplicates(X, max_distance=255))) == 1
        rows = X.reshape(4, -1)
        assert len(group_near_duplicates(rows, image_shape=(64, 64, 3))) == 4

    def test_splitters_keep_copies_together(self, lesions):
        X = np.concatenate([lesions, lesions])
        y = np.tile(np.arange(40) % 2, 2)
        groups = group_near_duplicates(X)
        for train, test in StratifiedGroupKFold(4).split(X, y, groups):
            assert not set(train % 40) & set(test % 40)


class TestWarning:
    def test_says_how_many_and_which(self, lesions):
        train = ImageSequence(lesions[:20])
        test = ImageSequence(lesions[[30, 4, 31, 9]])
        message = (
            r"2 of 4 validation images are .*"
            r"\(validation row, training row\): \(1, 4\), \(3, 9\)\."
        )
        with pytest.warns(GANSamplerWarning, match=message) as caught:
            warn_near_duplicates(train, test)
        assert len(caught) == 1

    def test_names_a_few_pairs_only(self, lesions):
        images = ImageSequence(np.concatenate([lesions, lesions]))
        with pytest.warns(GANSamplerWarning, match="80 of 80") as caught:
            warn_near_duplicates(images, images)
        assert str(caught[0].message).count("), (") == 4

    def test_is_silent_otherwise(self, lesions):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warn_near_duplicates(
                ImageSequence(lesions[:20]), ImageSequence(lesions[20:])
            )
            rows = ImageSequence(np.eye(3))
            warn_near_duplicates(rows, rows)
