import assert from "node:assert/strict";
import { once } from "node:events";
import { chmod, chown, lchown, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { connectToDaemon } from "../../../src/api/client/client.ts";
import type { CallOperation } from "../../../src/api/operations/operations.ts";
import { writeDaemonInfo } from "../../../src/api/socket/daemon-info.ts";
import type { CommandContext } from "../../../src/cli/input/command.ts";
import {
  onceOpened,
  returningDaemon,
  withDaemonOr,
  withOperations,
} from "../../../src/cli/sessions/control-session.ts";
import { openGatewayConnection } from "../../../src/mcp-bridge/gateway-connection.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { acquireHomeLock } from "../../../src/runtime/process/home-lock.ts";
import { type Clock, systemClock } from "../../../src/runtime/time/clock.ts";
import { startRig } from "../../api/management-rig.ts";
import { sampleReport } from "../../api/sample-report.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { passTimeUntil, passTimeUntilSettled } from "../../support/pass-time.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { programMissing, runProgram } from "../../sync/programs.ts";
import { contextOf } from "../command-context.ts";
import { runProcess, startCommand } from "../command-line.ts";

/** A home whose lock a monitor holds that does not serve yet. */
async function startingHome(t: TestContext): Promise<string> {
  const home = await temporaryFolder(t);
  const lock = await acquireHomeLock(home, { command: "monitor", waitMs: 0, clock: systemClock });
  t.after(() => lock[Symbol.asyncDispose]());
  return home;
}

const never = new AbortController().signal;
const statusOf = (ask: CallOperation<"status">) => ask("status", null, never);

function withControl<T>(
  context: CommandContext,
  intent: "look" | "change",
  use: (ask: CallOperation<"status">) => Promise<T>,
  clock?: Clock,
): Promise<T> {
  return withOperations(context, intent, use, clock);
}

test("a changing command that finds a daemon still starting waits for its socket", async (t) => {
  const home = await startingHome(t);
  const clock = createManualClock();
  const asking = withControl(contextOf(home), "change", statusOf, clock);
  for (let round = 0; round < 3; round++) {
    await eventually(() => clock.pendingTimers === 1);
    await clock.advance(50);
  }
  await startRig(t, { home });
  await eventually(() => clock.pendingTimers === 1);
  void clock.advance(50);
  assert.deepEqual(await asking, sampleReport());
});

test("it waits 10 s and no longer, and names the process", async (t) => {
  const home = await startingHome(t);
  const clock = createManualClock();
  const asking = withControl(contextOf(home), "change", statusOf, clock);
  const startedMs = clock.monotonicMs();
  let settled = false;
  asking.catch(() => {
    settled = true;
  });
  await passTimeUntil(clock, () => settled, 500);
  const waitedMs = clock.monotonicMs() - startedMs;
  assert.ok(waitedMs >= 10_000 && waitedMs < 14_000, String(waitedMs));
  await assert.rejects(asking, (error) => {
    assert.ok(error instanceof MountaineerError);
    assert.equal(error.code, "daemon_unreachable");
    assert.match(error.message, new RegExp(`pid ${process.pid}`));
    return true;
  });
});

test("waiting for a daemon ends at once when it is cancelled", async (t) => {
  const home = await startingHome(t);
  const cancel = new AbortController();
  const clock = createManualClock();
  const asking = withControl(contextOf(home, { signal: cancel.signal }), "change", statusOf, clock);
  asking.catch(() => {});
  await eventually(() => clock.pendingTimers === 1);
  cancel.abort(new MountaineerError("aborted", "stopped by SIGINT"));
  await assert.rejects(asking, { code: "aborted" });
});

test("the engine in process is ended in every case", async (t) => {
  const home = await temporaryFolder(t);
  await assert.rejects(
    withControl(contextOf(home), "change", () => Promise.reject(new MountaineerError("timed_out", "late"))),
    { code: "timed_out" },
  );
  const lock = await acquireHomeLock(home, { command: "mount", waitMs: 0, clock: systemClock });
  await lock[Symbol.asyncDispose]();
});

test("an invalid configuration is reported with all its errors", async (t) => {
  const home = await temporaryFolder(t);
  await writeFile(join(home, "config.toml"), "[global]\nshares_rot = 1\ncheck_interval_secs = -1\n");
  for (const ask of ["look", "change"] as const) {
    await assert.rejects(withControl(contextOf(home), ask, statusOf), (error) => {
      assert.ok(error instanceof MountaineerError);
      assert.equal(error.code, "config_invalid");
      assert.match(error.message, /shares_rot/);
      assert.match(error.message, /check_interval_secs/);
      return true;
    });
  }
});

test("a command that started just before a monitor searches for it again, for 10 s and no longer", async (t) => {
  const home = await temporaryFolder(t);
  const clock = createManualClock();
  const error = new MountaineerError("already_running", "a monitor has the home");
  const opening = () => onceOpened(Promise.reject(error), () => assert.fail("there is nothing to use"));
  const noDaemon = () => assert.fail("no daemon serves");
  let tries = 0;
  const third = async () => (++tries < 3 ? opening() : { kind: "done" as const, value: "mine" });
  const asking = withDaemonOr(contextOf(home), "change", noDaemon, third, clock);
  assert.equal(await passTimeUntilSettled(clock, asking, 50), "mine");
  const beganMs = clock.monotonicMs();
  const late = withDaemonOr(contextOf(home), "change", noDaemon, opening, clock);
  await assert.rejects(passTimeUntilSettled(clock, late, 500), error);
  assert.ok(clock.monotonicMs() - beganMs >= 10_000);
  const other = new MountaineerError("home_unwritable", "no");
  await assert.rejects(
    onceOpened(Promise.reject(other), () => assert.fail()),
    other,
  );
});

test("a daemon that has gone is waited for while its record or its successor's lock exists, for 10 s and no longer", async (t) => {
  const clock = createManualClock();
  const nothing = await temporaryFolder(t);
  assert.equal(await returningDaemon(contextOf(nothing), clock), null, "at once");
  const noted = await temporaryFolder(t);
  const started_at = new Date(0).toISOString();
  await writeDaemonInfo(noted, { pid: 1, socket: join(noted, "s"), version: "0.1.0", started_at });
  for (const home of [noted, await startingHome(t)]) {
    const beganMs = clock.monotonicMs();
    assert.equal(await passTimeUntilSettled(clock, returningDaemon(contextOf(home), clock), 500), null);
    assert.ok(clock.monotonicMs() - beganMs >= 10_000, home);
  }
});

// Commands and bridges of a home whose sockets are outside of it, where another program may have made their folder again.
const NOBODY = 65_534;
const STRANGER = 21_200;

/** A home whose path is too long for sockets, and a socket for which `daemon.json` names it: what comes there is counted. */
async function forge(t: TestContext) {
  const top = await temporaryFolder(t);
  await chmod(top, 0o755);
  const home = join(top, "h".repeat(100));
  await mkdir(home, { mode: 0o700 });
  const folder = await mkdtemp(join(tmpdir(), "mountaineer-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.on("error", () => {}).end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
  });
  const path = join(folder, "sock");
  server.listen(path);
  await once(server, "listening");
  t.after(() => server.close());
  await chmod(path, 0o600);
  const name = async (socket: string) => {
    const note = { pid: 1, socket, mcp_socket: socket, version: "0.1.0", started_at: "", home };
    await writeFile(join(home, "daemon.json"), JSON.stringify(note));
  };
  await name(path);
  return { top, home, folder, path, name, connections: () => connections };
}

const COMMANDS: readonly { readonly args: readonly string[]; readonly input?: string }[] = [
  { args: ["status"] },
  { args: ["reload"] },
  { args: ["mcp"], input: `{"jsonrpc":"2.0","id":1,"method":"initialize"}\n` },
];

async function assertRefused(home: string, why: RegExp, within: readonly string[] = []): Promise<void> {
  for (const { args, input } of COMMANDS) {
    const ran = await runProcess(args, { home, within, ...(input === undefined ? {} : { input }) });
    assert.equal(ran.code, 8, `${args}: ${ran.stdout}${ran.stderr}`);
    assert.match(ran.stderr, why);
    assert.match(ran.stderr, /: Mountaineer is not running\n.*mountaineer up/);
  }
}

test("E2 no command connects to a socket behind a link, or in a folder that others can enter", async (t) => {
  const { top, home, folder, path, name, connections } = await forge(t);
  await chmod(folder, 0o755);
  await assertRefused(home, /mountaineer-\w+ is open to other users:/);
  await chmod(folder, 0o700);
  const link = join(top, "link");
  await symlink(folder, link);
  await name(join(link, "sock"));
  await assertRefused(home, /link is not a folder:/);
  assert.equal(connections(), 0);
  await name(path);
  assert.notEqual(await connectToDaemon(home), null);
  assert.equal(connections(), 1, "the home's owner made it");
});

test("E2 no command, bridge or daemon connects to another user's socket outside of the home", async (t) => {
  const missing = await programMissing("setpriv");
  if (missing !== null || process.getuid?.() !== 0)
    return t.skip(missing ?? "needs root, to be another user");
  const { home, folder, path, connections } = await forge(t);
  for (const each of [home, join(home, "daemon.json")]) await chown(each, NOBODY, NOBODY);
  const as = (uid: number) => ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];

  await chown(folder, STRANGER, STRANGER);
  await assertRefused(home, /mountaineer-\w+ belongs to user 21200:/, as(NOBODY));
  await assertRefused(home, /mountaineer-\w+ belongs to user 21200:/);
  const doctor = await runProcess(["doctor"], { home, within: as(NOBODY) });
  assert.match(doctor.stdout, /belongs to user 21200/);
  assert.doesNotMatch(doctor.stdout, /a stale socket/);
  const { signal } = new AbortController();
  const options = {
    output: process.stdout,
    onLine: () => true,
    onTooLong() {},
    onDrain() {},
    onEnd: () => true,
  };
  await assert.rejects(openGatewayConnection({ path, home }, signal, options), /belongs to user 21200/);

  await chown(folder, NOBODY, NOBODY);
  await lchown(path, STRANGER, STRANGER);
  await assertRefused(home, /sock belongs to user 21200:/, as(NOBODY));
  assert.equal(connections(), 0);

  await lchown(path, NOBODY, NOBODY);
  assert.notEqual(await connectToDaemon(home), null, "root takes the home's owner's");
  assert.equal(connections(), 1);
});

test("E2 up starts the daemon although another program has made the folder of the old sockets again", async (t) => {
  const { home, folder, connections } = await forge(t);
  await chmod(folder, 0o755);
  await writeFile(join(home, "config.toml"), "", { mode: 0o600 });
  const monitor = startCommand(["monitor"], { home });
  t.after(async () => {
    monitor.child.kill();
    await monitor.ended;
  });
  const found = await eventually(() => connectToDaemon(home).catch(() => null));
  assert.notEqual(found, null);
  assert.equal(connections(), 0);
  const container = ["unshare", "--user", "--map-root-user"];
  const obstacle =
    (await programMissing("unshare")) ??
    (await runProgram("unshare", ...container.slice(1), "true").then(
      () => null,
      () => "no user namespaces",
    ));
  if (obstacle !== null) return t.diagnostic(`not in a container: ${obstacle}`);
  const ran = await runProcess(["status"], { home, within: container });
  assert.equal(ran.code, 0, ran.stderr);
});
