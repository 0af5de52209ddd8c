import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { appendFile, mkdir, readFile, rename, rm, stat, truncate, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join, resolve } from "node:path";
import { type TestContext, test } from "node:test";
import { parse } from "smol-toml";
import { writeDaemonInfo } from "../../../src/api/socket/daemon-info.ts";
import { type Agent, startAgent } from "../../../src/demo/stage/agent.ts";
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

const KEEPER = join(import.meta.dirname, "../../../bin/service-keeper.sh");

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
    supervisor: KEEPER,
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

// The demo's agent and its tool without a gateway between: the tool's program replaces `mountaineer`.
const FILE_TOOL = resolve(import.meta.dirname, "../../../src/demo/stage/file-tool.ts");

interface Stand {
  readonly agent: Agent;
  readonly folder: string;
  readonly started: readonly ProcessIdentity[];
}

async function begin(t: TestContext): Promise<Stand> {
  const folder = join(await temporaryFolder(t), "share");
  await mkdir(folder);
  await writeFile(join(folder, "hello.txt"), "hello\n");
  const started: ProcessIdentity[] = [];
  const agent = await startAgent({
    // The agent appends `mcp`, an argument that the tool ignores.
    program: [process.execPath, FILE_TOOL, "read_file", folder],
    environment: childEnvironment(),
    tool: "read_file",
    file: "hello.txt",
    onStart: (identity) => started.push(identity),
  });
  t.after(() => agent.end());
  return { agent, folder, started };
}

test("the agent keeps calling, knows its tools, and ends with its session", async (t) => {
  const { agent, started } = await begin(t);
  await eventually(() => agent.answered > 1);
  assert.deepEqual(await agent.tools(), ["read_file"]);
  assert.deepEqual(agent.complaints, []);
  assert.ok(agent.longestMs > 0);
  await agent.end();
  const [identity] = started;
  assert.ok(identity !== undefined);
  await eventually(async () => !(await isRunning(identity)));
});

test("a call that the tool cannot handle is a complaint with the tool's message, and the next ones succeed again", async (t) => {
  const { agent, folder } = await begin(t);
  await eventually(() => agent.answered > 0);
  await rm(join(folder, "hello.txt"));
  await eventually(() => agent.complaints.length > 0);
  assert.match(agent.complaints[0] ?? "", /hello\.txt/);
  await writeFile(join(folder, "hello.txt"), "hello again\n");
  const { answered } = agent;
  await eventually(() => agent.answered > answered);
});

