// The new daemon's side of a handover, with a process object that the test speaks through.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { test } from "node:test";
import {
  type MessageFromNew,
  NEEDED_MARK,
  SUCCESSOR_MARK,
} from "../../../src/daemon/handover/handover-messages.ts";
import type { OwnSessions } from "../../../src/daemon/handover/peer-daemon.ts";
import { findPredecessor } from "../../../src/daemon/handover/predecessor.ts";
import { ANONYMOUS } from "../../../src/gateway/client-handle.ts";
import { NO_SESSIONS } from "../../../src/gateway/frontend/session/session-memory.ts";
import { SuspendedCalls } from "../../../src/gateway/frontend/suspended/suspended-calls.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";

const NOTHING: OwnSessions = {
  suspended: new SuspendedCalls(createManualClock()),
  deliver: async () => false,
  change() {},
};
const PARENT = { env: { [SUCCESSOR_MARK]: "1" }, connected: true };

/** A daemon whose parent hands over to it. `said`: what it sends; its messages are on their way until `arrive`. */
function setUp() {
  const clock = createManualClock();
  const said: MessageFromNew[] = [];
  let underWay: (() => void)[] = [];
  const self = Object.assign(new EventEmitter(), {
    ...PARENT,
    env: { ...PARENT.env },
    isReferenced: true,
    send(message: MessageFromNew, _handle: unknown, _options: unknown, sent: () => void) {
      said.push(message);
      underWay.push(sent);
    },
    channel: {
      unref() {
        self.isReferenced = false;
      },
    },
  });
  const old = findPredecessor(self as unknown as NodeJS.Process, clock);
  assert.ok(old !== null);
  const arrive = (): void => {
    for (const sent of underWay) sent();
    underWay = [];
  };
  return { clock, self, old, said, arrive };
}

test("B11 only a daemon whose parent hands over has a predecessor, and its children inherit nothing of that", () => {
  const send = (): boolean => true;
  const marked = { [SUCCESSOR_MARK]: "1", [NEEDED_MARK]: "1" };
  const found = (self: object) =>
    findPredecessor(
      Object.assign(new EventEmitter(), self) as unknown as NodeJS.Process,
      createManualClock(),
    );
  for (const self of [
    { env: { ...marked }, connected: true, send },
    { env: { ...marked }, connected: false, send },
    { env: { ...marked }, connected: true, send: undefined },
    { env: { [NEEDED_MARK]: "1" }, connected: true, send },
  ]) {
    const { [SUCCESSOR_MARK]: mark } = self.env as Record<string, string | undefined>;
    const isOne = mark === "1" && self.connected && self.send !== undefined;
    assert.equal(found(self)?.isNeeded, isOne ? true : undefined);
    assert.deepEqual(self.env, {});
  }
  assert.equal(found({ env: { [SUCCESSOR_MARK]: "1" }, connected: true, send })?.isNeeded, false);
});

test("B11 the turn arrives with the listening socket where there is one, and when the old daemon has gone", async () => {
  const door = { host: "127.0.0.1", port: 9000 };
  const handle = {};
  const states = { key: "k", generation: 1 };
  for (const [message, given, expected] of [
    [{ say: "go", door, states }, handle, { address: door, handle }],
    [{ say: "go", door: null, states }, handle, null],
    [{ say: "go", door, states }, undefined, null],
    [{ say: "go", door, states }, null, null],
    [null, undefined, null],
  ] as const) {
    const { self, old, said } = setUp();
    const turn = old.turn({ version: "1", backends: {} });
    assert.deepEqual(said, [{ say: "ready", version: "1", backends: {} }]);
    // Of another version, or of no daemon.
    for (const strange of [null, "go", {}, { say: 1 }, { say: "unheard of" }]) self.emit("message", strange);
    if (message === null) self.emit("disconnect");
    else self.emit("message", message, given);
    assert.deepEqual(await turn, expected);
    assert.deepEqual(old.handed?.states ?? null, message === null ? null : states);
  }
});

