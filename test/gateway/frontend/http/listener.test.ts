import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { symlink, writeFile } from "node:fs/promises";
import { Agent, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, Socket } from "node:net";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { type Listener, openListener, rebind } from "../../../../src/gateway/frontend/http/listener.ts";
import { OpenConnections } from "../../../../src/gateway/frontend/http/open-connections.ts";
import { hasOneOf, listeningSockets } from "../../../../src/gateway/frontend/http/port-holder-linux.ts";
import { MountaineerError } from "../../../../src/runtime/errors.ts";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { assertEach } from "../../../support/assert-each.ts";
import { eventually } from "../../../support/eventually.ts";
import { freePort } from "../../../support/free-port.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
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

test("a listener that is drained closes a connection with the response in progress, except where another request is on its way", async () => {
  const waiting: ServerResponse[] = [];
  const handler = (_request: unknown, response: ServerResponse): void => void waiting.push(response);
  const listener = await openListener({ ...options("127.0.0.1", 0), handler });
  const clients = [1, 2].map(() => connect(listener.port, "127.0.0.1"));
  const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  for (const client of clients) client.write(request);
  await eventually(() => waiting.length === 2);
  const draining = listener.drain(600_000);
  clients[1]?.write(request);
  await eventually(() => waiting.length === 3);
  for (const response of waiting) response.end("done");
  const [one = "", two = ""] = await Promise.all(clients.map((client) => text(client)));
  assertEach(one.matchAll(/Connection: (\S+)/g), ([, value]) => value, ["close"]);
  assertEach(two.matchAll(/Connection: (\S+)/g), ([, value]) => value, ["keep-alive", "close"]);
  await draining;
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

test("a listener reads the kernel's table of sockets", () => {
  const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2328 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100 0 0 10 0
   1: 0100007F:2328 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4243 1 0 100 0 0 10 0
`;
  assert.deepEqual(listeningSockets(table, 9_000), ["socket:[4242]"]);
  assert.deepEqual(listeningSockets("", 9_000), []);
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
