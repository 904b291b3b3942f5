"""Under torchrun and ``fabric run``: on one host, and on two of which one is lost."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytestmark = [pytest.mark.ddp, pytest.mark.slow]

JOB = Path(__file__).with_name("cluster_job.py")
SECONDS = 120


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def torchrun(*options, prefix=()):
    return [*prefix, sys.executable, "-m", "torch.distributed.run", *options, str(JOB)]


def start(command, *arguments):
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
    )


def end_well(*processes):
    texts = []
    for process in processes:
        text, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, text
        texts.append(text)
    return texts


def stop(process):
    """Take a whole node away: the agent and its workers, which have their sessions."""
    for pid in [process.pid, *descendants(process.pid)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate()


def descendants(pid):
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    children = [int(child) for child in text.split()]
    return [*children, *(d for child in children for d in descendants(child))]


def assert_same(path, other):
    with np.load(path) as a, np.load(other) as b:
        assert a["y"].tolist() == b["y"].tolist()
        assert a["parents"].tolist() == b["parents"].tolist()
        # The last bit of the sums may differ, and with it the rounding to uint8.
        assert np.abs(a["X"].astype(int) - b["X"]).max() <= 1
        np.testing.assert_allclose(a["proba"], b["proba"], atol=0.02)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The results of one process that nobody launched."""
    folder = tmp_path_factory.mktemp("alone")
    end_well(start([sys.executable, JOB], folder, folder / "checkpoints"))
    return folder / "rank-0.npz"


def test_torchrun_on_one_host(tmp_path, alone):
    command = torchrun("--standalone", "--nproc-per-node", "2")
    (text,) = end_well(start(command, tmp_path, tmp_path / "checkpoints"))
    first, second = (tmp_path / f"rank-{rank}.npz" for rank in (0, 1))
    assert_same(first, alone)
    with np.load(first) as a, np.load(second) as b:
        for name in a.files:
            assert a[name].tobytes() == b[name].tobytes()
    # Only the first process shows progress.
    assert text.count("CycleGAN: 15/15 step (100%)") == 1
    assert text.count("translating to malignant: 5/5") == 1


def test_an_exception_on_one_rank_ends_all(tmp_path):
    command = torchrun("--standalone", "--nproc-per-node", "2")
    process = start(command, tmp_path, tmp_path / "checkpoints", "fail")
    text, _ = process.communicate(timeout=SECONDS)
    assert process.returncode != 0
    assert "KeyError: 'the answer'" in text


def test_fabric_run(tmp_path, alone):
    pytest.importorskip("click", reason="the fabric command needs click")
    fabric = Path(sys.executable).with_name("fabric")
    options = ["--accelerator=cpu", "--devices=2", "--strategy=ddp"]
    command = [fabric, "run", *options, f"--main-port={free_port()}", JOB]
    end_well(start(command, tmp_path, tmp_path / "checkpoints"))
    assert_same(tmp_path / "rank-1.npz", alone)


needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


def lose_one_of_two_and_resume(tmp_path, alone, nodes, address):
    """Two nodes; the second is killed in mid-run, and both are started again."""

    def start_nodes(*how):
        rendezvous = [
            "--nnodes=2",
            "--nproc-per-node=1",
            "--max-restarts=0",
            f"--master-addr={address}",
            f"--master-port={free_port()}",
        ]
        return [
            start(
                torchrun(*rendezvous, f"--node-rank={rank}", prefix=prefix),
                tmp_path,
                tmp_path / "checkpoints",
                *how,
            )
            for rank, prefix in enumerate(nodes)
        ]

    first, second = start_nodes("slow")
    end = time.monotonic() + SECONDS
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < end
        assert first.poll() is None, first.communicate()[0]
        time.sleep(0.05)
    stop(second)
    lost = time.monotonic()
    text, _ = first.communicate(timeout=SECONDS)
    # It ends by itself and says why.
    assert first.returncode != 0
    assert time.monotonic() - lost < 60
    assert "ProcessFailedError" in text
    assert not list(tmp_path.glob("rank-*"))
    assert list((tmp_path / "checkpoints").glob("CycleGAN-*/step-*"))

    end_well(*start_nodes())
    for rank in (0, 1):
        assert_same(tmp_path / f"rank-{rank}.npz", alone)


@needs_linux
def test_two_agents_one_of_which_is_killed(tmp_path, alone):
    lose_one_of_two_and_resume(tmp_path, alone, [(), ()], "127.0.0.1")


@pytest.fixture
def two_hosts():
    """Two network namespaces, joined by a cable; each has an address of its own."""
    if sys.platform != "linux" or shutil.which("ip") is None:
        pytest.skip("needs Linux and the ip command")
    names = [f"gansampler-{os.getpid()}-{i}" for i in (1, 2)]
    cable = [f"gs{os.getpid() % 10000}x{i}" for i in (1, 2)]

    def ip(*arguments):
        return subprocess.run(
            ["ip", *arguments], check=True, capture_output=True, text=True
        )

    try:
        try:
            for name in names:
                ip("netns", "add", name)
            ip("link", "add", cable[0], "type", "veth", "peer", "name", cable[1])
            for i, name in enumerate(names):
                ip("link", "set", cable[i], "netns", name)
                inside = ("-n", name)
                ip(*inside, "addr", "add", f"10.73.0.{i + 1}/24", "dev", cable[i])
                for device in (cable[i], "lo"):
                    ip(*inside, "link", "set", device, "up")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
        yield names, cable
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def test_two_hosts_one_of_which_is_lost(tmp_path, alone, two_hosts):
    names, cable = two_hosts
    prefixes = [
        ("ip", "netns", "exec", name, "env", f"GLOO_SOCKET_IFNAME={device}")
        for name, device in zip(names, cable, strict=True)
    ]
    lose_one_of_two_and_resume(tmp_path, alone, prefixes, "10.73.0.1")
