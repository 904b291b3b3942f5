import hashlib
import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gansampler.datasets import _archive, _download, _isic2016_fetch
from tests.datasets.challenge import (
    NAMES,
    TRAIN,
    TRUTH,
    WHOLE,
    Handler,
    contents,
    images,
    picture,
)


class TestFetch:
    def test_returns_what_load_isic2016_returns(self, server, fetch, root):
        X, y = fetch()
        assert X.shape == (4, 16, 16, 3)
        assert X.dtype == np.uint8
        assert y.tolist() == ["benign", "malignant"] * 2
        assert (np.diff(X.mean(axis=(1, 2, 3))) > 30).all()
        paths, _ = fetch(as_paths=True)
        assert paths[0] == str(root / f"{TRAIN}_Data" / "ISIC_0000000.jpg")

    def test_keeps_the_images_and_no_more(self, server, fetch, root):
        fetch()
        assert contents(root) == WHOLE
        folder = root / f"{TRAIN}_Data"
        assert contents(folder) == [f"{name}.jpg" for name in NAMES]
        for level, name in enumerate(NAMES):
            assert (folder / f"{name}.jpg").read_bytes() == picture(20 * level)
        # As a folder that was simply made, not a private one.
        assert folder.stat().st_mode == root.stat().st_mode

    def test_downloads_once_and_only_what_is_asked_for(self, server, fetch):
        fetch()
        fetch()
        fetch(download_if_missing=False)
        assert [name for name, _ in server.requests] == [
            f"{TRAIN}_GroundTruth.csv",
            f"{TRAIN}_Data.zip",
        ]
        _, y = fetch(split="test")
        assert y.tolist() == ["benign"] * 3 + ["malignant"]
        assert len(server.requests) == 4

    def test_several_at_once_download_once(self, server, fetch, root):
        with ThreadPoolExecutor(4) as pool:
            results = [f.result() for f in [pool.submit(fetch) for _ in range(4)]]
        assert len(server.requests) == 2
        assert contents(root) == WHOLE
        for X, _ in results:
            np.testing.assert_array_equal(X, results[0][0])

    def test_data_home_is_scikit_learns(self, server, fetch, tmp_path, monkeypatch):
        monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path / "elsewhere"))
        fetch(data_home=None)
        assert contents(tmp_path / "elsewhere" / "isic2016") == WHOLE

    def test_is_quiet_where_there_is_no_terminal(self, server, fetch, capfd):
        fetch()
        assert capfd.readouterr() == ("", "")

    def test_shows_a_bar_in_a_terminal(self, server, fetch, monkeypatch):
        terminal = io.StringIO()
        terminal.isatty = lambda: True
        monkeypatch.setattr("sys.stderr", terminal)
        fetch()
        assert f"{TRAIN}_Data.zip: 100%" in terminal.getvalue()

    def test_addresses_are_the_challenges(self):
        assert _isic2016_fetch._ADDRESS == (
            "https://isic-archive.s3.amazonaws.com/challenges/2016/"
        )
        assert _isic2016_fetch._COUNTS == {"train": (900, 173), "test": (379, 75)}

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"split": "validation"}, "`split` must be 'train' or 'test'"),
            ({"image_size": 0}, "`image_size` must be"),
            ({"n_retries": -1}, "`n_retries` must be an int, 0 or more. Got -1"),
            ({"n_retries": 1.5}, "`n_retries` must be"),
            ({"delay": -0.1}, "`delay` must be a number of seconds.* Got -0.1"),
            ({"delay": "1"}, "`delay` must be"),
            ({"delay": float("nan")}, "`delay` must be"),
        ],
    )
    def test_arguments_are_checked_before_anything_is_done(
        self, server, fetch, tmp_path, arguments, message
    ):
        with pytest.raises(ValueError, match=message):
            fetch(**arguments)
        assert server.requests == []
        assert contents(tmp_path) == []


