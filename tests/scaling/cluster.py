"""Ray clusters on loopback, each node a group of processes of its own that can be killed as a machine would be."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

RAY = Path(sys.executable).parent / "ray"
MARK = "MBRL_TEST_NODE"
"""Environment variable by which a node's processes are found again."""
OWN = ("RAY_ADDRESS", "RAY_TMPDIR", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
"""Left out of the nodes' environment: other clusters, and what Ray is to set by itself."""


def quiet_environment() -> dict[str, str]:
    """Of nodes and those who join: a secret of their own, nothing sent home, nothing killed to save memory."""
    kept = {name: value for name, value in os.environ.items() if name not in OWN}
    return kept | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_memory_monitor_refresh_ms": "0",
        "RAY_gcs_server_port_wait_time_s": "120",
        "RAY_worker_register_timeout_seconds": "240",
        "RAY_health_check_period_ms": "1000",
        "RAY_health_check_failure_threshold": "3",
        "PYTHONWARNINGS": "ignore",
    }


class Node:
    """The processes that one `ray start` leaves behind, at a loopback address of its own."""

    def __init__(self, ip: str, environment: dict[str, str], folder: Path, options: Sequence[str]) -> None:
        self.ip, self.mark = ip, secrets.token_hex(8)
        self.command = [
            str(RAY),
            "start",
            f"--node-ip-address={ip}",
            f"--temp-dir={folder}",
            f"--plasma-directory={folder}",  # not /dev/shm, which is small in containers
            "--object-store-memory=80000000",
            "--dashboard-agent-listen-port=0",
            "--disable-usage-stats",
            "--include-log-monitor=false",
            *options,
        ]
        folder.mkdir()
        self.environment = environment | {MARK: self.mark}

    def start(self) -> None:
        """Up to three times, since Ray gives a node half a minute, which a busy machine may exceed."""
        for _ in range(3):
            done = subprocess.run(self.command, env=self.environment, capture_output=True, text=True)
            if done.returncode == 0:
                return
            self.kill()
        raise AssertionError(f"{done.stdout}\n{done.stderr}")

    def processes(self) -> list[int]:
        """All that live, whoever started them: marked ones, and below these such as overwrote their environment."""
        return family(f"{MARK}={self.mark}")

    def kill(self) -> None:
        """SIGKILL to all at once; returns when none is left."""
        end = time.monotonic() + 30
        while pids := self.processes():
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            assert time.monotonic() < end, f"processes {pids} cannot be killed"
            time.sleep(0.05)


@contextmanager
def cluster(*options: Sequence[str]) -> Iterator[tuple[str, dict[str, str], list[Node]]]:
    """A head node and others, one a list of options of `ray start`: address, environment to join it with, nodes."""
    place = Path(tempfile.mkdtemp(prefix="mbrl-ray-", dir="/tmp"))  # sockets' paths have to be short
    environment = quiet_environment()
    (port, client), nodes = _free_ports(2), []
    try:
        for i, own in enumerate(options):
            ip = f"127.0.0.{i + 2}"  # Ray takes 127.0.0.1 for this machine's address in its network
            head = [
                "--head",
                f"--port={port}",
                f"--ray-client-server-port={client}",
                "--include-dashboard=false",
            ]
            more = head if i == 0 else [f"--address=127.0.0.2:{port}"]
            nodes.append(Node(ip, environment, place / str(i), [*more, *own]))
            nodes[-1].start()
        yield f"127.0.0.2:{port}", environment, nodes
    finally:
        for node in reversed(nodes):
            node.kill()
        shutil.rmtree(place, ignore_errors=True)


def family(mark: str) -> list[int]:
    """Processes with that text in their environment, and all below them; those that have ended left out."""
    parents, marked = {}, set()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, parent = (entry / "stat").read_text().rpartition(") ")[2].split()[:2]
            if state != "Z":
                parents[int(entry.name)] = int(parent)
                if mark.encode() in (entry / "environ").read_bytes():
                    marked.add(int(entry.name))
    grown = True
    while grown:
        below = {pid for pid, parent in parents.items() if parent in marked} - marked
        marked |= below
        grown = bool(below)
    return sorted(marked)


def _free_ports(count: int) -> list[int]:
    with _bound(count) as found:
        return [s.getsockname()[1] for s in found]


@contextmanager
def _bound(count: int) -> Iterator[list[socket.socket]]:
    """Sockets bound at the same time, so that their ports differ."""
    found = [socket.socket() for _ in range(count)]
    try:
        for one in found:
            one.bind(("127.0.0.2", 0))
        yield found
    finally:
        for one in found:
            one.close()
