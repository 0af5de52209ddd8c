import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Variant } from "dbus-native";
import type { Menu, MenuItem, MenuState } from "../../../src/menubar/menu/menu.ts";
import { click, separator, submenu, text } from "../../../src/menubar/menu/menu-items.ts";
import { menuOf } from "../../../src/menubar/menu/model.ts";
import { createDbusMenu } from "../../../src/menubar/tray/dbus-menu.ts";
import { ICON_SIZES, iconPixels } from "../../../src/menubar/tray/icon-pixels.ts";
import { createLayoutBuilder, type Layout, layoutChange } from "../../../src/menubar/tray/menu-layout.ts";
import { runTray } from "../../../src/menubar/tray/run-tray.ts";
import { connectToBus, sessionBusPaths } from "../../../src/menubar/tray/session-bus.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { startRig } from "../../api/management-rig.ts";
import { scriptedConfig } from "../../api/sample-config.ts";
import { sampleReport, sampleShare, scriptedControl } from "../../api/sample-report.ts";
import { assertEach } from "../../support/assert-each.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { busMissing, connectClient, type SessionBus, startSessionBus, startWatcher } from "../session-bus.ts";
import { sampleWorld, startQuietMenu } from "../worlds.ts";
import { desktopMissing, startDesktop } from "./desktop.ts";
import { clickEvent, labels, panelClient } from "./panel-client.ts";

const STATES: readonly MenuState[] = ["healthy", "tb_ready", "degraded", "down"];

/** One character for each pixel: how bright it is, or nothing. */
function shape(state: MenuState, size: number): string[] {
  const { argb } = iconPixels(state, size);
  return Array.from({ length: size }, (_, y) =>
    Array.from({ length: size }, (_unused, x) => {
      const [alpha = 0, red = 0, green = 0, blue = 0] = argb.subarray((y * size + x) * 4);
      if (alpha < 128) return " ";
      return red + green + blue > 600 ? "o" : "#";
    }).join(""),
  );
}

test("every state has its own icon in every size, distinguishable without colour", () => {
  for (const size of ICON_SIZES) {
    const shapes = STATES.map((state) => {
      const icon = iconPixels(state, size);
      assert.deepEqual([icon.width, icon.height, icon.argb.length], [size, size, size * size * 4]);
      return shape(state, size).join("\n");
    });
    assert.equal(new Set(shapes).size, STATES.length, `${size} pixels`);
  }
});

test("corners are empty, the mountain is not, and every state but the healthy one has a sign", () => {
  for (const state of STATES) {
    const rows = shape(state, 24);
    assert.equal(rows[0]?.[0], " ");
    assert.equal(rows[0]?.[23], " ");
    assert.notEqual(rows[20]?.[8], " ");
    assert.equal(rows.join("").includes("o"), state !== "healthy", state);
  }
});

test("an item keeps its id while it means the same, and no id is ever given to another", () => {
  const builder = createLayoutBuilder();
  const idsOf = (items: readonly MenuItem[]) => builder.build(items).root.children.map(({ id }) => id);
  const [a, b] = idsOf([text("a", "A"), text("b", "B")]);
  assert.deepEqual(idsOf([text("b", "B!"), text("c", "C")]), [b, 3]);
  const [again] = idsOf([text("a", "A")]);
  assert.notEqual(again, a, "what came back may mean something else by now");
  assert.equal(again, 4);
});

test("a repeated key still makes two items, in each menu", () => {
  const builder = createLayoutBuilder();
  const items = [text("a", "1"), text("a", "2"), text("a", "3")];
  const idsOf = ({ root }: Layout) => root.children.map(({ id }) => id);
  const first = builder.build(items);
  const second = builder.build(items);
  assert.equal(new Set(idsOf(first)).size, 3);
  assert.deepEqual(idsOf(second), idsOf(first));
  assert.equal(second.nodes.size, 4);
});

test("ids of removed menus are forgotten", () => {
  const builder = createLayoutBuilder();
  for (let turn = 0; turn < 10_000; turn += 1) builder.build([text(`t${turn}`, "T")]);
  assert.equal(builder.build([]).nodes.size, 1);
});

