"""Processes of a cluster on this machine: coordinators, workers, routers, etcd. Each tells at its end what it cost."""
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request

from . import measure, setup

TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 60


class Role:
    """A process that says where it listens."""

    def __init__(self, name, command, folder, *, prefix=()):
        self.name, self.command, self.prefix = name, [setup.SHARDEX, *command], list(prefix)
        self.log = os.path.join(folder, f"{name}.log")
        self.cost = {"cpu": 0.0, "rss": 0.0}
        self.start()

    def start(self):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen([*self.prefix, *self.command], stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.child.stdout.readline()
        if not line.startswith("listening on "):
            self.end(signal.SIGKILL)
            raise measure.Failed(f"{self.name} does not listen: {self.said()}")
        self.url = line.split()[-1]

    def said(self):
        with open(self.log, errors="replace") as log:
            return " ".join(log.read().strip().splitlines()[-3:])

    def pid(self):
        """Of the process itself, not of what it is run by."""
        if not self.prefix:
            return self.child.pid
        with open(f"/proc/{self.child.pid}/task/{self.child.pid}/children") as children:
            return int(children.read().split()[0])

    def end(self, number=signal.SIGTERM):
        """Ends it, and adds up what it cost."""
        if self.child is None:
            return
        try:
            os.kill(self.pid(), number)
        except (OSError, IndexError):
            self.child.send_signal(number)
        killer = threading.Timer(PATIENCE, self.child.kill)
        killer.start()
        _, _, usage = os.wait4(self.child.pid, 0)
        killer.cancel()
        self.child.returncode = 0
        self.child.stdout.close()
        self.child = None
        self.cost["cpu"] += usage.ru_utime + usage.ru_stime
        self.cost["rss"] = max(self.cost["rss"], usage.ru_maxrss / 1024)

    def restart(self):
        """Starts it again where it listened."""
        at = self.command.index("--listen")
        self.command[at + 1] = self.url.rsplit("/", 1)[-1]
        self.start()


class Cluster:
    """Coordinators, workers and a router in a folder, and an operator who asks them."""

    def __init__(self, folder):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        self.folder, self.roles, self.coordinators, self.router = folder, [], [], None
        self.operator_cpu = 0.0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Routers and workers first: a worker gives its units back.
        for role in reversed(self.roles):
            role.end()

    def add(self, name, command, *, prefix=()):
        role = Role(name, command, self.folder, prefix=prefix)
        self.roles.append(role)
        return role

    def add_coordinator(self, *options):
        options = options or ("--state", os.path.join(self.folder, "state"))
        name = f"coordinator-{len(self.coordinators)}"
        role = self.add(name, ["coordinator", "--listen", "127.0.0.1:0", *options])
        self.coordinators.append(role)
        return role

    def urls(self):
        return ",".join(role.url for role in self.coordinators)

    def add_worker(self, name, *, source=None, owns=True, prefix=(), options=()):
        command = ["worker", "--name", name, "--listen", "127.0.0.1:0", "--coordinator", self.urls(), *options]
        if owns:
            command += ["--store", os.path.join(self.folder, name)]
        if source:
            command += ["--source", f"tree={source}"]
        return self.add(name, command, prefix=prefix)

    def add_router(self):
        self.router = self.add("router", ["router", "--listen", "127.0.0.1:0", "--coordinator", self.urls()])

    def operate(self, *command):
        """What an operator's command says, as JSON. What it costs is counted."""
        command = [setup.SHARDEX, *command, "--json", "--coordinator", self.urls()]
        measured = measure.run(command)
        self.operator_cpu += measured["cpu"]
        return json.loads(measured["output"])

    def job(self, number=1):
        return self.operate("job", "show", str(number))

    def ask(self, statement):
        """Rows of a statement by the router, or None if it does not answer."""
        command = [setup.SHARDEX, "sql", statement, "--router", self.router.url, "--format", "csv"]
        answer = subprocess.run(command, capture_output=True, text=True)
        return answer.stdout.splitlines()[1:] if answer.returncode == 0 else None

    def ingest(self, *options):
        """Submits a job and watches it to its end, as an operator does; the job, with `seconds`."""
        command = ["job", "submit", "tree", "--watch", *options, "--coordinator", self.urls()]
        watched = measure.run([setup.SHARDEX, *command])
        self.operator_cpu += watched["cpu"]
        job = self.job()
        if job["state"] != "complete":
            raise measure.Failed(f"the job ended {job['state']}: {job['dead']}")
        return job | {"seconds": (job["ended_ns"] - job["began_ns"]) / 1e9}

    def stored_bytes(self):
        stores = [role.name for role in self.roles if "--store" in role.command]
        return sum(measure.size_of(os.path.join(self.folder, name)) for name in stores)


# What of its history etcd keeps, and how much space it may take: as in deploy/.
KEEPING = {"--auto-compaction-mode": "periodic", "--auto-compaction-retention": "1m",
           "--quota-backend-bytes": str(256 << 20)}


class Etcd:
    """Members of etcd, and what they say of themselves."""

    def __init__(self, folder, members):
        shutil.rmtree(folder, ignore_errors=True)
        ports = [free_port() for _ in range(members * 2)]
        peers = [f"http://127.0.0.1:{port}" for port in ports[members:]]
        self.urls = [f"http://127.0.0.1:{port}" for port in ports[:members]]
        together = ",".join(f"m{number}={peer}" for number, peer in enumerate(peers))
        self.children = []
        for number, (url, peer) in enumerate(zip(self.urls, peers)):
            options = {"--name": f"m{number}", "--data-dir": os.path.join(folder, f"m{number}"),
                       "--listen-client-urls": url, "--advertise-client-urls": url, "--listen-peer-urls": peer,
                       "--initial-advertise-peer-urls": peer, "--initial-cluster": together, **KEEPING}
            command = ["etcd", "--log-level", "error", *(part for option in options.items() for part in option)]
            self.children.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        until = time.monotonic() + PATIENCE
        while not self.is_healthy():
            if time.monotonic() > until:
                self.end()
                raise measure.Failed("etcd does not start")
            time.sleep(0.1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def is_healthy(self):
        try:
            return all(json.loads(fetch(f"{url}/health"))["health"] == "true" for url in self.urls)
        except (OSError, ValueError):
            return False

    def end(self):
        for child in self.children:
            child.kill()
            child.wait()

    def cpu(self):
        return sum(cpu_of(child.pid) for child in self.children)

    def metrics(self):
        """What the first member counts: name -> value, summed over labels."""
        found = {}
        for line in fetch(f"{self.urls[0]}/metrics").splitlines():
            if not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                name = name.split("{", 1)[0]
                found[name] = found.get(name, 0.0) + float(value)
        return found

    def sizes(self):
        """Bytes of each key's value."""
        everything = json.dumps({"key": "AA==", "range_end": "AA=="}).encode()
        answer = json.loads(fetch(f"{self.urls[0]}/v3/kv/range", everything))
        return {pair["key"]: len(pair.get("value", "")) * 3 // 4 for pair in answer.get("kvs", [])}


def fetch(url, data=None):
    with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=10) as answer:
        return answer.read().decode()


def free_port():
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return any_port.getsockname()[1]


def cpu_of(pid):
    """User and system seconds of a process that runs."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_mib(pid):
    """Largest resident set so far of a process that runs."""
    with open(f"/proc/{pid}/status") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024

def wait_for(what, is_so, longest=120):
    """Waits until something is so; gives what it is, and the seconds that it took."""
    begin = time.monotonic()
    while not (found := is_so()):
        if time.monotonic() - begin > longest:
            raise measure.Failed(f"waited too long until {what}")
        time.sleep(0.05)
    return found, time.monotonic() - begin
