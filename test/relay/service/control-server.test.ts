// What the carrier says over its socket: bounded lines, versions beside its own, and no question without an answer.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { connectControl } from "../../../src/relay/client/control-connection.ts";
import { formatLine, PROTOCOL_VERSION } from "../../../src/relay/control/control-messages.ts";
import { createControlServer } from "../../../src/relay/service/control-server.ts";
import type { RelayService } from "../../../src/relay/service/relay-service.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const signal = new AbortController().signal;

/** A service of which only what is asked for here exists. */
function stubService(parts: Partial<RelayService>) {
  const none = (): never => {
    throw new Error("not asked for in this test");
  };
  return {
    served: new Map(),
    states: () => [],
    restore: none,
    find: none,
    open: none,
    bind: none,
    configure: none,
    move: none,
    close: none,
    takeJournal: none,
    recordDecision: none,
    [Symbol.asyncDispose]: () => Promise.resolve(),
    ...parts,
  };
}

async function start(t: TestContext, parts: Partial<RelayService>) {
  const path = join(await temporaryFolder(t), "s");
  const daemons: number[] = [];
  const clock = createManualClock();
  const heard = { times: 0 };
  const control = createControlServer({
    clock,
    logger: noopLogger,
    service: () => stubService(parts),
    program: "abc",
    onDaemons: (count) => void daemons.push(count),
    onHeard: () => {
      heard.times += 1;
    },
  });
  control.server.listen(path);
  await once(control.server, "listening");
  t.after(() => control.end());
  return { path, daemons, control, clock, heard };
}

/** A connection that is not the project's own. */
async function raw(t: TestContext, path: string) {
  const socket = connect(path);
  t.after(() => socket.destroy());
  const said = { text: "", ended: false };
  socket.on("data", (chunk: Buffer) => {
    said.text += chunk.toString();
  });
  socket.on("error", () => {});
  socket.on("close", () => {
    said.ended = true;
  });
  await once(socket, "connect");
  return { socket, said };
}

const NOTICE = { share: "A", what: "answered" } as const;
const HELLO = formatLine({ hello: { protocol: PROTOCOL_VERSION } });

