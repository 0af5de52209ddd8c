import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type BusOptions, connectToBus } from "../../../src/menubar/dbus/bus-connection.ts";
import { marshal, unmarshal, variant } from "../../../src/menubar/dbus/marshal.ts";
import { createMessageReader, encodeMessage, type Message } from "../../../src/menubar/dbus/message.ts";
import { parseSignature } from "../../../src/menubar/dbus/type-signature.ts";
import { sessionBusPaths } from "../../../src/menubar/tray/run-tray.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { fc } from "../../support/properties.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { askBus, busMissing, connectClient, startSessionBus } from "../session-bus.ts";

for (const [address, runtime, paths] of [
  ["unix:path=/run/user/1000/bus", undefined, ["/run/user/1000/bus"]],
  ["unix:path=/tmp/a%20b%2cc,guid=00ff", undefined, ["/tmp/a b,c"]],
  ["unix:abstract=/tmp/dbus-X,guid=1", undefined, ["\0/tmp/dbus-X"]],
  ["tcp:host=1.2.3.4,port=5;unix:path=/b", undefined, ["/b"]],
  ["unix:path=/a;unix:path=/b", undefined, ["/a", "/b"]],
  ["unix:runtime=yes", "/run/user/7", ["/run/user/7/bus"]],
  ["unix:path=/caf%C3%A9", undefined, ["/café"]],
  ["nonsense", "/run/user/7", []],
  [undefined, "/run/user/7", ["/run/user/7/bus"]],
  ["", undefined, []],
  [undefined, undefined, []],
] as const) {
  test(`${address ?? "no address"}${runtime ? ` with ${runtime}` : ""} is ${JSON.stringify(paths)}`, () => {
    const environment = { DBUS_SESSION_BUS_ADDRESS: address, XDG_RUNTIME_DIR: runtime };
    assert.deepEqual(sessionBusPaths(environment), paths);
  });
}

function back(signature: string, values: readonly unknown[]): readonly unknown[] {
  return unmarshal(signature, { bytes: marshal(signature, values), littleEndian: true }).values;
}

test("bytes are laid out as in the specification", () => {
  const hex = (signature: string, ...values: unknown[]) => marshal(signature, values).toString("hex");
  assert.equal(hex("y", 1), "01");
  assert.equal(hex("yu", 1, 2), "0100000002000000", "a number stands at a multiple of its size");
  assert.equal(hex("b", true), "01000000");
  assert.equal(hex("s", "foo"), "03000000666f6f00");
  assert.equal(hex("g", "a{sv}"), "05617b73767d00");
  assert.equal(hex("v", variant("u", 7)), "0175000007000000");
  assert.equal(hex("ai", [1]), "0400000001000000");
  assert.equal(hex("a(y)", []), "0000000000000000", "room before the first struct, also when there is none");
  assert.equal(hex("ax", [1n]), "08000000000000000100000000000000", "not counted in the length");
  assert.equal(hex("ay", Uint8Array.of(1, 2)), "020000000102");
});

test("every value reads back unchanged", () => {
  const cases: readonly (readonly [string, readonly unknown[]])[] = [
    ["ybnqiuxtd", [255, false, -5, 65_535, -1, 4_294_967_295, -(2n ** 63n), 2n ** 64n - 1n, 1.5]],
    ["sog", ["é😀", "/a/b", "ii"]],
    [
      "a{sv}",
      [
        [
          ["a", variant("s", "x")],
          ["b", variant("ai", [1, 2])],
        ],
      ],
    ],
    ["(ia{sv}av)", [[1, [["label", variant("s", "L")]], [variant("(ia{sv}av)", [2, [], []])]]]],
    ["aay", [[Uint8Array.of(1), Uint8Array.of()]]],
    ["a(isvu)", [[[1, "clicked", variant("i", 0), 9]]]],
    ["", []],
  ];
  for (const [signature, values] of cases) assert.deepEqual(back(signature, values), values, signature);
});

test("any text reads back, except characters that the protocol does not have", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      assert.deepEqual(back("s", [text]), [text.toWellFormed().replaceAll("\0", "\ufffd")]);
    }),
  );
});

test("a value that does not match its type is a bug of ours", () => {
  for (const [signature, value] of [
    ["s", 1],
    ["u", "1"],
    ["b", 1],
    ["x", 1],
    ["v", "text"],
    ["v", variant("ii", 1)],
    ["ai", 1],
    ["(i)", [1, 2]],
    ["u", undefined],
  ] as const) {
    assert.throws(() => marshal(signature, [value]), { code: "internal" }, signature);
  }
  assert.throws(() => marshal("i", []), { code: "internal" });
});

test("no bytes cause harm: they are read, or refused", () => {
  fc.assert(
    fc.property(
      fc.constantFrom("s", "v", "a{sv}", "(ia{sv}av)", "a(isvu)", "ay", "g", "ad", "yxs", "aav"),
      fc.uint8Array({ maxLength: 64 }),
      fc.boolean(),
      (signature, bytes, littleEndian) => {
        try {
          unmarshal(signature, { bytes: Buffer.from(bytes), littleEndian });
        } catch (error) {
          assert.ok(error instanceof Error && "code" in error && error.code === "protocol", String(error));
        }
      },
    ),
    { numRuns: 2000 },
  );
});

