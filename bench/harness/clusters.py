"""The cluster's part of bench/RESULTS.md."""
import statistics

median = statistics.median


def page(runs):
    lines = []
    for name, part in {"cluster": overhead, "workers": workers, "takeover": takeover, "coordination": coordination,
                       "shapes": shapes, "syncs": syncs}.items():
        if runs.get(name):
            lines += [*part(runs[name]), ""]
    if loads := runs.get("cluster loads"):
        lines += ["Load before each part of the cluster section: "
                  + ", ".join(f"{name} {load:.1f}" for name, load in loads.items()) + ".", ""]
    for name, why in runs.get("cluster failures", {}).items():
        lines += [f"The part {name} of the cluster failed: {why}", ""]
    return lines


def overhead(runs):
    of = runs["coordinator and one worker"]
    each = {who: median(run[f"{who}_cpu"] / run["files"] * 1e6 for run in of) for who in ("worker", "coordinator", "operator")}
    return ["Of the cluster's CPU a file: " + ", ".join(f"{who} {cost:.1f} µs" for who, cost in each.items())
            + f". The coordinator's peak is {max(run['coordinator_rss'] for run in of):.0f} MiB."]


def workers(runs):
    lines = ["## Workers on a slow source", "",
             "Every open of a file waits 5 ms (`bench/peers/slow-open`), 4 readers a worker, 20,000 files a worker; each "
             "worker owns shards, too. *While all read*: from the moment at which each worker has opened a file until 90 % "
             "of all are opened. *Whole job*: with the time until work is spread, and its end.", "",
             "| workers | files | files/s while all read | of linear | opens that wait | whole job, s | files/s | of linear | "
             "cores used |", "|---:|---:|---:|---:|---:|---:|---:|---:|---:|"]
    one = runs["1"]
    for count, of in runs.items():
        share = lambda key: of[key] / one[key] / int(count) * 100  # noqa: E731
        lines.append(f"| {count} | {of['files']:,} | {of['busy_rate']:,.0f} | {share('busy_rate'):.0f} % | "
                     f"{of['waiting']:.1f} | {of['wall']:.1f} | {of['rate']:,.0f} | {share('rate'):.0f} % | "
                     f"{of['cores']:.2f} |")
    return lines


def takeover(runs):
    lines = ["## Takeover", "",
             "Seconds after `kill -9`, with the default leases (15 s, reports every 2.5 s), an etcd of three members and two "
             "coordinators; medians, with lowest and highest.", "", "| what | s |", "|---|---:|"]
    for what, times in runs.items():
        lines.append(f"| {what} | {median(times):.1f} ({min(times):.1f}–{max(times):.1f}) |")
    return lines


def coordination(of):
    million = of["files"] / 1e6
    lines = ["## A thousand workers", "",
             f"{of['workers']:,} simulated workers, of which 20 own {of['shards']} shards, over {of['directories']:,} "
             f"directories and {of['files']:,} files that exist in memory only; each looks at 10 directories with 100 files "
             "each a second. Coordinator and etcd (one member) are real, all on this machine.", "",
             "| what | in all | a million files |", "|---|---:|---:|"]
    for name, key in (("coordinator, CPU s", "coordinator_cpu"), ("etcd, CPU s", "etcd_cpu"), ("etcd, puts", "puts"),
                      ("etcd, transactions", "transactions"), ("etcd, proposals committed", "proposals"),
                      ("reports answered", "reports"), ("units given", "grants"), ("splits", "splits")):
        lines.append(f"| {name} | {of[key]:,.1f} | {of[key] / million:,.2f} |" if "CPU" in name else
                     f"| {name} | {of[key]:,.0f} | {of[key] / million:,.1f} |")
    return [*lines, "",
            f"The job took {of['seconds']:.0f} s; 95 % of the workers were busy after {of['all_busy_after']:.0f} s. A report "
            f"was answered within {of['report_ms_median']:.1f} ms (median), {of['report_ms_99']:.0f} ms (99 %). At most "
            f"{of['units_max']:,} units at once, {of['exclusions_max']} exclusions in one. State in etcd: at most "
            f"{of['state_bytes_max'] / 1024:,.0f} KiB in {of['keys_max']:.0f} keys, the largest value "
            f"{of['value_bytes_max'] / 1024:,.0f} KiB, {of['state_bytes_end'] / 1024:,.0f} KiB at the end; etcd received "
            f"{of['received_bytes'] / 2**20:,.0f} MiB, its database was {of['database_bytes'] / 2**20:,.0f} MiB with all "
            f"revisions. Peak of the coordinator {of['coordinator_rss']:.0f} MiB."]


def shapes(runs):
    lines = ["## Unusual trees", "",
             "The names in one directory are text files of 16 bytes, no DICOM; the chain has a small DICOM file a directory. "
             "Each embedded, and by a coordinator and one worker that reads and owns.", "",
             "| tree | files | embedded: s | CPU s | peak MiB | cluster: s | worker CPU s | worker peak MiB | coordinator peak "
             "MiB |", "|---|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for name, of in runs.items():
        embedded, worker = of["embedded"], of["worker"]
        lines.append(f"| {name} | {of['files']:,} | {embedded['wall']:.1f} | {embedded['cpu']:.1f} | {embedded['rss']:.0f} | "
                     f"{worker['wall']:.1f} | {worker['cpu']:.1f} | {worker['rss']:.0f} | {of['coordinator']['rss']:.0f} |")
    return lines


def syncs(runs):
    lines = ["## Syncs", "",
             "fsync and fdatasync calls (strace) of `shardex ingest --partition date:month` of small files, each of another "
             "month than the one before, so that all shards are open from the beginning.", "",
             "| pace | files | shards | calls | s | calls a second |", "|---|---:|---:|---:|---:|---:|"]
    for name, of in runs.items():
        lines.append(f"| {name} | {of['files']:,} | {of['shards']} | {of['calls']:,} | {of['wall']:.1f} | "
                     f"{of['calls'] / of['wall']:.0f} |")
    return lines
