"""What a cluster costs on one machine, and how unusual trees and many shards are taken."""
import os
import shutil
import time

from . import coordination, measure, setup, slow, takeover, trees
from .measure import say
from .processes import Cluster


def run(contest, files, rounds, parts_asked=None):
    """Each part stands for itself: what fails is noted, and the others go on."""
    parts = {
        "overhead": lambda: overhead(contest, files, rounds),
        "workers": lambda: slow.workers(contest),
        "takeover": lambda: takeover.run(contest, files, rounds),
        "coordination": lambda: coordination.run(contest),
        "shapes": lambda: shapes(contest),
        "syncs": lambda: syncs(contest),
    }
    for name in parts_asked or parts:
        begin = time.monotonic()
        contest.runs.setdefault("cluster loads", {})[name] = os.getloadavg()[0]
        try:
            parts[name]()
        except measure.Failed as why:
            say(f"cluster, {name} failed: {why}")
            contest.runs.setdefault("cluster failures", {})[name] = str(why)
        say(f"cluster, {name}: {time.monotonic() - begin:.0f} s in all")


def overhead(contest, files, rounds):
    """The same tree by `shardex ingest`, and by a coordinator, one worker that reads and owns, and an operator."""
    tree = setup.tree(contest.work, files)
    for _ in range(rounds):
        contest.shardex("cluster", "embedded", tree, files)
        measure.warm(tree)
        with Cluster(contest.path("cluster")) as cluster:
            coordinator = cluster.add_coordinator()
            worker = cluster.add_worker("w0", source=tree)
            job = cluster.ingest()
        measured = {"cpu": cluster.operator_cpu + coordinator.cost["cpu"] + worker.cost["cpu"], "wall": job["seconds"],
                    "rss": worker.cost["rss"]}
        contest.keep("cluster", "coordinator and one worker", files, measured, seen=job["totals"]["files"],
                     archive_bytes=cluster.stored_bytes(), coordinator_cpu=coordinator.cost["cpu"],
                     worker_cpu=worker.cost["cpu"], operator_cpu=cluster.operator_cpu,
                     coordinator_rss=coordinator.cost["rss"])
    shutil.rmtree(contest.path("cluster"), ignore_errors=True)


def shapes(contest):
    """A directory of a million names and a chain of 500 directories, embedded and by one worker."""
    runs = contest.runs["shapes"] = {}
    for name, tree, files in (
        (f"{trees.FLAT_NAMES:,} names in one directory", trees.flat(contest.work), trees.FLAT_NAMES),
        (f"a chain of {trees.DEPTH} directories", trees.chain(contest.work), trees.DEPTH),
    ):
        command = [setup.SHARDEX, "ingest", tree, "--archive", contest.fresh("archive"), "--json", "--quiet"]
        measured = measure.run(command)
        embedded = {key: measured[key] for key in ("cpu", "wall", "rss")}
        with Cluster(contest.path("cluster")) as cluster:
            coordinator = cluster.add_coordinator()
            worker = cluster.add_worker("w0", source=tree)
            job = cluster.ingest()
        seen = (measure.last_json(measured["output"])["files"], job["totals"]["files"])
        if seen != (files, files):
            raise measure.Failed(f"{name}: {seen} files of {files} were seen")
        runs[name] = {"files": files, "embedded": embedded, "worker": worker.cost | {"wall": job["seconds"]},
                      "coordinator": coordinator.cost}
        say(f"{name}: embedded {embedded['rss']:.0f} MiB, {embedded['wall']:.1f} s; worker {worker.cost['rss']:.0f} MiB, "
            f"coordinator {coordinator.cost['rss']:.0f} MiB, {job['seconds']:.1f} s")
    for folder in ("cluster", "archive"):
        shutil.rmtree(contest.path(folder), ignore_errors=True)


def syncs(contest):
    """fsync and fdatasync calls of an ingest into 240 shards: at full speed, and where every open waits, so that all
    shards stay open through many barriers."""
    runs = contest.runs["syncs"] = {}
    tree, files = trees.months(contest.work), trees.MONTHS * trees.A_MONTH
    paced, _ = slow.source(contest, "paced")
    counted = contest.path("syncs")
    for name, prefix, options in (("full speed", [], []), (f"{slow.READERS} readers, every open waits {slow.DELAY_MS} ms", paced,
                                                          ["--readers", str(slow.READERS)])):
        strace = ["strace", "--follow-forks", "--seccomp-bpf", "--summary-only", "--trace=fsync,fdatasync", "--output",
                  counted]
        archive = contest.fresh("archive")
        ingest = [setup.SHARDEX, "ingest", tree, "--archive", archive, "--partition", "date:month", "--json", "--quiet"]
        measured = measure.run([*prefix, *strace, *ingest, *options])
        summary = measure.last_json(measured["output"])
        shards = len(shards_of(archive))
        if (summary["files"], shards) != (files, trees.MONTHS):
            raise measure.Failed(f"{summary['files']} files in {shards} shards, not {files} in {trees.MONTHS}")
        with open(counted) as table:
            calls = sum(int(line.split()[3]) for line in table if line.split()[-1:] in (["fsync"], ["fdatasync"]))
        runs[name] = {"files": files, "shards": shards, "calls": calls, "wall": measured["wall"]}
        say(f"syncs, {name}: {calls:,} in {measured['wall']:.1f} s")
    shutil.rmtree(contest.path("archive"), ignore_errors=True)


def shards_of(archive):
    below = os.walk(os.path.join(archive, "shards"))
    return [name for _, _, names in below for name in names if name.endswith(".sqlite")]
