import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { appendFile, mkdir, readFile, rename, stat, truncate, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { parse } from "smol-toml";
import { writeDaemonInfo } from "../../../src/api/socket/daemon-info.ts";
import { openFile } from "../../../src/demo/stage/file-holder.ts";
import { startLocalNas } from "../../../src/demo/stage/nas.ts";
import { readShareFile } from "../../../src/demo/stage/share-reader.ts";
import { type SimulatedCable, startSimulatedCable } from "../../../src/demo/stage/simulated-cable.ts";
import { openStage } from "../../../src/demo/stage/stage.ts";
import { temporaryFolder as markOf, stageLayout } from "../../../src/demo/stage/stage-layout.ts";
import { clearRemains, findRemains } from "../../../src/demo/stage/stage-remains.ts";
import {
  FILM_MIB,
  makeMaterial,
  startWork,
  type WorkAtShare,
} from "../../../src/demo/stage/work-at-share.ts";
import { childEnvironment } from "../../../src/runtime/process/child-process.ts";
import {
  isRunning,
  type ProcessIdentity,
  processIdentity,
} from "../../../src/runtime/process/process-identity.ts";
import { COMMAND } from "../../cli/command-line.ts";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { makeFifo } from "../fifo.ts";

test("both cables of the plain server lead to one folder; a pulled one leads nowhere", async (t) => {
  const nas = await startLocalNas(await temporaryFolder(t));
  const { tb, fallback } = nas.cables;
  const server = await stat(nas.serverFolder);
  for (const cable of [tb, fallback]) assert.equal((await stat(cable.address)).ino, server.ino);
  await tb.pull();
  await tb.pull();
  assert.equal(tb.plugged, false);
  assert.equal(existsSync(tb.address), false);
  assert.equal(existsSync(fallback.address), true);
  await tb.plug();
  await tb.plug();
  assert.equal(tb.plugged, true);
  assert.equal((await stat(tb.address)).ino, server.ino);
});

test("a stage is one private folder with a valid configuration, and is gone when it is disposed", async () => {
  const stage = await openStage({
    onRouteChange: "remount",
    program: COMMAND,
    driver: "local",
    signal: new AbortController().signal,
  });
  const { folder, configFile, home } = stage.layout;
  try {
    assert.equal((await stat(folder)).mode & 0o077, 0);
    assert.equal((await stat(home)).mode & 0o077, 0);
    const config = parse(await readFile(configFile, "utf8"));
    assert.deepEqual(Object.keys(config), ["global", "shares"]);
    const first = await stage.sign();
    const second = await stage.sign();
    assert.notEqual(first, second);
    assert.equal(first.length, second.length, "rewritten in place, so never seen half");
    assert.equal(await readFile(join(stage.nas.serverFolder, "hello.txt"), "utf8"), second);
    assert.equal(await stage.share(), null, "no daemon runs yet");
    assert.deepEqual(await stage.remains(), []);
    const { exitCode, stderr } = await stage.mountaineer(["status"]);
    assert.equal(exitCode, 0, stderr);
  } finally {
    await stage[Symbol.asyncDispose]();
    await stage[Symbol.asyncDispose]();
  }
  assert.equal(existsSync(folder), false);
});

test("processes with the stage's mark are found and ended, those that only have its files open are not", async (t) => {
  const folder = await temporaryFolder(t);
  const { home } = stageLayout(folder);
  await mkdir(home);
  const sleepers = [{ TMPDIR: markOf(folder) }, { TMPDIR: folder }, {}].map((env) => {
    const child = spawn("sleep", ["1000"], { env: { ...process.env, ...env }, stdio: "ignore", cwd: home });
    t.after(() => child.kill("SIGKILL"));
    return child;
  });
  const [marked, , registered] = sleepers;
  const identity = await processIdentity(registered?.pid ?? 0);
  assert.ok(identity !== null);
  const marks = { folder, home, started: [identity] };
  const { processes, mounts } = await findRemains(marks);
  const expected = existsSync("/proc/self/environ") ? [registered?.pid, marked?.pid] : [registered?.pid];
  assert.deepEqual(processes.map((found) => found.identity.pid).sort(), expected.sort());
  assert.deepEqual(mounts, []);
  // Of a home with a long path the socket has a folder of its own elsewhere.
  const elsewhere = join(await temporaryFolder(t), "short");
  await mkdir(elsewhere);
  const socket = join(elsewhere, "m.sock");
  await writeFile(socket, "");
  await writeDaemonInfo(home, { pid: 1, socket, version: "0.1.0", started_at: "2026-01-02T12:00:00Z" });
  await clearRemains(marks);
  assert.equal(existsSync(folder), false);
  assert.equal(existsSync(elsewhere), false);
  assert.equal(sleepers[1]?.exitCode ?? sleepers[1]?.signalCode ?? null, null, "somebody else's goes on");
});

function options(started: ProcessIdentity[] = []): Parameters<typeof openFile>[1] {
  return { environment: childEnvironment(), onStart: (identity) => started.push(identity) };
}

test("A7 a real process keeps the file open until it is closed, and is recorded before it opens it", async (t) => {
  const path = join(await temporaryFolder(t), "report.txt");
  await writeFile(path, "a report\n");
  const started: ProcessIdentity[] = [];
  const holder = await openFile(path, options(started));
  const [identity] = started;
  assert.ok(identity !== undefined);
  assert.equal(identity.pid, holder.pid);
  assert.equal(await isRunning(identity), true);
  assert.equal(holder.ended, false);
  await rename(path, `${path}.moved`);
  await holder.close();
  assert.equal(holder.ended, true);
  await eventually(async () => !(await isRunning(identity)));
  await holder.close();
});

test("a missing file is reported, and no process stays", async (t) => {
  const path = join(await temporaryFolder(t), "nothing");
  const started: ProcessIdentity[] = [];
  await assert.rejects(openFile(path, options(started)), /tail could not open it: .*nothing.*No such file/);
  for (const identity of started) assert.equal(await isRunning(identity), false);
});

/** A relay to an echo server. */
async function startEcho(t: TestContext): Promise<SimulatedCable> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const relay = await startSimulatedCable({ host: "127.0.0.1", targetHost: "127.0.0.1", targetPort: port });
  t.after(async () => {
    await relay[Symbol.asyncDispose]();
    server.close();
  });
  return relay;
}

