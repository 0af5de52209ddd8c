// What a command says of a backend that it has added or changed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { renderOutcome } from "../../../src/cli/edits/backend-outcome.ts";
import { sampleBackend } from "../../api/sample-gateway.ts";

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