test("differences are reported as properties where the shape is the same, as a layout where it is not", () => {
  const builder = createLayoutBuilder();
  const before = builder.build([text("a", "A"), submenu("s", "S", [text("b", "B", "bad")]), separator("|")]);
  const same = builder.build([text("a", "A"), submenu("s", "S", [text("b", "B", "bad")]), separator("|")]);
  assert.deepEqual(layoutChange(before, same), { updated: [], removed: [] });
  const other = builder.build([text("a", "A_1"), submenu("s", "S", [text("b", "B")]), separator("|")]);
  const change = layoutChange(before, other);
  assert.ok(change !== null);
  const [a, s] = before.root.children;
  assertEach(change.updated, ([id, properties]) => [id, [...properties]], [
    [a?.id, [["label", new Variant("s", "A__1")]]],
  ]);
  assert.deepEqual(change.removed, [[s?.children[0]?.id, ["disposition"]]]);
  const [one, two] = [builder.build([text("a", "A")]), builder.build([text("a", "A"), text("b", "B")])];
  assert.equal(layoutChange(one, two), null, "an item more at the end");
  assert.deepEqual(layoutChange(before, builder.build([text("a", "A")])), null);
});

test("an added or removed share changes the shape, one that only changes state does not", () => {
  const builder = createLayoutBuilder();
  const layoutOf = (...shares: Parameters<typeof sampleReport>) =>
    builder.build(menuOf(sampleWorld(sampleReport(...shares))).items);
  const one = layoutOf([sampleShare()]);
  assert.ok(layoutChange(one, layoutOf([sampleShare({ tb_reachable: false })]))?.updated.length);
  assert.equal(layoutChange(one, layoutOf([sampleShare(), sampleShare({ name: "B" })])), null);
});

test("items of other keys are other items, however alike the menus are", () => {
  const builder = createLayoutBuilder();
  const before = builder.build([text("a", "One"), text("b", "Two")]);
  assert.equal(layoutChange(before, builder.build([text("a", "One"), text("c", "Two")])), null);
});

test("a panel learns only of changes, and gets the items that it requests, to the requested depth", () => {
  const emitted: string[] = [];
  const seen: string[] = [];
  const menuFor = (label: string, state: MenuState = "healthy"): Menu => ({
    ...{ state, summary: "" },
    items: [
      submenu("shares", "Shares", [submenu("core", "CORE", [text("fact", "A fact")])]),
      { ...click("", label, { kind: "start" }, { enabled: false }), key: "start" },
    ],
  });
  const menu = createDbusMenu({
    menu: menuFor("Start"),
    emit: (member) => emitted.push(member),
    onClick: ({ key }) => seen.push(`click ${key}`),
    onOpen: () => void seen.push("open"),
  });
  const { GetLayout, GetGroupProperties, Event } = menu.methods;
  type Struct = readonly [
    id: number,
    properties: readonly [string, { value: unknown }][],
    children: readonly { value: Struct }[],
  ];
  const structOf = (depth: number): Struct => GetLayout(0, depth, [])[1] as unknown as Struct;
  const depthOf = ([, , children]: Struct): number =>
    children.length === 0 ? 0 : 1 + Math.max(...children.map(({ value }) => depthOf(value)));
  assertEach([0, 1, 2, -1], (depth) => depthOf(structOf(depth)), [0, 1, 2, 3]);
  const shares = structOf(1)[2][0]?.value ?? assert.fail();
  const start = structOf(1)[2][1]?.value ?? assert.fail();
  assert.equal(new Map(start[1]).get("enabled")?.value, false);
  assertEach([[], [start[0], 999]], (ids) => GetGroupProperties(ids, []).length, [5, 1]);
  Event(shares[0], "opened");
  Event(start[0], "hovered");
  Event(0, "opened");
  assert.deepEqual(seen, ["open"]);
  menu.show(menuFor("Start"));
  assert.deepEqual(emitted, []);
  menu.show(menuFor("Start it"));
  assert.ok(menu.show(menuFor("Start it", "degraded")), "the status has changed");
  assert.ok(!menu.show({ ...menuFor("Start it", "degraded"), items: [] }));
  assert.deepEqual(emitted, ["ItemsPropertiesUpdated", "LayoutUpdated"]);
  assert.deepEqual(GetLayout(0, -1, [])[0], 2, "the second layout");
});

