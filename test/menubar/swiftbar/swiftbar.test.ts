import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { EventEmitter } from "node:events";
import { chmod, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough, type Writable } from "node:stream";
import { type TestContext, test } from "node:test";
import { parseAction } from "../../../src/menubar/menu/action.ts";
import type { Menu } from "../../../src/menubar/menu/menu.ts";
import { menuOf } from "../../../src/menubar/menu/model.ts";
import { startMenubar } from "../../../src/menubar/start-menubar.ts";
import { installPlugin, PLUGIN_FILE } from "../../../src/menubar/swiftbar/install-plugin.ts";
import { pluginFrame, streamFrames } from "../../../src/menubar/swiftbar/stream-frames.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { startRig } from "../../api/management-rig.ts";
import { scriptedConfig } from "../../api/sample-config.ts";
import { sampleReport, sampleShare, scriptedControl } from "../../api/sample-report.ts";
import { eventually } from "../../support/eventually.ts";
import { fc } from "../../support/properties.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { everyItem, sampleWorld } from "../worlds.ts";
import { clickOf, everyLine, readStream } from "./plugin-format.ts";

const PLACE = {
  ...{ home: "/nowhere", program: ["/bin/false"], configPath: null, opener: "/bin/false" },
  ...{ folderChoosers: [], askers: [], environment: {} },
};
const SWIFTBAR = { command: ["/Users/ada/Plugins/mountaineer.1d.sh"], isSwiftBar: true };

test("a frame reads back as the menu: levels, labels, marks and clicks", () => {
  const menu = menuOf(sampleWorld());
  const { header, body } = readStream(pluginFrame(menu, SWIFTBAR));
  assert.equal(header.length, 1);
  assert.equal(header[0]?.params.get("sfimage"), "externaldrive.connected.to.line.below");
  assert.equal(header[0]?.params.get("tooltip"), "All is well");
  const lines = everyLine(body);
  const items = everyItem(menu.items);
  assert.equal(lines.length, items.length);
  items.forEach((item, index) => {
    const line = lines[index];
    assert.ok(line);
    assert.equal(line.isSeparator, item.kind === "separator");
    if (item.kind === "separator") return;
    assert.equal(line.title, item.label);
    assert.equal(line.children.length, item.kind === "submenu" ? item.items.length : 0);
    const click = clickOf(line);
    if (item.kind === "action" && item.enabled) {
      assert.equal(click?.[0], SWIFTBAR.command[0]);
      assert.equal(click?.[1], "--act");
      assert.deepEqual(parseAction(click?.[2] ?? ""), item.action);
      assert.equal(line.params.get("terminal"), "false");
    } else assert.equal(click, null, "what cannot be clicked has no action, and is grey");
  });
});

test("each state has its own symbol, and a sign where there are no symbols", () => {
  const worlds = [
    sampleWorld(),
    sampleWorld(sampleReport([sampleShare({ tb_recovery_pending: true })])),
    sampleWorld(sampleReport([sampleShare({ last_error: "no" })])),
    sampleWorld(sampleReport([sampleShare({ mount_alive: false })])),
  ];
  const symbols = worlds.map((world) =>
    readStream(pluginFrame(menuOf(world), SWIFTBAR)).header[0]?.params.get("sfimage"),
  );
  assert.equal(new Set(symbols).size, 4);
  const xbar = { ...SWIFTBAR, isSwiftBar: false };
  const signs = worlds.map((world) => readStream(pluginFrame(menuOf(world), xbar)).header[0]?.title);
  assert.deepEqual(signs, ["▲", "⚡", "△", "✕"]);
  assert.doesNotMatch(
    pluginFrame(menuOf(worlds[0] ?? sampleWorld()), xbar),
    /quit/,
    "xbar has no such thing",
  );
  assert.doesNotMatch(pluginFrame(menuOf(worlds[3] ?? sampleWorld()), xbar), /color=#\w+,/);
});

test("whatever shares and errors contain, no line becomes another one, and no click another click", () => {
  const hostile = fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 30 }),
    fc.constantFrom(
      "x | bash=/bin/rm param1=-rf",
      "---",
      "a\n---\nb | bash=/bin/sh",
      "~~~",
      "a~~~b",
      "--nested",
      ":skull:",
      "'\"'",
      'x" bash="/bin/sh',
      "\u001b[31m",
    ),
  );
  fc.assert(
    fc.property(hostile, hostile, (name, error) => {
      const share = sampleShare({ name: name || "x", last_error: error, tb_recovery_pending: true });
      const menu = menuOf(sampleWorld(sampleReport([share])));
      const { header, body } = readStream(pluginFrame(menu, SWIFTBAR));
      assert.equal(header.length, 1);
      const lines = everyLine(body);
      const items = everyItem(menu.items);
      assert.equal(lines.length, items.length);
      items.forEach((item, index) => {
        const line = lines[index];
        assert.ok(line);
        const allowed = ["emojize", "symbolize", "color", "checked", "bash", "param1", "param2", "terminal"];
        for (const key of line.params.keys()) assert.ok(allowed.includes(key), key);
        const click = clickOf(line);
        const isClickable = item.kind === "action" && item.enabled;
        assert.equal(click !== null, isClickable);
        if (click !== null && "action" in item) {
          assert.equal(click.length, 3);
          assert.deepEqual(parseAction(click[2] ?? ""), item.action);
        }
      });
    }),
    { numRuns: 300 },
  );
});

