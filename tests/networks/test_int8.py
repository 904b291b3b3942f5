"""The 8-bit residual blocks against float64 and against the float network."""

import copy
import gc
import os
import pickle
import platform
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gansampler.networks import ResNetGenerator, _int8, _resnet
from gansampler.networks._int8 import Int8Conv2d, Int8ResidualBlock, has_int8

fast_here = pytest.mark.skipif(not has_int8(), reason="this CPU has no VNNI")
CHANNELS_LAST = torch.channels_last


def relative_error(output, expected):
    return float((output - expected).norm() / expected.norm())


@fast_here
@pytest.mark.parametrize("zero_point", [0, 128])
@pytest.mark.parametrize("shape", [(2, 16, 9, 7), (1, 5, 3, 12)])
def test_convolution_is_that_of_the_rounded_numbers(shape, zero_point):
    torch.manual_seed(0)
    conv = nn.Conv2d(shape[1], 8, 3, bias=False)
    conv.weight.data[0] = 0
    scale = 0.05
    layer = Int8Conv2d(conv, scale=scale, zero_point=zero_point)
    x = torch.randint(0, 256, shape, dtype=torch.uint8)
    x = x.contiguous(memory_format=CHANNELS_LAST)
    weight = conv.weight.detach().double().numpy()
    steps = np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / 127
    rounded = np.round(weight / np.where(steps > 0, steps, 1)) * steps
    expected = F.conv2d((x.double() - zero_point) * scale, torch.from_numpy(rounded))
    output = layer(x, torch.float32)
    assert output.dtype == torch.float32
    assert output.is_contiguous(memory_format=CHANNELS_LAST)
    torch.testing.assert_close(output.double(), expected, rtol=1e-5, atol=1e-5)


@fast_here
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 0.03), (torch.bfloat16, 0.04)]
)
@pytest.mark.parametrize("scale", [0.1, 1.0, 100.0])
def test_block_is_the_float_block_within_the_steps_of_8_bits(dtype, tolerance, scale):
    torch.manual_seed(0)
    block = ResNetGenerator(3, ngf=16, n_blocks=1).layers[10].eval()
    x = torch.randn(3, 64, 10, 12) * scale
    with torch.inference_mode():
        expected = block(x) - x
        output = block.to_int8()(x.to(dtype))
        assert output.dtype == dtype
        # Adding the input rounds to steps of its own, which are not the block's.
        rounding = 2.0**-8 * scale if dtype == torch.bfloat16 else 0.0
        error = relative_error(output.float() - x.to(dtype).float(), expected)
    assert error < tolerance + 2 * rounding


@fast_here
def test_bytes_are_the_nearest_ones_and_never_wrap_round():
    values = torch.tensor([-128.0, -127.6, -0.6, -0.4, 0.0, 0.4, 63.7, 126.5, 127.0])
    expected = np.round(values.numpy()) + 128
    for dtype in (torch.float32, torch.float64):
        result = _int8._to_bytes(values.to(dtype))
        np.testing.assert_array_equal(result.numpy(), expected)
    # The greatest magnitudes that bfloat16 has steps of 1 for.
    block = Int8ResidualBlock(
        nn.Conv2d(4, 4, 1, bias=False), nn.Conv2d(4, 4, 1, bias=False)
    )
    seen = []
    block.first.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    for largest in (0.37, 1.0, 3.3, 117.0):
        x = torch.linspace(-largest, largest, 64).reshape(1, 4, 4, 4).bfloat16()
        block(x.contiguous(memory_format=CHANNELS_LAST))
        flat = seen.pop().flatten().to(torch.int16)
        assert bool((flat.diff() >= 0).all())
        assert int(flat.min()) == 256 - int(flat.max()) <= 3


@fast_here
@pytest.mark.parametrize("global_skip", [False, True])
@pytest.mark.parametrize("ngf", [1, 16])
def test_generator_draws_nearly_the_same_images(ngf, global_skip):
    torch.manual_seed(0)
    generator = ResNetGenerator(3, ngf=ngf, n_blocks=3, global_skip=global_skip).eval()
    before = copy.deepcopy(generator.state_dict())
    x = torch.rand(4, 3, 16, 24) * 2 - 1
    with torch.inference_mode():
        expected = generator(x)
        output = generator.to_int8()(x)
        again = generator(x)
    assert relative_error(output, expected) < 0.05
    assert not torch.equal(output, expected)
    torch.testing.assert_close(again, expected, rtol=0, atol=0)
    for name, tensor in generator.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