test("a length that promises gigabytes is refused, not allocated", () => {
  const bytes = Buffer.from("ffffff7f00000000", "hex");
  for (const signature of ["ay", "as", "s"]) {
    assert.throws(() => unmarshal(signature, { bytes, littleEndian: true }), { code: "protocol" });
  }
});

for (const signature of [
  "(",
  "()",
  "a",
  "{sv}",
  "a{vs}",
  "a{s}",
  "z",
  "(i",
  ")",
  "a".repeat(40),
  `${"a".repeat(40)}i`,
  "a{svi",
  "i".repeat(300),
]) {
  test(`${JSON.stringify(signature.slice(0, 12))} is not a signature`, () => {
    assert.throws(() => parseSignature(signature), { code: "protocol" });
  });
}

test("an endlessly nested variant is refused before the stack overflows", () => {
  const bytes = Buffer.from("017600".repeat(5_000), "hex");
  assert.throws(() => unmarshal("v", { bytes, littleEndian: true }), { code: "protocol" });
});

for (const [what, signature, hex] of [
  ["bytes that end before they are all there", "ay", "0500000001"],
  ["numbers that end within one", "ai", "060000000100000002000000"],
  ["a variant of two values", "v", "0269690001000000"],
  ["a variant of none", "v", "0000"],
] as const) {
  test(`no value is read from ${what}`, () => {
    const bytes = Buffer.from(hex, "hex");
    assert.throws(() => unmarshal(signature, { bytes, littleEndian: true }), { code: "protocol" });
  });
}

const CALL: Message = {
  type: "call",
  serial: 7,
  noReply: false,
  path: "/MenuBar",
  interface: "com.canonical.dbusmenu",
  member: "AboutToShow",
  destination: ":1.5",
  sender: ":1.9",
  signature: "i",
  body: [3],
};
const SIGNAL: Message = {
  type: "signal",
  serial: 8,
  noReply: false,
  path: "/MenuBar",
  interface: "com.canonical.dbusmenu",
  member: "LayoutUpdated",
  signature: "ui",
  body: [2, 0],
};
const ERROR: Message = {
  type: "error",
  serial: 9,
  noReply: true,
  errorName: "a.b.C",
  replySerial: 7,
  signature: "",
  body: [],
};

test("messages read back unchanged, however the bytes are cut", () => {
  const bytes = Buffer.concat([CALL, SIGNAL, ERROR].map(encodeMessage));
  for (const size of [1, 3, 16, 17, bytes.length]) {
    const read = createMessageReader();
    const messages: Message[] = [];
    for (let at = 0; at < bytes.length; at += size) messages.push(...read(bytes.subarray(at, at + size)));
    assert.deepEqual(messages, [CALL, SIGNAL, ERROR], `in pieces of ${size}`);
  }
});

test("the other byte order is also understood", () => {
  // A signal /a i.f M with the body u 258, written big-endian by hand.
  const fields = Buffer.concat([
    Buffer.from(
      "01016f00000000022f610000000000000201730000000003692e66000000000003017300000000014d00",
      "hex",
    ),
    Buffer.from("000000000000", "hex"),
    Buffer.from("0801670001750000".slice(0, 14), "hex"),
  ]);
  const head = Buffer.alloc(16);
  head.write("B", 0, "latin1");
  head.writeUInt8(4, 1);
  head.writeUInt8(1, 3);
  head.writeUInt32BE(4, 4);
  head.writeUInt32BE(5, 8);
  head.writeUInt32BE(fields.length, 12);
  const pad = Buffer.alloc((8 - ((16 + fields.length) % 8)) % 8);
  const [message] = createMessageReader()(Buffer.concat([head, fields, pad, Buffer.from("00000102", "hex")]));
  assert.deepEqual(
    [message?.type, message?.path, message?.interface, message?.member, message?.serial, message?.body],
    ["signal", "/a", "i.f", "M", 5, [258]],
  );
});

test("bytes that are not a message, or are too long for one, are refused", () => {
  for (const bytes of [
    Buffer.from("HTTP/1.1 200 OK\r\n\r\n"),
    Buffer.concat([Buffer.from([0x6c, 1, 0, 1, 255, 255, 255, 127]), Buffer.alloc(8)]),
  ]) {
    assert.throws(() => createMessageReader()(bytes), { code: "protocol" });
  }
});

test("a message of an unknown type is skipped, and the next one received", () => {
  const unknown = encodeMessage(SIGNAL);
  unknown.writeUInt8(9, 1);
  assert.deepEqual(createMessageReader()(Buffer.concat([unknown, encodeMessage(CALL)])), [CALL]);
});

test("bytes in no known byte order are not a message", () => {
  for (const mark of ["L", "b", "\0"]) {
    const bytes = encodeMessage(CALL);
    bytes.write(mark);
    assert.throws(() => createMessageReader()(bytes), /no byte order/);
  }
});

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

