// Real children: what they get, what comes back, and that nothing they do holds us past the deadline.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { access, chmod, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { describe, it, type TestContext } from "node:test";
import { childEnvironment, runCommand, startDetached } from "../../../src/runtime/process/child-process.ts";
import { endProcess, processIdentity } from "../../../src/runtime/process/process-identity.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { descriptorsOf } from "../../support/descriptors.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { runOutOfFiles } from "../../support/out-of-files.ts";
import { passTimeUntilSettled } from "../../support/pass-time.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { LINUX_ALONE } from "../../support/where.ts";

const clock = systemClock;
/** For what is expected to end by itself. */
const usual = { clock, deadlineMs: 60_000 };

/** In a script for sh, as its last word, and where it has to go on with what it traps. */
const FOR_EVER = "exec sleep 600";
const TURNING = "while :; do sleep 0.05; done";
/** In a script: tells `runUntilReady` that it has come this far. */
const READY = ': > "$READY_FILE"';

/** Runs a script on a clock that stands still; resolves when the script has said READY. */
async function runUntilReady(
  t: TestContext,
  script: string,
  options: Partial<Parameters<typeof runCommand>[2]>,
) {
  const time = createManualClock();
  const readyFile = join(await temporaryFolder(t), "ready");
  const running = run(script, { clock: time, env: { READY_FILE: readyFile }, ...options });
  const isReady = (): Promise<boolean> =>
    access(readyFile).then(
      () => true,
      () => false,
    );
  await Promise.race([eventually(isReady), running]);
  return { running, time, isReady, readyAgain: () => rm(readyFile) };
}

/** A script for sh, which starts in a hundredth of the time of a Node. */
async function run(script: string, options: Partial<Parameters<typeof runCommand>[2]> = {}) {
  return runCommand("sh", ["-c", script], { ...usual, ...options });
}

