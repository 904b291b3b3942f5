import pytest

from tests.datasets.challenge import TRAIN, TRUTH, WHOLE, contents


class TestResumption:
    ZIP = f"{TRAIN}_Data.zip"

    @pytest.fixture(autouse=True)
    def truth_is_there(self, server, root):
        (root / f"{TRAIN}_GroundTruth.csv").write_text(TRUTH[TRAIN])

    def test_goes_on_within_a_call(self, server, fetch, root):
        server.faults += [{"break_after": 100}, {"break_after": 150}]
        fetch(n_retries=2)
        assert server.requests == [
            (self.ZIP, None),
            (self.ZIP, "bytes=100-"),
            (self.ZIP, "bytes=250-"),
        ]
        assert contents(root) == WHOLE

    def test_goes_on_in_a_later_call(self, server, fetch, root):
        server.faults += [{"break_after": 100}]
        total = len(server.files[self.ZIP])
        with pytest.raises(OSError, match=rf"ended after 100 of {total} bytes"):
            fetch()
        part = root / f"{self.ZIP}.part"
        assert part.read_bytes() == server.files[self.ZIP][:100]
        fetch()
        assert server.requests[1] == (self.ZIP, "bytes=100-")
        assert contents(root) == WHOLE

    def test_server_without_ranges_sends_all_again(self, server, fetch, root):
        (root / f"{self.ZIP}.part").write_bytes(b"x" * (10**6))
        server.faults += [{"no_ranges": True}]
        fetch()
        assert contents(root) == WHOLE

    def test_server_without_ranges_that_breaks_off(self, server, fetch, root):
        (root / f"{self.ZIP}.part").write_bytes(server.files[self.ZIP][:200])
        server.faults += [{"no_ranges": True, "break_after": 50}]
        fetch(n_retries=1)
        assert [asked for _, asked in server.requests] == ["bytes=200-", "bytes=50-"]
        assert contents(root) == WHOLE

    def test_part_may_be_the_whole(self, server, fetch, root):
        (root / f"{self.ZIP}.part").write_bytes(server.files[self.ZIP])
        fetch()
        assert len(server.requests) == 1
        assert contents(root) == WHOLE

    def test_part_of_something_else_is_replaced(self, server, fetch, root):
        (root / f"{self.ZIP}.part").write_bytes(b"x" * (10**6))
        fetch()
        assert [asked for _, asked in server.requests] == ["bytes=1000000-", None]
        assert contents(root) == WHOLE

    def test_damaged_beginning_is_not_kept(self, server, fetch, root):
        (root / f"{self.ZIP}.part").write_bytes(b"x" * 300)
        with pytest.raises(OSError, match="It was deleted: call again"):
            fetch()
        fetch()
        assert contents(root) == WHOLE

    def test_other_bytes_than_asked_for_are_refused(self, server, fetch, root):
        (root / f"{self.ZIP}.part").write_bytes(server.files[self.ZIP][:100])
        server.faults += [{"first": 90}]
        with pytest.raises(OSError, match="from 100 on and sent bytes 90-"):
            fetch(n_retries=5)
        assert len(server.requests) == 1
        fetch()

    def test_overstated_length(self, server, fetch, root):
        """Asked for the rest, the server says that there is none."""
        server.faults += [{"overstated": 10}]
        fetch(n_retries=1)
        assert len(server.requests) == 2
        assert contents(root) == WHOLE

    def test_length_that_never_comes(self, server, fetch, root):
        server.faults += [{"break_after": 20}, {"break_after": 0}, {"break_after": 0}]
        with pytest.raises(OSError, match=r"ISIC 2016 data are not in .*connection"):
            fetch(n_retries=2)
        assert len(server.requests) == 3
        assert contents(root) == [f"{self.ZIP}.part", f"{TRAIN}_GroundTruth.csv"]

    def test_server_that_states_no_length(self, server, fetch, root):
        server.faults += [{"no_length": True}]
        fetch()
        assert contents(root) == WHOLE
