"""The sides of a comparison that store: etcd, redis-server, and a node with the plugin `objects`.

Used by node_metrics.py. Each has its state in the comparison's folder, so on the same disk, and
ends with stop().
"""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

import sides

ETCD_PORT, ETCD_PEER_PORT = 23790, 23800
REDIS_SOCKET = "/run/redis.sock"
ETCD_RATES = {"s": 150, "l": 8000, "xl": 15_000}   # of etcdctl's loads, puts per second


class Program:
    """A peer's daemon: started when made, ready when something listens."""

    def __init__(self, work, name, command, address):
        self.folder = work / name
        self.folder.mkdir()
        self.log = work / f"{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([str(word) for word in command],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + sides.START_SECONDS_MAX
        while not self.listens(address):
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = self.log.read_text(errors="replace")[-800:]
                raise sides.Unmeasured(f"start {name}: {said}")
            time.sleep(0.1)

    @staticmethod
    def listens(address):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        with socket.socket(family) as client:
            return client.connect_ex(address) == 0

    def stop(self):
        self.process.terminate()
        self.process.wait(sides.START_SECONDS_MAX)
        shutil.rmtree(self.folder)


def etcd(work):
    client, peer = (f"http://127.0.0.1:{port}" for port in (ETCD_PORT, ETCD_PEER_PORT))
    return Program(work, "etcd", [
        "etcd", "--data-dir", work / "etcd", "--log-level", "error",
        "--listen-client-urls", client, "--advertise-client-urls", client,
        "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
        "--initial-cluster", f"default={peer}"], ("127.0.0.1", ETCD_PORT))


def etcd_own_measure(load):
    """Durable writes per second as etcd itself measures them: `etcdctl check perf` puts for a
    minute at a rate that its load names (l: 8,000 a second from 500 clients, xl: 15,000 from
    1,000). Only what stays below that rate is what etcd can do."""
    done = subprocess.run(
        ["etcdctl", f"--endpoints=127.0.0.1:{ETCD_PORT}", "check", "perf", f"--load={load}"],
        env={**os.environ, "ETCDCTL_API": "3"}, capture_output=True, text=True,
        timeout=2 * sides.START_SECONDS_MAX + 120)
    said = done.stdout + done.stderr
    found = re.search(r"[Tt]hroughput (?:is|too low:) (\d+) writes/s", said)
    if found is None:
        raise sides.Unmeasured(f"etcdctl check perf: {said[-400:]}")
    return float(found[1])


def redis(work):
    return Program(work, "redis", [
        "redis-server", "--port", "0", "--unixsocket", REDIS_SOCKET, "--appendonly", "yes",
        "--appendfsync", "always", "--save", "", "--dir", work / "redis"], REDIS_SOCKET)


class Node:
    """A noded with all its plugins and `objects`, that can be killed and started again."""

    def __init__(self, bench, name, settings=None):
        self.bench, self.pid = bench, None
        self.state, self.runtime = bench.work / name, pathlib.Path("/run") / name
        self.log = bench.work / f"{name}.log"
        plugins = self.runtime / "plugins"
        self.state.mkdir(mode=0o700)
        prefix = bench.work / "prefix"
        if not prefix.exists():
            raise sides.Unmeasured("noded was not built")
        shutil.copytree(prefix / "lib/noded/plugins", plugins)
        shutil.copy(bench.tool("objects.so"), plugins)
        config = self.runtime / "config.json"
        config.write_text(json.dumps(settings or {}))
        self.host = f"unix:{self.runtime}/noded.sock"
        self.command = [prefix / "bin/noded", "--config", config, "--state-dir", self.state,
                        "--runtime-dir", self.runtime, "--plugin-dir", plugins]

    def start(self):
        self.pid = int(sides.run([self.bench.root / "ops/start-node", self.log, *self.command]))

    def kill(self, number=signal.SIGKILL):
        os.kill(self.pid, number)
        self.wait_ended()

    def wait_ended(self):
        """Its parent is gone, so what reaps it is the first process of the namespace."""
        deadline = time.monotonic() + sides.START_SECONDS_MAX
        while pathlib.Path(f"/proc/{self.pid}").exists():
            if time.monotonic() > deadline:
                raise sides.Unmeasured("noded does not end")
            time.sleep(0.01)
        self.pid = None

    def nodectl(self, *words):
        return sides.run([self.bench.work / "prefix/bin/nodectl", *words],
                         env={**os.environ, "NODECTL_HOST": self.host})

    def measure(self, verb, *options):
        return node_bench(self.bench, verb, self.host, *options)

    def stop(self):
        if self.pid is not None:
            self.kill()
        for pid in sides.processes("noded-shim"):
            with contextlib.suppress(ProcessLookupError):  # they end with their noded
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.state, ignore_errors=True)
        shutil.rmtree(self.runtime, ignore_errors=True)


def node_bench(bench, verb, host, *options):
    return json.loads(sides.run([bench.tool("node_bench"), verb, f"--host={host}", *options]))
