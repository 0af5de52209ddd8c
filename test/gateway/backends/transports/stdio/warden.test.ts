import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { openStdioTransport } from "../../../../../src/gateway/backends/transports/stdio/stdio-transport.ts";
import { signalGroup, Warden } from "../../../../../src/gateway/backends/transports/stdio/warden.ts";
import { noopLogger as logger } from "../../../../../src/runtime/log/log.ts";
import { systemClock as clock } from "../../../../../src/runtime/time/clock.ts";
import { assertEach } from "../../../../support/assert-each.ts";
import { eventually } from "../../../../support/eventually.ts";
import { createManualClock } from "../../../../support/manual-clock.ts";
import { createRecordingLogger } from "../../../../support/recording-logger.ts";
import { temporaryFolder } from "../../../../support/temporary-folder.ts";
import { openRecorded } from "../link-recorder.ts";

const execute = promisify(execFile);
const ROOT = fileURLToPath(new URL("../../../../..", import.meta.url));
const PARENT = fileURLToPath(new URL("../../programs/link-parent.ts", import.meta.url));
/** A backend with a child and a grandchild, none of which minds SIGTERM or the end of its input. */
const STUBBORN = `trap '' TERM HUP; (trap '' TERM; sh -c 'trap "" TERM; echo up >&2; sleep 600 & wait; sleep 600' & sleep 600) & sleep 600; sleep 600`;

/** The states of the processes in these groups that are no zombies, as `ps` has them. */
async function living(groups: readonly number[]): Promise<string[]> {
  const processes = process.platform === "linux" ? await statesInProc() : await statesByPs();
  return processes.flatMap(({ group, state }) =>
    groups.includes(group) && !state.startsWith("Z") ? state : [],
  );
}

interface ProcessState {
  readonly group: number;
  readonly state: string;
}