test("a lost session is detected: its calls end as complaints", async (t) => {
  const { agent, started } = await begin(t);
  await eventually(() => agent.answered > 0);
  process.kill(started[0]?.pid ?? 0, "SIGKILL");
  await eventually(() => !agent.running);
  assert.deepEqual(await agent.tools(), []);
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

interface Caller {
  readonly socket: Socket;
  received(): string;
  /** The system's error code; null while there is no error. */
  failure(): string | null;
}

function call(t: TestContext, { host, port }: SimulatedCable): Caller {
  const socket = connect({ host, port });
  let received = "";
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

test("a whole cable passes both ways, and its port stays when it is pulled and plugged", async (t) => {
  const relay = await startEcho(t);
  const { port } = relay;
  const first = call(t, relay);
  first.socket.write("one");
  await eventually(() => first.received() === "one");
  await relay.setMode("refuse");
  await relay.setMode("pass");
  assert.equal(relay.port, port);
  assert.equal(relay.mode, "pass");
  const second = call(t, relay);
  second.socket.write("two");
  await eventually(() => second.received() === "two");
});

test("set to pass while passing, it relays each byte once", async (t) => {
  const relay = await startEcho(t);
  const caller = call(t, relay);
  caller.socket.write("one");
  await eventually(() => caller.received() === "one");
  await relay.setMode("pass");
  caller.socket.write("two");
  await eventually(() => caller.received().endsWith("two"));
  caller.socket.write("end");
  await eventually(() => caller.received().endsWith("end"));
  assert.equal(caller.received(), "onetwoend");
});

test("pulled, it resets existing connections and refuses new ones", async (t) => {
  const relay = await startEcho(t);
  const before = call(t, relay);
  before.socket.write("one");
  await eventually(() => before.received() === "one");
  await relay.setMode("refuse");
  await eventually(() => before.failure() === "ECONNRESET");
  const after = call(t, relay);
  await eventually(() => after.failure() === "ECONNREFUSED");
});

test("hanging, it accepts and sends nothing; plugged again, delayed data continues", async (t) => {
  const relay = await startEcho(t);
  await relay.setMode("hang");
  const caller = call(t, relay);
  caller.socket.write("held up");
  await eventually(() => !caller.socket.connecting);
  assert.equal(caller.received(), "");
  await relay.setMode("pass");
  await eventually(() => caller.received() === "held up");
});

test("dropping, it does not even answer; plugged again, it does", async (t) => {
  const relay = await startEcho(t);
  await relay.setMode("drop");
  const caller = call(t, relay);
  const other = call(t, relay);
  // Two whole round trips of the event loop and of another connection later, neither has come through.
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(caller.socket.connecting && other.socket.connecting);
  await relay.setMode("pass");
  const again = call(t, relay);
  again.socket.write("here");
  await eventually(() => again.received() === "here");
});

test("modes requested at once take effect one after the other", async (t) => {
  const relay = await startEcho(t);
  await Promise.all([
    relay.setMode("refuse"),
    relay.setMode("hang"),
    relay.setMode("drop"),
    relay.setMode("pass"),
  ]);
  const caller = call(t, relay);
  caller.socket.write("x");
  await eventually(() => caller.received() === "x");
});

function readOptions(
  changes: Partial<Parameters<typeof readShareFile>[1]> = {},
): Parameters<typeof readShareFile>[1] {
  return { environment: {}, deadlineMs: 10_000, signal: new AbortController().signal, ...changes };
}

test("a file's text is read with the time it took", async (t) => {
  const path = join(await temporaryFolder(t), "-a file");
  await writeFile(path, "text\n");
  const reading = await readShareFile(path, readOptions());
  assert.equal(reading.ok && reading.text, "text\n");
  assert.ok(reading.tookMs > 0);
});

test("a failed read gives the system's reason", async (t) => {
  const path = join(await temporaryFolder(t), "nothing");
  const reading = await readShareFile(path, readOptions());
  assert.equal(!reading.ok && reading.why, "No such file or directory");
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

interface Work {
  readonly work: WorkAtShare;
  readonly server: string;
  readonly started: readonly ProcessIdentity[];
}

/** Programs at work on a plain folder, which is both the share and the server. */
async function beginWork(t: TestContext): Promise<Work> {
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

test("A10 both programs work until they are asked to finish, and their data is complete then", async (t) => {
  const { work, server, started } = await beginWork(t);
  await isAtWork(work);
  assert.equal(work.complaint(), null);
  assert.equal(started.length, 2);
  assert.notEqual(await work.missingOnServer(), null, "neither is finished");
  await work.finish();
  assert.equal(work.complaint(), null);
  assert.equal(await work.missingOnServer(), null);
  for (const identity of started) assert.equal(await isRunning(identity), false);
  const copy = await readFile(join(server, "film-copy.bin"));
  assert.equal(copy.length, FILM_MIB * 1024 * 1024);
});

test("A10 a copy that is incomplete, and lines that are too few or too many, are noticed", async (t) => {
  const { work, server } = await beginWork(t);
  await isAtWork(work);
  await work.finish();
  const log = join(server, "work.log");
  await appendFile(log, "another line\n");
  assert.match((await work.missingOnServer()) ?? "", /^the log has \d+ of \d+ lines, or other lines$/);
  await truncate(log, (await readFile(log)).length - "another line\n".length);
  assert.equal(await work.missingOnServer(), null);
  await truncate(join(server, "film-copy.bin"), 1_000);
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