type Caller = ReturnType<typeof call>;

function call(t: TestContext, { host, port }: SimulatedCable) {
  const socket = connect({ host, port });
  let received = "";
  /** The system's error code; null while there is no error. */
  let failure: string | null = null;
  socket.setEncoding("utf8").on("data", (text: string) => {
    received += text;
  });
  socket.on("error", (error: NodeJS.ErrnoException) => {
    failure = error.code ?? "unknown";
  });
  t.after(() => socket.destroy());
  return { socket, received: () => received, failure: () => failure };
}

test("a cable passes each byte once, resets and refuses, hangs or drops, as the last requested mode says", async (t) => {
  const relay = await startEcho(t);
  const { port } = relay;
  const passes = async (): Promise<Caller> => {
    const caller = call(t, relay);
    caller.socket.write("one");
    await eventually(() => caller.received() === "one");
    return caller;
  };
  const first = await passes();
  await relay.setMode("pass");
  first.socket.write("two");
  await eventually(() => first.received().endsWith("two"));
  first.socket.write("end");
  await eventually(() => first.received().endsWith("end"));
  assert.equal(first.received(), "onetwoend");

  await relay.setMode("refuse");
  await eventually(() => first.failure() === "ECONNRESET");
  const refused = call(t, relay);
  await eventually(() => refused.failure() === "ECONNREFUSED");
  await relay.setMode("hang");
  const hung = call(t, relay);
  hung.socket.write("held up");
  await eventually(() => !hung.socket.connecting);
  assert.equal(hung.received(), "");
  await relay.setMode("pass");
  assert.deepEqual([relay.port, relay.mode], [port, "pass"]);
  await eventually(() => hung.received() === "held up");

  await relay.setMode("drop");
  const dropped = [call(t, relay), call(t, relay)];
  // Two whole round trips of the event loop and of another connection later, neither has come through.
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(dropped.every(({ socket }) => socket.connecting));
  await relay.setMode("pass");
  await passes();
  await Promise.all((["refuse", "hang", "drop", "pass"] as const).map((mode) => relay.setMode(mode)));
  await passes();
});

