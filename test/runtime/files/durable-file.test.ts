// Real files: symlinks, modes, full disks, and a writer killed at random moments.
import assert from "node:assert/strict";
import { execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmod,
  chown,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext, test } from "node:test";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import {
  ensureFolder,
  ensurePrivateFolder,
  entryExists,
  readIfPresent,
  readRegularFile,
  removeLeftovers,
  writeDurably,
} from "../../../src/runtime/files/durable-file.ts";
import { createDurableValue, shareWrites } from "../../../src/runtime/files/durable-value.ts";
import type { Clock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { mountTmpfs } from "../../support/tiny-disk.ts";
import { LINUX_ALONE } from "../../support/where.ts";

const asRoot = process.getuid?.() === 0;

async function modeOf(path: string): Promise<number> {
  return (await stat(path)).mode & 0o7777;
}

describe("writeDurably", () => {
  it("makes a private file and replaces it whole", async (t) => {
    const path = join(await temporaryFolder(t), "file");
    await writeDurably(path, "one ü");
    assert.equal(await readFile(path, "utf8"), "one ü");
    assert.equal(await modeOf(path), 0o600);
    const before = await stat(path);
    await writeDurably(path, new Uint8Array([1, 2, 255]));
    assert.deepEqual([...(await readFile(path))], [1, 2, 255]);
    assert.notEqual((await stat(path)).ino, before.ino);
  });

  it("keeps the mode of an existing file, and applies the requested one", async (t) => {
    const path = join(await temporaryFolder(t), "file");
    await writeFile(path, "");
    await chmod(path, 0o644);
    await writeDurably(path, "a");
    assert.equal(await modeOf(path), 0o644);
    await writeDurably(path, "b", { mode: 0o600 });
    assert.equal(await modeOf(path), 0o600);
    const umask = process.umask(0o077);
    t.after(() => process.umask(umask));
    await writeDurably(path, "c", { mode: 0o666 });
    assert.equal(await modeOf(path), 0o666);
  });

  it("keeps the owner of an existing file", { skip: !asRoot && "needs root" }, async (t) => {
    const path = join(await temporaryFolder(t), "file");
    await writeFile(path, "");
    await chown(path, 12_345, 54_321);
    await writeDurably(path, "a");
    const { uid, gid } = await stat(path);
    assert.deepEqual([uid, gid, await modeOf(path)], [12_345, 54_321, 0o644 & ~process.umask()]);
  });

  it("writes through symlinks, dangling ones too, and leaves them", async (t) => {
    const folder = await temporaryFolder(t);
    await mkdir(join(folder, "real"));
    await mkdir(join(folder, "elsewhere"));
    await symlink("real", join(folder, "alias"));
    await symlink("../elsewhere/target", join(folder, "real", "first"));
    await symlink(join(folder, "alias", "first"), join(folder, "second"));
    for (const content of ["new", "replaced"]) {
      await writeDurably(join(folder, "second"), content);
      assert.equal(await readFile(join(folder, "elsewhere", "target"), "utf8"), content);
    }
    assert.equal(await readlink(join(folder, "second")), join(folder, "alias", "first"));
    assert.equal(await readlink(join(folder, "real", "first")), "../elsewhere/target");
    assert.ok((await lstat(join(folder, "elsewhere", "target"))).isFile());
  });

  it("refuses a circle of symlinks", async (t) => {
    const folder = await temporaryFolder(t);
    await symlink("b", join(folder, "a"));
    await symlink("a", join(folder, "b"));
    await assert.rejects(writeDurably(join(folder, "a"), "x"), { code: "ELOOP" });
  });

  it("leaves nothing behind when it fails", async (t) => {
    const folder = await temporaryFolder(t);
    await mkdir(join(folder, "taken"));
    await assert.rejects(writeDurably(join(folder, "taken"), "x"), { code: "EISDIR" });
    await assert.rejects(writeDurably(join(folder, "missing", "file"), "x"), { code: "ENOENT" });
    assert.deepEqual(await readdir(folder), ["taken"]);
  });

  it("leaves the old content and nothing else on a full disk", async (t) => {
    const disk = await mountTmpfs(t, "size=64k");
    if (disk === null) return;
    const path = join(disk, "file");
    await writeDurably(path, "old");
    await assert.rejects(writeDurably(path, "x".repeat(1024 * 1024)), { code: "ENOSPC" });
    assert.equal(await readFile(path, "utf8"), "old");
    assert.deepEqual(await readdir(disk), ["file"]);
  });

  it("does not replace the content once it was aborted", async (t) => {
    const folder = await temporaryFolder(t);
    const path = join(folder, "file");
    await writeDurably(path, "old");
    const abort = new AbortController();
    const writing = writeDurably(path, "new", { signal: abort.signal });
    abort.abort(new Error("too late"));
    await assert.rejects(writing, /too late/);
    assert.equal(await readFile(path, "utf8"), "old");
    assert.deepEqual(await readdir(folder), ["file"]);
  });

  it("is whole, one or the other, when many write at once", async (t) => {
    const folder = await temporaryFolder(t);
    const path = join(folder, "file");
    const contents = Array.from({ length: 20 }, (_, index) => `${index}`.repeat(10_000));
    await Promise.all(contents.map((content) => writeDurably(path, content)));
    assert.ok(contents.includes(await readFile(path, "utf8")));
    assert.deepEqual(await readdir(folder), ["file"]);
  });
});

describe("removeLeftovers", () => {
  it("sweeps killed writers' files, and nothing else", async (t) => {
    const folder = await temporaryFolder(t);
    const path = join(folder, "state.json");
    const module = join(import.meta.dirname, "../../../src/runtime/files/durable-file.ts");
    const child = spawn(
      process.execPath,
      [
        "--input-type=module",
        "-e",
        `import { writeDurably } from ${JSON.stringify(module)};
         for (;;) await Promise.all(Array.from({ length: 8 }, () => writeDurably(process.argv[1], "x".repeat(1e6))));`,
        path,
      ],
      { stdio: "ignore" },
    );
    const gone = once(child, "exit");
    const isTemporary = (name: string): boolean => name.endsWith(".tmp");
    while (!(await readdir(folder)).some(isTemporary)) assert.equal(child.exitCode, null);
    await removeLeftovers(path);
    child.kill("SIGKILL");
    await gone;
    // A temporary file may just have been renamed when the kill came; one of the dead writer's is made sure of.
    await writeFile(join(folder, `.state.json.${child.pid}-0123456789ab.tmp`), "torn");
    const others = [
      ".state.json.tmp",
      `.other.json.${child.pid}-0123456789ab.tmp`,
      ".state.json.1-0123456789ab.tmp",
    ];
    for (const name of others) await writeFile(join(folder, name), "");
    await removeLeftovers(path);
    const left = (await readdir(folder)).filter((name) => name !== "state.json");
    assert.deepEqual(left.sort(), others.sort());
  });

  it("does not touch a write in progress in this process", async (t) => {
    const folder = await temporaryFolder(t);
    const path = join(folder, "file");
    const writing = writeDurably(path, "x".repeat(8 * 1024 * 1024));
    let done = false;
    void writing.finally(() => {
      done = true;
    });
    while (!done) await removeLeftovers(path);
    await writing;
    assert.equal((await stat(path)).size, 8 * 1024 * 1024);
  });

  it("accepts a missing folder", async (t) => {
    await removeLeftovers(join(await temporaryFolder(t), "missing", "file"));
  });
});

describe("readIfPresent", () => {
  it("distinguishes a missing file from an unreadable one", async (t) => {
    const folder = await temporaryFolder(t);
    assert.equal(await readIfPresent(join(folder, "missing")), null);
    await writeFile(join(folder, "empty"), "");
    assert.equal(await readIfPresent(join(folder, "empty")), "");
    await assert.rejects(readIfPresent(folder), { code: "EISDIR" });
  });
});

describe("entryExists", () => {
  it("recognizes files, folders and dangling links, and distinguishes a missing entry from an inaccessible one", async (t) => {
    const folder = await temporaryFolder(t);
    const file = join(folder, "file");
    const link = join(folder, "link");
    await writeFile(file, "");
    await symlink("nowhere", link);
    for (const path of [folder, file, link]) assert.equal(await entryExists(path), true);
    assert.equal(await entryExists(join(folder, "nowhere")), false);
    await assert.rejects(entryExists(join(file, "inside")), { code: "ENOTDIR" });
  });
});

describe("ensurePrivateFolder", () => {
  it("makes the folder and its parents private, and leaves an existing one unchanged", async (t) => {
    const folder = await temporaryFolder(t);
    const deep = join(folder, "a", "b");
    await ensurePrivateFolder(deep);
    assert.equal(await modeOf(join(folder, "a")), 0o700);
    assert.equal(await modeOf(deep), 0o700);
    await chmod(deep, 0o755);
    await ensurePrivateFolder(deep);
    assert.equal(await modeOf(deep), 0o755);
  });

  it("names the obstacle and the fix", async (t) => {
    const folder = await temporaryFolder(t);
    const file = join(folder, "file");
    await writeFile(file, "");
    for (const path of [file, join(file, "below")]) {
      await assert.rejects(ensurePrivateFolder(path), (error: MountaineerError) => {
        assert.equal(error.code, "home_unwritable");
        assert.match(error.message, new RegExp(`^cannot use the folder ${path}: `, "u"));
        assert.match(error.hint ?? "", /It is not a folder/u);
        return true;
      });
    }
  });

  it("ends where nothing can be made although the parent folder exists", {
    skip: LINUX_ALONE,
  }, async () => {
    for (const path of ["/proc/mountaineer", "/proc/mountaineer/below"]) {
      await assert.rejects(ensureFolder(path, 0o755), { code: "ENOENT" });
      await assert.rejects(ensurePrivateFolder(path), { code: "home_unwritable" });
    }
  });

  it("reports a read-only disk", async (t) => {
    const disk = await mountTmpfs(t, "ro");
    if (disk === null) return;
    for (const path of [disk, join(disk, "home")]) {
      await assert.rejects(ensurePrivateFolder(path), (error: unknown) => {
        assert.ok(error instanceof MountaineerError);
        assert.equal(error.code, "home_unwritable");
        assert.match(error.hint ?? "", /read-only/u);
        return true;
      });
    }
  });
});

function valueAt(path: string, clock: Clock) {
  const told: string[] = [];
  const state = { text: "first" };
  const value = createDurableValue({
    path,
    clock,
    content: () => state.text,
    onUnsaved: ({ message }) => told.push(message),
    onSavedAgain: (failures) => told.push(`saved after ${failures}`),
  });
  return { told, state, value };
}

test("A5 a failed write is reported once and retried, with the newest value by then", async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, "value");
  const clock = createManualClock();
  const { told, state, value } = valueAt(path, clock);
  await mkdir(path);
  assert.match((await value.save())?.message ?? "", /EISDIR|ENOTEMPTY|EEXIST/u);
  assert.notEqual(await value.save(), null);
  assert.equal(told.length, 1);
  await rm(path, { recursive: true });
  state.text = "second";
  await clock.advance(2_000);
  await eventually(() => value.unsavedBecause === null);
  assert.equal(await readFile(path, "utf8"), "second");
  assert.equal(told[1], "saved after 2");
  await rm(path);
  await mkdir(path);
  assert.notEqual(await value.save(), null);
  await rm(path, { recursive: true });
  assert.equal(await value.save(), null);
  assert.deepEqual(
    [told[3], clock.pendingTimers],
    ["saved after 1", 0],
    "counted anew, and the retry is off",
  );
  await value[Symbol.asyncDispose]();
  await writeFile(path, "another process's");
  assert.match((await value.save())?.message ?? "", /closed/);
  assert.equal(await readFile(path, "utf8"), "another process's");
});

