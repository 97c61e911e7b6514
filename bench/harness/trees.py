"""Trees of unusual shapes for the cluster section; each is made once."""
import os
import shutil
import struct

from .measure import say

FLAT_NAMES = 1_000_000
DEPTH = 500
MONTHS, A_MONTH = 240, 100


def made(work, name, make):
    path = os.path.join(work, "trees", name)
    if not os.path.isdir(path):
        say(f"making the tree {name}")
        shutil.rmtree(path + ".new", ignore_errors=True)
        os.makedirs(path + ".new")
        make(path + ".new")
        os.rename(path + ".new", path)
        os.sync()
    return path


def write(directory, name, content):
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=directory)
    os.write(file, content)
    os.close(file)


def flat(work, names=FLAT_NAMES):
    """One directory of that many text files of 16 bytes; no DICOM."""
    def make(path):
        directory = os.open(path, os.O_RDONLY)
        for number in range(names):
            write(directory, f"IM{number:08}", b"no DICOM at all\n")
        os.close(directory)
    return made(work, f"flat-{names}", make)


def chain(work, depth=DEPTH):
    """Directories in each other, each with one small DICOM file; the paths are longer than PATH_MAX."""
    def make(path):
        at = os.open(path, os.O_RDONLY)
        for number in range(depth):
            name = f"level-{number:04}"
            os.mkdir(name, dir_fd=at)
            below = os.open(name, os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = below
            write(at, "image.dcm", dicom(number, "20200101"))
        os.close(at)
    return made(work, f"chain-{depth}", make)


def months(work, count=MONTHS, each=A_MONTH):
    """Small DICOM files of so many months from 2004 on, a study a month, each file in another month than the last."""
    def make(path):
        directory = os.open(path, os.O_RDONLY)
        for number in range(each):
            os.mkdir(f"{number:04}", dir_fd=directory)
            below = os.open(f"{number:04}", os.O_RDONLY, dir_fd=directory)
            for month in range(count):
                date = f"{2004 + month // 12}{month % 12 + 1:02}15"
                write(below, f"{month:04}.dcm", dicom(month * each + number, date))
            os.close(below)
        os.close(directory)
    return made(work, f"months-{count}-{each}", make)


def dicom(number, date):
    """A small file of explicit VR little endian, a study for each date."""
    root = "1.2.826.0.1.3680043.10.9999.7"
    instance, image = f"{root}.{date}.1.{number}", "1.2.840.10008.5.1.4.1.1.2"
    meta = b"".join([
        struct.pack("<HH2s2xI", 2, 1, b"OB", 2) + b"\0\1",
        element(2, 2, "UI", image), element(2, 3, "UI", instance), element(2, 0x10, "UI", "1.2.840.10008.1.2.1"),
    ])
    body = b"".join([
        element(8, 0x16, "UI", image), element(8, 0x18, "UI", instance), element(8, 0x20, "DA", date),
        element(8, 0x50, "SH", f"A{date}"), element(8, 0x60, "CS", "CT"), element(0x10, 0x10, "PN", "Synthetic^Patient"),
        element(0x10, 0x20, "LO", f"P{date}"), element(0x20, 0xD, "UI", f"{root}.{date}"),
        element(0x20, 0xE, "UI", f"{root}.{date}.1"), element(0x20, 0x13, "IS", str(number)),
    ])
    return bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta)) + meta + body


def element(group, number, kind, text):
    value = text.encode()
    value += (b"\0" if kind == "UI" else b" ") * (len(value) % 2)
    return struct.pack("<HH2sH", group, number, kind.encode(), len(value)) + value
