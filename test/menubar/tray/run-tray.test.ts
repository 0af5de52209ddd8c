import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { type TestContext, test } from "node:test";
import { type MenuSession, startMenuSession } from "../../../src/menubar/menu/session.ts";
import { runTray } from "../../../src/menubar/tray/run-tray.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { startRig } from "../../api/management-rig.ts";
import { scriptedConfig } from "../../api/sample-config.ts";
import { sampleReport, sampleShare, scriptedControl } from "../../api/sample-report.ts";
import { eventually } from "../../support/eventually.ts";
import {
  askBus,
  busMissing,
  connectClient,
  type SessionBus,
  startSessionBus,
  startWatcher,
} from "../session-bus.ts";
import { clickEvent, labels, panelClient } from "./panel-client.ts";

const COMMAND_DEADLINE_MS = 60_000;
const needsBus = { skip: busMissing };

interface Tray {
  readonly session: MenuSession;
  readonly notes: string[];
  readonly ended: Promise<void>;
  readonly stop: AbortController;
  readonly itemName: string;
}

function startTray(t: TestContext, home: string, address: string): Tray {
  const stop = new AbortController();
  const notes: string[] = [];
  const session = startMenuSession({
    home,
    clock: systemClock,
    signal: stop.signal,
    logPath: null,
    reportsOpening: true,
    onQuit: () => stop.abort(),
    openPath: async () => {},
    chooseFolder: async () => null,
    askYes: async () => false,
    startDaemon: async () => {},
  });
  const ended = runTray({
    session,
    home,
    environment: { DBUS_SESSION_BUS_ADDRESS: address },
    clock: systemClock,
    signal: stop.signal,
    note: (line) => void notes.push(line),
  });
  t.after(async () => {
    stop.abort();
    await ended.catch(() => {});
    await session.ended;
  });
  return { session, notes, ended, stop, itemName: `org.kde.StatusNotifierItem-${process.pid}-1` };
}

async function rigOf(t: TestContext, bus: SessionBus) {
  const share = sampleShare({
    name: "CO_RE",
    active_interface: "fallback",
    tb_recovery_pending: true,
    stable_path: "/s/CO_RE",
  });
  const control = scriptedControl(sampleReport([share, sampleShare({ name: "MEDIA" })]));
  const config = scriptedConfig();
  const { home } = await startRig(t, { control, config });
  const watcher = await startWatcher(t, bus);
  const tray = startTray(t, home, bus.address);
  await eventually(() => watcher.registered.length === 1);
  await eventually(() => tray.session.menu().state === "tb_ready");
  const client = await connectClient(t, bus);
  return { control, config, watcher, tray, client, home, panel: panelClient(client.bus, tray.itemName) };
}

test(
  "A8 a panel reads the menu, and a click by Event and by EventGroup does what it says",
  needsBus,
  async (t) => {
    const { control, config, panel, watcher, tray } = await rigOf(t, await startSessionBus(t));
    assert.deepEqual(watcher.registered, [tray.itemName]);
    const { root } = await panel.layout();
    assert.deepEqual(labels(root).slice(0, 2), ["TB Ready: CO__RE", "TB Ready – switch CO__RE"]);
    assert.equal(await panel.itemProperty("Status"), "NeedsAttention");
    assert.equal(await panel.itemProperty("Menu"), "/MenuBar");

    const ready = await panel.find("TB Ready – switch CO__RE");
    await panel.menuCall("Event", "isvu", clickEvent(ready.id));
    await eventually(() => control.calls.length === 1);
    assert.deepEqual(control.calls[0]?.selection, ["CO_RE"]);
    assert.deepEqual(control.calls[0]?.options, { to: "tb", force: false, wait: false });

    const unmountAll = await panel.find("Unmount all");
    assert.deepEqual(
      await panel.menuCall("EventGroup", "a(isvu)", [[clickEvent(unmountAll.id), clickEvent(987_654)]]),
      [[987_654]],
    );
    await eventually(() => control.calls.length === 2);
    assert.equal(control.calls[1]?.name, "unmount");
    assert.equal(control.calls[1]?.selection, null);

    const toggle = await panel.find("Go back to Thunderbolt by itself");
    assert.equal(toggle.properties.get("toggle-type"), "checkmark");
    assert.equal(toggle.properties.get("toggle-state"), 0);
    await panel.menuCall("EventGroup", "a(isvu)", [[clickEvent(toggle.id)]]);
    await eventually(() => config.edits.length === 1);
    assert.deepEqual(config.edits[0]?.edits, [{ key: "global.auto_failback", value: "true" }]);
  },
);

test(
  "the other methods answer as the specification says, and unknown items are errors",
  needsBus,
  async (t) => {
    const { panel } = await rigOf(t, await startSessionBus(t));
    const { root } = await panel.layout();
    const first = root.children[0]?.id ?? assert.fail();
    assert.deepEqual(await panel.menuCall("AboutToShow", "i", [0]), [false]);
    assert.deepEqual(await panel.menuCall("AboutToShowGroup", "ai", [[0, first, 987_654]]), [[], [987_654]]);
    const [group] = await panel.menuCall("GetGroupProperties", "aias", [[first], ["label"]]);
    assert.deepEqual(group, [[first, [["label", { signature: "s", value: "TB Ready: CO__RE" }]]]]);
    const [label] = await panel.menuCall("GetProperty", "is", [first, "label"]);
    assert.deepEqual(label, { signature: "s", value: "TB Ready: CO__RE" });
    const [, shallow] = await panel.menuCall("GetLayout", "iias", [0, 1, ["label"]]);
    assert.ok(Array.isArray(shallow) && Array.isArray(shallow[2]));
    assert.ok(
      shallow[2].every((child) => child.value[2].length === 0),
      "no deeper than asked",
    );
    for (const [member, signature, body] of [
      ["Event", "isvu", clickEvent(987_654)],
      ["EventGroup", "a(isvu)", [[clickEvent(987_654)]]],
      ["AboutToShowGroup", "ai", [[987_654]]],
      ["AboutToShow", "i", [987_654]],
      ["GetLayout", "iias", [987_654, -1, []]],
      ["GetProperty", "is", [first, "nonsense"]],
    ] as const) {
      await assert.rejects(panel.menuCall(member, signature, body), /UnknownItem/, member);
    }
    await assert.rejects(panel.menuCall("Nonsense", "", []), /UnknownMethod/);
  },
);

