// Open files: real processes that hold them in every way, processes that hide, and libproc over its double.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdir, symlink, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { loadKoffi } from "../../../src/network/native/core-foundation-darwin.ts";
import { findProgram } from "../../../src/runtime/process/find-program.ts";
import { createOpenFilesScanDarwin, loadLibproc } from "../../../src/shares/prober/open-files-darwin.ts";
import { OPEN_FILES_AT_MOST, scanOpenFilesProc } from "../../../src/shares/prober/open-files-proc.ts";
import type { OpenFile } from "../../../src/shares/prober/prober.ts";
import { isOfGroups, kinFromPs, withoutGroups } from "../../../src/shares/prober/process-family.ts";
import { buildDouble, doublesUnavailable } from "../../doubles/build-double.ts";
import { assertEach } from "../../support/assert-each.ts";
import { eventually } from "../../support/eventually.ts";
import { pluck } from "../../support/pluck.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { LINUX_ALONE, NOT_ON_A_MAC } from "../../support/where.ts";
import { programMissing } from "../../sync/programs.ts";

async function scan(path: string, exceptPids: readonly number[] = []): Promise<readonly OpenFile[]> {
  const [answers] = await scanOpenFilesProc([{ paths: [path], exceptPids }], "/proc");
  const [answer] = answers ?? [];
  assert.ok(answer?.ok);
  return answer.files;
}

async function hold(t: TestContext, command: string, args: readonly string[], cwd = "/"): Promise<number> {
  const child = spawn(command, args, { cwd, stdio: "ignore" });
  t.after(async () => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  });
  await once(child, "spawn");
  assert.ok(child.pid);
  return child.pid;
}

describe("open files of real processes", { skip: LINUX_ALONE }, () => {
  it("A7 a descriptor, a working folder and a mapped file are all found", async (t) => {
    const folder = await temporaryFolder(t);
    const share = join(folder, 'My "Share" ü\nx');
    await mkdir(share);
    const library = join(share, "mapped file");
    // A program is mapped, and no descriptor of its process is open on it.
    await copyFile((await findProgram("sleep", ["/bin", "/usr/bin"])) ?? "", library);
    await writeFile(join(share, "read"), "");
    const reader = await hold(t, "tail", ["-f", join(share, "read")]);
    const sitter = await hold(t, "sleep", ["60"], share);
    const mapper = await hold(t, library, ["60"]);
    const found = await eventually(async () => {
      const files = await scan(share);
      return new Set(files.map(({ pid }) => pid)).size >= 3 && files;
    });
    const of = (pid: number) => found.filter((file) => file.pid === pid);
    assert.deepEqual(of(reader), [{ pid: reader, command: "tail", path: join(share, "read"), how: "fd" }]);
    assert.deepEqual(of(sitter), [{ pid: sitter, command: "sleep", path: share, how: "cwd" }]);
    assert.ok(of(mapper).some(({ path }) => path === library));
  });

  it("a deleted file that is still open counts", async (t) => {
    const share = await temporaryFolder(t);
    await writeFile(join(share, "gone"), "");
    const reader = await hold(t, "tail", ["-f", join(share, "gone")]);
    await eventually(async () => (await scan(share)).length > 0);
    await unlink(join(share, "gone"));
    const files = await scan(share);
    assert.deepEqual(pluck(files, "pid", "path"), [[reader, `${join(share, "gone")} (deleted)`]]);
  });

  it("a neighbour whose name has the same beginning does not count", async (t) => {
    const folder = await temporaryFolder(t);
    await mkdir(join(folder, "CORE"));
    await mkdir(join(folder, "CORE-1"));
    const sitter = await hold(t, "sleep", ["60"], join(folder, "CORE-1"));
    await eventually(async () => (await scan(join(folder, "CORE-1"))).some(({ pid }) => pid === sitter));
    assert.deepEqual(await scan(join(folder, "CORE")), []);
  });

  it("C1 a program's whole group is excepted, and its descendants; a user's process next to it is not", async (t) => {
    const share = await temporaryFolder(t);
    // One child in the group, and one that has left it for a session of its own.
    const script = "sleep 60 & setsid sleep 61 & wait";
    const leader = spawn("sh", ["-c", script], { cwd: share, stdio: "ignore", detached: true });
    const { pid = 0 } = leader;
    t.after(() => process.kill(-pid, "SIGKILL"));
    const users = await hold(t, "sleep", ["62"], share);
    const all = await eventually(async () => {
      const files = await scan(share);
      return files.length === 4 ? files : null;
    });
    const strays = all.filter((file) => ![pid, users].includes(file.pid)).map((file) => file.pid);
    t.after(() => {
      for (const stray of strays) {
        try {
          process.kill(stray, "SIGKILL");
        } catch {
          // It went with its group.
        }
      }
    });
    const [answers] = await scanOpenFilesProc(
      [{ paths: [share], exceptPids: [], exceptGroups: [pid] }],
      "/proc",
    );
    assert.ok(answers?.[0]?.ok);
    assertEach(answers[0].files, (file) => file.pid, [users]);
    const pids = all.map((file) => file.pid);
    await t.test("as reported by ps, on macOS", { skip: (await programMissing("ps")) ?? false }, async () => {
      assert.deepEqual(await withoutGroups(pids, [pid]), [users]);
    });
    assert.deepEqual(await withoutGroups(pids, [pid], () => kinFromPs("/nowhere/ps")), pids);
    const circle = () => ({ parent: 7, group: 7 });
    assert.equal(isOfGroups(7, new Set([8]), circle), false, "a number that is given again makes no circle");
  });

  it("excepted processes do not count, for the queries that except them; several queries are one walk", async (t) => {
    const share = await temporaryFolder(t);
    const sitter = await hold(t, "sleep", ["60"], share);
    await eventually(async () => (await scan(share)).length > 0);
    const answers = await scanOpenFilesProc(
      [
        { paths: [share, "/nowhere"], exceptPids: [] },
        { paths: [share], exceptPids: [sitter] },
      ],
      "/proc",
    );
    const counts = answers.map((ofRequest) =>
      ofRequest.map((answer) => (answer.ok ? answer.files.length : -1)),
    );
    assert.deepEqual(counts, [[1, 0], [0]]);
  });
});