test("the session bus is found at every kind of address that names a socket, in turn", () => {
  const runtime = { XDG_RUNTIME_DIR: "/run/user/7" };
  const at = (address: string, more = {}): readonly string[] =>
    sessionBusPaths({ DBUS_SESSION_BUS_ADDRESS: address, ...more });
  assert.deepEqual(at("unix:path=/tmp/a%2cb,guid=1;unix:abstract=/tmp/x"), ["/tmp/a,b", "\0/tmp/x"]);
  assert.deepEqual(at("unix:runtime=yes", runtime), ["/run/user/7/bus"]);
  assert.deepEqual(at("unix:runtime=yes"), []);
  assert.deepEqual(at("unix:guid=1", runtime), []);
  assert.deepEqual(at("tcp:host=a,path=/x;nothing;unix:path=/b"), ["/b"]);
  assert.deepEqual([sessionBusPaths({}), sessionBusPaths(runtime)], [[], ["/run/user/7/bus"]]);
});

/** The panel takes seconds to come up on a busy machine. */
const SOON_MS = 60_000;
/** How long a click is waited for before the next, at first: each time twice as long, since the machine may be slow. */
const FIRST_PATIENCE_MS = 1_500;
const TRIES = 6;
const BETWEEN_LOOKS_MS = 20;
const ICON = [18, 18] as const;

test("A8 clicks under Xfce's panel run the menu's actions", { skip: desktopMissing }, async (t) => {
  const desktop = await startDesktop(t);
  const share = sampleShare({ active_interface: "fallback", tb_recovery_pending: true });
  const control = scriptedControl(sampleReport([share, sampleShare({ name: "MEDIA" })]));
  const config = scriptedConfig();
  const { home } = await startRig(t, { control, config });
  let opened = 0;
  let dashboards = 0;
  const onOpen = (): void => {
    opened += 1;
  };
  const openDashboard = async (): Promise<void> => {
    dashboards += 1;
  };
  const { session, notes, ended, stop } = startTray(t, home, desktop.environment, onOpen, { openDashboard });
  await eventually(() => notes.includes("the icon is shown"), SOON_MS);
  await eventually(() => session.menu().state === "tb_ready", SOON_MS);

  /** Opens the menu and clicks down the way, until that was done; a panel may miss a click while it draws. */
  const clickUntil = async (way: readonly (readonly [x: number, y: number])[], isDone: () => boolean) => {
    for (let tries = 0; tries < TRIES && !isDone(); tries += 1) {
      const patienceMs = FIRST_PATIENCE_MS * 2 ** tries;
      const before = opened;
      await desktop.click(...ICON);
      if (!(await comesWithin(patienceMs, () => opened > before))) continue;
      for (const at of way) await desktop.click(...at);
      await comesWithin(patienceMs, isDone);
    }
    assert.ok(isDone(), `${TRIES} times the menu was opened and clicked in, and nothing was done`);
  };

  // The second line: "TB Ready – switch CORE".
  await clickUntil([[60, 77]], () => control.calls.length > 0);
  assert.equal(control.calls[0]?.name, "switch");
  assert.deepEqual(control.calls[0]?.selection, ["CORE"]);
  assert.deepEqual(control.calls[0]?.options, { to: "tb", force: false, wait: false });

  // "Open the dashboard".
  await clickUntil([[60, 205]], () => dashboards > 0);

  // The last line.
  await clickUntil([[60, 256]], () => stop.signal.aborted);
  await ended;
});

async function comesWithin(limitMs: number, holds: () => boolean): Promise<boolean> {
  for (let leftMs = limitMs; !holds() && leftMs > 0; leftMs -= BETWEEN_LOOKS_MS)
    await pause(BETWEEN_LOOKS_MS);
  return holds();
}

const COMMAND_DEADLINE_MS = 60_000;
const needsBus = { skip: busMissing };
const UNKNOWN_ITEM = { dbusName: "com.canonical.dbusmenu.Error.UnknownItem" };

