"""The features that CUT compares, and their projection."""

import pytest
import torch
from torch import nn

from gansampler.networks import PatchProjection, ResNetGenerator


@pytest.mark.parametrize(
    ("n_blocks", "blocks"), [(9, [0, 4]), (6, [0, 2]), (2, [0]), (1, [0])]
)
@pytest.mark.parametrize("global_skip", [False, True])
def test_features_are_the_outputs_of_layers(n_blocks, blocks, global_skip):
    """Found by the layers' kinds: strided convolutions, first and middle block."""
    generator = ResNetGenerator(
        3, ngf=4, n_blocks=n_blocks, global_skip=global_skip
    ).double()
    images = torch.rand(2, 3, 16, 12, dtype=torch.float64) * 2 - 1
    hidden, expected, outputs = images, [images], []
    for layer in generator.layers:
        hidden = layer(hidden)
        if isinstance(layer, nn.Conv2d) and layer.stride == (2, 2):
            expected.append(hidden.clone())
        if "Residual" in type(layer).__name__:
            outputs.append(hidden.clone())
    expected += [outputs[i] for i in blocks]
    output, features = generator.forward_with_features(images)
    torch.testing.assert_close(output, generator(images))
    widths = tuple(maps.shape[1] for maps in expected)
    assert generator.feature_widths == widths
    for found in (features, generator.features(images)):
        assert len(found) == len(expected)
        for ours, maps in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, maps)


def test_projection_at_pixels_is_that_of_their_features():
    torch.manual_seed(0)
    projection = PatchProjection([3, 5], n_features=7)
    features = [torch.randn(2, 3, 4, 6), torch.randn(2, 5, 2, 3)]
    pixels = [torch.tensor([0, 7, 23]), torch.tensor([5, 1])]
    vectors = projection(features, pixels)
    for head, maps, at, ours in zip(
        projection.heads, features, pixels, vectors, strict=True
    ):
        for i, image in enumerate(maps):
            for j, pixel in enumerate(at.tolist()):
                row, column = divmod(pixel, maps.shape[3])
                expected = head(image[:, row, column])
                torch.testing.assert_close(ours[i, j], expected)
