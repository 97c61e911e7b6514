"""What questions cost on 12 and 60 shards, against the same rows in one SQLite file, by the same command."""
import os
import shutil
import statistics
import subprocess

from . import measure, setup
from .measure import say

SCHEMES = {1: "none", 12: "date:year", 60: "institution,date:year", 240: "institution,date:quarter"}
COHORT = 3000


def archive(work, rows, shards):
    path = os.path.join(work, "queries", f"{rows}-{shards}")
    if not os.path.isdir(path):
        say(f"making an archive of {rows:,} instances in {shards} shards")
        shutil.rmtree(path + ".new", ignore_errors=True)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        command = [os.path.join(setup.RELEASE, "bench-rows"), path + ".new", str(rows), SCHEMES[shards]]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        os.rename(path + ".new", path)
    return path


def sql(path, statement, *options):
    return [setup.SHARDEX, "sql", statement, "--archive", path, "--format", "csv", *options]


def is_there(command, option):
    """Whether this build has an option."""
    helped = subprocess.run([setup.SHARDEX, command, "--help"], capture_output=True, text=True)
    return helped.returncode == 0 and option in helped.stdout


def questions(path, work):
    """Name -> command for an archive; the values asked for are in the middle of the rows."""
    row = "SELECT SOPInstanceUID, SeriesInstanceUID, StudyInstanceUID, PatientID, AccessionNumber, StudyDate FROM instances"
    count = int(answer(sql(path, "SELECT count(*) FROM studies")).splitlines()[1])
    one = answer(sql(path, f"{row} WHERE AccessionNumber = 'A{count // 2:09}' ORDER BY 1 LIMIT 1")).splitlines()[1]
    instance, series, study, patient, accession, date = one.split(",")
    asked = {
        "SOPInstanceUID": sql(path, f"SELECT * FROM instances WHERE SOPInstanceUID = '{instance}'"),
        "SeriesInstanceUID": sql(path, f"SELECT * FROM series WHERE SeriesInstanceUID = '{series}'"),
        "StudyInstanceUID": sql(path, f"SELECT * FROM studies WHERE StudyInstanceUID = '{study}'"),
        "patient id": sql(path, f"SELECT * FROM studies WHERE PatientID = '{patient}'"),
        "accession number": sql(path, f"SELECT * FROM studies WHERE AccessionNumber = '{accession}'"),
        "instances of an accession number": sql(path, f"SELECT * FROM instances WHERE AccessionNumber = '{accession}'"),
        "month and modality": sql(
            path, f"SELECT * FROM series WHERE Modality = 'MR' AND StudyDate BETWEEN '{date[:6]}01' AND '{date[:6]}31'"),
        "GROUP BY modality, year": sql(
            path, "SELECT Modality, substr(StudyDate, 1, 4), count(*) FROM instances GROUP BY 1, 2 ORDER BY 1, 2"),
    }
    step = max(count // COHORT, 1)
    cohort = [f"A{n * step:09}" for n in range(min(COHORT, count))]
    listed = os.path.join(work, "cohort.csv")
    with open(listed, "w") as file:
        file.write("\n".join(["AccessionNumber", *cohort]) + "\n")
    values = ", ".join(f"'{number}'" for number in cohort)
    asked[f"cohort of {len(cohort):,}, IN (...)"] = sql(
        path, f"SELECT * FROM studies WHERE AccessionNumber IN ({values})")
    if is_there("sql", "--with"):
        asked[f"cohort of {len(cohort):,}, sql --with"] = sql(
            path, "SELECT * FROM studies WHERE AccessionNumber IN (SELECT AccessionNumber FROM cohort)",
            "--with", f"cohort={listed}")
    if is_there("search", "--archive"):
        for name, command in searches(path, listed, instance, len(cohort)).items():
            try:
                answer(command)
                asked[name] = command
            except subprocess.CalledProcessError as error:
                say(f"left out, {name}: {error.stderr.strip()[:200]}")
    return asked


def searches(path, listed, instance, size):
    command = lambda *what: [setup.SHARDEX, "search", *what, "--archive", path, "--format", "csv"]  # noqa: E731
    return {
        "SOPInstanceUID, search": command("instances", f"SOPInstanceUID={instance}"),
        f"cohort of {size:,}, search": command("studies", f"AccessionNumber=@{listed}"),
    }


def answer(command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def run(contest, rows, repeats):
    """Every question on every archive, alternating between archives; answers must be the same rows."""
    archives = {shards: archive(contest.work, rows, shards) for shards in (1, 12, 60)}
    asked = {shards: questions(path, contest.work) for shards, path in archives.items()}
    timings = contest.runs["queries"] = {}
    for name in asked[1]:
        answers = {shards: sorted(answer(asked[shards][name]).splitlines()) for shards in archives}
        same = all(lines == answers[1] for lines in answers.values())
        timings[name] = {"rows": len(answers[1]) - 1, "same_answer": same}
        for _ in range(repeats):
            for shards in archives:
                measured = measure.run(asked[shards][name])
                timings[name].setdefault(str(shards), []).append([measured["cpu"], measured["wall"], measured["rss"]])
        walls = {shards: statistics.median(run[1] for run in timings[name][str(shards)]) * 1e3 for shards in archives}
        say(f"queries: {name}: " + ", ".join(f"{shards} shards {wall:.1f} ms" for shards, wall in walls.items())
            + ("" if same else ", ANSWERS DIFFER"))
    start_up(contest, rows, repeats)
    stream(contest, archives, rows)


def start_up(contest, rows, repeats):
    """The command's start on 240 shards: an answer that no shard has, one that every shard is asked for."""
    path = archive(contest.work, rows, 240)
    timings = contest.runs["start-up"] = {}
    for name, command in {
        "--version": [setup.SHARDEX, "--version"],
        "SELECT 1": sql(path, "SELECT 1"),
        "first row of studies": sql(path, "SELECT StudyInstanceUID FROM studies LIMIT 1"),
        "a patient nobody knows": sql(path, "SELECT * FROM studies WHERE PatientID = 'nobody'"),
        "20 days of one institution": sql(path, "SELECT count(*) FROM series WHERE StudyDate BETWEEN '20150101' AND "
                                                "'20150120' AND InstitutionName = 'Synthetic Hospital A'"),
        "status": [setup.SHARDEX, "status", "--archive", path],
    }.items():
        try:
            runs = [measure.run(command) for _ in range(max(repeats, 3))]
        except measure.Failed as why:
            say(f"left out, start-up, {name}: {why}")
            continue
        timings[name] = [[run["cpu"], run["wall"], run["rss"]] for run in runs]
        say(f"start-up on 240 shards: {name}: {statistics.median(run['wall'] for run in runs) * 1e3:.1f} ms")


def stream(contest, archives, rows):
    """All rows to CSV: the largest resident set."""
    timings = contest.runs["stream"] = {}
    for shards in (1, 12, 60):
        command = sql(archives[shards], "SELECT * FROM instances", "--max-rows", str(rows * 2))
        with open(os.path.join(contest.work, "stream.csv"), "wb") as output:
            measured = stream_to(command, output)
        with open(output.name, "rb") as lines:
            written = sum(1 for _ in lines) - 1
        os.remove(output.name)
        timings[str(shards)] = {"rows": written} | measured
        say(f"stream, {shards} shards: {written:,} rows, {measured['rss']:.0f} MiB, {measured['wall']:.1f} s")


def stream_to(command, output):
    with open(os.devnull, "rb") as nothing:
        import time
        begin = time.monotonic()
        child = subprocess.Popen(command, stdin=nothing, stdout=output, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise measure.Failed(f"the stream ended with {child.returncode}")
    return {"cpu": usage.ru_utime + usage.ru_stime, "wall": time.monotonic() - begin, "rss": usage.ru_maxrss / 1024}
