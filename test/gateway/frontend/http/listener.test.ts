import assert from "node:assert/strict";
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { symlink, writeFile } from "node:fs/promises";
import {
  Agent,
  createServer as createHttpServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import { connect, createServer, Socket } from "node:net";
import path, { join } from "node:path";
import { PassThrough } from "node:stream";
import { type TestContext, test } from "node:test";
import { Listener, openListener, rebind } from "../../../../src/gateway/frontend/http/listener.ts";
import { OpenConnections } from "../../../../src/gateway/frontend/http/open-connections.ts";
import {
  cameTo,
  type HandOffConnection,
  type PassedTo,
  passIdle,
} from "../../../../src/gateway/frontend/http/passed-connections.ts";
import { hasOneOf, listeningSockets } from "../../../../src/gateway/frontend/http/port-holder-linux.ts";
import { MountaineerError } from "../../../../src/runtime/errors.ts";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { eventually } from "../../../support/eventually.ts";
import { freePort } from "../../../support/free-port.ts";
import { createManualClock, settle } from "../../../support/manual-clock.ts";
import { passTimeUntil } from "../../../support/pass-time.ts";
import { createRecordingLogger } from "../../../support/recording-logger.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { NO_SECOND_ADDRESS } from "../../../support/where.ts";
import { readAll } from "./http-rig.ts";

const options = (host: string, port: number, word = "here") => ({
  host,
  port,
  clock: systemClock,
  logger: noopLogger,
  handler: (_request: unknown, response: { end(text: string): unknown }) => void response.end(word),
});

async function ask(port: number, agent: Agent, headers: Record<string, string> = {}) {
  const request = httpRequest({ host: "127.0.0.1", port, agent, headers });
  request.end();
  const [response] = (await once(request, "response")) as [IncomingMessage];
  const { statusCode: status } = response;
  return { status, text: await readAll(response), connection: response.headers.connection };
}

async function closeAll(...listeners: Listener[]): Promise<void> {
  for (const listener of listeners) await listener.close(0);
}

test("a listener names the key, the address and the holder of a busy port", async (t) => {
  const program =
    "const s=require('net').createServer();s.listen(0,'127.0.0.1',()=>console.log(s.address().port))";
  const child = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const port = Number(line.toString());
  await assert.rejects(openListener(options("127.0.0.1", port)), (error) => {
    assert.ok(error instanceof MountaineerError);
    assert.equal(error.code, "listen_failed");
    assert.match(error.message, new RegExp(`\\[server\\]\\.port.*127\\.0\\.0\\.1:${port}`));
    if (process.platform === "linux") assert.match(error.message, new RegExp(`pid ${child.pid}\\)`));
    assert.match(String(error.hint), /another \[server\]\.port/);
    return true;
  });
  if (process.platform !== "linux") return;
  const homeOf = async (pid: number) => (pid === child.pid ? "/home/ann/other" : null);
  await assert.rejects(
    openListener({ ...options("127.0.0.1", port), homeOf }),
    /it is taken by another Mountaineer, of \/home\/ann\/other \(pid \d+\)/,
  );
});

test("a listener names the host when the host is wrong", async () => {
  for (const host of ["192.0.2.1", "no-such-name.invalid"])
    await assert.rejects(openListener(options(host, 0)), /\[server\]\.host: cannot listen at/);
});

test("a listener that stops listening still serves its connections, each to its next response", async () => {
  const listener = await openListener(options("127.0.0.1", await freePort()));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  assert.equal((await ask(listener.port, agent)).connection, "keep-alive");
  assert.notEqual(listener.handle, null);
  listener.stopListening();
  assert.equal(listener.handle, null);
  assert.deepEqual(await ask(listener.port, agent), { status: 200, text: "here", connection: "close" });
  await assert.rejects(ask(listener.port, new Agent()), /ECONNREFUSED/);
  await eventually(() => listener.connections === 0);
  await listener.listenAgain();
  assert.equal((await ask(listener.port, agent)).text, "here");
  agent.destroy();
  await listener.close(0);
  await listener.close(0);
});

test("a listener that is drained serves connections with a session, each for the last time, and listens again as before", async () => {
  const listener = await openListener(options("127.0.0.1", await freePort()));
  const agent = new Agent({ keepAlive: true });
  listener.leave();
  const moved = await ask(listener.port, agent);
  assert.deepEqual([moved.status, moved.connection], [503, "close"]);
  assert.match(moved.text, /has moved to another process/u);
  const headers = { "mcp-session-id": "one" };
  const { status, ...served } = await ask(listener.port, agent, headers);
  assert.deepEqual([status, served], [200, { text: "here", connection: "close" }]);
  await listener.listenAgain();
  const { text, connection } = await ask(listener.port, agent);
  assert.deepEqual([text, connection], ["here", "keep-alive"]);
  agent.destroy();
  await listener.close(0);
});

test("a listener closes idle connections at once and cuts the others after the grace", async () => {
  const waiting: { end(text: string): unknown }[] = [];
  const clock = createManualClock();
  const listener = await openListener({
    ...options("127.0.0.1", 0),
    clock,
    handler: (_request, response) => void waiting.push(response),
  });
  const agent = new Agent({ keepAlive: true });
  const answered = ask(listener.port, agent);
  const cut = ask(listener.port, agent).catch((error: Error) => error.message);
  await eventually(() => waiting.length === 2);
  const graceMs = 600_000;
  const closing = listener.close(graceMs);
  waiting[0]?.end("in time");
  assert.equal((await answered).text, "in time");
  // Far from the grace's end, however often it is looked.
  await passTimeUntil(clock, () => listener.connections === 1, 50);
  await clock.advance(graceMs);
  await closing;
  assert.match(String(await cut), /hang up|ECONNRESET/);
  agent.destroy();
});

test("a listener that is drained serves a kept connection's next request, and cuts it only after the grace", async () => {
  const clock = createManualClock();
  const listener = await openListener({ ...options("127.0.0.1", 0), clock });
  const [used, idle] = [1, 2].map(() => new Agent({ keepAlive: true, maxSockets: 1 }));
  assert.ok(used !== undefined && idle !== undefined);
  for (const agent of [used, idle]) await ask(listener.port, agent);
  const draining = listener.drain(500);
  assert.equal(listener.connections, 2);
  assert.deepEqual(await ask(listener.port, used), { status: 200, text: "here", connection: "close" });
  await eventually(() => listener.connections === 1);
  await clock.advance(499);
  assert.equal(listener.connections, 1);
  await clock.advance(1);
  await draining;
  await eventually(() => listener.connections === 0);
  idle.destroy();
});

test("a listener is bound to an overlapping address with its connections kept, and back", async () => {
  const old = await openListener(options("127.0.0.1", await freePort(), "old"));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  await ask(old.port, agent);
  const there = await rebind(old, options("0.0.0.0", old.port, "new"));
  assert.equal((await ask(old.port, agent)).text, "old");
  assert.equal((await ask(old.port, new Agent())).text, "new");
  await there.rollback();
  assert.equal((await ask(old.port, new Agent())).text, "old");
  const again = await rebind(old, options("0.0.0.0", old.port, "new"));
  again.commit();
  assert.equal((await ask(old.port, new Agent())).text, "new");
  assert.equal(again.listener.url, `http://127.0.0.1:${old.port}/mcp`);
  agent.destroy();
  await closeAll(old, again.listener);
});

test("a listener loses no request of active connections while it moves back and forth", async () => {
  let listener = await openListener(options("127.0.0.1", await freePort()));
  const { port } = listener;
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  let answered = 0;
  let moving = true;
  const client = async (): Promise<void> => {
    while (moving) {
      assert.equal((await ask(port, agent)).text, "here");
      answered += 1;
    }
  };
  const clients = Promise.all(Array.from({ length: 8 }, client));
  const old: Listener[] = [];
  for (let move = 0; move < 10; move++) {
    // The system resets those that are just connecting when a listener moves.
    await eventually(() => listener.connections === 8);
    const before = answered;
    const moved = await rebind(listener, options(move % 2 === 0 ? "0.0.0.0" : "127.0.0.1", port));
    await eventually(() => answered > before + 16);
    if (move % 3 === 2) await moved.rollback();
    else {
      moved.commit();
      old.push(listener);
      listener = moved.listener;
    }
    await eventually(() => answered > before + 50);
  }
  moving = false;
  await clients;
  agent.destroy();
  await closeAll(listener, ...old);
});

test("a listener elsewhere: the new one exists first, and a new one that fails leaves the old one listening", {
  skip: NO_SECOND_ADDRESS,
}, async () => {
  const old = await openListener(options("127.0.0.1", await freePort(), "old"));
  const other = await openListener(options("127.0.0.1", 0, "other"));
  await assert.rejects(rebind(old, options("127.0.0.1", other.port)), /\[server\]\.port/);
  assert.equal((await ask(old.port, new Agent())).text, "old");
  // The same port, taken on the wider address by another: the old one listens again.
  const third = await openListener(options("127.0.0.2", old.port, "third"));
  await assert.rejects(rebind(old, options("0.0.0.0", old.port)), /\[server\]\.port/);
  assert.equal((await ask(old.port, new Agent())).text, "old");
  const next = await rebind(old, options("127.0.0.1", 0, "next"));
  assert.equal((await ask(old.port, new Agent())).text, "old");
  assert.equal((await ask(next.listener.port, new Agent())).text, "next");
  next.commit();
  await assert.rejects(ask(old.port, new Agent()), /ECONNREFUSED/);
  await closeAll(old, other, third, next.listener);
});

test("a listener reports refused connections, once a minute at most, with the number and the fix", async () => {
  const clock = createManualClock();
  const logger = createRecordingLogger();
  let asked = 0;
  const listener = await openListener({
    ...options("127.0.0.1", 0),
    clock,
    logger,
    connectionLimit: 1,
    // In use: it is not answered.
    handler: () => void asked++,
  });
  const { port } = listener;
  const refused = async (): Promise<void> => {
    const socket = connect(port, "127.0.0.1").resume();
    socket.on("error", () => {});
    await once(socket, "close");
  };
  const blocking = connect(port, "127.0.0.1");
  blocking.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  await eventually(() => listener.connections === 1 && blocking.bytesWritten > 0);
  await eventually(() => asked === 1);
  for (let count = 0; count < 3; count++) await refused();
  const told = () => logger.lines.map(({ level, fields }) => [level, fields["count"], fields["limit"]]);
  assert.deepEqual(told(), [["warn", 1, 1]]);
  assert.match(String(logger.lines[0]?.fields["hint"]), new RegExp(`lsof -i :${port}`));
  await clock.advance(60_000);
  assert.deepEqual(told().slice(1), [["warn", 2, 1]]);
  await clock.advance(120_000);
  assert.equal(logger.lines.length, 2, "nothing more was refused");
  await refused();
  assert.deepEqual(told().slice(2), [["warn", 1, 1]]);
  blocking.destroy();
  await listener.close(0);
  assert.equal(clock.pendingTimers, 0);
});

/** A connection of which the test says how much is written, and how much of that unread. */
class Counted extends PassThrough {
  readonly bytesRead = 1;
  bytesWritten = 0;
  unread = 0;

  constructor() {
    super();
    Object.defineProperty(this, "writableLength", { get: () => this.unread });
  }
}

test("E4 a listener cuts a connection whose reader reads nothing for a minute, and no other", async () => {
  const clock = createManualClock();
  const listener = await openListener({ ...options("127.0.0.1", 0), clock });
  for (const [what, step, isCut] of [
    ["nothing is taken", () => {}, true],
    ["something is taken", (one: Counted) => void one.unread--, false],
    ["more is written, and as much taken", (one: Counted) => void one.bytesWritten++, false],
    ["nothing is unread", (one: Counted) => void Object.assign(one, { unread: 0 }), false],
  ] as const) {
    const connection = new Counted();
    Object.assign(connection, { bytesWritten: 100, unread: 100 });
    listener.serve(connection);
    for (let passedMs = 0; passedMs < 90_000; passedMs += 15_000) {
      step(connection);
      await clock.advance(15_000);
    }
    assert.equal(connection.destroyed, isCut, what);
    connection.destroy();
    await eventually(() => listener.connections === 0);
  }
  await listener.close(0);
});

test("B11 a connection that was passed and stays silent is closed like any idle one, one that speaks is kept", {
  skip: NO_SECOND_ADDRESS,
}, async (t) => {
  const clock = createManualClock();
  const taker = await openListener({ ...options("127.0.0.2", await freePort()), clock });
  t.after(() => taker.close(0));
  const before = createServer({ pauseOnConnect: true }, (socket) => {
    const owner = socket as unknown as { _handle: object | null };
    const handle = owner._handle;
    owner._handle = null;
    if (handle !== null) taker.take(handle);
  });
  before.listen(taker.port, "127.0.0.1");
  t.after(() => before.close());
  await once(before, "listening");
  const [silent, speaks] = [await client(t, taker), await client(t, taker)];
  await eventually(() => taker.connections === 2);
  speaks.write(GET);
  await speaks.answers("here");
  await clock.advance(74_000);
  assert.equal(taker.connections, 2);
  await clock.advance(30_000);
  await eventually(() => silent.socket.closed);
  assert.equal(taker.connections, 1);
});

test("a connection with a new request since the search for idle ones is not closed", async () => {
  const clock = createManualClock();
  const connections = new OpenConnections(clock);
  const request = { complete: true };
  const opened = () => {
    const socket = new Socket();
    Object.defineProperty(socket, "bytesRead", { value: 1 });
    connections.add(socket);
    const asks = (writableFinished: boolean): void => {
      const response = { req: request, writableFinished };
      connections.requested({ socket } as IncomingMessage, response as ServerResponse<IncomingMessage>);
    };
    asks(true);
    return { socket, asks };
  };
  const [one, other] = [opened(), opened()];
  await clock.advance(2_000);
  assert.deepEqual([connections.closeOldest(), one.socket.destroyed], [true, true]);
  other.asks(false);
  assert.deepEqual([connections.closeOldest(), other.socket.destroyed], [false, false]);
});

/** Connections of which nothing has come yet. */
function idleSockets(length: number): Socket[] {
  return Array.from({ length }, () => {
    const handle = { bytesRead: 0, readStop() {}, readStart() {}, close: (done?: () => void) => done?.() };
    return Object.assign(new Socket(), { _handle: handle });
  });
}

interface Passing {
  readonly signal: AbortSignal;
  readonly allAtOnce?: boolean;
  readonly where?: PassedTo;
  readonly passed?: object[];
}

/** Passes them on by a clock that stands still. Resolves with the handles. */
async function passAll(
  sockets: readonly Socket[],
  { signal, allAtOnce = false, where = "there", passed = [] }: Passing,
): Promise<readonly object[]> {
  const pass: HandOffConnection = async (handle) => {
    // So that a round without an end fails.
    return passed.push(handle) > 1_000 ? "there" : where;
  };
  const connections = new Map(sockets.map((socket) => [socket, null]));
  await passIdle(createHttpServer(), connections, pass, { clock: createManualClock(), signal, allAtOnce });
  return passed;
}

test("B11 at the end every idle connection is passed on, however many there are", async () => {
  const passed = await passAll(idleSockets(130), { signal: AbortSignal.abort() });
  assert.equal(passed.length, 130);
});

test("B11 a connection that is ending, or has bytes unsent, is not passed on", async () => {
  const [ending, unsent, idle] = idleSockets(3);
  assert.ok(ending && unsent && idle);
  Object.defineProperty(ending, "writableEnded", { value: true });
  Object.defineProperty(unsent, "writableLength", { value: 1 });
  const passed = await passAll([ending, unsent, idle], { signal: AbortSignal.abort() });
  assert.equal(passed.length, 1);
  assert.deepEqual([ending.destroyed, unsent.destroyed, idle.destroyed], [false, false, true]);
});

test("B11 where a server cannot run twice the rounds have no pauses, unless the other process accepts nothing", async () => {
  for (const [where, atOnce] of [
    ["there", 130],
    ["here", 64],
  ] as const) {
    const over = new AbortController();
    const passed: object[] = [];
    const leaving = passAll(idleSockets(130), { signal: over.signal, allAtOnce: true, where, passed });
    // The clock stands still.
    await settle();
    assert.equal(passed.length, atOnce, where);
    over.abort();
    await leaving;
  }
});

test("a listener reads the kernel's table of sockets", () => {
  const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2328 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100 0 0 10 0
   1: 0100007F:2328 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4243 1 0 100 0 0 10 0
`;
  assert.deepEqual(listeningSockets(table, 9_000), ["socket:[4242]"]);
  assert.deepEqual(listeningSockets("", 9_000), []);
});

// Connections that wait between requests are passed to another process, which is a real one.

const TAKER = path.join(import.meta.dirname, "fixtures/connection-taker.ts");

/** Waits for an answer before it answers itself. */
interface Blocking {
  answer(): void;
}

async function setUp(t: TestContext) {
  const blocking: Blocking[] = [];
  const listener = await openListener({
    host: "127.0.0.1",
    port: 0,
    clock: systemClock,
    logger: noopLogger,
    handler(request, response) {
      request.resume();
      if (request.url === "/held") blocking.push({ answer: () => response.end("here") });
      else response.end("here");
    },
  });
  t.after(() => listener.close(0));
  return { listener, blocking };
}

async function startTaker(t: TestContext, { handle }: Listener): Promise<ChildProcess> {
  const child = fork(TAKER);
  t.after(() => child.kill("SIGKILL"));
  await once(child, "message");
  child.send("door", handle as never);
  await once(child, "message");
  return child;
}

/** As a daemon does: its own end goes when the other one says that it has the connection. */
function passTo(child: ChildProcess): HandOffConnection {
  const waiting: ((where: PassedTo) => void)[] = [];
  child.on("message", () => waiting.shift()?.("there"));
  return (handle) =>
    new Promise((resolve) => {
      waiting.push(resolve);
      child.send("connection", handle as never);
    });
}

/** A client that writes HTTP by hand; `texts` has what it got. */
async function client(t: TestContext, { port }: Listener) {
  const socket: Socket = connect(port, "127.0.0.1");
  t.after(() => socket.destroy());
  socket.on("error", () => {});
  await once(socket, "connect");
  let text = "";
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  return {
    socket,
    write: (words: string) => void socket.write(words),
    async answers(word: string): Promise<string> {
      await eventually(() => text.endsWith(word) || text.includes("0\r\n\r\n"));
      const got = text;
      text = "";
      assert.match(got, /^HTTP\/1\.1 200 OK/u);
      assert.ok(got.includes(word), got);
      return got;
    },
  };
}

const GET = "GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";

test("B11 a waiting connection goes there with the bytes sent until then; one in the middle of a request is answered here", async (t) => {
  const { listener, blocking } = await setUp(t);
  const [used, silent, midway, busy] = await Promise.all([1, 2, 3, 4].map(() => client(t, listener)));
  assert.ok(used && silent && midway && busy);
  for (const each of [used, midway]) {
    each.write(GET);
    await each.answers("here");
  }
  midway.write(GET.slice(0, 20));
  busy.write(GET.replace("/", "/held"));
  await eventually(() => blocking.length === 1);
  const child = await startTaker(t, listener);
  const mayPass = Promise.withResolvers<void>();
  const pass = passTo(child);
  let asked = 0;
  const leaving = listener.drain(20_000, async (handle) => {
    asked += 1;
    await mayPass.promise;
    return pass(handle);
  });
  await eventually(() => asked === 2);
  for (const each of [used, silent]) each.write(GET);
  mayPass.resolve();
  for (const each of [used, silent]) {
    assert.doesNotMatch(await each.answers("there"), /connection: close/iu);
    each.write(GET);
    await each.answers("there");
  }
  midway.write(GET.slice(20));
  assert.match(await midway.answers("here"), /connection: close/iu);
  // Its head had not said that it would be the last one.
  blocking[0]?.answer();
  await busy.answers("here");
  await leaving;
  assert.equal(asked, 3);
});

test("B11 a connection that was not sent is still served here, to its next answer", async (t) => {
  const { listener } = await setUp(t);
  const waiting = await client(t, listener);
  waiting.write(GET);
  await waiting.answers("here");
  let asked = 0;
  const leaving = listener.drain(20_000, async () => {
    asked += 1;
    return "here";
  });
  await eventually(() => asked > 1);
  waiting.write(GET);
  assert.match(await waiting.answers("here"), /connection: close/iu);
  await leaving;
});

test("B11 a hundred waiting connections go there, and none of them is left here", async (t) => {
  const { listener } = await setUp(t);
  const clients = await Promise.all(Array.from({ length: 100 }, () => client(t, listener)));
  const child = await startTaker(t, listener);
  await listener.drain(20_000, passTo(child));
  assert.equal(listener.connections, 0);
  for (const each of clients) each.write(GET);
  for (const each of clients) await each.answers("there");
});

test("B11 if nothing arrives of the sent connections, the others are not sent after the deadline", async (t) => {
  const { listener } = await setUp(t);
  await Promise.all(Array.from({ length: 200 }, () => client(t, listener)));
  await eventually(() => listener.connections === 200);
  const isOver = Promise.withResolvers<PassedTo>();
  let asked = 0;
  const leaving = listener.drain(0, async () => {
    asked += 1;
    return isOver.promise;
  });
  // All are passed within a second, at twenty looks.
  await eventually(() => asked === 10);
  isOver.resolve("unknown");
  await leaving;
  assert.equal(asked, 10);
});

test("B11 F2 a connection to another address than the present one is not accepted", async (t) => {
  const { listener } = await setUp(t);
  const { port } = listener;
  const bound = (address: string, at = port) => ({ address, port: at, family: "" });
  const came = (localAddress: string) => ({ localAddress, localPort: port }) as Socket;
  for (const [from, to, isTaken] of [
    ["127.0.0.1", bound("127.0.0.1"), true],
    ["::ffff:127.0.0.1", bound("127.0.0.1"), true],
    ["::1", bound("127.0.0.1"), true],
    ["192.0.2.7", bound("0.0.0.0"), true],
    ["2001:db8::7", bound("::"), true],
    ["::ffff:192.0.2.7", bound("192.0.2.7"), true],
    ["192.0.2.7", bound("127.0.0.1"), false],
    ["::ffff:192.0.2.7", bound("::1"), false],
    ["192.0.2.7", bound("192.0.2.8"), false],
    ["127.0.0.1", bound("127.0.0.1", port + 1), false],
  ] as const)
    assert.equal(cameTo(came(from), to), isTaken, `${from} to ${to.address}:${to.port}`);
  for (const taker of [listener, new Listener(options("127.0.0.1", 0))]) {
    const { listener: other } = await setUp(t);
    const waiting = await client(t, other);
    const closed = once(waiting.socket, "close");
    await eventually(() => other.connections === 1);
    // In one process both ends are one handle, so that this side never hears of its end: it waits for the grace alone.
    await other.drain(1, async (handle) => {
      taker.take(handle);
      assert.equal(taker.connections, 0);
      return "there";
    });
    await closed;
  }
});

test("a descriptor that cannot be read, as it has since been closed, hides none of the others", async (t) => {
  const folder = await temporaryFolder(t);
  const sockets = new Set(["socket:[42]"]);
  // No link: it cannot be read as one.
  await writeFile(join(folder, "3"), "");
  assert.equal(await hasOneOf(folder, sockets), false);
  await symlink("socket:[42]", join(folder, "4"));
  await writeFile(join(folder, "5"), "");
  assert.equal(await hasOneOf(folder, sockets), true);
  assert.equal(await hasOneOf(join(folder, "gone"), sockets), false);
});
