// The Audit screen's keys while a page is on its way: none is lost, none means another record.
import assert from "node:assert/strict";
import { test } from "node:test";
import { askOf } from "../../../src/api/operations.ts";
import type { AuditEntry, AuditReport, AuditRequest } from "../../../src/api/records-contract.ts";
import type { Clock } from "../../../src/runtime/time/clock.ts";
import { createAuditScreen } from "../../../src/tui/events/audit-screen.ts";
import type { DaemonLink } from "../../../src/tui/link/daemon-link.ts";
import { createStore } from "../../../src/tui/terminal/store.ts";
import { sampleAudit } from "../../api/sample-gateway.ts";
import { textOf, viewOf } from "../views.ts";

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
    daemon: async () => ({ ask: askOf({ audit }) }),
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
