"""Pretrained weights, and the errors if they cannot be loaded."""

from urllib.error import URLError

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from gansampler import TransferClassifier
from gansampler.backbones import build_backbone
from gansampler.backbones._weights import resolve_weights, torchvision_normalisation
from gansampler.exceptions import ModelFileError, WeightsDownloadError

NAME = "shufflenet_v2_x0_5"
OFFICIAL = torchvision.models.ShuffleNet_V2_X0_5_Weights.DEFAULT.url


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(0)
    return torchvision.models.get_model(NAME, weights=None).state_dict()


@pytest.fixture
def torch_home(tmp_path, monkeypatch):
    """An empty cache of weights, without a network connection."""

    def download_url_to_file(url, *args, **kwargs):
        raise URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "download_url_to_file", download_url_to_file)
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path


def assert_has_weights(network, state):
    own = network.body.state_dict()
    assert own
    for name, tensor in own.items():
        assert torch.equal(tensor, state[name]), name


def test_failed_download_names_the_alternatives(torch_home):
    with pytest.raises(WeightsDownloadError, match="Name or service") as caught:
        build_backbone(NAME, weights="DEFAULT")
    message = str(caught.value)
    file = torch_home / "hub" / "checkpoints" / OFFICIAL.rsplit("/", 1)[1]
    for part in ("weights=None", "state dict", "TORCH_HOME", OFFICIAL, str(file)):
        assert part in message
    # Other code catches OSError if there is no network connection.
    assert isinstance(caught.value, OSError)


@pytest.mark.parametrize("weights", ["DEFAULT", "IMAGENET1K_V1"])
def test_a_file_in_the_folder_of_the_message_is_used(torch_home, state, weights):
    folder = torch_home / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(state, folder / OFFICIAL.rsplit("/", 1)[1])
    assert_has_weights(build_backbone(NAME, weights=weights), state)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_torchvision_state_dict(tmp_path, state, suffix):
    path = tmp_path / f"weights{suffix}"
    save = torch.save if suffix == ".pth" else save_file
    save(state, path)
    assert_has_weights(build_backbone(NAME, weights=path), state)


@pytest.mark.parametrize("in_channels", [3, 1])
def test_own_state_dict(tmp_path, in_channels):
    network = build_backbone(NAME, weights=None, in_channels=in_channels)
    network.mean.fill_(0.25)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    other = build_backbone(
        NAME, weights=tmp_path / "weights.pth", in_channels=in_channels
    )
    assert_has_weights(other, network.body.state_dict())
    assert torch.equal(other.mean, network.mean)


def test_own_state_dict_for_other_channels(tmp_path):
    network = build_backbone(NAME, weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    grey = build_backbone(NAME, weights=tmp_path / "weights.pth", in_channels=1)
    expected = network.body.conv1[0].weight.sum(1, keepdim=True)
    assert torch.equal(grey.body.conv1[0].weight, expected)
    assert grey.mean.item() == pytest.approx(network.mean.mean().item())


def test_saved_classifier_serves_as_weights(tmp_path):
    X = torch.rand(4, 32, 32, 3, generator=torch.Generator().manual_seed(0)).numpy()
    model = TransferClassifier("squeezenet1_1", weights=None, n_epochs=1)
    model.fit(X, [0, 1, 0, 1]).save(tmp_path / "classifier.safetensors")
    other = build_backbone("squeezenet1_1", weights=tmp_path / "classifier.safetensors")
    assert_has_weights(other, model.network_.backbone.body.state_dict())


def test_files_without_batch_counters_are_accepted(tmp_path, state):
    old = {k: v for k, v in state.items() if "num_batches_tracked" not in k}
    torch.save(old, tmp_path / "weights.pth")
    assert_has_weights(build_backbone(NAME, weights=tmp_path / "weights.pth"), state)


def test_old_names_of_densenet(tmp_path):
    key = "features.denseblock1.denselayer1.{}.weight"
    old = {key.format("norm.1"): torch.zeros(1), key.format("conv.2"): torch.ones(1)}
    torch.save(old, tmp_path / "weights.pth")
    found = resolve_weights("densenet121", tmp_path / "weights.pth")
    assert set(found) == {key.format("norm1"), key.format("conv2")}


def test_another_models_state_dict_is_refused(tmp_path, state):
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(ModelFileError, match="have another shape"):
        build_backbone("shufflenet_v2_x1_0", weights=tmp_path / "weights.pth")
    with pytest.raises(ModelFileError, match="are missing"):
        build_backbone("resnet18", weights=tmp_path / "weights.pth")


def test_files_without_a_state_dict(tmp_path, state):
    (tmp_path / "text.pth").write_text("hello")
    (tmp_path / "text.safetensors").write_text("hello")
    for name in ("text.pth", "text.safetensors"):
        with pytest.raises(ModelFileError, match="could not be read"):
            resolve_weights(NAME, tmp_path / name)
    torch.save({"model": state, "epoch": 3}, tmp_path / "checkpoint.pth")
    with pytest.raises(ModelFileError, match="content of .* is something else"):
        resolve_weights(NAME, tmp_path / "checkpoint.pth")


def test_code_in_a_file_is_not_run(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    with pytest.raises(ModelFileError, match="could not be read"):
        resolve_weights(NAME, tmp_path / "module.pth")


def test_unknown_names_and_paths(tmp_path):
    rule = r"one of \['IMAGENET1K_V1', 'DEFAULT'\].*Did you mean 'IMAGENET1K_V1'\?"
    with pytest.raises(ValueError, match=rule):
        build_backbone(NAME, weights="IMAGENET1K_V2")
    for path in (tmp_path / "absent", str(tmp_path / "absent"), "absent.pth"):
        with pytest.raises(FileNotFoundError, match="There is no file at"):
            build_backbone(NAME, weights=path)


@pytest.mark.parametrize(
    ("backbone", "weights", "mean", "std"),
    [
        ("resnet18", None, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("efficientnet_v2_l", "DEFAULT", (0.5,) * 3, (0.5,) * 3),
        ("googlenet", "DEFAULT", (0.5,) * 3, (0.5,) * 3),
        (
            "vgg16",
            "IMAGENET1K_FEATURES",
            (0.48235, 0.45882, 0.40784),
            (1 / 255,) * 3,
        ),
    ],
)
def test_normalisation_is_that_of_the_weights(backbone, weights, mean, std):
    found = torchvision_normalisation(backbone, weights)
    assert found[0] == pytest.approx(mean)
    assert found[1] == pytest.approx(std)
