import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { TLSSocket } from "node:tls";
import { issueCertificates } from "../../../src/fleet/enrollment/certificate.ts";
import { fetchAuthority } from "../../../src/fleet/enrollment/server-connection.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";

const { authority, server } = issueCertificates(["127.0.0.1"], Date.now());
const FINGERPRINT = Buffer.from(authority.fingerprint, "hex");
const PEM = { cert: server.certificate + authority.certificate, key: server.key };
const NEVER = new AbortController().signal;

/** A server on this machine that does this with each connection; resolves with its address and its connections' ends. */
async function listening(t: TestContext, on: (socket: Socket) => void) {
  const closed: Promise<unknown>[] = [];
  const listener = createServer((socket) => {
    socket.on("error", () => {});
    closed.push(once(socket, "close"));
    on(socket);
  });
  t.after(() => listener.close());
  await once(listener.listen(0, "127.0.0.1"), "listening");
  return { address: `127.0.0.1:${(listener.address() as AddressInfo).port}`, closed };
}

/** Greets as a NATS server in two pieces, then speaks TLS. */
function greet(socket: Socket): void {
  socket.write("IN");
  setImmediate(() => {
    socket.write('FO {"tls_required":true}\r\n');
    new TLSSocket(socket, { isServer: true, ...PEM }).on("error", () => {});
  });
}

test("G1 the authority of a server is accepted by its fingerprint, and no connection stays open", async (t) => {
  const { address, closed } = await listening(t, greet);
  assert.equal(await fetchAuthority(address, FINGERPRINT, NEVER), authority.certificate);
  const message = /another server answers at 127\.0\.0\.1/;
  await assert.rejects(fetchAuthority(address, Buffer.alloc(32), NEVER), { code: "join_refused", message });
  await Promise.all(closed);
  assert.equal(closed.length, 2);
});

const NO_SERVERS: readonly [what: string, on: (socket: Socket) => void, message: RegExp][] = [
  ["hangs up", (socket) => void socket.end(), /it hung up/],
  ["hangs up after its greeting", (socket) => void socket.end("INFO {}\r\n"), /hung up|disconnected/],
  ["greets otherwise", (socket) => void socket.write("HTTP/1.1 400 Bad\r\n"), /not a NATS server/],
  [
    "never ends its greeting",
    (socket) => void socket.write(`INFO ${"x".repeat(66_000)}`),
    /not a NATS server/,
  ],
  [
    "speaks no TLS",
    (socket) => {
      socket.write("INFO {}\r\n");
      socket.on("data", () => socket.write("what?\r\n"));
    },
    /cannot be reached/,
  ],
];

for (const [what, on, message] of NO_SERVERS) {
  test(`G1 a listener at a fleet's address that ${what} is not a server, and its connection ends`, async (t) => {
    const { address, closed } = await listening(t, (socket) => on(socket.resume()));
    const unreachable = { code: "fleet_unreachable", retry: "later", message };
    await assert.rejects(fetchAuthority(address, FINGERPRINT, NEVER), unreachable);
    await Promise.all(closed);
  });
}

test("G1 an address without a listener is unreachable, and a cancelled join ends as cancelled", async (t) => {
  await assert.rejects(fetchAuthority("127.0.0.1:1", FINGERPRINT, NEVER), { code: "fleet_unreachable" });
  const { address, closed } = await listening(t, (socket) => void socket.resume());
  const stop = new AbortController();
  const fetching = fetchAuthority(address, FINGERPRINT, stop.signal);
  stop.abort(new MountaineerError("aborted", "cancelled"));
  await assert.rejects(fetching, { code: "aborted" });
  await Promise.all(closed);
});
