"""The sides of a comparison: noded, docker and runc, each private and on the same root file system.

Used by run and metrics.py, inside the namespaces that run makes: /run is an empty tmpfs, every
process seen in /proc was started by the comparison, and all of it ends with the PID namespace.
A side is started when a metric first asks for it.
"""
import functools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

IMAGE = "compare"
CGROUP_PREFIX = "noded-compare-"
# Below the comparison's folder: the state directory of the node that is compared.
NODE_STATE = "noded"
# By path: another docker may stand before Debian's 20.10 in PATH.
DOCKER, DOCKERD = "/usr/bin/docker", "/usr/sbin/dockerd"
START_SECONDS_MAX = 60
PEER_PROGRAMS = (DOCKER, DOCKERD, "runc", "containerd", "tini", "fio", "etcd", "redis-server",
                 "prometheus-node-exporter", "perf", "nginx", "wrk", "nats-server")


class Unmeasured(Exception):
    """A sentence that says why a metric has no figure."""


def require_peers():
    missing = [program for program in PEER_PROGRAMS if shutil.which(program) is None]
    if missing:
        raise Unmeasured(f"{', '.join(missing)} not found: run ops/peers first")


def run(command, env=None):
    """The output of a command; a failed one is a sentence with what it said. Through files: what a
    command leaves running may hold on to them."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        try:
            done = subprocess.run([str(word) for word in command], env=env, check=False,
                                  stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        except OSError as error:
            raise Unmeasured(f"start {command[0]}: {error.strerror}") from error
        for file in (out, err):
            file.seek(0)
        if done.returncode != 0:
            said = (err.read().strip() or out.read().strip())[-800:]
            words = " ".join(map(str, command))[:200]
            raise Unmeasured(f"{words}: status {done.returncode}: {said}")
        return out.read()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def parent_of(pid):
    """0 if it has ended."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])


def remove_cgroups(work):
    """What the sides leave behind: empty groups below names that only a comparison uses. noded
    names its own after the state directory of its plugin container, and keeps a spare one there."""
    nodes = tuple(f"{crc32c(os.fsencode(state / 'plugins/container')):08x}"
                  for state in work.iterdir() if (state / "plugins/container").is_dir())
    tops = []
    # Others' groups may go away meanwhile, which a walk passes over.
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        ours = nodes if os.path.basename(folder) == "noded" else CGROUP_PREFIX
        tops += [os.path.join(folder, name) for name in names if name.startswith(ours)]
    for top in tops:
        for folder, _, _ in os.walk(top, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                pass


def processes(name):
    """Pids of the processes of this name; the kernel keeps 15 characters of one."""
    pids = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "comm").read_text().rstrip("\n") == name[:15]:
                pids.append(int(entry.name))
        except OSError:
            pass  # it has just ended
    return pids


def pss_bytes(pid):
    """The proportional set size of a process (proc(5), smaps_rollup)."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().split("\n"):
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise Unmeasured(f"/proc/{pid}/smaps_rollup has no Pss")


class Daemon:
    """What noded and docker have in common: a daemon behind a command line with the same words."""

    def __init__(self, program, env):
        self.program, self.env = str(program), {**os.environ, **env}

    def command(self, *words):
        return [self.program, *words]

    def ask(self, *words):
        return run(self.command(*words), env=self.env)

    def start_sleeper(self, name):
        self.ask("run", "-d", "--name", name, "--network", "none", IMAGE, "sleep", "100000")

    def start_sleepers(self, timer, count, jobs):
        """Without names, so many at the same time."""
        run([timer, f"{count}x{jobs}", *self.command("run", "-d", "--network", "none", IMAGE,
                                                     "sleep", "100000")], env=self.env)

    def remove(self, name):
        self.ask("rm", "-f", name)

    def remove_all(self):
        if ids := self.ask("ps", "-a", "-q").split():
            self.ask("rm", "-f", *ids)


class Noded(Daemon):
    """Our side: the installed layout below work/prefix, state beside the other sides' state."""

    def __init__(self, work, root, rootfs_tar):
        prefix = work / "prefix"
        if not prefix.exists():
            raise Unmeasured("noded was not built")
        super().__init__(prefix / "bin/nodectl", {"NODECTL_HOST": "unix:/run/noded/noded.sock"})
        for folder in (work / NODE_STATE, pathlib.Path("/run/noded")):
            folder.mkdir(mode=0o700)
        self.start_command = [root / "ops/start-node", work / "noded.log", prefix / "bin/noded",
                              "--state-dir", work / NODE_STATE, "--runtime-dir", "/run/noded",
                              "--plugin-dir", prefix / "lib/noded/plugins"]
        self.start()
        self.ask("image", "import", rootfs_tar, IMAGE)

    def start(self):
        self.pid = int(run(self.start_command))

    def halt(self):
        """Ends noded; its containers go on, and the next start finds them."""
        os.kill(self.pid, signal.SIGTERM)
        deadline = time.monotonic() + START_SECONDS_MAX
        while pathlib.Path(f"/proc/{self.pid}").exists():
            if time.monotonic() > deadline:
                raise Unmeasured("noded does not end")
            time.sleep(0.05)

    def daemon_pids(self):
        """Without a container: noded, and the shims that it keeps ready for the next ones."""
        return [self.pid, *self.shim_pids()]

    def shim_pids(self):
        """Without their zygotes, which share a shim's memory and would count it twice."""
        shims = processes("noded-shim")
        return [pid for pid in shims if parent_of(pid) not in shims]

    def stop(self):
        self.remove_all()
        os.kill(self.pid, signal.SIGTERM)