async function statesInProc(): Promise<ProcessState[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const texts = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/stat`, "latin1").catch(() => "")));
  return texts.map((text) => {
    const [state = "Z", , group] = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { state, group: Number(group) };
  });
}

async function statesByPs(): Promise<ProcessState[]> {
  const { stdout } = await execute("ps", ["-e", "-o", "pgid=,stat="]);
  return stdout.split("\n").map((line) => {
    const [group, state = "Z"] = line.trim().split(/\s+/);
    return { state, group: Number(group) };
  });
}

/** Whether the warden sleeps, and has come to ignore signals; where the system cannot tell, it is taken to. */
async function isSettled(pid: number): Promise<boolean> {
  const of = (name: string): Promise<string | null> =>
    readFile(`/proc/${pid}/${name}`, "latin1").catch(() => null);
  const [command, status] = await Promise.all([of("cmdline"), of("status")]);
  if (status === null) return (await living([pid])).some((state) => state.startsWith("S"));
  return (
    command?.includes("backend-warden.sh") === true &&
    /^State:\tS/m.test(status) &&
    /^SigIgn:.*[1-9a-f]/m.test(status)
  );
}

function openWarden(t: TestContext): Warden & AsyncDisposable {
  const warden = new Warden({ clock, logger });
  t.after(() => warden[Symbol.asyncDispose]());
  return warden;
}

/** Starts a group of its own that outlives nothing. */
function startGroup(t: TestContext, script: string): ChildProcess & { readonly pid: number } {
  const child = spawn("sh", ["-c", script], { detached: true, stdio: "ignore" });
  const { pid } = child;
  assert.ok(pid);
  t.after(async () => {
    try {
      process.kill(-pid, "SIGKILL");
    } catch {}
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  });
  return Object.assign(child, { pid });
}

async function untilParentIsUp(
  t: TestContext,
  args: readonly string[],
): Promise<{ parent: ChildProcess; groups: number[]; warden: number }> {
  const parent = spawn(process.execPath, [...args], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => parent.kill("SIGKILL"));
  const [line] = await once(parent.stdout ?? parent, "data");
  const told = JSON.parse(String(line));
  t.after(() => {
    for (const group of told.groups) {
      try {
        process.kill(-group, "SIGKILL");
      } catch {}
    }
  });
  return { parent, ...told };
}

async function proveNoneSurvives(t: TestContext, program: string): Promise<void> {
  const { parent, groups, warden } = await untilParentIsUp(t, [program, "3", "sh", "-c", STUBBORN]);
  assert.equal(groups.length, 3);
  assert.ok((await living(groups)).length >= 9);
  parent.kill("SIGKILL");
  await eventually(async () => (await living([...groups, warden])).length === 0);
}

test("when the daemon is killed, nothing of its backends is left, not even stubborn grandchildren", async (t) => {
  await proveNoneSurvives(t, PARENT);
});

test("the same is true of the bundled program", async (t) => {
  const folder = await temporaryFolder(t);
  const esbuild = join(ROOT, "node_modules/.bin/esbuild");
  const outdir = join(folder, "dist/build");
  const flags = ["--bundle", "--platform=node", "--format=esm", "--target=node22.18"];
  try {
    await execute(esbuild, [PARENT, ...flags, `--outdir=${outdir}`]);
  } catch (error) {
    t.skip(`needs esbuild: ${error}`);
    return;
  }
  for (const program of ["backend-launch.sh", "backend-warden.sh"])
    await execute("cp", [join(ROOT, "bin", program), outdir]);
  await execute("sh", ["-c", 'printf \'{"type":"module"}\' > "$1/package.json"', "sh", folder]);
  await proveNoneSurvives(t, join(outdir, "link-parent.js"));
});

test("a stopped backend is also ended", async (t) => {
  const warden = openWarden(t);
  const manual = createManualClock();
  const link = openStdioTransport({
    command: "sh",
    args: ["-c", "kill -STOP $$; sleep 600"],
    env: {},
    cwd: "/",
    warden,
    clock: manual,
  });
  const recorded = openRecorded(link);
  const { pid } = recorded.link;
  assert.ok(pid);
  await eventually(async () => (await living([pid])).some((state) => state.startsWith("T")));
  const closing = recorded.link.close();
  await manual.advance(3_000);
  await closing;
  assert.deepEqual(await living([pid]), []);
});

test("the warden ignores every signal but SIGKILL, and after that it is restarted and knows all groups", async (t) => {
  const warden = openWarden(t);
  assert.equal(warden.pid, null);
  const group = startGroup(t, "sleep 600; :");
  warden.channel();
  warden.watch(group.pid);
  const first = warden.pid;
  assert.ok(first);
  await eventually(() => isSettled(first));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.kill(first, signal);
  assert.equal((await living([first])).length, 1);
  process.kill(first, "SIGKILL");
  await eventually(() => warden.pid !== null && warden.pid !== first);
  assert.equal((await living([group.pid])).length > 0, true);
  await warden[Symbol.asyncDispose]();
  await eventually(async () => (await living([group.pid])).length === 0);
});

test("a warden that keeps ending is restarted later each time, and soon again after a calm", async (t) => {
  const manual = createManualClock();
  const recorded = createRecordingLogger();
  const warden = new Warden({ clock: manual, logger: recorded });
  t.after(() => warden[Symbol.asyncDispose]());
  warden.channel();
  const pauses = (): unknown[] => recorded.lines.map(({ fields }) => fields["afterMs"]);
  for (const [upMs, pauseMs] of [
    [1, 100],
    [1, 200],
    [30_000, 400],
    [30_001, 100],
  ] as const) {
    const { pid } = warden;
    assert.ok(pid);
    await manual.advance(upMs);
    process.kill(pid, "SIGKILL");
    await eventually(() => warden.pid === null);
    assert.equal(pauses().at(-1), pauseMs);
    await manual.advance(pauseMs);
  }
});

test("a warden that is no longer wanted is not restarted", async () => {
  const manual = createManualClock();
  const recorded = createRecordingLogger();
  const warden = new Warden({ clock: manual, logger: recorded });
  warden.channel();
  await warden[Symbol.asyncDispose]();
  assert.deepEqual([warden.pid, recorded.lines, manual.pendingTimers], [null, [], 0]);
});

test("a backend starts while there is no warden", async (t) => {
  const warden = openWarden(t);
  warden.channel();
  assert.ok(warden.pid);
  process.kill(warden.pid, "SIGKILL");
  const recorded = openRecorded(
    openStdioTransport({ command: "sh", args: ["-c", "echo up >&2; cat"], env: {}, cwd: "/", warden, clock }),
  );
  await eventually(() => recorded.logLines.includes("up"));
  await recorded.link.close();
});

test("a released group is forgotten, so that its number may be reused", async (t) => {
  const warden = openWarden(t);
  const writer = warden.channel();
  assert.ok(writer !== "ignore");
  const stranger = startGroup(t, "sleep 600; :");
  // As if a backend had had this number: released, though it is not ours to end.
  const { pid } = warden;
  assert.ok(pid);
  const gone = startGroup(t, ":");
  await once(gone, "exit");
  const { mock: written } = t.mock.method(writer, "write");
  warden.watch(gone.pid);
  await warden.release(gone.pid);
  assertEach(written.calls, (call) => call.arguments[0], [`+${gone.pid}\n`, `-${gone.pid}\n`]);
  warden.watch(stranger.pid);
  writer.write(`-${stranger.pid}\n+0\n+1\n+-1\n+x\n+\n\n-\n`);
  await warden[Symbol.asyncDispose]();
  await eventually(async () => (await living([pid])).length === 0);
  assert.equal((await living([stranger.pid])).length > 0, true);
});

test("a group is empty when the system knows none of it, not when it belongs to another user", (t) => {
  for (const [code, isThere] of [
    ["EPERM", true],
    ["ESRCH", false],
  ] as const) {
    const { mock } = t.mock.method(process, "kill", () => {
      throw Object.assign(new Error(code), { code });
    });
    assert.equal(signalGroup(4_242, 0), isThere, code);
    mock.restore();
  }
});

test("release ends the leader's remaining processes", async (t) => {
  const warden = openWarden(t);
  const leader = startGroup(t, "trap '' TERM; sleep 600 & exit 0");
  await once(leader, "exit");
  assert.equal((await living([leader.pid])).length, 1);
  await warden.release(leader.pid);
  await eventually(async () => (await living([leader.pid])).length === 0);
});

test("both programs run under other shells", async (t) => {
  const inShell = async (shell: string): Promise<void> => {
    try {
      await execute(shell, ["-c", ":"]);
    } catch {
      return;
    }
    const posix = { bash: ["--posix"], zsh: ["--emulate", "sh"] }[shell] ?? [];
    const warden = spawn(shell, [...posix, join(ROOT, "bin/backend-warden.sh")], {
      detached: true,
      stdio: ["pipe", "ignore", "inherit"],
    });
    const kept = startGroup(t, "sleep 600; :");
    const ended = startGroup(t, "trap '' TERM; sleep 600; sleep 600");
    const launch = join(ROOT, "bin/backend-launch.sh");
    const launched = spawn(
      shell,
      [...posix, launch, "/tmp", "sh", "-c", 'pwd; echo "$@"; sleep 600', "a", "b c"],
      {
        detached: true,
        stdio: ["ignore", "pipe", "inherit", warden.stdin],
      },
    );
    const [output] = await once(launched.stdout ?? launched, "data");
    assert.match(String(output), /^\/tmp\n(b c\n)?/, shell);
    warden.stdin?.write(`+${kept.pid}\n+${ended.pid}\n+${kept.pid}\n-${kept.pid}\n`);
    warden.stdin?.end();
    await once(warden, "exit");
    const { pid } = launched;
    assert.ok(pid);
    await eventually(async () => (await living([ended.pid, pid])).length === 0);
    assert.equal((await living([kept.pid])).length > 0, true, shell);
  };
  await Promise.all(["dash", "bash", "ksh", "zsh"].map(inShell));
});