@fast_here
@pytest.mark.parametrize("half", [False, True])
def test_an_image_does_not_depend_on_the_others_of_its_batch(half):
    torch.manual_seed(0)
    generator = ResNetGenerator(3, ngf=4, n_blocks=2).eval().to_int8()
    image, other = torch.rand(2, 1, 3, 16, 16) * 2 - 1
    outputs = []
    for companion in (other, other * 0.01, image):
        batch = torch.cat([image, companion])
        with (
            torch.inference_mode(),
            torch.autocast("cpu", dtype=torch.bfloat16, enabled=half),
        ):
            outputs.append(generator(batch)[0])
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])


@fast_here
@pytest.mark.parametrize("value", [-1.0, 0.0, 0.3, 1.0])
def test_an_image_of_one_colour_stays_one(value):
    generator = ResNetGenerator(3, ngf=4, n_blocks=2).eval()
    x = torch.full((1, 3, 16, 16), value)
    # In float32 the network normalises the rounding errors of the first convolution
    # up to structure, whether its blocks are in integers or not.
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        output, expected = generator.to_int8()(x), generator(x)
    assert torch.equal(output, output[..., :1, :1].expand_as(output))
    torch.testing.assert_close(output, expected, rtol=0, atol=0.02)


def same_bytes(a, b):
    x = torch.rand(1, 3, 16, 16) * 2 - 1
    with torch.inference_mode():
        return torch.equal(a.to_int8()(x), b.to_int8()(x))


@fast_here
@pytest.mark.parametrize("change", ["step", "data", "load", "dtype"])
def test_blocks_are_made_once_and_again_when_their_weights_change(change):
    torch.manual_seed(0)
    generator = ResNetGenerator(3, ngf=4, n_blocks=2).eval()
    blocks = list(generator.to_int8().layers[10:12])
    assert list(generator.to_int8().layers[10:12]) == blocks
    # Neither copies nor files have them.
    other = copy.deepcopy(generator)
    assert not set(blocks) & set(other.to_int8().layers)
    assert len(pickle.dumps(generator)) == len(pickle.dumps(other))
    assert same_bytes(generator, other)
    parameters = list(generator.layers[11].parameters())
    if change == "step":
        for parameter in parameters:
            parameter.grad = torch.rand_like(parameter)
        torch.optim.Adam(parameters, fused=True).step()
    elif change == "data":
        # Which torch does not count as a change.
        parameters[0].data[0, 0, 0, 0] += 1
    elif change == "load":
        state = ResNetGenerator(3, ngf=4, n_blocks=2).state_dict()
        generator.load_state_dict(state)
    else:
        generator.double().float()
    assert same_bytes(generator, other) == (change == "dtype")
    assert same_bytes(generator, copy.deepcopy(generator))


@fast_here
def test_blocks_go_with_their_generator():
    n_held = len(_resnet._int8_blocks)
    generator = ResNetGenerator(3, ngf=4, n_blocks=2)
    generator.to_int8()
    assert len(_resnet._int8_blocks) == n_held + 2
    del generator
    gc.collect()
    assert len(_resnet._int8_blocks) == n_held


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="of x86")
def test_integers_are_not_used_where_their_instructions_are_switched_off():
    # Without them oneDNN cuts sums off at 16 bits.
    code = "from gansampler.networks._int8 import has_int8; assert not has_int8()"
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_the_generator_itself_is_taken_where_integers_are_not_to_be_had(monkeypatch):
    generator = ResNetGenerator(3, ngf=4, n_blocks=1)
    monkeypatch.setattr("gansampler.networks._resnet.has_int8", lambda: False)
    assert generator.to_int8() is generator


def fail(*args):
    raise RuntimeError("no such kernel")


def wrong(*args):
    return torch.zeros(1, 2, 1, 1)


@pytest.mark.parametrize(
    ("capabilities", "broken"),
    [
        ({"avx2": True, "avx512_vnni": False}, None),
        ({"avx512_vnni": True}, fail),
        ({"avx512_vnni": True}, wrong),
    ],
)
def test_integers_are_not_used_where_slow_missing_or_wrong(
    monkeypatch, capabilities, broken
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    if broken:
        monkeypatch.setattr(Int8Conv2d, "__init__", lambda *_, **__: None)
        monkeypatch.setattr(Int8Conv2d, "__call__", broken)
    assert has_int8.__wrapped__() is False