test(
  "what changes is told: properties where the shape stays, the layout where it does not",
  needsBus,
  async (t) => {
    const { panel, client, control, config } = await rigOf(t, await startSessionBus(t));
    const before = await panel.layout();
    const ready = await panel.find("TB Ready – switch CO__RE");
    const told = (member: string) => client.signals.filter((signal) => signal.member === member).length;
    const first = control.status().shares[0] ?? assert.fail();
    // Only what one line says changes.
    first.fb_reachable = false;
    config.emit({ kind: "transition", transition: { name: "share.route_down", share: "CO_RE" } });
    await eventually(() => told("ItemsPropertiesUpdated") > 0);
    assert.equal((await panel.layout()).revision, before.revision, "a label is no layout");
    await panel.find(/Fallback .*: no answer/);
    first.tb_recovery_pending = false;
    first.active_interface = "tb";
    config.emit({ kind: "transition", transition: { name: "share.recovered", share: "CO_RE" } });
    await eventually(() => told("LayoutUpdated") > 0 && told("NewIcon") > 0);
    assert.ok((await panel.layout()).revision > before.revision);
    assert.equal(await panel.itemProperty("Status"), "Active");
    await assert.rejects(panel.menuCall("Event", "isvu", clickEvent(ready.id)), /UnknownItem/);
    assert.equal(control.calls.length, 0, "what was offered before is not done any more");
  },
);

test(
  "an icon is registered anew with the next panel, and after the bus was restarted",
  needsBus,
  async (t) => {
    const bus = await startSessionBus(t);
    const { watcher, tray } = await rigOf(t, bus);
    watcher.bus[Symbol.dispose]();
    await eventually(() => tray.notes.some((line) => line.startsWith("no panel shows tray icons")));
    const second = await startWatcher(t, bus);
    await eventually(() => second.registered.length === 1);
    await bus.stop();
    await eventually(() => tray.notes.some((line) => /session bus/.test(line)));
    const again = await startSessionBus(t, bus.folder);
    const third = await startWatcher(t, again);
    await eventually(() => third.registered.length === 1);
  },
);

test("without a session bus it says so and what to do, and ends", needsBus, async (t) => {
  const { home } = await startRig(t);
  const bus = await startSessionBus(t);
  await bus.stop();
  const tray = startTray(t, home, bus.address);
  await assert.rejects(tray.ended, {
    message: /^the session bus cannot be used: /,
    hint: "start this in your desktop session, or with DBUS_SESSION_BUS_ADDRESS set",
  });
});

test("one icon for each home and session", needsBus, async (t) => {
  const bus = await startSessionBus(t);
  const { home } = await rigOf(t, bus);
  const second = startTray(t, home, bus.address);
  await assert.rejects(second.ended, { code: "already_running" });
});

test("quit ends the icon, and takes its name from the bus", needsBus, async (t) => {
  const { panel, tray, client } = await rigOf(t, await startSessionBus(t));
  const quit = await panel.find(/^Quit/);
  await panel.menuCall("EventGroup", "a(isvu)", [[clickEvent(quit.id)]]).catch(() => {});
  await tray.ended;
  // The bus may read this question before it sees the icon's connection end.
  await eventually(async () => {
    const [isOwned] = await askBus(client.bus, "NameHasOwner", "s", [tray.itemName]);
    return isOwned === false;
  });
});

const gdbusMissing =
  busMissing || (spawnSync("gdbus", ["help"]).error === undefined ? false : "gdbus is not installed");

test("GLib, which panels are written with, reads icon and menu, too", { skip: gdbusMissing }, async (t) => {
  const bus = await startSessionBus(t);
  const { tray } = await rigOf(t, bus);
  const { execFile } = await import("node:child_process");
  const gdbus = (...args: string[]) =>
    new Promise<string>((resolve, reject) => {
      const env = { ...process.env, DBUS_SESSION_BUS_ADDRESS: bus.address };
      execFile("gdbus", args, { env, timeout: COMMAND_DEADLINE_MS }, (error, stdout, stderr) =>
        error === null ? resolve(stdout) : reject(new Error(stderr)),
      );
    });
  const own = (path: string, method: string, ...args: string[]) =>
    gdbus("call", "--session", "--dest", tray.itemName, "--object-path", path, "--method", method, ...args);
  const layout = await own("/MenuBar", "com.canonical.dbusmenu.GetLayout", "0", "--", "-1", "[]");
  assert.match(layout, /TB Ready – switch CO__RE/);
  const all = await own(
    "/StatusNotifierItem",
    "org.freedesktop.DBus.Properties.GetAll",
    "org.kde.StatusNotifierItem",
  );
  assert.match(all, /'IconPixmap': <\[\(16, 16, \[byte /);
  assert.match(all, /'ToolTip': <\('', .*'TB Ready: CO_RE'\)>/);
  const xml = await gdbus("introspect", "--session", "--dest", tray.itemName, "--object-path", "/MenuBar");
  assert.match(xml, /EventGroup\(in {2}a\(isvu\) events,/);
  assert.match(xml, /readonly u Version = 3;/);
});
