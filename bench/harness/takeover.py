"""Time from kill -9 until others have taken over, with the leases that are the default."""
import shutil
import signal
import time

from . import measure, setup, slow
from .measure import say
from .processes import Cluster, Etcd, wait_for

MEMBERS = 3
# Few, so that the job outlasts all kills.
READERS = 1
COUNT = "SELECT count(*) FROM instances"


class Readers:
    """Three workers that read a slow source; two may at once, the third waits."""

    def __init__(self, contest, cluster, tree):
        self.logs = {}
        self.roles = {}
        for number in range(3):
            prefix, log = slow.source(contest, f"takeover-{number}")
            name = f"reader-{number}"
            self.logs[name] = log
            self.roles[name] = cluster.add_worker(name, source=tree, owns=False, prefix=prefix)

    def opens(self, name):
        samples = slow.opens(self.logs[name])
        return samples[-1][1] if samples else 0

    def holding(self, cluster):
        """Readers with a walk, once two of them have one and the third has none."""
        units = cluster.job()["units"]
        holders = {unit["worker"] for unit in units if unit["kind"] == "walk" and unit["worker"] in self.roles}
        return sorted(holders) if len(holders) == 2 else None


def run(contest, files, rounds):
    tree = setup.tree(contest.work, files)
    times = contest.runs["takeover"] = {}
    note = lambda what, seconds: times.setdefault(what, []).append(seconds)  # noqa: E731
    with Etcd(contest.path("etcd"), MEMBERS) as etcd, Cluster(contest.path("cluster")) as cluster:
        for _ in range(2):
            cluster.add_coordinator("--etcd", ",".join(etcd.urls))
        owner = cluster.add_worker("owner")
        readers = Readers(contest, cluster, tree)
        cluster.add_router()
        cluster.operate("job", "submit", "tree", "--readers", str(READERS), "--workers-max", "2")
        for _ in range(rounds):
            kill_worker(cluster, readers, note)
            kill_owner(cluster, owner, readers, note)
            kill_leader(cluster, note)
        cluster.operate("job", "cancel", "1")
    for what, seconds in times.items():
        say(f"takeover: {what}: {', '.join(f'{took:.1f}' for took in seconds)} s")
    for folder in ("cluster", "etcd"):
        shutil.rmtree(contest.path(folder), ignore_errors=True)


def kill_worker(cluster, readers, note):
    """Until another reads files of the unit that the killed one held."""
    holders, _ = wait_for("two workers read", lambda: readers.holding(cluster))
    wait_for("they do", lambda: all(readers.opens(name) > 0 for name in holders))
    (standby,) = set(readers.roles) - set(holders)
    killed, before = readers.roles[holders[0]], readers.opens(standby)
    killed.end(signal.SIGKILL)
    _, took = wait_for("another one reads", lambda: readers.opens(standby) > before)
    note("worker: another reads its unit", took)
    killed.restart()


def kill_owner(cluster, owner, readers, note):
    """Until queries answer again, and until the index grows again; the owner is started again at once."""
    wait_for("two workers read", lambda: readers.holding(cluster))
    wait_for("rows are there", lambda: int((cluster.ask(COUNT) or ["0"])[0]) > 0)
    begin = time.monotonic()
    owner.end(signal.SIGKILL)
    owner.restart()
    rows, _ = wait_for("queries answer", lambda: cluster.ask(COUNT))
    note("owner, started again: queries answer", time.monotonic() - begin)
    wait_for("the index grows", lambda: int((cluster.ask(COUNT) or ["0"])[0]) > int(rows[0]))
    note("owner, started again: the index grows", time.monotonic() - begin)


def kill_leader(cluster, note):
    """Until the other coordinator takes orders and has heard all workers."""
    leader = next(role for role in cluster.coordinators if leads(role))
    begin = time.monotonic()
    leader.end(signal.SIGKILL)
    wait_for("another one leads", lambda: answered(cluster, "job", "show", "1"))
    note("leader: another takes orders", time.monotonic() - begin)
    wait_for("it has heard all", lambda: has_heard_all(answered(cluster, "workers", "list")))
    note("leader: another has heard all workers", time.monotonic() - begin)
    leader.restart()


def leads(coordinator):
    command = [setup.SHARDEX, "job", "list", "--json", "--coordinator", coordinator.url]
    try:
        return bool(measure.run(command))
    except measure.Failed:
        return False


def answered(cluster, *command):
    try:
        return cluster.operate(*command)
    except measure.Failed:
        return None


def has_heard_all(workers):
    return workers is not None and all(worker["state"] == "alive" for worker in workers)
