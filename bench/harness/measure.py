"""Runs commands and says what they cost."""
import json
import os
import subprocess
import sys
import tempfile
import time


class Failed(Exception):
    """A contestant ended with an error; holds what it said last."""


def run(command, *, one_core=False, stdin=None, environment=None, keep_output=True):
    """Runs a command to its end.

    Returns a dict: `cpu` (user + system of all its threads and children, seconds), `wall` (seconds), `rss` (largest
    resident set of one process, MiB), `output` (standard output, text).
    """
    # What the contestant before has left to write back is not this one's work.
    os.sync()
    pin = None
    if one_core:
        core = min(os.sched_getaffinity(0))
        pin = lambda: os.sched_setaffinity(0, {core})  # noqa: E731
    with tempfile.TemporaryFile() as errors:
        out = subprocess.PIPE if keep_output else subprocess.DEVNULL
        begin = time.monotonic()
        child = subprocess.Popen(command, stdin=stdin, stdout=out, stderr=errors, preexec_fn=pin, env=environment)
        output = child.stdout.read() if keep_output else b""
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            errors.seek(0)
            said = errors.read().decode("utf-8", "replace").strip().splitlines()[-3:]
            raise Failed(f"{os.path.basename(command[0])} ended with {child.returncode}: {' '.join(said)}")
    return {
        "cpu": usage.ru_utime + usage.ru_stime,
        "wall": wall,
        "rss": usage.ru_maxrss / 1024,
        "output": output.decode("utf-8", "replace"),
    }


def last_json(output):
    """The JSON object on the last line of an output."""
    return json.loads(output.strip().splitlines()[-1])


def size_of(folder):
    """Bytes of all files below a folder."""
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(folder) for name in names)


def warm(tree):
    """Reads all files of a tree: a machine may take from the page cache what was not used for some seconds (DAMON)."""
    subprocess.run(["find", tree, "-type", "f", "-exec", "cat", "{}", "+"], stdout=subprocess.DEVNULL, check=True)


def drop_caches():
    """Empties the page cache; False where that is not permitted."""
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w") as control:
            control.write("3")
    except OSError:
        return False
    return True


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def machine():
    """What results depend on; no names of hosts."""
    model = "unknown processor"
    with open("/proc/cpuinfo") as info:
        for line in info:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    kernel = os.uname().release
    return f"{model}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB memory, Linux {kernel}"