function startTray(
  t: TestContext,
  home: string,
  environment: Readonly<Record<string, string>>,
  onOpen = (): void => {},
  ports: Partial<Parameters<typeof startQuietMenu>[2]> = {},
) {
  const stop = new AbortController();
  const notes: string[] = [];
  /** How often the icon was shown for the first time. */
  let firsts = 0;
  /** How many listen for another menu. */
  let listening = 0;
  const session = startQuietMenu(home, stop.signal, { onQuit: () => stop.abort(), ...ports });
  const ended = runTray({
    session: {
      ...session,
      onChange(listener) {
        listening += 1;
        const unregister = session.onChange(listener);
        return () => {
          listening -= 1;
          unregister();
        };
      },
      open() {
        onOpen();
        session.open();
      },
    },
    home,
    environment,
    clock: systemClock,
    signal: stop.signal,
    notify: (line) => void notes.push(line),
    onFirstShown: async () => {
      firsts += 1;
    },
  });
  t.after(async () => {
    stop.abort();
    await ended.catch(() => {});
    await session.ended;
  });
  const itemName = `org.kde.StatusNotifierItem-${process.pid}-1`;
  return { session, notes, ended, stop, itemName, firsts: () => firsts, listening: () => listening };
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
  const tray = startTray(t, home, { DBUS_SESSION_BUS_ADDRESS: bus.address });
  await eventually(() => watcher.registered.length === 1);
  await eventually(() => tray.session.menu().state === "tb_ready");
  const client = await connectClient(t, bus);
  return { control, config, watcher, tray, client, home, panel: panelClient(client.bus, tray.itemName) };
}

test(
  "A8 a panel reads the menu, and a click by Event and by EventGroup runs its action",
  needsBus,
  async (t) => {
    const { control, panel, watcher, tray } = await rigOf(t, await startSessionBus(t));
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
      [987_654],
    );
    await eventually(() => control.calls.length === 2);
    assert.equal(control.calls[1]?.name, "unmount");
    assert.equal(control.calls[1]?.selection, null);
  },
);

test(
  "the other methods answer as the specification says, and unknown items are errors",
  needsBus,
  async (t) => {
    const { panel, control } = await rigOf(t, await startSessionBus(t));
    const { root } = await panel.layout();
    const unmountAll = await panel.find("Unmount all");
    await panel.menuCall("Event", "isvu", [unmountAll.id, "opened", new Variant("s", ""), 0]);
    assert.deepEqual(await panel.menuCall("EventGroup", "a(isvu)", [[]]), []);
    assert.deepEqual(await panel.menuCall("AboutToShowGroup", "ai", [[]]), [[], []]);
    const first = root.children[0]?.id ?? assert.fail();
    assert.deepEqual(await panel.menuCall("AboutToShow", "i", [0]), false);
    assert.deepEqual(await panel.menuCall("AboutToShowGroup", "ai", [[0, first, 987_654]]), [[], [987_654]]);
    const group = await panel.menuCall("GetGroupProperties", "aias", [[first], ["label"]]);
    assert.deepEqual(group, [[first, { label: new Variant("s", "TB Ready: CO__RE") }]]);
    const label = await panel.menuCall("GetProperty", "is", [first, "label"]);
    assert.deepEqual(label, new Variant("s", "TB Ready: CO__RE"));
    const shallow = await panel.menuCall("GetLayout", "iias", [0, 1, ["label"]]);
    assert.ok(Array.isArray(shallow) && Array.isArray(shallow[1][2]));
    assert.ok(
      shallow[1][2].every((child: { value: unknown[][] }) => child.value[2]?.length === 0),
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
      await assert.rejects(panel.menuCall(member, signature, body), UNKNOWN_ITEM, member);
    }
    await assert.rejects(panel.menuCall("Nonsense", "", []), {
      dbusName: "org.freedesktop.DBus.Error.UnknownMethod",
    });
    assert.deepEqual(control.calls, [], "to be opened is no click");
  },
);

test(
  "changes are signalled: properties where the shape stays, the layout where it does not",
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
    await assert.rejects(panel.menuCall("Event", "isvu", clickEvent(ready.id)), UNKNOWN_ITEM);
    assert.equal(control.calls.length, 0, "what was offered before is not done any more");
  },
);

