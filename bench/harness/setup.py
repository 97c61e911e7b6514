"""Brings and builds what the benchmarks need, and says so."""
import os
import shutil
import subprocess
import sys

from .measure import say

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(BENCH)
TARGET = os.path.abspath(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")))
RELEASE = os.path.join(TARGET, "release")
SHARDEX = os.path.join(RELEASE, "shardex")
ATTRIBUTES = os.path.join(BENCH, "peers", "attributes.tsv")
PYTHON_SCRIPT = os.path.join(BENCH, "peers", "python_script.py")

# Debian packages of the peers, and the file that shows that they are there.
PACKAGES = {
    "g++": "/usr/bin/c++",
    "libgdcm-dev": "/usr/include/gdcm-3.0/gdcmScanner.h",
    "vtk-dicom-tools": "/usr/bin/dicomtocsv",
    "etcd-server": "/usr/bin/etcd",
    "strace": "/usr/bin/strace",
    "python3-pip": None,
}


def everything(work):
    """Installs and builds; returns the environment for the script."""
    missing = [package for package, proof in PACKAGES.items() if proof and not os.path.exists(proof)]
    environment = dict(os.environ, PYTHONPATH=os.path.join(work, "python"))
    if not os.path.isdir(os.path.join(work, "python", "pydicom")):
        if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode != 0:
            missing.append("python3-pip")
        apt(missing)
        say("installing pydicom by pip into target/, for the script")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", os.path.join(work, "python"), "pydicom"]
        subprocess.run(pip, check=True)
    else:
        apt(missing)
    say("building the generator and the peers")
    for folder in (BENCH, os.path.join(BENCH, "peers", "dicom-object")):
        cargo = ["cargo", "build", "--release", "--quiet", "--target-dir", TARGET]
        subprocess.run(cargo, cwd=folder, check=True)
    if os.path.exists(PACKAGES["libgdcm-dev"]):
        source = os.path.join(BENCH, "peers", "gdcm-scanner", "scanner.cpp")
        libraries = ["-lgdcmMSFF", "-lgdcmDSED", "-lgdcmCommon"]
        compiler = ["c++", "-O2", "-I/usr/include/gdcm-3.0", source, "-o", gdcm(work), *libraries]
        subprocess.run(compiler, check=True)
    source = os.path.join(BENCH, "peers", "slow-open", "slow_open.c")
    subprocess.run(["cc", "-O2", "-Wall", "-pthread", source, "-o", slow_open(work)], check=True)
    return environment


def apt(packages):
    if not packages:
        return
    if shutil.which("apt-get") is None:
        say(f"no apt-get here: peers that need {', '.join(packages)} are left out")
        return
    say(f"installing by apt: {' '.join(packages)}")
    root = [] if os.getuid() == 0 else ["sudo"]
    quiet = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    subprocess.run([*root, "apt-get", "update", "-qq"], check=False)
    install = [*root, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    subprocess.run(install, check=False, env=quiet, stdout=subprocess.DEVNULL)


def gdcm(work):
    return os.path.join(work, "gdcm-scanner")


def slow_open(work):
    return os.path.join(work, "slow-open")


def versions(environment):
    """One line with the versions of all contestants."""
    def first(command):
        try:
            said = subprocess.run(command, capture_output=True, text=True, env=environment)
        except OSError:
            return "not there"
        return (said.stdout or said.stderr).strip().splitlines()[0] if said.stdout or said.stderr else "unknown"

    package = lambda name: first(["dpkg-query", "-W", "-f", "${Version}", name])  # noqa: E731
    commit = first(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"])
    lock = open(os.path.join(BENCH, "peers", "dicom-object", "Cargo.lock")).read()
    dicom_object = lock.split('name = "dicom-object"\nversion = "')[1].split('"')[0]
    return "; ".join([
        f"{first([SHARDEX, '--version'])} at {commit}",
        f"pydicom {first([sys.executable, '-c', 'import pydicom; print(pydicom.__version__)'])} on "
        f"{first([sys.executable, '--version'])}",
        f"GDCM {package('libgdcm-dev')}",
        f"vtk-dicom {package('vtk-dicom-tools')}",
        f"dicom-object {dicom_object}",
        f"etcd {package('etcd-server')}",
        first(["rustc", "--version"]),
    ])


def tree(work, files, *, header_set=1, layout="nested"):
    """A generated tree; made once."""
    path = os.path.join(work, "trees", f"set{header_set}-{layout}-{files}")
    if not os.path.isdir(path):
        say(f"generating {files:,} files: set {header_set}, {layout}")
        shutil.rmtree(path + ".new", ignore_errors=True)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        options = ["--files", str(files), "--set", str(header_set), "--layout", layout]
        subprocess.run([os.path.join(RELEASE, "bench-generate"), path + ".new", *options], check=True,
                       stdout=subprocess.DEVNULL)
        os.rename(path + ".new", path)
        os.sync()
    return path
