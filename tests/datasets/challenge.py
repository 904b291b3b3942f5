"""The ISIC 2016 challenge in small, and its server on loopback."""

import http.server
import io
import zipfile

import numpy as np
from PIL import Image

TRAIN = "ISBI2016_ISIC_Part3_Training"
TEST = "ISBI2016_ISIC_Part3_Test"
NAMES = [f"ISIC_{number:07}" for number in range(4)]


def picture(level):
    noise = np.random.RandomState(level).randint(30, size=(24, 32, 3)) + 2 * level
    file = io.BytesIO()
    Image.fromarray(noise.astype(np.uint8)).save(file, "jpeg", quality=95)
    return file.getvalue()


def archive(members):
    """Return the bytes of a ZIP file; members are (name or ZipInfo, content)."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members:
            zipped.writestr(name, content)
    return file.getvalue()


def images(stem, names=NAMES):
    return [
        (f"{stem}_Data/{name}.jpg", picture(20 * level))
        for level, name in enumerate(names)
    ]


TRUTH = {
    TRAIN: "".join(
        f"{name},{label}\n"
        for name, label in zip(NAMES, ["benign", "malignant"] * 2, strict=True)
    ),
    TEST: "".join(f"{name},{i == 3:d}.0\n" for i, name in enumerate(NAMES)),
}


class Handler(http.server.BaseHTTPRequestHandler):
    """Serve the server's `files`, each answer with the next of its `faults`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        name = self.path.removeprefix("/2016/")
        self.server.requests.append((name, self.headers.get("Range")))
        fault = self.server.faults.pop(0) if self.server.faults else {}
        content = self.server.files.get(name)
        status = fault.get("status", 404 if content is None else 200)
        if status != 200:
            self.send_error(status)
            return
        start, total = 0, len(content)
        asked = self.headers.get("Range")
        if asked and not fault.get("no_ranges"):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= total:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{total}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            first = fault.get("first", start)
            self.send_header("Content-Range", f"bytes {first}-{total - 1}/{total}")
        else:
            self.send_response(200)
        stated = total - start + fault.get("overstated", 0)
        if not fault.get("no_length"):
            self.send_header("Content-Length", str(stated))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content[start:][: fault.get("break_after")])
        self.close_connection = True

    def log_message(self, *args):
        pass


def contents(root):
    # A lock is left behind, empty.
    return sorted(p.name for p in root.iterdir() if p.suffix != ".lock")


WHOLE = [f"{TRAIN}_Data", f"{TRAIN}_GroundTruth.csv", f"{TRAIN}_Manifest.json"]