test(
  "an icon is registered again with the next panel, and after a restart of the bus",
  needsBus,
  async (t) => {
    const bus = await startSessionBus(t);
    const { watcher, tray } = await rigOf(t, bus);
    await watcher.bus.close();
    await eventually(() => tray.notes.some((line) => line.startsWith("no panel shows tray icons")));
    const second = await startWatcher(t, bus);
    await eventually(() => second.registered.length === 1);
    await bus.stop();
    await eventually(() => tray.notes.some((line) => /session bus/.test(line)));
    const again = await startSessionBus(t, bus.folder);
    const third = await startWatcher(t, again);
    await eventually(() => third.registered.length === 1);
    await eventually(() => tray.notes.at(-1) === "the icon is shown");
    assert.equal(tray.firsts(), 1);
    assert.equal(tray.listening(), 1);
    const twice = tray.notes.filter((line, at) => line === tray.notes[at - 1]);
    assert.deepEqual(twice, [], "a note is not repeated");
  },
);

test("without a session bus it says so with the fix, and ends", needsBus, async (t) => {
  const { home } = await startRig(t);
  const bus = await startSessionBus(t);
  await bus.stop();
  const tray = startTray(t, home, { DBUS_SESSION_BUS_ADDRESS: bus.address });
  await assert.rejects(tray.ended, {
    message: /^the session bus cannot be used: /,
    hint: "start this in your desktop session, or with DBUS_SESSION_BUS_ADDRESS set",
  });
});

/** A bus that answers each connection with these lines, then stays silent. */
async function falseBus(t: TestContext, lines: string): Promise<string> {
  const socketPath = join(await temporaryFolder(t), "bus");
  const server = createServer((socket) => void socket.on("error", () => {}).write(lines)).listen(socketPath);
  t.after(() => server.close());
  await once(server, "listening");
  return socketPath;
}

test("a bus that is silent, refuses this user, or speaks nonsense is reported as that", async (t) => {
  for (const [lines, code, text] of [
    ["", "timed_out", /the session bus did not answer Hello within 5 s/],
    ["REJECTED NONE\r\n", "daemon_unreachable", /cannot be used: .*REJECTED/],
    ["OK 0123\r\nnonsense nonsense", "daemon_unreachable", /cannot be used: .*byte order/],
  ] as const) {
    const clock = createManualClock();
    const socket = await falseBus(t, lines);
    const tried = connectToBus(socket, { clock, signal: t.signal });
    const failed = assert.rejects(tried, { code, message: text });
    if (code === "timed_out") await clock.advance(5_000);
    await failed;
  }
});

test("an aborted signal ends a connection that is being made", async (t) => {
  const stop = new AbortController();
  const socket = await falseBus(t, "");
  const tried = connectToBus(socket, { clock: systemClock, signal: stop.signal });
  stop.abort(new Error("enough"));
  await assert.rejects(tried, /enough/);
});

test(
  "a bus that does not read is given up before the unsent messages fill the memory",
  needsBus,
  async (t) => {
    const { socketPath } = await startSessionBus(t);
    const bus = await connectToBus(socketPath, { clock: systemClock, signal: t.signal });
    const body = ["x".repeat(1024 * 1024)];
    for (let count = 0; count < 40; count += 1)
      bus.emit({ path: "/x", interface: "a.b", member: "C", signature: "s", body });
    assert.equal(await bus.closed, "the session bus takes in nothing more");
  },
);

test("one icon for each home and session", needsBus, async (t) => {
  const bus = await startSessionBus(t);
  const { home, client } = await rigOf(t, bus);
  const connections = async () => {
    const names = await client.bus.listNames();
    return names.filter((name) => name.startsWith(":")).length;
  };
  const before = await connections();
  const second = startTray(t, home, { DBUS_SESSION_BUS_ADDRESS: bus.address });
  await assert.rejects(second.ended, { code: "already_running" });
  assert.equal(second.listening(), 0);
  await eventually(async () => (await connections()) === before);
});

test("quit ends the icon, and removes its name from the bus", needsBus, async (t) => {
  const { panel, tray, client } = await rigOf(t, await startSessionBus(t));
  const quit = await panel.find(/^Quit/);
  await panel.menuCall("EventGroup", "a(isvu)", [[clickEvent(quit.id)]]).catch(() => {});
  await tray.ended;
  // The bus may read this question before it sees the icon's connection end.
  await eventually(async () => !(await client.bus.nameHasOwner(tray.itemName)));
});

const gdbusMissing =
  busMissing || (spawnSync("gdbus", ["help"]).error === undefined ? false : "gdbus is not installed");

test("GLib, which panels are written with, also reads icon and menu", { skip: gdbusMissing }, async (t) => {
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
