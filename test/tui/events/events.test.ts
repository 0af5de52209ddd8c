import assert from "node:assert/strict";
import { test } from "node:test";
import type { FollowNotice } from "../../../src/api/client/follow-daemon.ts";
import type { StreamEvent } from "../../../src/api/contract/contract.ts";
import type { AuditEntry, AuditReport, AuditRequest } from "../../../src/api/contract/records.ts";
import { askOf } from "../../../src/api/operations/operations.ts";
import { type Clock, systemClock } from "../../../src/runtime/time/clock.ts";
import { createAuditScreen } from "../../../src/tui/events/audit-screen.ts";
import { createEventRing, eventLine } from "../../../src/tui/events/event-ring.ts";
import { createEventsScreen } from "../../../src/tui/events/events-screen.ts";
import type { DaemonLink } from "../../../src/tui/link/daemon-link.ts";
import type { Connection } from "../../../src/tui/terminal/connection.ts";
import type { Key, KeyName } from "../../../src/tui/terminal/key.ts";
import { createStore } from "../../../src/tui/terminal/store.ts";
import { sampleSyncEvent, sampleSyncState } from "../../api/sample-config.ts";
import { sampleAudit } from "../../api/sample-gateway.ts";
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
  const connection = createStore<Connection>({ kind: "connected" });
  let audits = 0;
  const screen = createEventsScreen({ connection, listen } as unknown as DaemonLink, ring, () => {
    audits += 1;
  });
  const text = (height = 20): string[] => textOf(screen.draw({ ...viewOf(100), height }));
  const press = (...keys: readonly string[]): boolean[] =>
    keys.map((key) => {
      const pressed: Key =
        key.length === 1 ? { kind: "character", text: key } : { kind: "named", name: key as KeyName };
      return screen.onKey(pressed);
    });
  return { ring, emit, transition, stop, listeners, text, press, audits: () => audits };
}

test("what happens while the log is read, and is in it already, is one event", async () => {
  const { ring, transition, listeners } = rig();
  const line = (share: string, fromNowMs: number) => ({
    at: new Date(Date.now() + fromNowMs).toISOString(),
    level: "info" as const,
    message: "share.mounted",
    fields: { share },
  });
  const lines = [line("NEW", 1_000), line("OLD", -1_000)];
  const client = {
    ask: askOf({ daemonLog: async () => ({ path: "/log", lines, more: false, next: null }) }),
  };
  for (const listener of listeners) listener({ kind: "connected", client } as unknown as FollowNotice);
  transition("share.mounted", { share: "NEW" });
  await turn();
  assertEach(ring.newest(), ({ about }) => about, ["NEW", "OLD"]);
});

test("F2 a hundred thousand events keep two thousand, the newest, and say how many came", () => {
  const { ring, transition } = rig();
  for (let round = 0; round < 100_000; round += 1) transition("share.mounted", { share: `s${round}` });
  const kept = [...ring.newest()];
  assert.equal(kept.length, 2_000);
  assert.equal(kept[0]?.about, "s99999");
  assert.equal(kept.at(-1)?.about, "s98000");
  assert.equal(ring.count.get(), 100_000);
  assert.equal(ring.at(97_999), null);
  assert.equal(ring.at(98_000)?.about, "s98000");
});

test("an event is told in one line; what tells people nothing is not kept; the end unregisters", () => {
  const { ring, emit, transition, stop, listeners } = rig();
  transition("share.switched", { share: "CORE", from: "tb", to: "fallback" });
  emit(sampleSyncState());
  transition("share.mount_attempt", { share: "CORE" });
  emit({ kind: "sync", event: sampleSyncEvent({ type: "error", details: "7:12: wrong" }) });
  emit({ kind: "gap" });
  const texts = [...ring.newest()].map((event) => `${event.name} ${event.about} ${event.text}`);
  assert.deepEqual(texts.slice(1), [
    "sync null Configuration: 7:12: wrong",
    "share.switched CORE Switched from Thunderbolt to Fallback",
  ]);
  assert.match(texts[0] ?? "", /^gap null some events/);
  const [, , switched] = [...ring.newest()];
  assert.ok(switched !== undefined);
  const lineAt = (width: number) => textOf([eventLine(switched, false, viewOf(width))])[0] ?? "";
  assert.match(lineAt(100), /^ {2}\S+ {2}share\.switched {10}CORE {2}Switched/);
  assert.match(lineAt(80), /^ {2}\S+ {2}● CORE {2}Switched from Thunderbolt to Fallback$/);
  stop.abort();
  assert.equal(listeners.size, 0);
});