describe("the content of /proc", () => {
  async function processFolder(proc: string, pid: number, maps: string): Promise<string> {
    const folder = join(proc, String(pid));
    await mkdir(join(folder, "fd"), { recursive: true });
    await symlink("/", join(folder, "cwd"));
    await symlink("/", join(folder, "root"));
    await writeFile(join(folder, "maps"), maps);
    await writeFile(join(folder, "comm"), `program ${pid}\n`);
    return folder;
  }

  it("lists are bounded, and one file of one process is listed once", async (t) => {
    const proc = await temporaryFolder(t);
    const folder = await processFolder(proc, 10, "");
    for (let fd = 0; fd < OPEN_FILES_AT_MOST + 50; fd++)
      await symlink(`/m/file ${fd}`, join(folder, "fd", String(fd)));
    const twice = await processFolder(proc, 11, "");
    for (const fd of ["3", "4"]) await symlink("/n/file", join(twice, "fd", fd));
    const [answers] = await scanOpenFilesProc([{ paths: ["/m", "/n"], exceptPids: [] }], proc);
    assertEach(answers, (answer) => answer.ok && answer.files.length, [OPEN_FILES_AT_MOST, 1]);
  });

  it("sockets, pipes and anonymous files are not paths; mapped files are, newlines and all", async (t) => {
    const proc = await temporaryFolder(t);
    const maps = [
      "7f00-7f01 r-xp 00000000 00:2d 12    /m a/lib.so",
      "7f01-7f02 r--p 00000000 00:2d 12    /m a/lib.so",
      "7f02-7f03 rw-p 00000000 00:00 0     [heap]",
      "7f03-7f04 r--p 00000000 00:2d 13    /m a/two\\012lines (deleted)",
      "7f04-7f05 r--p 00000000 00:2d 14    /other/m a/x",
    ].join("\n");
    const folder = await processFolder(proc, 12, maps);
    await symlink("socket:[/m a]", join(folder, "fd", "0"));
    await symlink("anon_inode:[eventpoll]", join(folder, "fd", "1"));
    const [answers] = await scanOpenFilesProc([{ paths: ["/m a"], exceptPids: [] }], proc);
    const [answer] = answers ?? [];
    assert.deepEqual(answer?.ok && answer.files.map(({ path, how }) => [path, how]), [
      ["/m a/lib.so", "mmap"],
      ["/m a/two\nlines (deleted)", "mmap"],
    ]);
  });

  it("A7 processes that have ended or are inaccessible are skipped, as are entries that are not processes", async (t) => {
    const proc = await temporaryFolder(t);
    await mkdir(join(proc, "13"));
    await mkdir(join(proc, "14", "fd"), { recursive: true });
    await writeFile(join(proc, "14", "maps"), "", { mode: 0 });
    await mkdir(join(proc, "sys"));
    const [answers] = await scanOpenFilesProc([{ paths: ["/m"], exceptPids: [] }], proc);
    assert.deepEqual(answers, [{ ok: true, files: [] }]);
  });

  it("a list of processes that cannot be read is not an answer", async () => {
    await assert.rejects(scanOpenFilesProc([{ paths: ["/m"], exceptPids: [] }], "/nowhere at all"));
  });
});

