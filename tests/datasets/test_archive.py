import io
import stat
import zipfile

import pytest

from gansampler.datasets import _archive
from tests.datasets.challenge import NAMES, TRAIN, archive, contents, images


class TestArchive:
    """What is in an archive that is not the challenge's."""

    @pytest.fixture
    def refused(self, server, fetch, root, tmp_path):
        def refused(content, message):
            server.files[f"{TRAIN}_Data.zip"] = content
            with pytest.raises(OSError, match=message):
                fetch()
            assert contents(root) == [f"{TRAIN}_GroundTruth.csv"]
            assert contents(tmp_path) == ["isic2016"]

        return refused

    @pytest.mark.parametrize(
        "name",
        [
            "/etc/x.jpg",
            "../x.jpg",
            f"{TRAIN}_Data/../../x.jpg",
            f"{TRAIN}_Data\\..\\x.jpg",
            "C:x.jpg",
            "//host/x.jpg",
        ],
    )
    def test_members_outside_the_folder(self, refused, name):
        refused(archive([*images(TRAIN), (name, b"x")]), "leads out of the archive's")

    def test_name_with_a_null_character(self, refused):
        name = f"{TRAIN}_Data/x.jpg"
        content = archive([*images(TRAIN), (name, b"x")])
        cut = name.replace("/x", "/\0").encode()
        refused(content.replace(name.encode(), cut), "leads out of the archive's")

    @pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
    def test_links_and_devices(self, refused, kind):
        info = zipfile.ZipInfo(f"{TRAIN}_Data/ISIC_0000000.jpg")
        info.create_system, info.external_attr = 3, (kind | 0o777) << 16
        members = [(info, b"/etc/passwd"), *images(TRAIN)[1:]]
        refused(archive(members), "ISIC_0000000.jpg' is a link or a device")

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_one_name_twice(self, refused):
        refused(archive(images(TRAIN) + images(TRAIN)[:1]), "is in it twice")

    def test_large_member(self, refused, monkeypatch):
        monkeypatch.setattr(_archive, "MAX_BYTES_PER_MEMBER", 10**5)
        bomb = (f"{TRAIN}_Data/x.jpg", bytes(10**5 + 1))
        refused(archive([*images(TRAIN), bomb]), "x.jpg' has 100001 bytes")

    def test_large_archive(self, refused, monkeypatch):
        monkeypatch.setattr(_archive, "MAX_BYTES", 10**5)
        bombs = [(f"{TRAIN}_Data/{i}.jpg", bytes(10**4)) for i in range(10)]
        refused(archive(images(TRAIN) + bombs), "more than 100000 bytes")

    def test_member_that_understates_its_size(self, refused):
        content = bytearray(archive(images(TRAIN)))
        # The first entry of the directory at the end; its size is 24 bytes in.
        entry = content.index(b"PK\x01\x02")
        content[entry + 24 : entry + 28] = (5).to_bytes(4, "little")
        refused(bytes(content), "damaged or no ZIP archive: Bad CRC-32")

    def test_encrypted_member(self, refused):
        content = bytearray(archive(images(TRAIN)))
        entry = content.index(b"PK\x01\x02")
        content[entry + 8] |= 1
        refused(bytes(content), "is encrypted")

    def test_unusual_compression(self, refused):
        info = zipfile.ZipInfo(f"{TRAIN}_Data/x.jpg")
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as zipped:
            zipped.writestr(info.filename, b"x")
        refused(file.getvalue(), "compressed in a way")

    def test_one_wrong_byte(self, server, fetch, refused):
        content = bytearray(server.files[f"{TRAIN}_Data.zip"])
        content[len(content) // 3] ^= 1
        refused(bytes(content), "damaged or no ZIP archive")

    def test_cut_off(self, server, refused):
        content = server.files[f"{TRAIN}_Data.zip"]
        refused(content[: len(content) // 2], "not a zip file")

    def test_absent_images(self, refused):
        message = r"of 4 images 2 are not in it, .*0000002\.jpg first"
        refused(archive(images(TRAIN, NAMES[:2])), message)

    def test_images_elsewhere_in_the_archive(self, refused):
        refused(archive(images("Other")), "of 4 images 4 are not in it")

    def test_limits_leave_room_for_the_challenge(self):
        assert _archive.MAX_BYTES_PER_MEMBER >= 20 * 2**20
        assert _archive.MAX_BYTES >= 2 * 602 * 2**20
