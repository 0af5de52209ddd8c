// docs/project/development.md's "Debug a running daemon", with a debugger on a port that is free instead of 9229.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { COMMAND, runCommand } from "../cli/command-line.ts";
import { createTestHome } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { attachDebugger, debuggerUrl } from "./debugger.ts";

const ROOT = resolve(import.meta.dirname, "../..");

test("built files name their source maps, and with those read, stacks name the sources", async (t) => {
  const document = await readFile(join(ROOT, "docs/project/development.md"), "utf8");
  assert.match(
    document,
    /^NODE_OPTIONS=--enable-source-maps MOUNTAINEER_LOG=debug bin\/mountaineer monitor$/m,
  );
  const main = COMMAND.at(-1) ?? "";
  assert.match(await readFile(main, "utf8"), /sourceMappingURL=main\.js\.map\s*$/);
  const { sources } = JSON.parse(await readFile(join(dirname(main), "main.js.map"), "utf8"));
  assert.ok(sources.includes("../../src/cli/main.ts"));
  const home = await temporaryFolder(t);
  const env = { NODE_OPTIONS: "--enable-source-maps", MOUNTAINEER_LOG: "debug" };
  const { stderr } = await runCommand(["monitor", "--config", join(home, "gone.toml")], { home, env });
  assert.match(stderr, /\(\S*\/src\/\S+\.ts:\d+:\d+\)/);
});

test("from the sources, a breakpoint is in the file being edited", async (t) => {
  const document = await readFile(join(ROOT, "docs/project/development.md"), "utf8");
  assert.match(document, /^bin\/with-node --inspect src\/cli\/main\.ts monitor$/m);
  const home = await createTestHome({
    home: await temporaryFolder(t),
    config: "",
    enter: [join(ROOT, "bin/with-node"), "--inspect=127.0.0.1:0"],
    launcher: join(ROOT, "src/cli/main.ts"),
  });
  await using monitor = await home.startMonitor();
  await using inspector = await attachDebugger(await debuggerUrl(monitor.stderr));
  await inspector.ask("Debugger.enable");
  const edited = join(ROOT, "src/daemon/control/global-conditions.ts");
  const lines = (await readFile(edited, "utf8")).split("\n");
  const lineNumber =
    1 + lines.findIndex((line) => line.startsWith("export function configWarningConditions("));
  const { locations } = await inspector.ask("Debugger.setBreakpointByUrl", {
    url: pathToFileURL(edited).href,
    lineNumber,
  });
  assert.equal(Array.isArray(locations) && locations.length, 1, "the file is loaded, and has that line");
  const answer = home.glance();
  const [paused] = await eventually(() => {
    const told = inspector.told("Debugger.paused");
    return told.length > 0 && told;
  });
  assert.match(JSON.stringify(paused?.["callFrames"]), /"functionName":"configWarningConditions"/);
  await inspector.ask("Debugger.disable");
  assert.equal((await answer)?.global.pid, monitor.pid, "it goes on");
});

test("a build's daemon opens its debugger on SIGUSR1, and names its sources by maps", async (t) => {
  const document = await readFile(join(ROOT, "docs/project/development.md"), "utf8");
  assert.match(document, /^kill -USR1 PID$/m);
  const env = { NODE_OPTIONS: "--inspect-port=127.0.0.1:0" };
  const home = await createTestHome({ home: await temporaryFolder(t), config: "", env });
  await using monitor = await home.startMonitor();
  monitor.signal("SIGUSR1");
  await using inspector = await attachDebugger(await debuggerUrl(monitor.stderr));
  const { result } = await inspector.ask("Runtime.evaluate", { expression: "process.pid" });
  assert.deepEqual(result, { type: "number", value: monitor.pid, description: String(monitor.pid) });
  await inspector.ask("Debugger.enable");
  const built = inspector.told("Debugger.scriptParsed").filter(({ url }) => String(url).includes("/dist/"));
  assert.ok(built.length > 0);
  for (const { url, sourceMapURL } of built) assert.match(`${url} ${sourceMapURL}`, /\.c?js \S+\.c?js\.map$/);
});
