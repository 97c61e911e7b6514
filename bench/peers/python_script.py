#!/usr/bin/env python3
"""The usual script: pydicom into one SQLite file. python_script.py TREE DATABASE [PROCESSES]

WAL, batches of 500 files, ten indexes, processed files known by path and checksum. With more than one process,
that many read files and this one writes the rows.
"""
import hashlib
import json
import multiprocessing
import os
import sqlite3
import sys

import pydicom

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "attributes.tsv")) as table:
    KEYWORDS = [line.split("\t")[1].strip() for line in table]
COLUMNS = KEYWORDS + ["Radiopharmaceutical", "file_path"]
INDEXED = ("PatientID PatientName StudyInstanceUID SeriesInstanceUID SOPInstanceUID Modality Manufacturer "
           "StudyDate AccessionNumber Radiopharmaceutical").split()
BATCH = 500


def checksum(path):
    with open(path, "rb") as file:
        return hashlib.md5(file.read()).hexdigest()


def row(path):
    data = pydicom.dcmread(path, stop_before_pixels=True)
    values = [str(data.get(keyword, "")) for keyword in KEYWORDS]
    items = data.get("RadiopharmaceuticalInformationSequence")
    values.append(str(items[0].get("Radiopharmaceutical", "")) if items else "")
    return values + [path], checksum(path)


def paths(tree):
    for folder, _, names in os.walk(tree):
        for name in names:
            yield os.path.join(folder, name)


def store(db, rows):
    db.executemany(f"INSERT INTO dicom_metadata VALUES ({', '.join('?' * len(COLUMNS))})", [row for row, _ in rows])
    db.executemany("INSERT OR REPLACE INTO processed_files VALUES (?, ?)", [(row[-1], sum) for row, sum in rows])
    db.commit()


def main():
    tree, database = sys.argv[1:3]
    processes = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    db = sqlite3.connect(database)
    db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-64000;")
    db.execute(f"CREATE TABLE IF NOT EXISTS dicom_metadata({', '.join(COLUMNS)})")
    db.execute("CREATE TABLE IF NOT EXISTS processed_files(path PRIMARY KEY, checksum)")
    for column in INDEXED:
        db.execute(f"CREATE INDEX IF NOT EXISTS i_{column} ON dicom_metadata({column})")
    files, rows = 0, []
    pool = multiprocessing.Pool(processes) if processes > 1 else None
    for read in pool.imap_unordered(row, paths(tree), chunksize=50) if pool else map(row, paths(tree)):
        files += 1
        rows.append(read)
        if len(rows) == BATCH:
            store(db, rows)
            rows = []
    store(db, rows)
    if pool:
        pool.close()
        pool.join()
    print(json.dumps({"files": files}))


if __name__ == "__main__":
    main()
