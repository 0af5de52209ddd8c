import assert from "node:assert/strict";
import { test } from "node:test";
import type { BackendStatus, Condition } from "../../../../src/api/contract/contract.ts";
import { lineOfServer } from "../../../../src/web/page/config/editor-memory.ts";
import { ServerPanel } from "../../../../src/web/page/servers/server-panel.ts";
import { ServersView } from "../../../../src/web/page/servers/servers-view.ts";
import { sampleConfig, sampleEdit } from "../../../api/sample-config.ts";
import { gatewayReport, sampleBackend } from "../../../api/sample-gateway.ts";
import { SAMPLE_NOW, secondsAgo } from "../../../api/sample-report.ts";
import { assertEach } from "../../../support/assert-each.ts";
import { eventually } from "../../../support/eventually.ts";
import { type Scripted, scriptedApp } from "../scripted-app.ts";
import { mount } from "../tiny-dom.ts";

/** A panel with the part that is open. */
const panel = (app: Scripted, backend: BackendStatus, part: string | null = null) =>
  mount(ServerPanel, { app, backend, now: SAMPLE_NOW, part, onPart() {} });

const condition = (
  severity: Condition["severity"],
  title: string,
  hint: string | null = null,
): Condition => ({
  ...{ code: "some_code", severity, title, hint, since: secondsAgo(5) },
});

test("F2 a server's failure is shown once, with code in its hint; a notice is folded, and nothing else is", () => {
  const reason = "cannot reach http://nas: nothing listens there";
  const backend = sampleBackend({
    ...{ name: "tickets", phase: "Failed" as const, reason, last_error: reason },
    conditions: [
      condition("info", "it shares one folder list"),
      condition("error", `server tickets: ${reason}`, "check its `url`"),
    ],
  });
  using view = panel(scriptedApp({}), backend);
  const text = view.text();
  assert.equal(text.split(reason).length, 2, text);
  assert.match(text, /check its url/);
  assert.match(text, /1 noteinfo: it shares one folder list/);
  using plain = panel(scriptedApp({}), { ...backend, conditions: [] });
  assert.match(plain.text(), /nothing listens there/);
  assert.doesNotMatch(plain.text(), /note/);
});

test("F2 a pending entry links to the view that approves it", () => {
  const waits = { ...condition("warning", "Waits for approval"), code: "waiting_for_approval" };
  const backend = sampleBackend({ name: "files", conditions: [waits] });
  using view = panel(scriptedApp({}), backend);
  assert.match(view.text(), /Waits for approval.*Review and approve/);
});

test("F4 a panel edits, disables, enables and removes its server; undo restores the earlier text", async () => {
  const backend = sampleBackend({ name: "files" });
  const edited = { ...sampleEdit(), changed: true, sha256: "after" };
  const before = sampleConfig();
  for (const { label, shown, edits } of [
    {
      ...{ label: "Disable", shown: backend },
      edits: [{ key: "backends.files.enabled", value: "false" }],
    },
    {
      ...{ label: "Enable", shown: { ...backend, enabled: false } },
      edits: [{ key: "backends.files.enabled", value: null }],
    },
    { ...{ label: "Remove", shown: backend }, edits: [{ remove: "backends", name: "files" }] },
  ]) {
    const app = scriptedApp({ edit: edited, editText: edited });
    using view = panel(app, shown, "settings");
    view.named("button", `${label}: files`).fire("click");
    await eventually(() => app.undo !== null);
    const request = { edits, expected_sha256: before.sha256, source: "page" };
    assert.ok(app.log.includes(`edit ${JSON.stringify(request)}`), app.log.join("\n"));
    assert.equal(app.log.includes("? Remove files?"), label === "Remove");
    await app.undo?.();
    const back = { text: before.text, expected_sha256: "after", source: "page" };
    assert.ok(app.log.includes(`editText ${JSON.stringify(back)}`), app.log.join("\n"));
  }
});