test("B11 a disk that hangs delays no shutdown, and the late write replaces nothing", async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, "value");
  const clock = createManualClock();
  // The deadline passes before a disk can answer.
  const hasty: Clock = {
    ...clock,
    setTimer(delayMs, callback) {
      queueMicrotask(callback);
      return clock.setTimer(delayMs, () => {});
    },
  };
  const { told, value } = valueAt(path, hasty);
  assert.match((await value.save())?.message ?? "", /no answer/u);
  await value[Symbol.asyncDispose]();
  await writeFile(path, "another process's");
  await eventually(async () => (await readdir(folder)).length === 1);
  assert.equal(await readFile(path, "utf8"), "another process's");
  assert.equal(told.length, 1);
});

test("A5 writes requested during a write share the next one, and a failed one fails no later one", async () => {
  const under: PromiseWithResolvers<number>[] = [];
  const writes = shareWrites(() => {
    const one = Promise.withResolvers<number>();
    under.push(one);
    return one.promise;
  });
  const first = writes.write();
  const same = writes.write();
  assert.equal(first, same, "it has not begun yet");
  await Promise.resolve();
  const second = writes.write();
  const third = writes.write();
  assert.notEqual(second, first);
  assert.equal(third, second);
  const settled = writes.whenIdle;
  assert.equal(under.length, 1, "one at a time");
  under[0]?.reject(new Error("the disk is full"));
  await assert.rejects(first, /the disk is full/);
  await Promise.resolve();
  under[1]?.resolve(2);
  assert.equal(await third, 2);
  await settled;
  assert.equal(under.length, 2);
});

