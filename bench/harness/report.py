"""bench/RESULTS.md, from the runs that bench/results.json keeps."""
import statistics

from . import clusters, targets

median = statistics.median


def spread(values, form="{:.1f}"):
    values = sorted(values)
    middle = form.format(median(values))
    if len(values) == 1:
        return middle
    return f"{middle} ({form.format(values[0])}–{form.format(values[-1])})"


def page(kept):
    runs = kept["runs"]
    lines = [
        "# Results",
        "",
        "Written by `make bench`; the single runs are in [results.json](results.json). CPU is user + system of all threads "
        "and processes; medians, with lowest and highest where there are several runs. Trees are made by "
        "`bench/generator` (seed 1), with 512 bytes of pixel data a file.",
        "",
    ]
    for title, section in kept["sections"].items():
        lines.append(f"- {title}: {section['when']}, `{section['command']}`, {section['machine']}, load before the run "
                     f"{section['load']:.1f}; {section['versions']}")
    lines += ["", "## Targets", "", *targets.table(runs), ""]
    for section, title in {
        "hot": "Headers of 2-6 KB, nested folders, page cache hot",
        "flat": "One folder with all files",
        "single": "A folder for each file",
        "large headers": "20 % of the files with headers of 80-200 KB",
        "cold": "Page cache dropped before each run",
        "growth": "A long run",
        "cluster": "The same tree embedded, and by a coordinator, one worker that reads and owns, and an operator",
    }.items():
        if section in runs:
            lines += [f"## {title}", "", *contest_table(runs[section]), ""]
    if "hot" in runs:
        lines += ["The script is run on the first files of the same tree, because it is slow; its indexes are smaller then, "
                  "which favours it. With 2 processes two read and a third writes the rows.", ""]
    if "growth" in runs:
        run = runs["growth"]["shardex"][-1]
        lines += [f"CPU a file over the first tenth {run['first_tenth'] * 1e6:.1f} µs, over the last tenth, with the end "
                  f"of the run, {run['last_tenth'] * 1e6:.1f} µs (from {run['samples']} samples).", ""]
    if runs.get("queries"):
        lines += queries(runs)
    lines += clusters.page(runs)
    return "\n".join(lines).rstrip() + "\n"


def contest_table(contestants):
    lines = ["| contestant | files | CPU µs a file | wall µs a file | files/s | peak MiB | bytes a file |",
             "|---|---:|---:|---:|---:|---:|---:|"]
    for name, of in contestants.items():
        files = of[-1]["files"]
        cpu = spread([run["cpu"] / run["files"] * 1e6 for run in of])
        walls = [run["wall"] / run["files"] * 1e6 for run in of]
        stored = of[-1].get("archive_bytes")
        size = f"{stored / files:.0f}" if stored else "–"
        lines.append(f"| {name} | {files:,} | {cpu} | {spread(walls)} | {1e6 / median(walls):,.0f} | "
                     f"{max(run['rss'] for run in of):.0f} | {size} |")
    return lines


def queries(runs):
    lines = ["## Questions", "", "Whole runs of the command, milliseconds of wall time; the archives hold the same rows, the "
             "first in one SQLite file. Ratios are to that one.", "",
             "| question | rows | 1 shard | 12 shards | 60 shards | ratio 12 | ratio 60 | same answer |",
             "|---|---:|---:|---:|---:|---:|---:|---|"]
    for name, of in runs["queries"].items():
        walls = {shards: [run[1] * 1e3 for run in of[shards]] for shards in ("1", "12", "60")}
        middle = {shards: median(of_shards) for shards, of_shards in walls.items()}
        cells = " | ".join(spread(walls[shards]) for shards in walls)
        lines.append(f"| {name} | {of['rows']:,} | {cells} | {middle['12'] / middle['1']:.2f} | "
                     f"{middle['60'] / middle['1']:.2f} | {'yes' if of['same_answer'] else 'NO'} |")
    lines += ["", "Start of the command on 240 shards:", "", "| command | wall ms | CPU ms |", "|---|---:|---:|"]
    for name, of in runs.get("start-up", {}).items():
        lines.append(f"| {name} | {spread([run[1] * 1e3 for run in of])} | {spread([run[0] * 1e3 for run in of])} |")
    lines += ["", "All instances to CSV:", "", "| shards | rows | wall s | CPU s | peak MiB |", "|---:|---:|---:|---:|---:|"]
    for shards, of in runs.get("stream", {}).items():
        lines.append(f"| {shards} | {of['rows']:,} | {of['wall']:.1f} | {of['cpu']:.1f} | {of['rss']:.0f} |")
    return lines + [""]