test("F2 events are filtered by kind, by whose they are, and by words; Escape drops one after the other", () => {
  const { transition, text, press, audits } = rig();
  transition("share.mounted", { share: "CORE" });
  transition("backend.ready", { backend: "files" });
  transition("backend.ended", { backend: "db", reason: "exit 1" });
  const shown = () =>
    text()
      .slice(1)
      .map((line) => line.replace(/^[▸ ]+\d\d:\d\d:\d\d +/, "").split(" ")[0]);
  assert.deepEqual(shown(), ["backend.ended", "backend.ready", "share.mounted"]);
  press("n");
  assert.deepEqual(shown(), ["backend.ended", "backend.ready"]);
  press("b", "b");
  assert.deepEqual(shown(), ["backend.ended"]);
  assert.match(text()[0] ?? "", /only kind backend, of db/);
  press("escape");
  assert.equal(shown().length, 3);
  press("/", "e", "x", "i", "t", "q");
  assert.match(text().at(-1) ?? "", /none/);
  press("backspace", "enter");
  assert.equal(text().at(-1)?.includes("backend.ended"), true);
  assert.deepEqual(press("escape", "escape"), [true, false]);
  press("tab");
  assert.equal(audits(), 1);
});

test("an event's details are all of it; it stays chosen while others come", () => {
  const { transition, text, press } = rig();
  transition("share.mounted", { share: "CORE" });
  transition("share.route_down", { share: "CORE", reason: "\u001b[2J boom" });
  press("down", "up", "down", "enter");
  for (let round = 0; round < 50; round += 1) transition("share.mounted", { share: "X" });
  const details = text().join("\n");
  assert.match(details, /share\.mounted/);
  assert.match(details, / {2}share: CORE/);
  press("escape");
  assert.ok(text().some((line) => line.startsWith("▸") && line.includes("CORE")));
  assert.ok(!text(60).join("").includes("\u001b"));
});

interface Question {
  readonly request: AuditRequest;
  readonly answer: (report: AuditReport) => void;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** From `newest` down to `oldest`; the even ones are of the backend files. */
function page(newest: number, oldest: number, next: string | null = null): AuditReport {
  const records = Array.from({ length: newest - oldest + 1 }, (_, index): AuditEntry => {
    const number = newest - index;
    const backend = number % 2 === 0 ? "files" : "web";
    return {
      time: "2026-01-05T12:00:00.000Z",
      kind: "request",
      target: `tool:look_${number}`,
      backend,
      outcome: "ok",
    };
  });
  return sampleAudit({ records, more: next !== null, next });
}

/** The screen, shown; it reads the newest again at `tick`. */
async function shownScreen() {
  const questions: Question[] = [];
  const audit = (request: AuditRequest) =>
    new Promise<AuditReport>((answer) => questions.push({ request, answer }));
  let wake = (): void => {};
  const clock = { sleep: () => new Promise<void>((resolve) => (wake = resolve)) } as unknown as Clock;
  const link = {
    connection: createStore({ kind: "connected" }),
    ask: askOf({ audit }),
  } as unknown as DaemonLink;
  const { signal } = new AbortController();
  const screen = createAuditScreen(link, clock, () => {}, signal);
  screen.open?.(signal);
  await turn();
  return {
    screen,
    questions,
    type: (text: string) => screen.onKey({ kind: "character", text }),
    press: (name: "down" | "end" | "home") => screen.onKey({ kind: "named", name }),
    holds: () => screen.holdsKeys?.() === true,
    chosen: () => textOf(screen.draw({ ...viewOf(100), height: 20 })).find((line) => line.startsWith("▸")),
    async answer(report: AuditReport) {
      questions.at(-1)?.answer(report);
      await turn();
    },
    async tick() {
      wake();
      await turn();
    },
  };
}

test("F2 audit: keys wait for the first page of what was asked", async () => {
  const { type, holds, answer, questions } = await shownScreen();
  assert.ok(holds());
  await answer(page(20, 1));
  assert.ok(!holds());
  type("n");
  assert.ok(holds());
  await turn();
  await answer(page(20, 1));
  assert.ok(!holds());
  type("b");
  assert.ok(holds());
  await turn();
  assert.deepEqual(questions.at(-1)?.request, { limit: 100, backend: "files" });
});

test("F2 audit: an answer about the newest leaves a record chosen meanwhile as it is", async () => {
  const { press, chosen, answer, tick, holds } = await shownScreen();
  await answer(page(100, 1));
  await tick();
  assert.ok(!holds(), "what is shown can be used while it is read again");
  press("down");
  await answer(page(103, 4));
  assert.match(chosen() ?? "", /look_99 /);
});

test("F2 audit: older ones are asked for while the newest are read again", async () => {
  const { press, chosen, answer, tick, questions } = await shownScreen();
  await answer(page(200, 101, "1-1.100"));
  await tick();
  const [, again] = questions;
  press("end");
  await turn();
  assert.deepEqual(questions.at(-1)?.request, { limit: 100, before: "1-1.100" });
  again?.answer(page(203, 104, "1-1.100"));
  await answer(page(100, 1));
  assert.match(chosen() ?? "", /look_101 /);
  press("end");
  assert.match(chosen() ?? "", /look_1 /);
});