test("a peer that hangs is given up after its deadline, and nothing else waits", needsBus, async (t) => {
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

test("a bus that refuses this user, speaks another protocol, or goes away, is reported as that", async (t) => {
  const refusing = await startOther(t, (socket) => socket.write("REJECTED DBUS_COOKIE_SHA1\r\n"));
  await assert.rejects(connectToBus(refusing, optionsOf()), { code: "permission_denied" });
  const foreign = await startOther(t, (socket) => socket.write("x".repeat(64 * 1024)));
  await assert.rejects(connectToBus(foreign, optionsOf()), { code: "daemon_unreachable" });
  const leaving = await startOther(t, (socket) => socket.end());
  await assert.rejects(connectToBus(leaving, optionsOf()), { code: "daemon_unreachable" });
  await assert.rejects(connectToBus("/nowhere/bus", optionsOf()), { code: "daemon_unreachable" });
});

/** A bus that takes everybody in; the test answers what comes then. */
function startBus(t: TestContext, answer: (message: Message, socket: Socket) => void): Promise<string> {
  return startOther(t, (socket) => {
    const read = createMessageReader();
    let isIn = false;
    socket.on("data", (given: Buffer) => {
      const begin = given.indexOf("BEGIN\r\n");
      if (!isIn && begin < 0) {
        socket.write("OK 00\r\n");
        return;
      }
      const chunk = isIn ? given : given.subarray(begin + 7);
      isIn = true;
      for (const message of read(Buffer.from(chunk))) {
        const { member, serial } = message;
        if (member !== "Hello") answer(message, socket);
        else
          socket.write(
            encodeMessage({ type: "return", serial: 1, replySerial: serial, signature: "s", body: [":1.1"] }),
          );
      }
    });
  });
}

test("a bus that sends nonsense is left, and calls in flight are notified", async (t) => {
  const path = await startBus(t, (_message, socket) => socket.write("this is no message at all"));
  const clock = createManualClock();
  const { signal } = new AbortController();
  const bus = await connectToBus(path, optionsOf({ clock, signal }));
  await assert.rejects(askBus(bus, "GetId", "", []), { code: "daemon_unreachable" });
  assert.match(await bus.closed, /cannot be read/);
  await assert.rejects(askBus(bus, "GetId", "", []), { code: "daemon_unreachable" });
  assert.equal(clock.pendingTimers, 0, "no deadline is left");
  assert.deepEqual(getEventListeners(signal, "abort"), []);
});

test("a call that requests no answer gets none", async (t) => {
  const answered: unknown[] = [];
  const call = { type: "call", path: "/x", interface: "a.b", member: "X", signature: "", body: [] } as const;
  const path = await startBus(t, ({ type, replySerial, serial }, socket) => {
    if (type !== "call") answered.push(replySerial);
    else {
      socket.write(encodeMessage({ ...call, serial: 5, noReply: true }));
      socket.write(encodeMessage({ ...call, serial: 6 }));
      socket.write(
        encodeMessage({ type: "return", serial: 7, replySerial: serial, signature: "", body: [] }),
      );
    }
  });
  const clock = createManualClock();
  const bus = await connectToBus(path, optionsOf({ clock }));
  await askBus(bus, "GetId", "", []);
  await eventually(() => answered.length > 0);
  assert.deepEqual(answered, [6]);
  assert.equal(clock.pendingTimers, 0, "no deadline is left");
  bus[Symbol.dispose]();
});

test("a bus that does not read is given up before the unsent messages fill the memory", async (t) => {
  const path = await startBus(t, (_message, socket) => void socket.pause());
  const bus = await connectToBus(path, optionsOf());
  const body = ["x".repeat(1024 * 1024)];
  const isLeft = bus.closed.then((reason) => reason);
  for (let sent = 0; sent < 24; sent += 1)
    bus.emit({ path: "/x", interface: "a.b", member: "Told", signature: "s", body });
  assert.match(await isLeft, /takes in nothing more/);
});

test("a connection that is given up while it is being made leaves no socket", async (t) => {
  const stop = new AbortController();
  let left = 0;
  const silent = await startOther(t, (socket) => {
    socket.resume().once("close", () => (left += 1));
    stop.abort(new MountaineerError("aborted", "stopped"));
  });
  await assert.rejects(connectToBus(silent, optionsOf({ signal: stop.signal })), { code: "aborted" });
  await eventually(() => left === 1);
  const refusing = await startOther(t, (socket) => {
    socket.resume().once("close", () => (left += 1));
    socket.write("REJECTED\r\n");
  });
  await assert.rejects(connectToBus(refusing, optionsOf()), { code: "permission_denied" });
  await eventually(() => left === 2);
});

test("an aborted signal ends the connection, and rejects one that is being made", needsBus, async (t) => {
  const bus = await startSessionBus(t);
  const stop = new AbortController();
  const connection = await connectToBus(bus.socketPath, optionsOf({ signal: stop.signal }));
  stop.abort(new MountaineerError("aborted", "stopped"));
  assert.equal(await connection.closed, "closed");
  await assert.rejects(connectToBus(bus.socketPath, optionsOf({ signal: stop.signal })), { code: "aborted" });
});
