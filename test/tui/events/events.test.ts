import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConnectionStatus, DaemonConnection } from "../../../src/api/client/daemon-connection.ts";
import type { FollowNotice } from "../../../src/api/client/follow-daemon.ts";
import type { StreamEvent } from "../../../src/api/contract/contract.ts";
import { callerOf } from "../../../src/api/operations/operations.ts";
import { createStore } from "../../../src/runtime/store.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { createEventRing, eventLine } from "../../../src/tui/events/event-ring.ts";
import { createEventsScreen } from "../../../src/tui/events/events-screen.ts";
import type { Key, KeyName } from "../../../src/tui/terminal/key.ts";
import { sampleSyncEvent, sampleSyncState } from "../../api/sample-config.ts";
import { assertEach } from "../../support/assert-each.ts";
import { textOf, viewOf } from "../views.ts";

function rig() {
  const listeners = new Set<(notice: FollowNotice) => void>();
  const listen = (listener: (notice: FollowNotice) => void) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  };
  const stop = new AbortController();
  const ring = createEventRing(listen, systemClock, stop.signal);
  let id = 0;
  const emit = (event: StreamEvent): void => {
    id += 1;
    for (const listener of listeners) listener({ kind: "event", id, event });
  };
  const transition = (name: string, fields: Record<string, string> = {}): void =>
    emit({ kind: "transition", transition: { name, ...fields } });
  const connection = createStore<ConnectionStatus>({ kind: "connected" });
  const screen = createEventsScreen({ connection, listen } as unknown as DaemonConnection, ring);
  const text = (height = 20): string[] => textOf(screen.draw({ ...viewOf(100), height }));
  const press = (...keys: readonly string[]): boolean[] =>
    keys.map((key) => {
      const pressed: Key =
        key.length === 1 ? { kind: "character", text: key } : { kind: "named", name: key as KeyName };
      return screen.onKey(pressed);
    });
  return { ring, emit, transition, stop, listeners, text, press };
}

test("an event that happens while the log is read, and is in it already, is one event", async () => {
  const { ring, transition, listeners } = rig();
  const line = (share: string, fromNowMs: number) => ({
    at: new Date(Date.now() + fromNowMs).toISOString(),
    level: "info" as const,
    message: "share.mounted",
    fields: { share },
  });
  const lines = [line("NEW", 1_000), line("OLD", -1_000)];
  const client = {
    call: callerOf({ daemonLog: async () => ({ path: "/log", lines, more: false, next: null }) }),
  };
  for (const listener of listeners) listener({ kind: "connected", client } as unknown as FollowNotice);
  transition("share.mounted", { share: "NEW" });
  await turn();
  assertEach(ring.newest(), ({ about }) => about, ["NEW", "OLD"]);
});

test("F2 a hundred thousand events keep two thousand, the newest, and count the others", () => {
  const { ring, transition } = rig();
  for (let round = 0; round < 100_000; round += 1) transition("share.mounted", { share: `s${round}` });
  const kept = [...ring.newest()];
  assert.equal(kept.length, 2_000);
  assert.equal(kept[0]?.about, "s99999");
  assert.equal(kept.at(-1)?.about, "s98000");
  assert.equal(ring.count.get(), 100_000);
});

test("an event is one line; events without information are dropped; the end unregisters", () => {
  const { ring, emit, transition, stop, listeners } = rig();
  transition("share.switched", { share: "CORE", from: "tb", to: "fallback" });
  emit(sampleSyncState());
  transition("share.mount_attempt", { share: "CORE" });
  emit({ kind: "sync", event: sampleSyncEvent({ type: "error", details: "7:12: wrong" }) });
  emit({ kind: "gap" });
  const texts = [...ring.newest()].map((event) => `${event.name} ${event.about} ${event.text}`);
  assert.deepEqual(texts.slice(1), [
    "sync null Configuration: 7:12: wrong",
    "share.switched CORE Switched from the preferred route to Fallback",
  ]);
  assert.match(texts[0] ?? "", /^gap null some events/);
  const [, , switched] = [...ring.newest()];
  assert.ok(switched !== undefined);
  const [line = ""] = textOf([eventLine(switched, false, viewOf(100))]);
  assert.match(line, /^ {2}\S+ {2}● CORE {2}Switched from the preferred route to Fallback$/);
  stop.abort();
  assert.equal(listeners.size, 0);
});

test("F2 events are filtered by kind, by owner, and by words; Escape drops one filter after the other", () => {
  const { transition, text, press } = rig();
  transition("share.mounted", { share: "CORE" });
  transition("backend.ready", { backend: "files" });
  transition("backend.ended", { backend: "db", reason: "exit 1" });
  const shown = () =>
    text()
      .slice(1)
      .map((line) => /^[▸ ]+\d\d:\d\d:\d\d +\S (\S+)/.exec(line)?.[1]);
  assert.deepEqual(shown(), ["db", "files", "CORE"]);
  press("n");
  assert.deepEqual(shown(), ["db", "files"]);
  press("b", "b");
  assert.deepEqual(shown(), ["db"]);
  assert.match(text()[0] ?? "", /only kind server, of db/);
  press("escape");
  assert.equal(shown().length, 3);
  press("/", "e", "x", "i", "t", "q");
  assert.match(text().at(-1) ?? "", /none/);
  press("backspace", "enter");
  assert.equal(text().at(-1)?.includes("Ended: exit 1"), true);
  assert.deepEqual(press("escape", "escape"), [true, false]);
});

test("an event's details are complete; it stays chosen while others arrive", () => {
  const { transition, text, press } = rig();
  transition("backend.ready", { backend: "CORE" });
  transition("share.route_down", { share: "X", reason: "\u001b[2J boom" });
  press("down", "up", "down", "enter");
  for (let round = 0; round < 50; round += 1) transition("share.mounted", { share: "X" });
  const details = text().join("\n");
  assert.match(details, /backend\.ready/);
  assert.match(details, / {2}backend: CORE/);
  press("escape");
  assert.ok(text().some((line) => line.startsWith("▸") && line.includes("CORE")));
  assert.ok(!text(60).join("").includes("\u001b"));
});

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