test("a program's path is quoted as the format can, and refused where it cannot", () => {
  const frameFor = (file: string): readonly string[] | null => {
    const frame = pluginFrame(menuOf(sampleWorld()), { command: [file], isSwiftBar: true });
    return clickOf(everyLine(readStream(frame).body).find((line) => clickOf(line)) ?? assert.fail());
  };
  for (const path of ["/a b/c", "/it's/c", '/a "b"/c', "/a=b/c", "/plain"]) {
    assert.equal(frameFor(path)?.[0], path);
  }
  for (const path of ["/a|b", "/both'\"", "/a\nb", "/a~~~b", "/a\\b"]) {
    assert.throws(() => frameFor(path), { code: "usage" });
  }
});

test("each new menu is a frame; behind a full pipe only the newest is kept, and none follows the end", async () => {
  const named = (name: string) => menuOf(sampleWorld(sampleReport([sampleShare({ name })])));
  const listeners = new Set<(menu: Menu) => void>();
  const parts: string[] = [];
  let menu = named("A");
  let isFull = false;
  const output = Object.assign(new EventEmitter(), {
    write(part: string): boolean {
      parts.push(part);
      return !isFull;
    },
  }) as unknown as Writable;
  const session = {
    menu: () => menu,
    onChange(listener: (menu: Menu) => void) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
  const show = (name: string): void => {
    menu = named(name);
    for (const listener of listeners) listener(menu);
  };
  const shown = () => parts.join("").match(/^[A-E](?= — )/gm);
  const stop = new AbortController();
  const ended = streamFrames(session, output, SWIFTBAR, stop.signal);
  show("A");
  assert.deepEqual(shown(), ["A"], "an equal menu is no new frame");
  isFull = true;
  for (const name of ["B", "C", "D"]) show(name);
  assert.deepEqual(shown(), ["A", "B"]);
  isFull = false;
  output.emit("drain");
  assert.deepEqual(shown(), ["A", "B", "D"]);
  assert.ok(parts.every((part) => part.endsWith("\n")));
  stop.abort();
  await ended;
  assert.deepEqual([listeners.size, output.listenerCount("drain"), output.listenerCount("close")], [0, 0, 0]);
  await streamFrames(session, output, SWIFTBAR, stop.signal);
  assert.deepEqual(shown(), ["A", "B", "D"], "a signal that has aborted");
});

test("a menu without that option starts no daemon, logs only failures, and ends with its pipe", async (t) => {
  const config = scriptedConfig();
  const { home } = await startRig(t, { control: scriptedControl(), config });
  for (const [at, isThere] of [
    [home, true],
    [await temporaryFolder(t), false],
  ] as const) {
    const notes: string[] = [];
    const output = new PassThrough();
    const ended = startMenubar({
      ...{ ...PLACE, home: at, logPath: null, startsDaemon: false },
      ...{ output, ...SWIFTBAR },
      notify: (line) => void notes.push(line),
      signal: new AbortController().signal,
    });
    let shown = "";
    output.setEncoding("utf8").on("data", (text: string) => {
      shown += text;
    });
    await eventually(() => shown.includes(isThere ? "All is well" : "Start Mountaineer"));
    output.destroy();
    await ended;
    await eventually(() => config.listenerCount === 0);
    assert.deepEqual(notes, []);
  }
});

/** A `defaults` that knows one setting. */
async function placesOf(t: TestContext, setting: string | null) {
  const userHome = await temporaryFolder(t);
  const defaultsProgram = join(userHome, "defaults");
  const knows =
    setting === null
      ? 'echo "The domain/default pair does not exist" >&2; exit 1'
      : `[ "$*" = "read com.ameba.SwiftBar PluginDirectory" ] && echo '${setting}'`;
  await writeFile(defaultsProgram, `#!/bin/sh\n${knows}\n`);
  await chmod(defaultsProgram, 0o755);
  return { userHome, defaultsProgram, clock: systemClock, nodeFolder: "/opt/a node/bin" };
}

const PROGRAM = ["/usr/bin/env", "MOUNTAINEER_HOME=/Users/ada/a home", "/opt/it's/node", "/opt/main.js"];

test("the plugin goes into the folder SwiftBar is set to, ~ and all, and installing it again changes nothing", async (t) => {
  const places = await placesOf(t, "~/My Plugins");
  const first = await installPlugin(PROGRAM, null, places);
  assert.deepEqual(first, { path: join(places.userHome, "My Plugins", PLUGIN_FILE), changed: true });
  assert.equal((await stat(first.path)).mode & 0o777, 0o755);
  const text = await readFile(first.path, "utf8");
  assert.match(text, /^#!\/bin\/sh\n/);
  assert.match(text, /<swiftbar.type>streamable<\/swiftbar.type>/);
  const before = (await stat(first.path)).mtimeMs;
  assert.deepEqual(await installPlugin(PROGRAM, null, places), { path: first.path, changed: false });
  assert.equal((await stat(first.path)).mtimeMs, before);
  await chmod(first.path, 0o644);
  await installPlugin(PROGRAM, null, places);
  assert.equal((await stat(first.path)).mode & 0o777, 0o755, "a plugin that cannot run is none");
  const top = await installPlugin(PROGRAM, null, await placesOf(t, "~"));
  assert.match(top.path, /\/mountaineer\.1d\.sh$/);
  assert.doesNotMatch(top.path, /~/);
});

test("the script passes on its own path and the click's action, word by word", async (t) => {
  const folder = await temporaryFolder(t);
  const echo = join(folder, "it's an echo");
  await writeFile(echo, '#!/bin/sh\nfor word; do printf "%s\\n" "$word"; done\n');
  await chmod(echo, 0o755);
  const { path } = await installPlugin([echo, "a b"], folder, await placesOf(t, null));
  const { stdout } = spawnSync(path, ["--act", "mount/A%20B"], { encoding: "utf8" });
  assert.deepEqual(stdout.split("\n"), ["a b", "menubar", "--swiftbar", path, "--act", "mount/A%20B", ""]);
});

test("the script finds the Node that wrote it, first of all", async (t) => {
  const folder = await temporaryFolder(t);
  const tell = join(folder, "tell");
  await writeFile(tell, '#!/bin/sh\nprintf "%s" "$PATH"\n');
  await chmod(tell, 0o755);
  const { path } = await installPlugin([tell], folder, await placesOf(t, null));
  const { stdout } = spawnSync(path, [], { encoding: "utf8", env: { PATH: "/usr/bin:/bin" } });
  assert.equal(stdout, "/opt/a node/bin:/usr/bin:/bin");
});

test("a newer program renews the plugin; a foreign file is not touched", async (t) => {
  const places = await placesOf(t, null);
  const folder = join(places.userHome, "plugins");
  const { path } = await installPlugin(["/old"], folder, places);
  assert.equal((await installPlugin(["/new"], folder, places)).changed, true);
  assert.match(await readFile(path, "utf8"), /^exec \/new menubar/m);
  await writeFile(path, "#!/bin/sh\necho mine\n");
  await assert.rejects(installPlugin(["/new"], folder, places), { code: "path_taken" });
  assert.equal(await readFile(path, "utf8"), "#!/bin/sh\necho mine\n");
});

test("without SwiftBar, xbar's folder; without both, what to install", async (t) => {
  const places = await placesOf(t, null);
  await assert.rejects(installPlugin(PROGRAM, null, places), {
    code: "program_unavailable",
    hint: /brew install swiftbar/,
  });
  const empty = await placesOf(t, "");
  await assert.rejects(installPlugin(PROGRAM, null, empty), { code: "program_unavailable" });
  const support = join(places.userHome, "Library/Application Support/xbar");
  const xbar = join(support, "plugins");
  await mkdir(support, { recursive: true });
  await writeFile(xbar, "");
  await assert.rejects(installPlugin(PROGRAM, null, places), { code: "program_unavailable" }, "it is a file");
  await rm(xbar);
  await mkdir(xbar, { recursive: true });
  assert.equal((await installPlugin(PROGRAM, null, places)).path, join(xbar, PLUGIN_FILE));
  const missing = { ...places, defaultsProgram: "/nowhere/defaults" };
  assert.equal((await installPlugin(PROGRAM, null, missing)).changed, false);
});
