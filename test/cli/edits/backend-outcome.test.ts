// What a command says of a backend that it has added or changed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { askOf } from "../../../src/api/operations.ts";
import { renderOutcome, settledBackend } from "../../../src/cli/edits/backend-outcome.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { sampleBackend } from "../../api/sample-gateway.ts";
import { sampleReport } from "../../api/sample-report.ts";
import { createManualClock } from "../../support/manual-clock.ts";

const STYLE = { color: false, unicode: false, width: 80 } as const;

test("E2 a backend that was switched on and waits for a person is told with what to do, not as disabled", () => {
  const waiting = {
    code: "waiting_for_approval",
    severity: "warning",
    title: "it would run node instead",
    hint: "mountaineer approve backends.files",
    since: "2026-01-05T12:00:00.000Z",
  } as const;
  const off = sampleBackend({ name: "files", enabled: false });
  assert.match(renderOutcome(off, STYLE), /files {2}is disabled\n$/);
  const told = renderOutcome({ ...off, conditions: [waiting] }, STYLE);
  assert.match(told, /files {2}stays disabled until it is approved\n {2}it would run node instead\n/);
  assert.match(told, /mountaineer approve backends\.files/);
});

test("E2 a daemon that hands over while a backend is waited for is away for a moment; one that stays away is told", async () => {
  const clock = createManualClock();
  let looks = 0;
  const waitFor = (isAway: () => boolean) => {
    const status = () => {
      looks += 1;
      if (isAway()) throw new MountaineerError("daemon_unreachable", "the connection was lost");
      return { ...sampleReport(), backends: [sampleBackend()] };
    };
    const ask = askOf<"status">({ status });
    return settledBackend({ ask }, "files", 10_000, new AbortController().signal, clock);
  };
  const found = waitFor(() => looks === 2);
  await clock.advance(5_000);
  assert.equal((await found)?.name, "files");
  const rejected = assert.rejects(
    waitFor(() => true),
    { code: "daemon_unreachable" },
  );
  await clock.advance(15_000);
  await rejected;
});
