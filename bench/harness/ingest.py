"""What it costs to read a tree: shardex and its peers."""
import os
import shutil

from . import measure, setup
from .measure import say

RELEASE = setup.RELEASE


class Contest:
    """Contestants on trees; every run is kept, as CPU and wall seconds a file."""

    def __init__(self, work, environment):
        self.work, self.environment = work, environment
        self.runs = {}

    def path(self, name):
        return os.path.join(self.work, name)

    def fresh(self, name):
        shutil.rmtree(self.path(name), ignore_errors=True)
        return self.path(name)

    def keep(self, section, name, files, measured, **more):
        """Notes one run; `files` is what the contestant must have seen."""
        seen = more.pop("seen", None)
        if seen is not None and seen != files:
            raise measure.Failed(f"{name} saw {seen} files of {files}")
        entry = {key: measured[key] for key in ("cpu", "wall", "rss")} | {"files": files} | more
        self.runs.setdefault(section, {}).setdefault(name, []).append(entry)
        micro = entry["cpu"] / files * 1e6
        say(f"{section}: {name}: {micro:.1f} us CPU a file, {files / entry['wall']:,.0f} files/s, {entry['rss']:.0f} MiB")

    def run(self, section, tree, command, **more):
        """Runs a contestant on a tree that is in the page cache, but in the section of those that are not."""
        if section != "cold":
            measure.warm(tree)
        return measure.run(command, **more)

    def shardex(self, section, name, tree, files, *, archive="archive", again=False, options=(), one_core=False):
        folder = self.path(archive) if again else self.fresh(archive)
        command = [setup.SHARDEX, "ingest", tree, "--archive", folder, "--json", "--quiet", *options]
        measured = self.run(section, tree, command, one_core=one_core)
        summary = measure.last_json(measured["output"])
        self.keep(section, name, files, measured, seen=summary["files"], opened=summary["opened"],
                  archive_bytes=measure.size_of(folder))

    def floor(self, section, tree, files, mode="read"):
        name = {"read": "floor: walk, open, fstat, read 8 KB, close", "stat": "floor: walk, stat"}[mode]
        measured = self.run(section, tree, [os.path.join(RELEASE, "bench-floor"), tree, mode, "2"])
        self.keep(section, name, files, measured, seen=measure.last_json(measured["output"])["files"])

    def gdcm(self, section, tree, files):
        if os.path.exists(setup.gdcm(self.work)):
            measured = self.run(section, tree, [setup.gdcm(self.work), tree, setup.ATTRIBUTES])
            seen = measure.last_json(measured["output"])["files"]
            self.keep(section, "GDCM scanner, parse only", files, measured, seen=seen)

    def dicomtocsv(self, section, tree, files):
        if not os.path.exists(setup.PACKAGES["vtk-dicom-tools"]):
            return
        keys = [line.split("\t")[1].strip() for line in open(setup.ATTRIBUTES)]
        output = self.path("dicomtocsv.csv")
        command = ["dicomtocsv", "--silent", "--image", "--noheader", "-o", output]
        measured = self.run(section, tree, command + [part for key in keys for part in ("-k", key)] + [tree])
        with open(output, "rb") as lines:
            seen = sum(1 for _ in lines)
        os.remove(output)
        self.keep(section, "dicomtocsv, parse only", files, measured, seen=seen)

    def dicom_object(self, section, tree, files):
        archive = self.fresh("dicom-object")
        measured = self.run(section, tree, [os.path.join(RELEASE, "bench-dicom-object"), tree, archive, "2"])
        self.keep(section, "dicom-object, same store", files, measured,
                  seen=measure.last_json(measured["output"])["files"], archive_bytes=measure.size_of(archive))
        shutil.rmtree(archive)

    def script(self, section, tree, files, processes):
        import sys
        database = self.path("script.sqlite")
        remove_database(database)
        command = [sys.executable, setup.PYTHON_SCRIPT, tree, database, str(processes)]
        measured = self.run(section, tree, command, environment=self.environment)
        name = f"pydicom script, {processes} process{'es' if processes > 1 else ''}"
        self.keep(section, name, files, measured, seen=measure.last_json(measured["output"])["files"],
                  archive_bytes=os.path.getsize(database))
        remove_database(database)


def remove_database(path):
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(path + suffix):
            os.remove(path + suffix)


def main_contest(contest, files, script_files, rounds):
    """Set 1, nested, page cache hot: all contestants in turn."""
    section = "hot"
    tree, small = setup.tree(contest.work, files), setup.tree(contest.work, script_files)
    for _ in range(rounds):
        contest.shardex(section, "shardex", tree, files)
        contest.shardex(section, "shardex, second run", tree, files, again=True)
        contest.shardex(section, "shardex, second run, 1 core", tree, files, again=True, one_core=True)
        contest.shardex(section, "shardex, 1 core", tree, files, archive="archive1", one_core=True)
        contest.floor(section, tree, files)
        contest.floor(section, tree, files, "stat")
        contest.dicomtocsv(section, tree, files)
        contest.dicom_object(section, tree, files)
        contest.gdcm(section, tree, files)
        contest.script(section, small, script_files, 1)
        contest.script(section, small, script_files, 2)


def other_trees(contest, files, rounds):
    """Other layouts, and large headers."""
    for layout in ("flat", "single"):
        tree = setup.tree(contest.work, files, layout=layout)
        for _ in range(rounds):
            contest.shardex(layout, "shardex", tree, files)
            contest.shardex(layout, "shardex, second run", tree, files, again=True)
            contest.floor(layout, tree, files)
    large = max(files // 10, 100)
    tree = setup.tree(contest.work, large, header_set=2)
    for _ in range(rounds):
        contest.shardex("large headers", "shardex", tree, large)
        contest.shardex("large headers", "shardex, second run", tree, large, again=True)
        contest.floor("large headers", tree, large)
        contest.dicomtocsv("large headers", tree, large)
        contest.dicom_object("large headers", tree, large)
        contest.gdcm("large headers", tree, large)


def cold(contest, files, rounds):
    """Page cache dropped before each run."""
    tree = setup.tree(contest.work, files)
    for _ in range(rounds):
        for name, options in (("shardex, 1 reader", ["--readers", "1"]), ("shardex, 8 readers", ["--readers", "8"]),
                              ("shardex, default", [])):
            shutil.rmtree(contest.path("archive"), ignore_errors=True)
            if not measure.drop_caches():
                say("the page cache cannot be dropped here (root is needed): no cold figures")
                return
            contest.shardex("cold", name, tree, files, options=options)
