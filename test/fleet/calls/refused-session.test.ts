import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { test } from "node:test";
import { openCallsSession } from "../../../src/fleet/calls/calls-session.ts";
import { systemClock as clock } from "../../../src/runtime/time/clock.ts";
import { makeKey } from "../nats-rig.ts";

/** A server that takes everybody, and messages of a few bytes alone. */
const INFO = {
  server_id: "small",
  version: "2.11.0",
  proto: 1,
  headers: true,
  max_payload: 100,
  nonce: "nonce",
  auth_required: true,
};

test("G1 of a server that is of no use no connection stays", async (t) => {
  const server = createServer((socket) => {
    socket.write(`INFO ${JSON.stringify(INFO)}\r\n`);
    socket.on("data", (bytes) => {
      if (/^PING\r$/m.test(bytes.toString())) socket.write("PONG\r\n");
    });
    socket.on("error", () => {});
  }).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const connected: Promise<[Socket]> = once(server, "connection") as Promise<[Socket]>;
  const opening = openCallsSession(
    {
      server: `nats://127.0.0.1:${address.port}`,
      name: "desktop",
      credentials: { kind: "nkey", seed: makeKey().seed },
      authority: null,
      clock,
      exports: true,
      imports: true,
      heard: { frame() {}, offer() {}, asked() {}, nobodyThere() {} },
    },
    new AbortController().signal,
  );
  const [socket] = await connected;
  const closed = once(socket, "close", { signal: AbortSignal.timeout(60_000) });
  await assert.rejects(opening, /no messages of useful size/);
  await closed;
});
