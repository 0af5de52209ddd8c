// Open files by lsof: its format, its exit codes, and the program itself where it is.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { runCommand } from "../../../src/runtime/process/child-process.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { answerOfLsof, parseLsof, scanOpenFilesLsof } from "../../../src/shares/prober/open-files-lsof.ts";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const none = { exitCode: 1, stdout: "", stderr: "", timedOut: false } as const;

describe("what lsof prints for programs", () => {
  it("A7 is processes and their files, with how they hold them", () => {
    const output = [
      "p501",
      "cPreview",
      "fcwd",
      "n/Volumes/core",
      "f12",
      "n/Volumes/core/a b.pdf",
      "ftxt",
      "n/Volumes/core/tool",
      "p77",
      "cmds",
      "frtd",
      "n/Volumes/core",
      "f3",
      "n/Volumes/core/x",
      "fmem",
      "n/Volumes/core/x",
      "",
    ].join("\n");
    assert.deepEqual(parseLsof(output), [
      { pid: 501, command: "Preview", path: "/Volumes/core", how: "cwd" },
      { pid: 501, command: "Preview", path: "/Volumes/core/a b.pdf", how: "fd" },
      { pid: 501, command: "Preview", path: "/Volumes/core/tool", how: "mmap" },
      { pid: 77, command: "mds", path: "/Volumes/core", how: "root" },
      { pid: 77, command: "mds", path: "/Volumes/core/x", how: "fd" },
    ]);
  });

  it("without the file lines, too, a name is an open file", () => {
    assert.deepEqual(parseLsof("p1\ncx\nn/Volumes/core/a\n"), [
      { pid: 1, command: "x", path: "/Volumes/core/a", how: "fd" },
    ]);
  });

  it("has names with anything in them, bytes escaped one by one", () => {
    const path = (name: string): string | undefined => parseLsof(`p1\ncx\nf3\nn${name}\n`)[0]?.path;
    assert.equal(path("/V/Gr\\xc3\\xb6\\xc3\\x9fe \\xf0\\x9f\\x8f\\x94"), "/V/Größe 🏔");
    assert.equal(path("/V/two\\nlines\\ttab"), "/V/two\nlines\ttab");
    assert.equal(path("/V/Größe"), "/V/Größe");
    assert.equal(path("/V/p99 cfake n/x"), "/V/p99 cfake n/x");
  });

  it("what has no form is no file and no crash", () => {
    for (const output of ["", "\n\n", "n/x\n", "pabc\nn/x\n", "p0\nn/x\n", "zzz\n\0\n", "p\nc\nf\nn\n"])
      assert.deepEqual(parseLsof(output), [], output);
  });
});

describe("how lsof ends", () => {
  it("A7 1 with nothing said is none", () => {
    assert.deepEqual(answerOfLsof(none), { ok: true, files: [], hiddenProcesses: 0 });
    assert.deepEqual(answerOfLsof({ ...none, exitCode: 0 }), { ok: true, files: [], hiddenProcesses: 0 });
  });

  it("A7 1 with a complaint is unknown, which counts as open; what it found is open all the same", () => {
    const complaint = {
      ...none,
      stderr: "lsof: status error on /Volumes/x: No such file or directory\nmore",
    };
    assert.deepEqual(answerOfLsof(complaint), {
      ok: false,
      text: "lsof: status error on /Volumes/x: No such file or directory",
    });
    const both = answerOfLsof({ ...complaint, stdout: "p5\ncx\nf1\nn/Volumes/x/a\n" });
    assert.ok(both.ok && both.files.length === 1);
  });

  it("A7 late, or ended by something, is unknown, unless it had found some", () => {
    assert.equal(answerOfLsof({ ...none, exitCode: null, timedOut: true }).ok, false);
    assert.equal(answerOfLsof({ ...none, exitCode: null }).ok, false);
    assert.equal(answerOfLsof({ ...none, exitCode: 2 }).ok, false);
    assert.equal(answerOfLsof({ ...none, exitCode: null, timedOut: true, stdout: "p5\nn/x\n" }).ok, true);
  });

  it("shows no more than a message may hold", () => {
    const stdout = Array.from({ length: 5_000 }, (_, index) => `p${index + 1}\ncx\nf1\nn/x${index}\n`).join(
      "",
    );
    const answer = answerOfLsof({ ...none, stdout });
    assert.ok(answer.ok && answer.files.length === 200);
  });
});

