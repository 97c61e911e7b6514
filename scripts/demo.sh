#!/usr/bin/env bash
# Ingests real DICOM files (those inside the PyPI wheel of pydicom) and shows answers.
set -euo pipefail
cd "$(dirname "$0")/.."

demo=target/demo
shardex=target/release/shardex
files=$demo/files
archive=$demo/archive
mkdir -p "$demo"

if [ ! -d "$files" ]; then
    echo "fetching real DICOM files: the PyPI wheel of pydicom"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$demo/wheel" pydicom
    python3 - "$demo/wheel" "$files.new" <<'PYTHON'
import glob, sys, zipfile
wheel = glob.glob(sys.argv[1] + "/pydicom-*.whl")[0]
with zipfile.ZipFile(wheel) as archive:
    archive.extractall(sys.argv[2], [name for name in archive.namelist() if "/data/" in name])
PYTHON
    mv "$files.new" "$files"
fi

run() {
    echo
    echo "\$ shardex $*"
    "$shardex" "$@"
}

run ingest "$files" --archive "$archive"
run sql "SELECT Modality, count(*) AS instances, count(DISTINCT StudyInstanceUID) AS studies
         FROM instances GROUP BY Modality ORDER BY instances DESC, Modality LIMIT 8" --archive "$archive"
run sql "SELECT patient_name, study_date, modality, manufacturer
         FROM dicom_metadata WHERE modality IN ('CT', 'MR') AND study_date >= '2004' LIMIT 5" --archive "$archive"
run files --state quarantined --format csv --archive "$archive"