class TestRefusal:
    @pytest.mark.parametrize("status", [408, 429, 500, 503])
    def test_passing_troubles_are_tried_again(self, server, fetch, status):
        server.faults += [{"status": status}] * 2
        fetch(n_retries=2)
        assert len(server.requests) == 4

    @pytest.mark.parametrize("status", [401, 403, 404, 410])
    def test_lasting_troubles_are_not(self, server, fetch, status):
        server.faults += [{"status": status}]
        with pytest.raises(OSError, match=rf"HTTP Error {status}"):
            fetch(n_retries=5)
        assert len(server.requests) == 1

    def test_waits_between_attempts(self, server, fetch, monkeypatch):
        waits = []
        monkeypatch.setattr(_download.time, "sleep", waits.append)
        server.faults += [{"status": 503}] * 2
        fetch(n_retries=3, delay=7.5)
        assert waits == [7.5, 7.5]

    def test_offline(self, server, fetch, root):
        server.shutdown()
        server.server_close()
        with pytest.raises(OSError, match="refused") as error:
            fetch(n_retries=1)
        message = str(error.value)
        for name in (f"{TRAIN}_Data.zip", f"{TRAIN}_GroundTruth.csv"):
            assert f"{_isic2016_fetch._ADDRESS}{name}" in message
        assert "put them, as downloaded, into that folder" in message
        assert str(root) in message
        assert contents(root) == []

    def test_silent_server(self, server, fetch, monkeypatch):
        monkeypatch.setattr(_download, "TIMEOUT", 0.05)
        release = threading.Event()
        monkeypatch.setattr(Handler, "do_GET", lambda handler: release.wait(5))
        with pytest.raises(OSError, match="timed out"):
            fetch()
        release.set()

    def test_download_if_missing(self, server, fetch, root):
        (root / f"{TRAIN}_GroundTruth.csv").write_text(TRUTH[TRAIN])
        with pytest.raises(OSError, match="`download_if_missing` is False") as error:
            fetch(download_if_missing=False)
        # Only what is lacking is asked for.
        assert "GroundTruth" not in str(error.value)
        assert f"{TRAIN}_Data.zip and put it, as" in str(error.value)
        assert server.requests == []

    def test_wrong_ground_truth(self, server, fetch, root):
        name = f"{TRAIN}_GroundTruth.csv"
        for text, message in (
            ("<html>Sign in</html>", "it is not: A line of the ground truth"),
            (TRUTH[TRAIN].replace("benign", "malignant"), "4 images, 4 of them malig"),
            (
                TRUTH[TRAIN] + "ISIC_9,benign\n",
                "5 images, 2 .* instead of 4 and 2",
            ),
            (TRUTH[TRAIN].replace(NAMES[0], "../x"), r"names an image '\.\./x'"),
        ):
            server.files[name] = text.encode()
            with pytest.raises(OSError, match=message):
                fetch()
            assert contents(root) == []
            (root / name).write_text(text)
            with pytest.raises(OSError, match="Replace it by"):
                fetch()
            assert contents(root) == [name]
            (root / name).unlink()

    @pytest.mark.parametrize("suffix", ["_GroundTruth.csv", "_Data.zip"])
    def test_known_sums_must_be_met(self, server, fetch, root, monkeypatch, suffix):
        name = f"{TRAIN}{suffix}"
        known = {name: hashlib.sha256(server.files[name]).hexdigest()}
        monkeypatch.setattr(_isic2016_fetch, "_SHA256", known)
        content, server.files[name] = server.files[name], server.files[name] + b"\n"
        with pytest.raises(OSError, match=rf"its SHA-256 is \w+, not {known[name]}"):
            fetch()
        assert name not in contents(root)
        server.files[name] = content
        fetch()
        assert contents(root) == WHOLE

    def test_no_archive(self, server, fetch, root):
        name = f"{TRAIN}_Data.zip"
        server.files[name] = b"<html>Sign in</html>"
        with pytest.raises(OSError, match=r"damaged or no ZIP archive.* was deleted"):
            fetch()
        assert contents(root) == [f"{TRAIN}_GroundTruth.csv"]