// A writer killed at each step of a durable write, the one way in which all small files are written.
const PROGRAM = join(import.meta.dirname, "programs/write-and-stop.ts");
const OLD = "old ".repeat(1_000);
const NEW = "new ".repeat(5_000);

/** In their order, and what the file is when the writer is killed right before each. */
const POINTS: readonly (readonly [point: string, left: string])[] = [
  ["open temporary", OLD],
  ["write temporary", OLD],
  ["go on with temporary", OLD],
  ["chmod temporary", OLD],
  ["sync temporary", OLD],
  ["close temporary", OLD],
  ["rename", OLD],
  ["open folder", NEW],
  ["sync folder", NEW],
  ["close folder", NEW],
];

interface Stopped {
  readonly path: string;
  readonly passed: readonly string[];
  readonly signal: string | null;
}

async function stopped(t: TestContext, point: string): Promise<Stopped> {
  const path = join(await temporaryFolder(t), "file");
  await writeFile(path, OLD);
  await chmod(path, 0o640);
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [PROGRAM, path, NEW, point], (_error, stdout) =>
      resolve({ path, passed: stdout.split("\n").filter(Boolean), signal: child.signalCode }),
    );
  });
}

test("A5 B11 a writer that is killed at any point leaves the old file or the new one, whole, and its remains are swept", async (t) => {
  const whole = await stopped(t, "");
  const names = POINTS.map(([point]) => point);
  assert.deepEqual(whole.passed, names, "on the disk before it is renamed, and its name thereafter");
  assert.equal(await readFile(whole.path, "utf8"), NEW);
  await Promise.all(
    POINTS.map(async ([point, left], index) => {
      const { path, passed, signal } = await stopped(t, point);
      assert.deepEqual([passed, signal], [names.slice(0, index), "SIGKILL"], point);
      assert.equal(await readFile(path, "utf8"), left, point);
      assert.equal((await stat(path)).mode & 0o777, 0o640, point);
      await removeLeftovers(path);
      assert.deepEqual(await readdir(join(path, "..")), ["file"], point);
      await writeDurably(path, "again");
      assert.equal(await readFile(path, "utf8"), "again");
    }),
  );
});

// Files of the home that are read at a start, whatever stands in their place.
test("a plain file within the size limit is read, a missing one is null, and anything else is refused", async (t) => {
  const folder = await temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  await writeFile(at("file"), "12345");
  await symlink(at("file"), at("link"));
  execFileSync("mkfifo", [at("pipe")]);
  assert.equal(await readRegularFile(at("file"), 5), "12345");
  assert.equal(await readRegularFile(at("gone"), 5), null);
  await assert.rejects(readRegularFile(at("file"), 4), { message: "it has 5 bytes" });
  for (const other of [folder, at("link"), at("pipe")])
    await assert.rejects(readRegularFile(other, 1_000_000), { message: "it is not a regular file" });
});
