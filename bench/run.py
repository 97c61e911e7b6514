#!/usr/bin/env python3
"""Compares shardex with its peers on generated trees, and asks generated archives; writes bench/RESULTS.md.

usage: run.py [--files N] [--rounds R] [--only SECTION[,SECTION]] ...

Sections: hot (all contestants in turn, page cache hot), trees (flat, one file a folder, large headers), cold (page
cache dropped; needs root), growth (one long run), queries, cluster (the processes of a cluster on this machine). Each run is
kept in bench/results.json; a section that is run again replaces its older figures. Trees and archives are made below
target/bench.
"""
import argparse
import datetime
import json
import os
import sys

from harness import cluster, growth, ingest, measure, queries, report, setup

SECTIONS = {
    "hot": ["hot"],
    "trees": ["flat", "single", "large headers"],
    "cold": ["cold"],
    "growth": ["growth"],
    "queries": ["queries", "start-up", "stream"],
    "cluster": ["cluster", "workers", "takeover", "coordination", "shapes", "syncs", "cluster failures", "cluster loads"],
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000, help="files of a tree (100,000)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contestant (3)")
    parser.add_argument("--script-files", type=int, help="files that the pydicom script reads (a tenth)")
    parser.add_argument("--growth-files", type=int, help="files of the long run (ten times --files)")
    parser.add_argument("--rows", type=int, help="instances of the archives that are asked (ten times --files)")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, joined by commas")
    parser.add_argument("--parts", help="parts of the section cluster (overhead,workers,takeover,coordination,shapes,syncs)")
    parser.add_argument("--work", default=os.path.join(setup.TARGET, "bench"), help="where trees and archives go")
    parser.add_argument("--results", default=setup.BENCH, help="folder of RESULTS.md and results.json")
    parser.add_argument("--keep-trees", action="store_true", help="do not remove the long run's tree")
    asked = parser.parse_args()
    asked.script_files = asked.script_files or max(asked.files // 10, 100)
    asked.growth_files = asked.growth_files or asked.files * 10
    asked.rows = asked.rows or asked.files * 10
    asked.only = asked.only.split(",")
    asked.parts = asked.parts and asked.parts.split(",")
    if unknown := [name for name in asked.only if name not in SECTIONS]:
        parser.error(f"no such section: {', '.join(unknown)}")
    return asked


def run(section, contest, asked):
    match section:
        case "hot":
            ingest.main_contest(contest, asked.files, asked.script_files, asked.rounds)
        case "trees":
            ingest.other_trees(contest, asked.files, asked.rounds)
        case "cold":
            ingest.cold(contest, asked.files, asked.rounds)
        case "growth":
            growth.run(contest, asked.growth_files, asked.keep_trees)
        case "queries":
            queries.run(contest, asked.rows, max(asked.rounds * 2 + 1, 5))
        case "cluster":
            cluster.run(contest, asked.files, asked.rounds, asked.parts)


def main():
    asked = arguments()
    os.makedirs(asked.work, exist_ok=True)
    os.makedirs(asked.results, exist_ok=True)
    environment = setup.everything(asked.work)
    kept_in = os.path.join(asked.results, "results.json")
    kept = {"sections": {}, "runs": {}}
    if os.path.exists(kept_in):
        with open(kept_in) as file:
            kept = json.load(file)
    versions = setup.versions(environment)
    failed = []
    for section in asked.only:
        contest = ingest.Contest(asked.work, environment)
        load = os.getloadavg()[0]
        try:
            run(section, contest, asked)
        except measure.Failed as why:
            failed.append(section)
            measure.say(f"{section} failed, its older figures stay: {why}")
            continue
        for part in SECTIONS[section]:
            if part in contest.runs or not asked.parts:
                kept["runs"].pop(part, None)
        kept["runs"] |= contest.runs
        kept["sections"][section] = {
            "when": datetime.date.today().isoformat(),
            "command": f"bench/run.py --files {asked.files} --rounds {asked.rounds} --only {section}"
                       + (f" --parts {','.join(asked.parts)}" if asked.parts and section == "cluster" else ""),
            "machine": measure.machine(),
            "versions": versions,
            "load": load,
        }
        write(asked.results, kept_in, kept)
    print(report.page(kept))
    sys.exit(1 if failed else 0)


def write(folder, kept_in, kept):
    with open(kept_in, "w") as file:
        json.dump(kept, file, indent=1)
        file.write("\n")
    with open(os.path.join(folder, "RESULTS.md"), "w") as file:
        file.write(report.page(kept))


main()
