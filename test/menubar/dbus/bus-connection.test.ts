import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type BusOptions, connectToBus } from "../../../src/menubar/dbus/bus-connection.ts";
import { createMessageReader, encodeMessage } from "../../../src/menubar/dbus/message.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { askBus, busMissing, connectClient, startSessionBus } from "../session-bus.ts";

const needsBus = { skip: busMissing };

function optionsOf(changes: Partial<BusOptions> = {}): BusOptions {
  return {
    clock: systemClock,
    signal: new AbortController().signal,
    onCall: () => ({ signature: "s", body: ["answered"] }),
    onSignal: () => {},
    ...changes,
  };
}

/** A bus that does what the test says. */
async function startOther(t: TestContext, serve: (socket: Socket) => void): Promise<string> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    serve(socket);
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const path = join(await temporaryFolder(t), "other");
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return path;
}

test("two clients of a real bus call each other; errors come with their name", needsBus, async (t) => {
  const bus = await startSessionBus(t);
  const stop = new AbortController();
  t.after(() => stop.abort());
  const server = await connectToBus(
    bus.socketPath,
    optionsOf({
      signal: stop.signal,
      onCall({ member, body, sender }) {
        if (member === "Fail") throw new MountaineerError("usage", "not so");
        return { signature: "ssx", body: [String(sender), String(body[0]), 5n] };
      },
    }),
  );
  const client = await connectClient(t, bus);
  const call = { destination: server.uniqueName, path: "/x", interface: "a.b" };
  const answer = await client.bus.call({
    ...call,
    member: "Echo",
    signature: "s",
    body: ["é".repeat(100_000)],
  });
  assert.deepEqual(answer, [client.bus.uniqueName, "é".repeat(100_000), 5n]);
  await assert.rejects(client.bus.call({ ...call, member: "Fail" }), /DBus\.Error\.Failed: not so/);
  await assert.rejects(
    client.bus.call({ ...call, destination: "no.such.name", member: "X" }),
    /ServiceUnknown|NameHasNoOwner/,
  );
  server.emit({ path: "/x", interface: "a.b", member: "Told", signature: "s", body: ["it"] });
  await eventually(() => client.signals.some(({ member, body }) => member === "Told" && body[0] === "it"));
});

test("whoever hangs is given up after its deadline, and nothing else waits", needsBus, async (t) => {
  const bus = await startSessionBus(t);
  const stop = new AbortController();
  t.after(() => stop.abort());
  const clock = createManualClock();
  const client = await connectToBus(bus.socketPath, optionsOf({ clock, signal: stop.signal }));
  // Accepts, and says nothing.
  const silent = await startOther(t, () => {});
  await assert.rejects(
    async () => {
      const connecting = connectToBus(silent, optionsOf({ clock }));
      await eventually(() => clock.pendingTimers > 0);
      clock.advance(5_000);
      await connecting;
    },
    { code: "timed_out" },
  );
  const [id] = await askBus(client, "GetId", "", []);
  assert.equal(typeof id, "string");
});

test("a bus that refuses this user, speaks another protocol, or goes away, is told as that", async (t) => {
  const refusing = await startOther(t, (socket) => socket.write("REJECTED DBUS_COOKIE_SHA1\r\n"));
  await assert.rejects(connectToBus(refusing, optionsOf()), { code: "permission_denied" });
  const foreign = await startOther(t, (socket) => socket.write("x".repeat(64 * 1024)));
  await assert.rejects(connectToBus(foreign, optionsOf()), { code: "daemon_unreachable" });
  const leaving = await startOther(t, (socket) => socket.end());
  await assert.rejects(connectToBus(leaving, optionsOf()), { code: "daemon_unreachable" });
  await assert.rejects(connectToBus("/nowhere/bus", optionsOf()), { code: "daemon_unreachable" });
});

test("a bus that sends nonsense is left, and calls under way are told", async (t) => {
  const path = await startOther(t, (socket) => {
    const read = createMessageReader();
    let isIn = false;
    socket.on("data", (given) => {
      let chunk = Buffer.from(given);
      if (!isIn) {
        isIn = chunk.includes("BEGIN");
        if (!isIn) socket.write("OK 00\r\n");
        const rest = chunk.subarray(chunk.indexOf("BEGIN\r\n") + 7);
        if (!isIn || rest.length === 0) return;
        chunk = rest;
      }
      for (const { member, serial } of read(chunk)) {
        if (member === "Hello")
          socket.write(
            encodeMessage({ type: "return", serial: 1, replySerial: serial, signature: "s", body: [":1.1"] }),
          );
        else socket.write("this is no message at all");
      }
    });
  });
  const bus = await connectToBus(path, optionsOf());
  await assert.rejects(askBus(bus, "GetId", "", []), { code: "daemon_unreachable" });
  assert.match(await bus.closed, /cannot be read/);
  await assert.rejects(askBus(bus, "GetId", "", []), { code: "daemon_unreachable" });
});

test("an aborted signal ends the connection, and rejects one that is being made", needsBus, async (t) => {
  const bus = await startSessionBus(t);
  const stop = new AbortController();
  const connection = await connectToBus(bus.socketPath, optionsOf({ signal: stop.signal }));
  stop.abort(new MountaineerError("aborted", "stopped"));
  assert.equal(await connection.closed, "closed");
  await assert.rejects(connectToBus(bus.socketPath, optionsOf({ signal: stop.signal })), { code: "aborted" });
});