describe("the control socket", () => {
  test("A10 greets with its version and program, and counts the connected daemons", async (t) => {
    const { path, daemons } = await start(t, {});
    const { socket, said } = await raw(t, path);
    await eventually(() => said.text.includes("\n"));
    const { v, hello } = JSON.parse(said.text);
    assert.deepEqual(
      { v, protocol: hello.protocol, program: hello.program },
      { v: 1, protocol: 1, program: "abc" },
    );
    assert.deepEqual(daemons, [], "whoever has not said who they are does not count");
    socket.write(HELLO);
    await eventually(() => daemons.at(-1) === 1);
    socket.end();
    await eventually(() => daemons.at(-1) === 0);
  });

  test("A10 serves a daemon of the version before and after, and no other; additional members do not matter", async (t) => {
    const { path } = await start(t, { states: () => [] });
    for (const protocol of [PROTOCOL_VERSION - 1, PROTOCOL_VERSION, PROTOCOL_VERSION + 1]) {
      const { socket, said } = await raw(t, path);
      socket.write(formatLine({ hello: { protocol, mood: "new" }, newer: true }));
      socket.write(formatLine({ id: 7, do: "refresh", newer: [] }));
      await eventually(() => said.text.includes('"id":7,"ok":true'));
    }
    const { socket, said } = await raw(t, path);
    socket.write(formatLine({ hello: { protocol: PROTOCOL_VERSION + 2 } }));
    await eventually(() => said.ended);
    assert.match(said.text, /refused/);
  });

  test("A10 a caller without a hello gets no answer, is not counted as a daemon, and is disconnected after 5 s", async (t) => {
    const { path, clock, daemons, heard } = await start(t, {});
    const stranger = await raw(t, path);
    stranger.socket.write(formatLine({ id: 6, do: "refresh" }));
    const daemon = await raw(t, path);
    daemon.socket.write(HELLO + formatLine({ id: 7, do: "refresh" }));
    await eventually(() => daemon.said.text.includes('"id":7'));
    assert.deepEqual([daemons, heard.times], [[1], 1]);
    await clock.advance(5_000);
    await eventually(() => stranger.said.ended);
    assert.equal(stranger.said.text.includes('"id":6'), false);
    daemon.socket.write(formatLine({ id: 8, do: "refresh" }));
    await eventually(() => daemon.said.text.includes('"id":8'));
  });

  test("A10 serves 16 connections at once, and closes a further one", async (t) => {
    const { path } = await start(t, {});
    const served = await Array.fromAsync({ length: 16 }, () => raw(t, path));
    const { said } = await raw(t, path);
    await eventually(() => said.ended || said.text !== "");
    assert.deepEqual(said, { text: "", ended: true });
    await eventually(() => served.every((one) => one.said.text !== "" && !one.said.ended));
  });

  test("A10 a sign of life is requested from each connected daemon", async (t) => {
    const { path, control, daemons } = await start(t, {});
    assert.equal(control.ping(), false, "nobody is there");
    const { socket, said } = await raw(t, path);
    socket.write(HELLO);
    await eventually(() => daemons.at(-1) === 1);
    assert.equal(control.ping(), true);
    await eventually(() => said.text.endsWith('"push":"ping"}\n'));
    assert.equal(said.text.split('"push":"ping"').length, 2);
  });

  test("A10 urgent changes of one moment are pushed once, the rest every 5 s, and unchanged state never", async (t) => {
    const states = [{ share: "A" }];
    // Of a state nothing counts here but that it is another one.
    const service = { states: () => states } as object;
    const { path, control, daemons, clock } = await start(t, service);
    const { socket, said } = await raw(t, path);
    const pushes = (): number => said.text.split('"push":"shares"').length - 1;
    socket.write(HELLO);
    await eventually(() => daemons.at(-1) === 1 && pushes() === 1);
    control.changed(true);
    control.changed(true);
    assert.equal(control.notice(NOTICE), true);
    await eventually(() => said.text.includes('"push":"notice"'));
    assert.equal(pushes(), 2);
    assert.ok(said.text.lastIndexOf('"push":"shares"') < said.text.indexOf('"push":"notice"'));
    states.push({ share: "B" });
    control.changed(false);
    control.changed(false);
    await clock.advance(5_000);
    await eventually(() => pushes() === 3);
    states.push({ share: "C" });
    control.changed(true);
    await eventually(() => pushes() === 4);
    control.changed(true);
    socket.write(formatLine({ id: 9, do: "confirm" }));
    await eventually(() => said.text.includes('"id":9'));
    assert.equal(pushes(), 4);
  });

  test("A10 a daemon that reads nothing is disconnected once over 4 MiB wait for it", async (t) => {
    const state = { share: "" };
    const service = { states: () => [state] } as object;
    const { path, control, daemons } = await start(t, service);
    const { socket } = await raw(t, path);
    socket.write(HELLO);
    await eventually(() => daemons.at(-1) === 1);
    socket.pause();
    for (const letter of "abcdef") {
      state.share = letter.repeat(1024 * 1024);
      control.notice(NOTICE);
    }
    await eventually(() => daemons.at(-1) === 0);
  });

  test("A10 a stopped relay pushes no further counters", async (t) => {
    const { path, control, daemons, clock } = await start(t, {});
    const { socket } = await raw(t, path);
    socket.write(HELLO);
    await eventually(() => daemons.at(-1) === 1);
    control.changed(false);
    control.end();
    await eventually(() => daemons.at(-1) === 0);
    assert.equal(clock.pendingTimers, 0);
  });

  test("A10 at most 1,000 requests wait for a relay, and one that sends a line without an end is dropped", async (t) => {
    const path = join(await temporaryFolder(t), "s");
    const sockets: Socket[] = [];
    const carrier = createServer((socket) => {
      sockets.push(socket);
      socket.on("error", () => {});
      socket.write(formatLine({ hello: { protocol: PROTOCOL_VERSION, program: "abc" } }));
    });
    t.after(() => carrier.close());
    carrier.listen(path);
    await once(carrier, "listening");
    const clock = createManualClock();
    const connection = await connectControl(path, clock, { onPush() {}, onEnd() {} });
    assert.ok(connection);
    const ask = () => connection.call("close", { share: "X" }, 5_000, signal);
    const waiting = Array.from({ length: 1_000 }, ask);
    const answers = Promise.allSettled(waiting);
    assert.equal(clock.pendingTimers, 1_001, "each has its deadline, and so has the greeting");
    await assert.rejects(ask(), { code: "program_unavailable", message: /too busy/ });
    sockets[0]?.write("x".repeat(2 * 1024 * 1024));
    assert.ok((await answers).every(({ status }) => status === "rejected"));
    assert.equal(connection.hasEnded, true);
    for (const socket of sockets) socket.destroy();
  });

  test("A10 a program that only watches answers no ping, so that the relay decides autonomously without a daemon", async (t) => {
    const path = join(await temporaryFolder(t), "s");
    for (const isInCharge of [true, false]) {
      const heard: string[] = [];
      const carrier = createServer((socket) => {
        socket.on("error", () => {});
        socket.on("data", (text) => void heard.push(String(text)));
        socket.write(formatLine({ hello: { protocol: PROTOCOL_VERSION, program: "abc" } }));
        socket.write(formatLine({ push: "ping" }));
        socket.write(formatLine({ push: "after" }));
      });
      carrier.listen(path);
      await once(carrier, "listening");
      const after = Promise.withResolvers<void>();
      const listener = { isInCharge, onPush: () => after.resolve(), onEnd() {} };
      const connection = await connectControl(path, createManualClock(), listener);
      assert.ok(connection);
      await after.promise;
      await eventually(() => heard.join("").includes("hello"));
      if (isInCharge) await eventually(() => heard.join("").includes("pong"));
      else assert.equal(heard.join("").includes("pong"), false);
      connection[Symbol.dispose]();
      carrier.close();
      await once(carrier, "close");
    }
  });

  test("A10 a relay that does not read gets no further requests once over 1 MiB waits for it", async (t) => {
    const path = join(await temporaryFolder(t), "s");
    const carrier = createServer((socket) => {
      socket.on("error", () => {});
      socket.write(formatLine({ hello: { protocol: PROTOCOL_VERSION, program: "abc" } }));
      socket.pause();
    });
    t.after(() => carrier.close());
    carrier.listen(path);
    await once(carrier, "listening");
    const connection = await connectControl(path, createManualClock(), { onPush() {}, onEnd() {} });
    assert.ok(connection);
    const ask = (share: string) => connection.call("close", { share }, 5_000, signal);
    const first = assert.rejects(ask("x".repeat(4 * 1024 * 1024)), /closed the connection/);
    await assert.rejects(ask("X"), /too busy/);
    connection[Symbol.dispose]();
    await first;
  });

  test("A10 a connection is ended for a malformed or endless line", async (t) => {
    const { path, daemons } = await start(t, {});
    const { socket, said } = await raw(t, path);
    socket.write(`${HELLO}what\n`);
    await eventually(() => said.ended);
    const endless = await raw(t, path);
    endless.socket.write(HELLO);
    endless.socket.write("x".repeat(3 * 1024 * 1024));
    await eventually(() => endless.said.ended);
    await eventually(() => daemons.at(-1) === 0);
  });

  test("A10 an invalid, unknown or failed request is answered with its code", async (t) => {
    const { path } = await start(t, {
      find(share) {
        if (share === "BROKEN") throw new Error("broken");
        throw new MountaineerError("share_unknown", `${share} is not relayed`);
      },
    });
    const connection = await connectControl(path, systemClock, { onPush() {}, onEnd() {} });
    assert.ok(connection);
    t.after(() => connection[Symbol.dispose]());
    const ask = (operation: string, members: object) =>
      connection.call(operation, { ...members }, 10_000, signal);
    await assert.rejects(ask("confirm", { share: "X" }), {
      code: "share_unknown",
      message: "X is not relayed",
    });
    await assert.rejects(ask("confirm", { share: "" }), { code: "protocol" });
    await assert.rejects(ask("open", { share: "X", kind: "ftp" }), { code: "protocol" });
    await assert.rejects(ask("constructor", {}), { code: "protocol" });
    await assert.rejects(ask("hold", { share: "BROKEN" }), { code: "internal" });
  });

  test("A10 a request has a deadline, and ends with the connection or the caller", async (t) => {
    const { path, control } = await start(t, { close: () => new Promise(() => {}) });
    const clock = createManualClock();
    let ended = 0;
    const connection = await connectControl(path, clock, {
      onPush() {},
      onEnd() {
        ended += 1;
      },
    });
    assert.ok(connection);
    const late = assert.rejects(connection.call("close", { share: "X" }, 5_000, signal), {
      code: "timed_out",
    });
    await clock.advance(5_000);
    await late;
    const leaving = new AbortController();
    const left = assert.rejects(connection.call("close", { share: "X" }, 5_000, leaving.signal), /left/);
    leaving.abort(new Error("left"));
    await left;
    const cut = assert.rejects(connection.call("close", { share: "X" }, 5_000, signal), {
      code: "program_unavailable",
    });
    control.end();
    await cut;
    assert.equal(ended, 1);
    assert.equal(clock.pendingTimers, 0);
  });

  test("A10 the caller learns that no relay, or a different program, is at the socket", async (t) => {
    const folder = await temporaryFolder(t);
    const listener = { onPush() {}, onEnd() {} };
    assert.equal(await connectControl(join(folder, "none"), systemClock, listener), null);
    const path = join(folder, "other");
    const other = createServer((socket) => {
      socket.on("error", () => {});
      socket.write(formatLine({ hello: { protocol: 99 } }));
    });
    t.after(() => other.close());
    other.listen(path);
    await once(other, "listening");
    await assert.rejects(connectControl(path, systemClock, listener), { code: "protocol" });
  });
});
