"""What a thousand workers cost the coordinator and its etcd; the workers are simulated (bench/simulator)."""
import os
import shutil
import threading

from . import measure, setup
from .measure import say
from .processes import Cluster, Etcd, cpu_of, peak_mib

WORKERS, SHARDS = 1000, 240
# Sub-directories a level: 1,010,101 directories, of which a million hold files.
FAN, FILES_A_DIRECTORY = "100,100,100", 100
# Directories a second that a worker looks at.
SPEED = 10

COUNTED = {
    "puts": ("etcd_mvcc_put_total", "etcd_debugging_mvcc_put_total"),
    "transactions": ("etcd_mvcc_txn_total", "etcd_debugging_mvcc_txn_total"),
    "proposals": ("etcd_server_proposals_committed_total",),
    "received_bytes": ("etcd_network_client_grpc_received_bytes_total",),
}


def run(contest):
    with Etcd(contest.path("etcd"), 1) as etcd, Cluster(contest.path("cluster")) as cluster:
        coordinator = cluster.add_coordinator("--etcd", etcd.urls[0], "--partition", "date:month")
        stop, sizes = threading.Event(), []
        sampler = threading.Thread(target=sample, args=(etcd, stop, sizes), daemon=True)
        sampler.start()
        before = figures(etcd, coordinator)
        command = [os.path.join(setup.RELEASE, "bench-simulator"), cluster.urls(), "--workers", str(WORKERS), "--shards",
                   str(SHARDS), "--fan", FAN, "--files", str(FILES_A_DIRECTORY), "--speed", str(SPEED)]
        simulated = measure.run(command)
        after = figures(etcd, coordinator)
        stop.set()
        sampler.join()
        sizes.append(etcd.sizes())
        database = etcd.metrics().get("etcd_mvcc_db_total_size_in_bytes")
        rss = peak_mib(coordinator.pid())
    said = measure.last_json(simulated["output"])
    if said["state"] != "complete" or said["files"] != said["files_expected"]:
        raise measure.Failed(f"the simulated job ended {said['state']} with {said['files']} files: {said['failure']}")
    contest.runs["coordination"] = said | {key: after[key] - before[key] for key in after} | {
        "coordinator_rss": rss, "simulator_cpu": simulated["cpu"], "database_bytes": database,
        "state_bytes_max": max(sum(size.values()) for size in sizes),
        "value_bytes_max": max(max(size.values(), default=0) for size in sizes),
        "state_bytes_end": sum(sizes[-1].values()), "keys_max": max(len(size) for size in sizes),
    }
    of = contest.runs["coordination"]
    say(f"coordination: {of['seconds']:.0f} s, coordinator {of['coordinator_cpu']:.1f} s CPU and {rss:.0f} MiB, "
        f"{of['puts']:,.0f} puts, state at most {of['state_bytes_max'] / 1024:.0f} KiB")
    for folder in ("cluster", "etcd"):
        shutil.rmtree(contest.path(folder), ignore_errors=True)


def figures(etcd, coordinator):
    counted = etcd.metrics()
    found = {name: next((counted[key] for key in keys if key in counted), 0.0) for name, keys in COUNTED.items()}
    return found | {"coordinator_cpu": cpu_of(coordinator.pid()), "etcd_cpu": etcd.cpu()}


def sample(etcd, stop, sizes):
    """Notes the sizes of all values every few seconds; that costs etcd a read, and the coordinator nothing."""
    while not stop.wait(3):
        try:
            sizes.append(etcd.sizes())
        except OSError:
            continue
