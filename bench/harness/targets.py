"""What is to be reached, and whether it is."""
import statistics

SCRIPT, SCRIPT_2 = "pydicom script, 1 process", "pydicom script, 2 processes"
FLOOR = "floor: walk, open, fstat, read 8 KB, close"


class Figures:
    """Medians of the kept runs; None where a contestant was not run."""

    def __init__(self, runs):
        self.runs = runs

    def a_file(self, section, name, what="cpu"):
        of = self.runs.get(section, {}).get(name)
        return statistics.median(run[what] / run["files"] for run in of) if of else None

    def ratio(self, above, below, what="cpu", section="hot"):
        above, below = self.a_file(section, above, what), self.a_file(section, below, what)
        return above / below if above and below else None

    def peak(self, section):
        of = self.runs.get(section, {}).get("shardex")
        return max(run["rss"] for run in of) if of else None

    def last(self, section, key):
        of = self.runs.get(section, {}).get("shardex")
        return of[-1].get(key) if of else None

    def bytes_a_file(self, section):
        stored = self.last(section, "archive_bytes")
        return stored / self.last(section, "files") if stored else None

    def growth(self):
        first, last = self.last("growth", "first_tenth"), self.last("growth", "last_tenth")
        return last / first if first and last else None

    def query_ms(self, beginning, shards):
        times = [statistics.median(run[1] for run in of[str(shards)]) * 1e3
                 for name, of in self.runs.get("queries", {}).items() if name.startswith(beginning)]
        return max(times) if times else None

    def start_ms(self, name):
        of = self.runs.get("start-up", {}).get(name)
        return statistics.median(run[1] for run in of) * 1e3 if of else None

    def stream_mib(self):
        return max((of["rss"] for of in self.runs.get("stream", {}).values()), default=None)

    def linear(self, workers):
        """Files a second of so many workers against so many times those of one, while all read."""
        of = self.runs.get("workers", {})
        one, many = of.get("1"), of.get(str(workers))
        return many["busy_rate"] / (one["busy_rate"] * workers) if one and many else None

    def takeover(self, beginning):
        times = [statistics.median(took) for what, took in self.runs.get("takeover", {}).items()
                 if what.startswith(beginning)]
        return max(times) if times else None

    def state_bytes(self):
        """Bytes in etcd for each worker, shard and job."""
        found = self.runs.get("coordination")
        return found["state_bytes_max"] / (found["workers"] + found["shards"] + 1) if found else None

    def value_mib(self):
        found = self.runs.get("coordination")
        return found["value_bytes_max"] / 2**20 if found else None

    def shape_mib(self, beginning):
        return max((of[who]["rss"] for name, of in self.runs.get("shapes", {}).items() if beginning in name
                    for who in ("embedded", "worker", "coordinator")), default=None)

    def same_answers(self):
        asked = self.runs.get("queries", {})
        return sum(not of["same_answer"] for of in asked.values()) if asked else None