test("F4 without the owner's right a panel disables and removes; Enable and Undo are offered only while allowed, and nothing for another machine's server", async () => {
  const backend = sampleBackend({ name: "files" });
  const right = { expiresAt: null, mayRunCommands: true, ownerUntil: null };
  const without = scriptedApp({ edit: sampleEdit() }, { session: { ...right, mayRunCommands: false } });
  const buttons = /Edit|Disable|Remove/;
  using none = panel(without, backend, "settings");
  assert.match(none.text(), /Edit.*Disable.*Remove/);
  none.named("button", "Disable: files").fire("click");
  await eventually(() => without.log.some((entry) => entry.startsWith("good:")));
  assert.equal(without.undo, null);
  using off = panel(without, { ...backend, enabled: false }, "settings");
  assert.doesNotMatch(off.text(), /Enable/);
  using far = panel(scriptedApp(), { ...backend, type: "fleet" }, "settings");
  assert.doesNotMatch(far.text(), buttons);
  const ownerUntil = new Date(Date.now() + 5_000).toISOString();
  const ending = scriptedApp({ edit: sampleEdit() }, { session: { ...right, ownerUntil } });
  using view = panel(ending, backend, "settings");
  view.named("button", "Disable: files").fire("click");
  await eventually(() => ending.log.some((entry) => entry.startsWith("good:")));
  assert.equal(ending.undo, null);
});

test("F4 Edit opens the configuration at the server's entry", () => {
  const toml = '[backends.a]\nurl = "x"\n\n[backends."b.c"]\n[ backends.b ]\n';
  assertEach(["a", "b.c", "b", "x"], (name) => lineOfServer(toml, name, "toml"), [1, 4, 5, null]);
  assert.equal(lineOfServer("backends:\n  a:\n    url: x\n  b: {}\n", "b", "yaml"), 4);
});

test("F2 a sleeping server is started now or kept running from its row", async () => {
  const edited = { ...sampleEdit(), changed: true, sha256: "after" };
  const trouble = [condition("warning", "it is withheld")];
  const backends = [
    sampleBackend({ name: "runs" }),
    sampleBackend({ name: "naps", phase: "Asleep" }),
    sampleBackend({ name: "troubled", phase: "Asleep", conditions: trouble }),
  ];
  const status = gatewayReport(backends);
  const app = scriptedApp({ edit: edited, restart: { restarted: ["naps"] } }, { status });
  using view = mount(ServersView, { app });
  const text = view.text();
  assert.match(text, /napsAsleepStart nowKeep running14/);
  view.named("button", "Keep running: naps").fire("click");
  const edits = [{ key: "backends.naps.start", value: '"always"' }];
  await eventually(() => app.log.some((entry) => entry.includes(JSON.stringify(edits))));
  view.named("button", "Start now: naps").fire("click");
  await eventually(() => app.log.some((entry) => entry.startsWith("restart")));
  assert.ok(!app.log.includes("? Restart naps?"), "nothing runs that could be asked about");
});

test("F2 from eight servers on, each is a row, those in trouble first, and a search finds them", async () => {
  const cause = { text: "cannot be reached: nothing listens there", hint: null };
  const failed = (name: string) =>
    sampleBackend({ name, phase: "Failed", conditions: [{ ...condition("error", cause.text), cause }] });
  const well = ["a", "b", "c", "d", "e", "f"].map((name) => sampleBackend({ name }));
  const status = gatewayReport([...well, failed("y"), failed("z")]);
  const app = scriptedApp({ restart: { restarted: ["a"] } }, { status });
  using view = mount(ServersView, { app });
  const names = () =>
    view.elements("th").flatMap(({ textContent }) => (textContent?.length === 1 ? [textContent] : []));
  assert.deepEqual(names(), ["y", "z", "a", "b", "c", "d", "e", "f"]);
  assert.doesNotMatch(view.text(), /as above/);
  view.named("button", "6 Ready").fire("click");
  await eventually(() => names().join("") === "abcdef");
  view.named("button", "6 Ready").fire("click");
  assert.equal(view.elements("article").length, 0);
  view.byId("servers-search").fire("input", { value: "failed" });
  await eventually(() => names().join("") === "yz");
});