class TestPlacedByHand:
    def test_archive(self, server, fetch, root):
        for name in (f"{TRAIN}_Data.zip", f"{TRAIN}_GroundTruth.csv"):
            (root / name).write_bytes(server.files[name])
        X, _ = fetch(download_if_missing=False)
        assert len(X) == 4
        assert server.requests == []
        # What the user put there, the user takes away.
        assert contents(root) == sorted([*WHOLE, f"{TRAIN}_Data.zip"])

    def test_folder(self, server, fetch, root):
        (root / f"{TRAIN}_GroundTruth.csv").write_text(TRUTH[TRAIN])
        for name, content in images(TRAIN):
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_bytes(content)
        assert len(fetch()[0]) == 4
        assert server.requests == []
        assert contents(root) == WHOLE

    def test_folder_that_lacks_images(self, server, fetch, root):
        (root / f"{TRAIN}_GroundTruth.csv").write_text(TRUTH[TRAIN])
        (root / f"{TRAIN}_Data").mkdir()
        with pytest.raises(FileNotFoundError, match="4 images, of which 4 are not"):
            fetch()
        assert WHOLE[2] not in contents(root)

    def test_damaged_archive_is_left_to_the_user(self, server, fetch, root):
        path = root / f"{TRAIN}_Data.zip"
        path.write_bytes(b"no archive")
        with pytest.raises(OSError, match="no ZIP archive.* Replace it by http"):
            fetch()
        assert path.read_bytes() == b"no archive"

    def test_folder_that_appears_meanwhile(self, server, fetch, root, monkeypatch):
        """Another process unpacks the same archive and is quicker."""
        write = _archive._write

        def write_slowly(file, member, path):
            (root / member.filename).parent.mkdir(exist_ok=True)
            (root / member.filename).write_bytes(file.read(member))
            return write(file, member, path)

        monkeypatch.setattr(_archive, "_write", write_slowly)
        assert len(fetch()[0]) == 4
        assert contents(root) == WHOLE


class TestManifest:
    @pytest.fixture
    def manifest(self, server, fetch, root):
        fetch()
        return root / f"{TRAIN}_Manifest.json"

    def test_holds_the_sums(self, server, manifest):
        content = json.loads(manifest.read_text())
        expected = dict(images(TRAIN))
        expected[f"{TRAIN}_GroundTruth.csv"] = TRUTH[TRAIN].encode()
        sums = {
            name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in expected.items()
        }
        assert content["files"] == sums
        assert set(content["downloaded"]) == {
            f"{_isic2016_fetch._ADDRESS}{name}"
            for name in (f"{TRAIN}_Data.zip", f"{TRAIN}_GroundTruth.csv")
        }
        for address, known in content["downloaded"].items():
            data = server.files[address.rsplit("/", 1)[1]]
            assert known["sha256"] == hashlib.sha256(data).hexdigest()

    def test_changed_and_absent_files_are_named(self, fetch, root, manifest):
        folder = root / f"{TRAIN}_Data"
        (folder / "ISIC_0000000.jpg").write_bytes(picture(1))
        (folder / "ISIC_0000002.jpg").unlink()
        (folder / "extra.jpg").write_bytes(b"not ours")
        message = "2 of 5 files .* have changed .*0000000.jpg, .*0000002.jpg. Delete"
        with pytest.raises(OSError, match=message):
            fetch()
        # Never repaired behind the user's back.
        assert not (folder / "ISIC_0000002.jpg").exists()

    def test_one_changed_label(self, fetch, root, manifest):
        truth = root / f"{TRAIN}_GroundTruth.csv"
        truth.write_text(truth.read_text().replace("malignant", "benign   ", 1))
        with pytest.raises(OSError, match=r"1 of 5 files .*GroundTruth\.csv"):
            fetch()

    @pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"files": {"a": 3}}'])
    def test_damaged_manifest(self, fetch, manifest, text):
        manifest.write_text(text)
        with pytest.raises(OSError, match="is damaged. Delete it"):
            fetch()
