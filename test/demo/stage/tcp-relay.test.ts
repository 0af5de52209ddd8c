import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { startTcpRelay, type TcpRelay } from "../../../src/demo/stage/tcp-relay.ts";
import { eventually } from "../../support/eventually.ts";

/** A relay to a server that sends back what it gets. */
async function startEcho(t: TestContext): Promise<TcpRelay> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const relay = await startTcpRelay({ host: "127.0.0.1", targetHost: "127.0.0.1", targetPort: port });
  t.after(async () => {
    await relay[Symbol.asyncDispose]();
    server.close();
  });
  return relay;
}

interface Caller {
  readonly socket: Socket;
  received(): string;
  /** The system's code of what ended it; null while nothing has. */
  failure(): string | null;
}

function call(t: TestContext, { host, port }: TcpRelay): Caller {
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

test("told to pass when it does, it carries each byte once", async (t) => {
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

test("pulled, it resets what is connected and refuses what comes", async (t) => {
  const relay = await startEcho(t);
  const before = call(t, relay);
  before.socket.write("one");
  await eventually(() => before.received() === "one");
  await relay.setMode("refuse");
  await eventually(() => before.failure() === "ECONNRESET");
  const after = call(t, relay);
  await eventually(() => after.failure() === "ECONNREFUSED");
});

test("hanging, it accepts and says nothing; plugged again, what was held up goes on", async (t) => {
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

test("modes asked for at once take effect one after the other", async (t) => {
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