test("B11 what the old daemon tells before this one is ready for it is heard then, in order", async () => {
  const { self, old } = setUp();
  self.emit("message", { say: "go", door: null, states: {}, once: [], sessions: NO_SESSIONS, secret: {} });
  self.emit("message", { say: "change", hash: "a", change: { kind: "level", level: "info" } });
  self.emit("message", { say: "change", hash: "b", change: { kind: "ended" } });
  const changes: unknown[] = [];
  const change = (hash: string, { kind }: { readonly kind: string }): void => void changes.push([hash, kind]);
  old.join({ ...NOTHING, change });
  await settle();
  assert.deepEqual(changes, [
    ["a", "level"],
    ["b", "ended"],
  ]);
});

test("B11 E4 clients' messages for an old daemon that does not read are dropped beyond 256, and long ones at once", async () => {
  const { self, old, said, arrive } = setUp();
  const joined = old.join(NOTHING);
  const pass = (text: string): void => void joined.deliver({ hash: "h", principal: ANONYMOUS, text });
  pass("x".repeat(4 * 1024 * 1024 + 1));
  assert.equal(said.length, 0);
  for (let count = 0; count < 300; count += 1) pass("x");
  assert.equal(said.length, 256);
  arrive();
  await settle();
  pass("x".repeat(4 * 1024 * 1024));
  assert.equal(said.length, 257);
  self.connected = false;
  pass("x");
  assert.equal(said.length, 257);
});

test("B11 a daemon that fails to take over reports why, and does not wait for a parent that is gone", async () => {
  const { self, old, said, arrive } = setUp();
  const failing = old.failed(new MountaineerError("config_invalid", "no", { hint: "mend it" }));
  void old.failed(new Error("other"));
  arrive();
  await failing;
  assert.deepEqual(said, [
    { say: "failed", message: "no", hint: "mend it" },
    { say: "failed", message: "other", hint: null },
  ]);
  self.connected = false;
  await old.stopped();
  assert.equal(said.length, 2);
});

test("B11 a daemon in charge does not stay alive for the old one's sake", () => {
  const { self, old, said } = setUp();
  old.taken();
  assert.deepEqual([said, self.isReferenced], [[{ say: "taken" }], false]);
});

test("B11 D2 requests that wait in an old daemon that has gone are answered, and no longer sent to it", async () => {
  const { self, old } = setUp();
  const passing = old.join(NOTHING);
  const replies: unknown[] = [];
  const stream = { congested: null, send: () => true, answer: (id: unknown) => void replies.push(id) };
  const request = { id: 7 };
  const resume = () => passing.resume(request as never, stream as never);
  assert.notEqual(resume(), null);
  self.emit("disconnect");
  await settle();
  assert.deepEqual(replies, [7]);
  self.connected = false;
  assert.equal(resume(), null);
});

test("B11 parts that cannot run twice are free when the old daemon says so", async () => {
  const { self, old } = setUp();
  self.emit("message", { say: "go", door: null, once: [1] });
  assert.deepEqual(old.once, [1]);
  self.emit("message", { say: "ended" });
  await old.ended;
  assert.deepEqual(old.once, []);
});

test("B11 parts that cannot run twice are free once a vanished old daemon's processes have ended", async () => {
  const { clock, self, old } = setUp();
  let isFree = false;
  void old.ended.then(() => {
    isFree = true;
  });
  const left = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], {
    detached: true,
    stdio: "ignore",
  });
  const ended = once(left, "exit");
  try {
    self.emit("message", { say: "go", door: null, once: [left.pid] });
    self.emit("disconnect");
    await old.gone;
    await clock.advance(1_000);
    assert.equal(isFree, false);
  } finally {
    left.kill("SIGKILL");
  }
  await ended;
  await clock.advance(1_000);
  assert.equal(isFree, true);
});