function readOptions(
  changes: Partial<Parameters<typeof readShareFile>[1]> = {},
): Parameters<typeof readShareFile>[1] {
  return { environment: {}, deadlineMs: 10_000, signal: new AbortController().signal, ...changes };
}

test("a file's text is read with the time it took, or the system's reason is given", async (t) => {
  const path = join(await temporaryFolder(t), "-a file");
  const failed = await readShareFile(path, readOptions());
  assert.equal(!failed.ok && failed.why, "No such file or directory");
  await writeFile(path, "text\n");
  const reading = await readShareFile(path, readOptions());
  assert.equal(reading.ok && reading.text, "text\n");
  assert.ok(reading.tookMs > 0);
});

test("A8 a file that never answers delays nothing beyond the deadline", async (t) => {
  const path = await makeFifo(join(await temporaryFolder(t), "fifo"));
  const reading = await readShareFile(path, readOptions({ deadlineMs: 100 }));
  assert.equal(!reading.ok && reading.why, "no answer for 0.1 s");
  assert.ok(reading.tookMs < 5_000);
});

test("a person who gives up ends it", async (t) => {
  const path = await makeFifo(join(await temporaryFolder(t), "fifo"));
  const stop = new AbortController();
  const reading = readShareFile(path, readOptions({ signal: stop.signal }));
  stop.abort();
  await assert.rejects(reading, { code: "aborted" });
});

/** Programs at work on a plain folder, which is both the share and the server. */
async function beginWork(t: TestContext) {
  const folder = await temporaryFolder(t);
  const server = join(folder, "server");
  await mkdir(server);
  const material = await makeMaterial(server);
  const started: ProcessIdentity[] = [];
  t.after(() => {
    for (const { pid } of started) {
      try {
        process.kill(-pid, "SIGKILL");
      } catch {
        // The process has ended.
      }
    }
  });
  const work = await startWork({
    material,
    serverFolder: server,
    shareFolder: server,
    workFolder: folder,
    environment: childEnvironment(),
    onStart: (identity) => started.push(identity),
  });
  return { work, server, started };
}

async function isAtWork(work: WorkAtShare): Promise<void> {
  await eventually(() => work.progress().pieces > 1 && work.progress().lines > 1);
}

test("A10 both programs work until they are asked to finish; incomplete data, and lines too few or too many, are noticed", async (t) => {
  const { work, server, started } = await beginWork(t);
  await isAtWork(work);
  assert.equal(started.length, 2);
  assert.notEqual(await work.missingOnServer(), null, "neither is finished");
  await work.finish();
  assert.deepEqual([work.complaint(), await work.missingOnServer()], [null, null]);
  for (const identity of started) assert.equal(await isRunning(identity), false);
  const copy = join(server, "film-copy.bin");
  assert.equal((await stat(copy)).size, FILM_MIB * 1024 * 1024);
  const log = join(server, "work.log");
  await appendFile(log, "another line\n");
  assert.match((await work.missingOnServer()) ?? "", /^the log has \d+ of \d+ lines, or other lines$/);
  await truncate(log, (await readFile(log)).length - "another line\n".length);
  assert.equal(await work.missingOnServer(), null);
  await truncate(copy, 1_000);
  assert.equal(await work.missingOnServer(), "there is no whole copy");
});

test("A10 a program that ends, by an error or by a signal, is a complaint", async (t) => {
  const { work, started } = await beginWork(t);
  await isAtWork(work);
  process.kill(started[0]?.pid ?? 0, "SIGKILL");
  await eventually(() => /^(copy|append): it ended with SIGKILL$/.test(work.complaint() ?? ""));
});

test("A10 a file that cannot be opened is a complaint with the system's message", async (t) => {
  const folder = await temporaryFolder(t);
  const started: ProcessIdentity[] = [];
  const work = await startWork({
    material: { digest: "" },
    serverFolder: folder,
    shareFolder: join(folder, "nothing"),
    workFolder: folder,
    environment: childEnvironment(),
    onStart: (identity) => started.push(identity),
  });
  await eventually(() => /copy: .*film\.bin.*it ended with 2/s.test(work.complaint() ?? ""));
});