describe("runCommand", () => {
  it("returns exit code, output and the time it took", async () => {
    const result = await run("echo 'out ü'; echo err >&2; exit 3");
    assert.equal(result.exitCode, 3);
    assert.equal(result.exitSignal, null);
    assert.equal(result.stdout, "out ü\n");
    assert.equal(result.stderr, "err\n");
    assert.equal(result.timedOut, false);
    assert.ok(result.tookMs > 0);
  });

  it("names the signal that ended the child", async () => {
    const result = await run(`kill -USR2 $$; ${FOR_EVER}`);
    assert.equal(result.exitCode, null);
    assert.equal(result.exitSignal, "SIGUSR2");
    assert.equal(result.timedOut, false);
  });

  it("passes arguments unchanged, through no shell", async () => {
    const hostile = ["$(id)", "; rm -rf x", "a b", "'", '"', "*", "", "line\nbreak"];
    const result = await runCommand(
      process.execPath,
      ["-e", "console.log(JSON.stringify(process.argv.slice(1)))", "--", ...hostile],
      usual,
    );
    assert.deepEqual(JSON.parse(result.stdout), hostile);
  });

  it("passes stdin, and a child that never reads it is not a failure", async () => {
    const echoed = await run("cat", { stdin: "secret\nline" });
    assert.equal(echoed.stdout, "secret\nline");
    const big = "x".repeat(4 * 1024 * 1024);
    const deaf = await run("exit 0", { stdin: big });
    assert.equal(deaf.exitCode, 0);
    const none = await run("cat; echo end");
    assert.equal(none.stdout, "end\n");
  });

  it("passes on a stream as it arrives, and reports output as it arrives, which it then does not keep", async () => {
    const input = new PassThrough();
    let heard = "";
    input.write("one ü");
    const result = await run("cat", {
      stdin: input,
      onStdout(piece) {
        heard += piece;
        if (heard === "one ü") input.end(" two");
      },
    });
    assert.equal(heard, "one ü two");
    assert.deepEqual([result.exitCode, result.stdout], [0, ""]);
  });

  it("gives the child a short environment, its additions, and / as its folder", async (t) => {
    process.env["MOUNTAINEER_TEST_SECRET"] = "hunter2";
    process.env["LC_TEST"] = "de";
    t.after(() => {
      delete process.env["MOUNTAINEER_TEST_SECRET"];
      delete process.env["LC_TEST"];
    });
    const result = await run("pwd; env", { env: { EXTRA: "1", HOME: "/elsewhere" } });
    const [cwd, ...lines] = result.stdout.split("\n");
    const env = Object.fromEntries(lines.map((line) => line.split(/=(.*)/su)));
    assert.equal(cwd, "/");
    assert.equal(env["MOUNTAINEER_TEST_SECRET"], undefined);
    assert.equal(env["EXTRA"], "1");
    assert.equal(env["HOME"], "/elsewhere");
    assert.equal(env["LC_TEST"], "de");
    assert.equal(env["PATH"], process.env["PATH"]);
    assert.equal(childEnvironment()["EXTRA"], undefined);
  });

  it("drops output beyond the limit, and does not block the child", async () => {
    const result = await run("yes ab | tr -d '\\n' | head -c 1000000; echo done >&2", {
      maxOutputBytes: 1001,
    });
    assert.equal(result.exitCode, 0);
    assert.equal(result.stdout, `${"ab".repeat(500)}a`);
    assert.equal(result.stderr, "done\n");
  });

  it("accepts exactly as much as the limit", async () => {
    assert.equal((await run("printf 12345", { maxOutputBytes: 5 })).stdout, "12345");
  });

  it("rejects when no further file can be opened, and ends nothing else", async () => {
    const module = new URL("../../../src/runtime/process/child-process.ts", import.meta.url).href;
    const clockModule = new URL("../../../src/runtime/time/clock.ts", import.meta.url).href;
    const told = await runOutOfFiles(
      `import { runCommand, startDetached } from "${module}"; import { systemClock as clock } from "${clockModule}";`,
      `const tell = ({ code, retry, message }) => console.log(code, retry, message);
       await runCommand("true", [], { clock, deadlineMs: 1000 }).catch(tell);
       await startDetached("true", [], { logPath: null }).catch(tell);
       await new Promise((resolve) => setTimeout(resolve, 50));
       console.log("lives");`,
    );
    const failure = "program_unavailable later cannot start true: too many files are open\n";
    assert.equal(told, `${failure}${failure}lives\n`);
  });

  it("gives the reason why a program cannot be started", async (t) => {
    await assert.rejects(runCommand("no-such-program-here", [], usual), {
      code: "program_unavailable",
      message: "cannot start no-such-program-here: it is not installed, or not on PATH",
    });
    const folder = await temporaryFolder(t);
    const file = join(folder, "plain");
    await writeFile(file, "x");
    await chmod(file, 0o644);
    await assert.rejects(runCommand(file, [], usual), {
      code: "program_unavailable",
      message: `cannot start ${file}: it may not be executed`,
    });
    await assert.rejects(
      runCommand("plain", [], { ...usual, env: { PATH: folder } }),
      /is not installed, or may not be executed$/,
    );
    const isRoot = process.getuid?.() === 0;
    await chmod(folder, 0);
    if (isRoot) process.seteuid?.(65_534);
    try {
      const closed = { ...usual, env: { PATH: `${folder}:/usr/bin:/bin` } };
      const absent = /^MountaineerError: cannot start absent: it is not installed, or may not be executed$/;
      await assert.rejects(runCommand("absent", [], closed), absent);
      await assert.rejects(startDetached("absent", [], { ...closed, logPath: null }), absent);
    } finally {
      if (isRoot) process.seteuid?.(0);
      await chmod(folder, 0o700);
    }
    await assert.rejects(runCommand(process.execPath, ["a\0b"], usual), { code: "program_unavailable" });
    await assert.rejects(runCommand(process.execPath, ["x".repeat(8 * 1024 * 1024)], usual), {
      code: "program_unavailable",
    });
  });

  it("ends a child at the deadline, and not before", async (t) => {
    const { running, time } = await runUntilReady(t, `echo early; ${READY}; ${FOR_EVER}`, {
      deadlineMs: 300,
    });
    await time.advance(299);
    assert.equal(time.pendingTimers, 1, "the deadline is still to come");
    await time.advance(1);
    const result = await running;
    assert.equal(result.timedOut, true);
    assert.equal(result.exitSignal, "SIGTERM");
    assert.equal(result.stdout, "early\n");
    assert.equal(result.tookMs, 300);
  });

  it("kills a child that ignores SIGTERM after the grace", async (t) => {
    const { running, time, isReady, readyAgain } = await runUntilReady(
      t,
      `trap 'echo no; ${READY}' TERM; echo up; ${READY}; ${TURNING}`,
      { deadlineMs: 400, killGraceMs: 150 },
    );
    await readyAgain();
    await time.advance(400);
    await eventually(isReady);
    await time.advance(150);
    const result = await running;
    assert.equal(result.timedOut, true);
    assert.equal(result.exitSignal, "SIGKILL");
    assert.equal(result.stdout, "up\nno\n");
    assert.equal(result.tookMs, 550);
  });

  it("counts a child that ends well on SIGTERM as timed out all the same", async (t) => {
    const { running, time } = await runUntilReady(t, `trap 'exit 0' TERM; ${READY}; ${TURNING}`, {
      deadlineMs: 400,
    });
    await time.advance(400);
    const result = await running;
    assert.deepEqual([result.timedOut, result.exitCode], [true, 0]);
  });

  it("ends the whole group on request, members that ignore SIGTERM included", async (t) => {
    const stubborn = `trap "" TERM; echo $$; ${READY}; ${FOR_EVER}`;
    const { running, time } = await runUntilReady(t, `sh -c '${stubborn}' & ${FOR_EVER}`, {
      deadlineMs: 600,
      killGraceMs: 100,
      killGroup: true,
    });
    await time.advance(600);
    const result = await running;
    assert.equal(result.timedOut, true);
    const grandchild = Number(result.stdout);
    assert.ok(grandchild > 0, result.stdout);
    await eventually(async () => (await processIdentity(grandchild)) === null);
  });

  it("does not wait for a grandchild that keeps the pipes open", { skip: LINUX_ALONE }, async (t) => {
    const result = await run("setsid sleep 600 & echo $!");
    const grandchild = await processIdentity(Number(result.stdout));
    assert.ok(grandchild);
    t.after(() => endProcess(grandchild, { clock, graceMs: 0, deadlineMs: 60_000 }));
    assert.equal(result.exitCode, 0);
    assert.equal(result.timedOut, false);
  });

  it("does not take an abort for the end of a child that has ended, and closes pipes that others keep open", {
    skip: LINUX_ALONE,
  }, async (t) => {
    const { socket } = await descriptorsOf(process.pid);
    const aborting = new AbortController();
    const time = createManualClock();
    let told = "";
    const running = run("setsid sleep 600 & echo $$ $!", {
      ...{ clock: time, signal: aborting.signal },
      onStdout: (piece) => {
        told += piece;
      },
    });
    const pids = (): readonly string[] => /^(\d+) (\d+)\n/.exec(told)?.slice(1) ?? ["self"];
    await eventually(() => !existsSync(`/proc/${pids()[0]}`));
    aborting.abort(new Error("too late"));
    await time.advance(100);
    assert.equal((await running).exitCode, 0);
    const grandchild = await processIdentity(Number(pids()[1]));
    assert.ok(grandchild);
    t.after(() => endProcess(grandchild, { clock, graceMs: 0, deadlineMs: 60_000 }));
    await eventually(async () => (await descriptorsOf(process.pid))["socket"] === socket);
  });

  it("ends the child when the signal aborts, and rejects once it has ended", async (t) => {
    const aborting = new AbortController();
    const { running } = await runUntilReady(t, `${READY}; ${FOR_EVER}`, { signal: aborting.signal });
    aborting.abort(new Error("shutting down"));
    // The clock stands still: only the child's end can end this.
    await assert.rejects(running, (error: Error) => {
      assert.equal("code" in error && error.code, "aborted");
      assert.equal((error.cause as Error).message, "shutting down");
      return true;
    });
    await assert.rejects(run(":", { signal: aborting.signal }), { code: "aborted" });
  });

  it("leaves no listener on a signal that outlives it", async () => {
    const { signal } = new AbortController();
    let registered = 0;
    const counting = new Proxy(signal, {
      get(target, key) {
        if (key === "addEventListener") registered++;
        if (key === "removeEventListener") registered--;
        const value = Reflect.get(target, key, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    await run(":", { signal: counting });
    assert.equal(registered, 0);
  });

  it("continues without a child that the kernel does not let die", async (t) => {
    const mount = await hungMount(t);
    if (mount === null) return;
    const time = createManualClock();
    const running = runCommand("stat", [join(mount.path, "file")], {
      clock: time,
      deadlineMs: 200,
      killGraceMs: 50,
    });
    await eventually(mount.asked);
    const result = await passTimeUntilSettled(time, running);
    assert.equal(result.timedOut, true);
    assert.deepEqual([result.exitCode, result.exitSignal], [null, null], "it sits in the kernel");
    assert.ok(result.tookMs <= 1_200, `${result.tookMs}`);
  });
});

/**
 * A FUSE mount whose server has taken the request and never answers it: SIGKILL does not end who asks. null (and the test
 * is skipped) where there is no FUSE.
 */
async function hungMount(t: TestContext): Promise<{ path: string; asked: () => boolean } | null> {
  try {
    await access("/dev/fuse");
    await runCommand("fusermount3", ["--version"], usual);
  } catch {
    t.skip("needs /dev/fuse and fusermount3");
    return null;
  }
  // Registered before the folder's own removal, which would hang on the mount.
  t.after(() => cleanUp());
  let cleanUp = async (): Promise<void> => {};
  const mount = await temporaryFolder(t);
  let asked = false;
  const server = spawn("python3", [SILENT_FUSE, mount], { stdio: ["ignore", "pipe", "inherit"] });
  const gone = once(server, "exit");
  server.stdout.once("data", () => {
    asked = true;
  });
  cleanUp = async () => {
    server.kill("SIGKILL");
    await gone;
    await runCommand("fusermount3", ["-uz", mount], usual);
  };
  await eventually(async () => (await readFile("/proc/self/mountinfo", "utf8")).includes(mount));
  return { path: mount, asked: () => asked };
}

const SILENT_FUSE = join(import.meta.dirname, "../../rig/silent-fuse.py");