class Docker(Daemon):
    """A dockerd of its own with its containerd: the defaults, except that no network is touched."""

    def __init__(self, work, rootfs_tar):
        super().__init__(DOCKER, {"DOCKER_HOST": "unix:///run/docker.sock",
                                  "DOCKER_CONFIG": "/run/docker-config"})
        self.log = work / "dockerd.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [DOCKERD, "--data-root", work / "docker", "--exec-root", "/run/docker",
                 "-H", "unix:///run/docker.sock", "--pidfile", "/run/docker.pid",
                 "--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false",
                 f"--cgroup-parent=/{CGROUP_PREFIX}docker"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wait_ready()
        self.ask("import", rootfs_tar, IMAGE)

    def wait_ready(self):
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.ask("version")
                return
            except Unmeasured:
                time.sleep(0.1)
        raise Unmeasured(f"start dockerd: {self.log.read_text(errors='replace')[-800:]}")

    def daemon_pids(self):
        return processes("dockerd") + processes("containerd")

    def shim_pids(self):
        return processes("containerd-shim-runc-v2")

    def stop(self):
        self.remove_all()
        self.process.terminate()
        self.process.wait(START_SECONDS_MAX)


class Runc:
    """A bundle on the unpacked root file system: runc's own spec, and a cgroup namespace."""

    def __init__(self, work, rootfs_tar):
        self.env = dict(os.environ)
        self.bundle = work / "runc"
        rootfs = self.bundle / "rootfs"
        rootfs.mkdir(parents=True)
        run(["tar", "--extract", "--file", rootfs_tar, "--directory", rootfs])
        run(["runc", "spec", "--bundle", self.bundle])
        config = self.bundle / "config.json"
        spec = json.loads(config.read_text())
        spec["process"]["terminal"] = False
        # An overlay's upper can be written to, so must this.
        spec["root"]["readonly"] = False
        namespaces = spec["linux"]["namespaces"]
        if {"type": "cgroup"} not in namespaces:
            namespaces.append({"type": "cgroup"})
        self.spec = spec
        self.write_spec("true", ["true"])

    def write_spec(self, name, argv):
        self.spec["process"]["args"] = argv
        self.spec["linux"]["cgroupsPath"] = f"/{CGROUP_PREFIX}runc/{name}"
        (self.bundle / "config.json").write_text(json.dumps(self.spec))

    def run_command(self):
        return ["runc", "--root", "/run/runc", "run", "--bundle", str(self.bundle), "true"]

    def exec_command(self, name):
        return ["runc", "--root", "/run/runc", "exec", name, "true"]

    def start_sleeper(self, name):
        self.write_spec(name, ["sleep", "100000"])
        run(["runc", "--root", "/run/runc", "run", "--detach", "--bundle", self.bundle, name])
        self.write_spec("true", ["true"])

    def remove(self, name):
        run(["runc", "--root", "/run/runc", "delete", "--force", name])

    def stop(self):
        pass  # `runc run` removes its container


class Bench:
    """What the metrics are given: the sides on demand, and the timer."""

    def __init__(self, work, root, quick):
        self.work, self.root, self.quick = work, root, quick
        self.started = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for side in reversed(self.started):
            try:
                side.stop()
            except (Unmeasured, OSError, subprocess.TimeoutExpired) as trouble:
                print(f"compare: stop {type(side).__name__.lower()}: {trouble}")

    def _start(self, side):
        self.started.append(side)
        return side

    @functools.cached_property
    def rootfs_tar(self):
        path = self.work / "rootfs.tar"
        run([self.root / "ops/busybox-rootfs", path])
        return path

    @functools.cached_property
    def noded(self):
        return self._start(Noded(self.work, self.root, self.rootfs_tar))

    @functools.cached_property
    def docker(self):
        return self._start(Docker(self.work, self.rootfs_tar))

    @functools.cached_property
    def runc(self):
        return self._start(Runc(self.work, self.rootfs_tar))

    def tool(self, name):
        path = self.work / "tools" / name
        if not path.exists():
            raise Unmeasured(f"{name} was not built")
        return str(path)

    def together_ns(self, runs, jobs, command, env):
        """Wall time of so many runs of a command, `jobs` of them at the same time."""
        return int(run([self.tool("spawn_timer"), f"{runs}x{jobs}", *command], env=env))

    def times_ns(self, runs, command, env):
        """Wall times of a command, start to reaped, measured by spawn_timer."""
        printed = run([self.tool("spawn_timer"), runs, *command], env=env)
        return [int(line) for line in printed.split()]
