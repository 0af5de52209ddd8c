import assert from "node:assert/strict";
import { test } from "node:test";
import type { Condition } from "../../../../src/api/contract/contract.ts";
import { BackendCard } from "../../../../src/web/page/servers/servers-view.ts";
import { sampleBackend } from "../../../api/sample-gateway.ts";
import { SAMPLE_NOW, secondsAgo } from "../../../api/sample-report.ts";
import { scriptedApp } from "../scripted-app.ts";
import { mount } from "../tiny-dom.ts";

const condition = (
  severity: Condition["severity"],
  title: string,
  hint: string | null = null,
): Condition => ({
  ...{ code: "some_code", severity, title, hint, since: secondsAgo(5) },
});

test("F2 a server's failure is told once, with code in its hint; a note is folded, and nothing is folded with it", () => {
  const reason = "cannot reach http://nas: nothing listens there";
  const backend = sampleBackend({
    ...{ name: "tickets", phase: "Failed" as const, reason, last_error: reason },
    conditions: [
      condition("info", "it shares one folder list"),
      condition("error", `backend tickets: ${reason}`, "check its `url`"),
    ],
  });
  using view = mount(BackendCard, { app: scriptedApp({}), backend, now: SAMPLE_NOW });
  const text = view.text();
  assert.equal(text.split(reason).length, 2, text);
  assert.match(text, /check its url/);
  assert.match(text, /1 noteinfo: it shares one folder list/);
  using plain = mount(BackendCard, {
    app: scriptedApp({}),
    backend: { ...backend, conditions: [] },
    now: SAMPLE_NOW,
  });
  assert.match(plain.text(), /nothing listens there/);
  assert.doesNotMatch(plain.text(), /note/);
});

test("F2 what waits for approval leads to where it is approved", () => {
  const waits = { ...condition("warning", "Waits for approval"), code: "waiting_for_approval" };
  const backend = sampleBackend({ name: "files", conditions: [waits] });
  using view = mount(BackendCard, { app: scriptedApp({}), backend, now: SAMPLE_NOW });
  assert.match(view.text(), /Waits for approval.*Look at it and approve/);
});