def rows(runs):
    """(what, measured, at least or at most, target, stretch, unit)"""
    of = Figures(runs)
    second = of.a_file("hot", "shardex, second run")
    files = of.last("hot", "files")
    many = of.last("growth", "files")
    return [
        ("CPU of the pydicom script / shardex", of.ratio(SCRIPT, "shardex"), ">=", 80, 110, "x"),
        ("CPU of the GDCM scanner / shardex", of.ratio("GDCM scanner, parse only", "shardex"), ">=", 4, 6, "x"),
        ("CPU of dicomtocsv / shardex", of.ratio("dicomtocsv, parse only", "shardex"), ">=", 2, 3, "x"),
        ("CPU of dicom-object with the same store / shardex", of.ratio("dicom-object, same store", "shardex"), ">=", 4,
         None, "x"),
        ("CPU of shardex / the floor", of.ratio("shardex", FLOOR), "<=", 4, 3, "x"),
        ("wall of the script with 2 processes / shardex", of.ratio(SCRIPT_2, "shardex", "wall"), ">=", 50, None, "x"),
        ("wall of shardex on 1 core / on all", of.ratio("shardex, 1 core", "shardex", "wall"), ">=", 1.6, None, "x"),
        ("second run, files/s a core (1 / CPU a file)", 1 / second if second else None, ">=", 150_000, 300_000, ""),
        (f"bytes of archive a file, {files or 0:,} files", of.bytes_a_file("hot"), "<=", 350, 280, ""),
        (f"bytes of archive a file, {many or 0:,} files", of.bytes_a_file("growth"), "<=", 350, 280, ""),
        (f"peak memory, MiB, {files or 0:,} files", of.peak("hot"), "<=", 200, None, ""),
        ("peak memory, MiB, a folder for each file", of.peak("single"), "<=", 200, None, ""),
        ("peak memory, MiB, one folder with all files", of.peak("flat"), "<=", 200, None, ""),
        ("peak memory, MiB, headers of 80-200 KB", of.peak("large headers"), "<=", 200, None, ""),
        (f"peak memory, MiB, {many or 0:,} files", of.peak("growth"), "<=", 200, None, ""),
        (f"CPU a file, last tenth / first tenth of {many or 0:,}", of.growth(), "<=", 1.2, None, "x"),
        ("cold cache: files/s of the default / of 1 reader",
         of.ratio("shardex, 1 reader", "shardex, default", "wall", "cold"), ">=", 2, None, "x"),
        ("cold cache: files/s of 8 readers / of 1 reader",
         of.ratio("shardex, 1 reader", "shardex, 8 readers", "wall", "cold"), ">=", 2, None, "x"),
        ("slowest cohort of 3,000, 12 shards, ms", of.query_ms("cohort", 12), "<=", 2000, None, ""),
        ("slowest cohort of 3,000, 60 shards, ms", of.query_ms("cohort", 60), "<=", 2000, None, ""),
        ("start-up on 240 shards, SELECT 1, ms", of.start_ms("SELECT 1"), "<=", 50, None, ""),
        ("start-up on 240 shards, a patient nobody knows, ms", of.start_ms("a patient nobody knows"), "<=", 50, None, ""),
        ("peak memory while all rows stream to CSV, MiB", of.stream_mib(), "<=", 200, None, ""),
        ("questions whose answers differ between 1, 12 and 60 shards", of.same_answers(), "<=", 0, None, ""),
        *cluster_rows(of),
    ]


def cluster_rows(of):
    linear = [(f"{workers} workers on a slow source: files/s against {workers} times one, while all read",
               of.linear(workers), ">=", 0.9, None, "x") for workers in (2, 4, 8)]
    return [
        ("CPU of coordinator, one worker and operator / embedded",
         of.ratio("coordinator and one worker", "embedded", section="cluster"), "<=", 1.35, 1.15, "x"),
        *linear,
        # The default lease, and two reports.
        ("takeover from a killed worker, s", of.takeover("worker"), "<=", 20, None, ""),
        ("takeover after the owner was killed and started again, s", of.takeover("owner"), "<=", 20, None, ""),
        ("takeover from a killed leader, s", of.takeover("leader"), "<=", 20, None, ""),
        # etcd takes a request of 1.5 MiB.
        ("largest value in etcd, MiB, 1,000 workers", of.value_mib(), "<=", 1.5, None, ""),
        ("bytes of state in etcd for each worker, shard and job", of.state_bytes(), "<=", 2000, None, ""),
        ("peak memory of a process, MiB, a million names in one directory", of.shape_mib("names"), "<=", 200, None, ""),
        ("peak memory of a process, MiB, a chain of 500 directories", of.shape_mib("chain"), "<=", 200, None, ""),
    ]


def number(value, unit=""):
    if value is None:
        return "–"
    text = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}" if value < 10 else f"{value:.1f}"
    return text + unit


def verdict(value, direction, target, stretch):
    if value is None:
        return "not measured"
    reached = lambda bound: value >= bound if direction == ">=" else value <= bound  # noqa: E731
    if not reached(target):
        return "**not reached**"
    return "reached, stretch too" if stretch is not None and reached(stretch) else "reached"


def table(runs):
    lines = ["| what | measured | target | stretch | |", "|---|---:|---:|---:|---|"]
    for what, value, direction, target, stretch, unit in rows(runs):
        sign = "≥ " if direction == ">=" else "≤ "
        further = sign + number(stretch, unit) if stretch is not None else ""
        lines.append(f"| {what} | {number(value, unit)} | {sign}{number(target, unit)} | {further} | "
                     f"{verdict(value, direction, target, stretch)} |")
    return lines
