"""One long run: memory, and whether the last files cost more than the first."""
import json
import os
import shutil
import subprocess
import threading
import time

from . import measure, setup

TICKS = os.sysconf("SC_CLK_TCK")


def run(contest, files, keep_tree):
    """Ingests `files` files, noting after each second what was read and used until then."""
    tree = setup.tree(contest.work, files)
    archive = contest.fresh("archive")
    command = [setup.SHARDEX, "ingest", tree, "--archive", archive, "--json"]
    begin = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    counter = {"cpu": 0.0}
    threading.Thread(target=watch_counter, args=(child.pid, counter), daemon=True).start()
    samples = []
    for line in child.stderr:
        try:
            progress = json.loads(line)
        except ValueError:
            continue
        # The thread that counts files ahead works for the progress line only, and at the beginning only.
        samples.append((progress["files"], progress["cpu_seconds"] - counter["cpu"]))
    summary = measure.last_json(child.stdout.read())
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise measure.Failed(f"shardex ended with {child.returncode}")
    measured = {"cpu": usage.ru_utime + usage.ru_stime - counter["cpu"], "wall": time.monotonic() - begin,
                "rss": usage.ru_maxrss / 1024}
    samples = [(0, 0.0), *samples, (files, measured["cpu"])]
    first = at(samples, files * 0.1) / (files * 0.1)
    last = (measured["cpu"] - at(samples, files * 0.9)) / (files * 0.1)
    contest.keep("growth", "shardex", files, measured, seen=summary["files"], archive_bytes=measure.size_of(archive),
                 first_tenth=first, last_tenth=last, samples=len(samples))
    if not keep_tree:
        shutil.rmtree(tree)


def at(samples, files):
    """CPU seconds when so many files had been read, between the samples around."""
    for (before, low), (after, high) in zip(samples, samples[1:]):
        if before <= files <= after and after > before:
            return low + (high - low) * (files - before) / (after - before)
    return samples[-1][1]


def watch_counter(process, counter):
    """Notes the CPU time of the thread `counter` while it lives."""
    tasks = f"/proc/{process}/task"
    while True:
        try:
            for task in os.listdir(tasks):
                with open(f"{tasks}/{task}/stat") as stat:
                    head, _, rest = stat.read().rpartition(")")
                if head.endswith("(counter"):
                    fields = rest.split()
                    counter["cpu"] = (int(fields[11]) + int(fields[12])) / TICKS
        except FileNotFoundError:
            if not os.path.isdir(tasks):
                return
        except (OSError, ValueError):
            return
        time.sleep(0.02)
