"""A program that works on a mount until its stdin says `end`, and notes every error and every wrong byte.

Usage: worker.py KIND ARGUMENTS... with KIND one of
  read FILE TRUTH            reads the file over and over; TRUTH is the same file on the server's own disk
  append FILE                adds lines, each followed by fsync
  cwd FOLDER                 lives in that folder: lists it, reads and rewrites a file by a relative path
  map FILE READ TRUTH        writes pages of FILE through a mapping, and reads READ through another
  hold FILE                  keeps it open, and does nothing
  lock FILE KIND             takes a lock (fcntl or flock) at `take`, touches the file at `touch`, lets go at `drop`
  sqlite FILE                commits rows to a database with a rollback journal
Writes lines of JSON: {"count": N} every now and then, an answer to each word of stdin, and a report at the end.
"""

import fcntl
import json
import mmap
import os
import select
import sys
import time

# Little, and seldom: the guest's processor is software, and shall be idle while it waits for routes.
PIECE = 65536
PAUSE_S = 0.25
KIND, ARGS = sys.argv[1], sys.argv[2:]
report = {"count": 0, "longestMs": 0, "errors": [], "wrong": [], "acknowledged": 0}


def say(**words):
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def words(wait_s):
    """Words that stdin has for us; "end" when it is closed."""
    ready, _, _ = select.select([sys.stdin], [], [], wait_s)
    if not ready:
        return None
    return sys.stdin.readline().strip() or "end"


def error_name(error):
    return getattr(error, "strerror", None) or str(error)


def work(step, pause_s, errors=(OSError,)):
    """Repeats a step until stdin says `end`. What failed is noted, and the next step is tried a moment later."""
    told = 0.0
    while True:
        started = time.monotonic()
        try:
            step(report["count"])
            report["count"] += 1
        except errors as error:
            report["errors"].append({"at": time.time(), "text": error_name(error)})
            time.sleep(0.1)
        took = time.monotonic() - started
        report["longestMs"] = max(report["longestMs"], round(took * 1000))
        if time.monotonic() - told > 0.1:
            told = time.monotonic()
            say(count=report["count"], errors=report["errors"][-3:])
        if words(pause_s) == "end":
            return


def read():
    path, truth = ARGS
    file, right = os.open(path, os.O_RDONLY), os.open(truth, os.O_RDONLY)
    size = os.fstat(right).st_size
    # Else the kernel reads megabytes ahead.
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)

    def step(count):
        at = (count * PIECE) % size
        os.posix_fadvise(file, at, PIECE, os.POSIX_FADV_DONTNEED)
        got = os.pread(file, PIECE, at)
        if got != os.pread(right, PIECE, at)[: len(got)] or not got:
            report["wrong"].append(f"{len(got)} bytes at {at}")

    work(step, PAUSE_S)


def append():
    file = os.open(ARGS[0], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    lines = {"next": 0}

    def step(_):
        number = lines["next"]
        lines["next"] += 1
        os.write(file, f"line {number}\n".encode())
        os.fsync(file)
        acknowledged.append(number)

    acknowledged = []
    work(step, PAUSE_S)
    try:
        os.close(file)
    except OSError as error:
        report["errors"].append({"at": time.time(), "text": "close: " + error_name(error)})
    report["lines"] = acknowledged


def cwd():
    os.chdir(ARGS[0])
    expected = os.getcwd()
    with open("note", "w") as file:
        file.write("0")

    def step(count):
        names = os.listdir(".")
        if names != ["note"] or os.getcwd() != expected:
            report["wrong"].append(f"{os.getcwd()}: {names}")
        with open("note") as file:
            text = file.read()
        if not text.isdigit():
            report["wrong"].append(f"note: {text!r}")
        with open("note", "r+") as file:
            file.write(str(count + 1))

    work(step, PAUSE_S)
    os.chdir("/")


def map_():
    path, other, truth = ARGS
    pages = 256
    with open(path, "wb") as file:
        file.write(b"\0" * pages * 4096)
    file = os.open(path, os.O_RDWR)
    mapping = mmap.mmap(file, pages * 4096)
    source = os.open(other, os.O_RDONLY)
    seen = mmap.mmap(source, 0, prot=mmap.PROT_READ)
    seen.madvise(mmap.MADV_RANDOM)
    right = os.open(truth, os.O_RDONLY)
    flushed = {}

    def step(count):
        page = count % pages
        mark = f"mark {count:08d}".encode()
        flushed.pop(page, None)
        mapping[page * 4096 : page * 4096 + len(mark)] = mark
        mapping.flush(page * 4096, 4096)
        flushed[page] = mark.decode()
        at = (count * 7 * PIECE) % len(seen)
        if seen[at : at + 4096] != os.pread(right, 4096, at):
            report["wrong"].append(f"mapped bytes at {at}")

    work(step, PAUSE_S)
    mapping.close()
    os.close(file)
    report["pages"] = flushed


def hold():
    file = os.open(ARGS[0], os.O_RDONLY)
    say(count=1)
    while words(0.2) != "end":
        pass
    os.close(file)


def lock():
    path, kind = ARGS
    file = os.open(path, os.O_RDWR)
    os.pread(file, 1, 50)

    def take():
        if kind == "flock":
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 0)

    def drop():
        if kind == "flock":
            fcntl.flock(file, fcntl.LOCK_UN)
        else:
            fcntl.lockf(file, fcntl.LOCK_UN, 10, 0)

    def touch():
        os.pwrite(file, b"u", 60)
        os.fsync(file)

    steps = {"take": take, "drop": drop, "touch": touch}
    say(count=1)
    while True:
        word = words(0.2)
        if word == "end":
            break
        if word is None:
            continue
        try:
            steps[word]()
            say(did=word, error=None)
        except OSError as error:
            say(did=word, error=error_name(error))
    os.close(file)


def sqlite():
    import sqlite3

    base = sqlite3.connect(ARGS[0], timeout=20, isolation_level=None)
    base.execute("create table if not exists rows (number integer primary key)")
    committed = []
    numbers = {"next": 0}

    def step(_):
        number = numbers["next"]
        numbers["next"] += 1
        base.execute("insert into rows values (?)", (number,))
        committed.append(number)

    work(step, PAUSE_S, (OSError, sqlite3.Error))
    try:
        base.close()
    except sqlite3.Error as error:
        report["errors"].append({"at": time.time(), "text": "close: " + str(error)})
    report["lines"] = committed


KINDS = {
    "read": read,
    "append": append,
    "cwd": cwd,
    "map": map_,
    "hold": hold,
    "lock": lock,
    "sqlite": sqlite,
}
try:
    KINDS[KIND]()
except Exception as error:
    report["errors"].append({"at": time.time(), "text": f"{KIND} ended: {error!r}"})
say(report=report)