it("a machine without lsof says so for each path", async () => {
  const [[answer] = []] = await scanOpenFilesLsof([{ paths: ["/x"], exceptPids: [] }], "/nowhere/lsof");
  assert.ok(answer?.ok === false && /lsof/.test(answer.text));
});

it("lsof is asked once for a path, whatever stands in it, and our own processes do not count", async (t) => {
  const folder = await temporaryFolder(t);
  const program = join(folder, "lsof");
  await writeFile(
    program,
    `#!/bin/sh\necho "$*" >> ${folder}/asked\nprintf 'p5\\ncx\\nf1\\nn/a\\np6\\ncy\\nf1\\nn/b\\np${process.pid}\\ncz\\nf1\\nn/c\\n'\n`,
  );
  await chmod(program, 0o755);
  const path = "/Volumes/-f (x) it's";
  const answers = await scanOpenFilesLsof(
    [
      { paths: [path], exceptPids: [6] },
      { paths: [path], exceptPids: [] },
    ],
    program,
  );
  assert.deepEqual(
    answers.map(([answer]) => (answer?.ok ? answer.files.map(({ pid }) => pid) : null)),
    [[5], [5, 6]],
  );
  assert.equal(await readFile(join(folder, "asked"), "utf8"), `-w -F pcfn +f -- ${path}\n`);
});

const unmountable = await whyNot();
/** Other tests hang mounts on purpose, for seconds. */
const LONGEST_HANG_MS = 120_000;

async function whyNot(): Promise<string | false> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "it mounts, as root on Linux";
  const version = await runCommand("lsof", ["-v"], { clock: systemClock, deadlineMs: 60_000 }).catch(
    () => null,
  );
  return version === null ? "lsof is not installed" : false;
}

it("A7 the real lsof finds who holds a mount, and that nobody does", { skip: unmountable }, async (t) => {
  const run = (command: string, ...args: readonly string[]) =>
    runCommand(command, args, { clock: systemClock, deadlineMs: 60_000 });
  let mount = "";
  t.after(() => run("umount", "-l", "--", mount));
  const folder = await temporaryFolder(t);
  mount = join(folder, "Größe x");
  await mkdir(mount);
  const mounted = await run("mount", "-t", "tmpfs", "test", mount);
  if (mounted.exitCode !== 0) return t.skip("mounting is not permitted here");
  const ask = async () => (await scanOpenFilesLsof([{ paths: [mount], exceptPids: [] }], "lsof"))[0]?.[0];
  // It looks at every mount of the machine: while one of them hangs it has no answer.
  await eventually(async () => {
    assert.deepEqual(await ask(), { ok: true, files: [], hiddenProcesses: 0 });
    return true;
  }, LONGEST_HANG_MS);
  await writeFile(join(mount, "ß"), "x");
  const holder = spawn("tail", ["-f", join(mount, "ß")], { cwd: "/", stdio: "ignore" });
  try {
    await eventually(async () => {
      const answer = await ask();
      assert.ok(answer?.ok);
      assert.deepEqual(
        answer.files.map(({ pid, command, path, how }) => [pid, command, path, how]),
        [[holder.pid, "tail", join(mount, "ß"), "fd"]],
      );
      return true;
    }, LONGEST_HANG_MS);
  } finally {
    holder.kill("SIGKILL");
    await once(holder, "exit");
  }
});
