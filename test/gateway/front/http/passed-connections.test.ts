// Connections that wait between requests are passed to another process, which is a real one.
import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { type Listener, openListener } from "../../../../src/gateway/front/http/listener.ts";
import {
  cameTo,
  type PassConnection,
  type PassedTo,
} from "../../../../src/gateway/front/http/passed-connections.ts";
import { silentLogger } from "../../../../src/runtime/log/log.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { eventually } from "../../../support/eventually.ts";

const TAKER = path.join(import.meta.dirname, "fixtures/connection-taker.ts");

/** Waits for an answer before it answers itself. */
interface Held {
  answer(): void;
}

async function setUp(t: TestContext) {
  const held: Held[] = [];
  const listener = await openListener({
    host: "127.0.0.1",
    port: 0,
    clock: systemClock,
    logger: silentLogger,
    handler(request, response) {
      request.resume();
      if (request.url === "/held") held.push({ answer: () => response.end("here") });
      else response.end("here");
    },
  });
  t.after(() => listener.close(0));
  return { listener, held };
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
function passTo(child: ChildProcess): PassConnection {
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

test("B11 what waits goes there with what was sent meanwhile; what is in the midst of a request is answered here", async (t) => {
  const { listener, held } = await setUp(t);
  const [used, silent, midway, busy] = await Promise.all([1, 2, 3, 4].map(() => client(t, listener)));
  assert.ok(used && silent && midway && busy);
  for (const each of [used, midway]) {
    each.write(GET);
    await each.answers("here");
  }
  midway.write(GET.slice(0, 20));
  busy.write(GET.replace("/", "/held"));
  await eventually(() => held.length === 1);
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
  held[0]?.answer();
  await busy.answers("here");
  await leaving;
  assert.equal(asked, 3);
});

test("B11 what was not sent is served on here, to its next answer", async (t) => {
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

test("B11 a hundred that wait go there, and nothing of them is left here", async (t) => {
  const { listener } = await setUp(t);
  const clients = await Promise.all(Array.from({ length: 100 }, () => client(t, listener)));
  const child = await startTaker(t, listener);
  await listener.drain(20_000, passTo(child));
  assert.equal(listener.connections, 0);
  for (const each of clients) each.write(GET);
  for (const each of clients) await each.answers("there");
});

test("B11 where nothing comes of what was sent, the rest is not sent once the time is over", async (t) => {
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

test("B11 where a server cannot run twice those that wait go as fast as they get there", async (t) => {
  const { listener } = await setUp(t);
  await Promise.all(Array.from({ length: 100 }, () => client(t, listener)));
  await eventually(() => listener.connections === 100);
  const isOver = Promise.withResolvers<PassedTo>();
  let asked = 0;
  const leaving = listener.drain(
    20_000,
    async () => {
      asked += 1;
      return isOver.promise;
    },
    true,
  );
  await eventually(() => asked === 64);
  isOver.resolve("there");
  await leaving;
  assert.equal(asked, 100);
});

test("B11 F2 who came to another address than the one listened at now is not taken in", async (t) => {
  const { listener } = await setUp(t);
  const { port } = listener;
  const bound = (address: string, at = port) => ({ address, port: at, family: "" });
  const came = (localAddress: string) => ({ localAddress, localPort: port }) as Socket;
  for (const [from, to, isTaken] of [
    ["127.0.0.1", bound("127.0.0.1"), true],
    ["::ffff:127.0.0.1", bound("127.0.0.1"), true],
    ["::1", bound("127.0.0.1"), true],
    ["192.0.2.7", bound("0.0.0.0"), true],
    ["::ffff:192.0.2.7", bound("192.0.2.7"), true],
    ["192.0.2.7", bound("127.0.0.1"), false],
    ["::ffff:192.0.2.7", bound("::1"), false],
    ["192.0.2.7", bound("192.0.2.8"), false],
    ["127.0.0.1", bound("127.0.0.1", port + 1), false],
  ] as const) {
    assert.equal(cameTo(came(from), to), isTaken, `${from} to ${to.address}:${to.port}`);
  }
  const { listener: other } = await setUp(t);
  const waiting = await client(t, other);
  const closed = once(waiting.socket, "close");
  await eventually(() => other.connections === 1);
  await other.drain(20_000, async (handle) => {
    listener.take(handle);
    assert.equal(listener.connections, 0);
    return "there";
  });
  await closed;
});
