# One program that changes a file of a share, and tells what it was told is written. Bytes are told by the seed they are
# made from: "try" before a call, "ok" after it. Ends at the first error.
import hashlib, json, os, sqlite3, sys, time

kind, path, seed, stop_after = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])
ends = time.monotonic() + stop_after if stop_after > 0 else None
count = 0


def tell(what, **fields):
    print(json.dumps({"what": what, **fields}), flush=True)


def content(name, size):
    """Never zero, so that a hole shows."""
    made = b""
    while len(made) < size:
        made += hashlib.sha512(f"{name} {len(made)}".encode()).digest()
    return bytes(byte or 1 for byte in made[:size])


def on():
    time.sleep(0.03)
    return ends is None or time.monotonic() < ends


def write(fd, at, size, sync=False):
    global count
    count += 1
    name = f"{seed} {count}"
    tell("try", at=at, size=size, name=name)
    data = content(name, size)
    while data:
        written = os.pwrite(fd, data, at)
        at, data = at + written, data[written:]
    if sync:
        os.fsync(fd)
    tell("ok")


def truncate(fd, size):
    tell("try", truncate=size)
    os.ftruncate(fd, size)
    tell("ok")


def append():
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    size = os.fstat(fd).st_size
    while True:
        # O_APPEND decides where; the kernel knows the size as well as we do.
        write(fd, size, 700)
        size += 700
        if not on():
            return fd


def blocks():
    fd = os.open(path, os.O_RDWR)
    at = 0
    while True:
        write(fd, at, 4096, sync=True)
        at = (at + 65536) % 262144 if at < 262144 else 0
        if not on():
            return fd


def mixed():
    fd = os.open(path, os.O_RDWR)
    size = os.fstat(fd).st_size
    while True:
        os.pread(fd, 1000, (count * 7919) % 200000)
        write(fd, (count * 104729) % 250000, 333)
        write(fd, size, 500)
        size += 500
        if not on():
            return fd


def shrink():
    fd = os.open(path, os.O_RDWR)
    size = os.fstat(fd).st_size
    write(fd, 5000, 100)
    while True:
        size = size - 1000 if size > 20000 else size
        truncate(fd, size)
        if not on():
            return fd


def rewrite():
    tell("try", truncate=0)
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
    tell("ok")
    size = 0
    while True:
        write(fd, size, 600)
        size += 600
        if not on():
            return fd


def sqlite():
    db = sqlite3.connect(path, isolation_level=None, timeout=1)
    row = 0
    while True:
        row += 1
        tell("try", row=row)
        db.execute("INSERT INTO told VALUES (?, ?)", (row, content(f"{seed} {row}", 900).hex()))
        tell("ok")
        if not on():
            return db


if __name__ == "__main__":
    held = {"append": append, "blocks": blocks, "mixed": mixed, "shrink": shrink, "rewrite": rewrite, "sqlite": sqlite}[kind]()
    if stop_after > 0:
        held.close() if kind == "sqlite" else os.close(held)
        tell("closed")
    time.sleep(600)
