import http.server
import threading

import pytest

from gansampler.datasets import _isic2016_fetch, fetch_isic2016
from tests.datasets.challenge import TEST, TRAIN, TRUTH, Handler, archive, images


@pytest.fixture
def server(monkeypatch):
    """The challenge's server on loopback, with four images in each split."""
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.files, httpd.faults, httpd.requests = {}, [], []
    for stem in (TRAIN, TEST):
        # More than the images is in some archives.
        others = [(f"{stem}_Data/", ""), ("__MACOSX/._x.jpg", "x"), ("notes.txt", "x")]
        httpd.files[f"{stem}_Data.zip"] = archive(images(stem) + others)
        httpd.files[f"{stem}_GroundTruth.csv"] = TRUTH[stem].encode()
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{httpd.server_port}/2016/"
    monkeypatch.setattr(_isic2016_fetch, "_ADDRESS", address)
    monkeypatch.setattr(_isic2016_fetch, "_COUNTS", {"train": (4, 2), "test": (4, 1)})
    monkeypatch.setattr(_isic2016_fetch, "_SHA256", {})
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield httpd
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.fixture
def fetch(tmp_path):
    def fetch(**arguments):
        defaults = {"data_home": tmp_path, "image_size": 16, "n_retries": 0, "delay": 0}
        return fetch_isic2016(**defaults | arguments)

    return fetch


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "isic2016"
    root.mkdir()
    return root
