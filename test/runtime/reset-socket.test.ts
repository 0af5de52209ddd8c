// Resets of real TCP connections.
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { resetSocket } from "../../src/runtime/reset-socket.ts";

async function startPeer(t: { after(work: () => void): void }) {
  const server = createServer((socket) => socket.on("error", () => {}).resume());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  return { server, connect: () => connect({ host: "127.0.0.1", port }) };
}

function closed(socket: Socket): Promise<unknown> {
  return once(socket, "close", { signal: AbortSignal.timeout(5_000) });
}

test("A10 a connection is reset: the other side is notified of it", async (t) => {
  const { server, connect } = await startPeer(t);
  const connection = once(server, "connection");
  const socket = connect();
  await once(socket, "connect");
  const [peer] = (await connection) as [Socket];
  const error = once(peer, "error", { signal: AbortSignal.timeout(5_000) });
  resetSocket(socket);
  assert.equal((await error)[0].code, "ECONNRESET");
});

test("A10 one whose own end is on its way is closed, and its descriptor with it", async (t) => {
  const socket = (await startPeer(t)).connect();
  await once(socket, "connect");
  socket.on("error", (error) => assert.fail(error));
  socket.resume();
  socket.end();
  // In these turns the system is asked to end it, and has not done so.
  await new Promise((resolve) => process.nextTick(() => process.nextTick(resolve)));
  assert.deepEqual([socket.writableEnded, socket.writableFinished], [true, false]);
  const isClosed = closed(socket);
  resetSocket(socket);
  await isClosed;
});

test("A10 a connecting one is given up at once, and an ended one is not touched", async (t) => {
  const socket = (await startPeer(t)).connect();
  const isClosed = closed(socket);
  resetSocket(socket);
  assert.equal(socket.destroyed, true);
  await isClosed;
  resetSocket(socket);
});