const noDoubles = (await doublesUnavailable()) ?? false;

describe("libproc over the double", { skip: noDoubles }, async () => {
  if (noDoubles !== false) return;
  const path = await buildDouble("libproc.c");
  const library = (await loadKoffi()).load(path);
  const setPids: (pids: Int32Array, count: number) => void = library.func(
    "void double_set_pids(const int32_t *, int)",
  );
  const noted: () => string = library.func("const char *double_noted()");
  const scan = createOpenFilesScanDarwin(() => loadLibproc(path));
  const ask = async (volume: string, exceptPids: readonly number[] = []) =>
    (await scan([{ paths: [volume], exceptPids }]))[0]?.[0];
  const holds = (...pids: readonly number[]): void => setPids(Int32Array.from([...pids, 0]), pids.length);

  it("A7 names the processes that use a volume, each once, without our own", async () => {
    holds(12, 34, 12, 0, process.pid, 56, 666);
    const answer = await ask("/Volumes/Größe x", [56]);
    assert.deepEqual(answer, {
      ok: true,
      files: [
        { pid: 12, command: "prögram-12", path: "/Volumes/Größe x", how: "fd" },
        { pid: 34, command: "prögram-34", path: "/Volumes/Größe x", how: "fd" },
        { pid: 666, command: "?", path: "/Volumes/Größe x", how: "fd" },
      ],
    });
    assert.equal(noted(), "1 0 3 /Volumes/Größe x");
  });

  it("A7 no open files is an empty answer, and a failure is unknown", async () => {
    holds();
    assert.deepEqual(await ask("/Volumes/core"), { ok: true, files: [] });
    setPids(Int32Array.from([0]), -1);
    assert.equal((await ask("/Volumes/core"))?.ok, false);
  });

  it("a path that hangs blocks a thread of the pool, never this one", async () => {
    holds(12);
    const asking = ask("/Volumes/hang");
    // It goes on hanging until this thread says otherwise.
    await eventually(() => noted().endsWith("/Volumes/hang"));
    library.func("void double_release()")();
    const answer = await asking;
    assert.ok(answer?.ok && answer.files.length === 1);
  });

  it("many simultaneous queries are each answered", async () => {
    holds(12);
    const paths = Array.from({ length: 50 }, (_, index) => `/Volumes/${index}`);
    const [answers] = await scan([{ paths, exceptPids: [] }]);
    assertEach(answers, (answer) => (answer.ok ? answer.files[0]?.path : null), paths);
  });
});

it("on this system macOS's libproc is missing", { skip: noDoubles || NOT_ON_A_MAC }, async () => {
  await assert.rejects(loadLibproc());
});
