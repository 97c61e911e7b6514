"""A source whose every open waits (bench/peers/slow-open), and how reading it grows with the workers."""
import os
import shutil

from . import measure, setup
from .measure import say
from .processes import Cluster

DELAY_MS, READERS = 5, 4
FILES_A_WORKER = 20_000
WORKERS = (1, 2, 4, 8)


def source(contest, name):
    """What a worker is run by whose every open waits, and the file in which opens are counted."""
    log = contest.path(f"opens-{name}")
    if os.path.exists(log):
        os.remove(log)
    return [setup.slow_open(contest.work), str(DELAY_MS), log], log


def workers(contest):
    """1, 2, 4, 8 workers on a source whose every open waits, as many files a worker each time."""
    runs = contest.runs["workers"] = {}
    for count in WORKERS:
        files = FILES_A_WORKER * count
        tree = setup.tree(contest.work, files)
        measure.run([os.path.join(setup.RELEASE, "bench-floor"), tree, "read", "2"])
        logs = []
        with Cluster(contest.path("cluster")) as cluster:
            cluster.add_coordinator()
            for number in range(count):
                prefix, log = source(contest, number)
                logs.append(log)
                cluster.add_worker(f"w{number}", source=tree, prefix=prefix)
            job = cluster.ingest("--readers", str(READERS))
        if job["totals"]["files"] != files:
            raise measure.Failed(f"{count} workers saw {job['totals']['files']} files of {files}")
        busy, rate, waiting = while_all_read([opens(log) for log in logs], files)
        cpu = cluster.operator_cpu + sum(role.cost["cpu"] for role in cluster.roles)
        runs[str(count)] = {"files": files, "wall": job["seconds"], "rate": files / job["seconds"], "busy_seconds": busy,
                            "busy_rate": rate, "waiting": waiting, "cores": cpu / job["seconds"]}
        say(f"workers: {count}: {files / job['seconds']:,.0f} files/s, {rate:,.0f} while all read ({busy:.0f} s, "
            f"{waiting:.1f} opens wait), {cpu / job['seconds']:.2f} cores")
    shutil.rmtree(contest.path("cluster"), ignore_errors=True)


def opens(log):
    """(moment, opens until then, opens that wait) of a worker."""
    with open(log) as lines:
        return [tuple(float(part) for part in line.split()) for line in lines if line.endswith("\n")]


def while_all_read(logs, files):
    """Seconds, opens a second and opens that waited, from the moment at which each worker has opened a file until 90 %
    of all are opened."""
    begin = max(next(moment for moment, count, _ in log if count > 0) for log in logs)
    end = min(log[-1][0] for log in logs)
    at = lambda log, moment: next(sample for sample in log if sample[0] >= moment)  # noqa: E731
    moment, before = begin, sum(at(log, begin)[1] for log in logs)
    so_far, waited, samples = before, 0.0, 0
    while moment < end and so_far < files * 0.9:
        moment += 0.1
        seen = [at(log, min(moment, end)) for log in logs]
        so_far, samples = sum(sample[1] for sample in seen), samples + 1
        waited += sum(sample[2] for sample in seen)
    if samples == 0:
        raise measure.Failed("the workers never read at the same time")
    return moment - begin, (so_far - before) / (moment - begin), waited / samples
