// `mountaineer menubar` as a process: what it prints, what it starts, and how it ends.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { connectToDaemon } from "../../src/api/client/client.ts";
import { startRig } from "../api/management-rig.ts";
import { scriptedConfig } from "../api/sample-config.ts";
import { sampleReport, sampleResult, sampleShare, scriptedControl } from "../api/sample-report.ts";
import { environmentOf, type Running, startCommand } from "../cli/command-line.ts";
import { collect } from "../support/collect.ts";
import { type EndInProcess, runInProcess } from "../support/command-in-process.ts";
import { ends } from "../support/ends.ts";
import { eventually } from "../support/eventually.ts";
import { pluck } from "../support/pluck.ts";
import { isGone } from "../support/processes.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { clickOf, everyLine, type PluginMenu, readMenu } from "./swiftbar/plugin-format.ts";

/** No claim of speed: it ends what hangs. */
const CLICK_DEADLINE_MS = 60_000;

/** One that only answers and ends: in this process. */
function menubar(
  args: readonly string[],
  home: string,
  env: Record<string, string> = {},
): Promise<EndInProcess> {
  const options = { env: environmentOf({ home, env }), deadlineMs: CLICK_DEADLINE_MS };
  return runInProcess(["menubar", ...args], options);
}

interface Stream extends Running {
  menu(): PluginMenu;
}

function stream(
  t: TestContext,
  args: readonly string[],
  home: string,
  env: Record<string, string> = {},
): Stream {
  const running = startCommand(["menubar", "--swiftbar", ...args], { home, env: { SWIFTBAR: "1", ...env } });
  let output = "";
  running.child.stdout?.on("data", (chunk: string) => {
    output += chunk;
  });
  t.after(async () => {
    running.child.kill("SIGTERM");
    await running.ended;
  });
  return { ...running, menu: () => lastWhole(output) };
}

/** A frame comes in pieces, and quitting is its last line. */
function lastWhole(output: string): PluginMenu {
  const frames = output.split("~~~").filter((frame) => /^Quit the menu .*\n$/m.test(frame));
  return readMenu(frames.at(-1) ?? "");
}

function titles({ body }: PluginMenu): string[] {
  return everyLine(body).map(({ title }) => title);
}

test("A8 frames follow the daemon, and each line's command does what its text says", async (t) => {
  const share = sampleShare({ name: "my share's", active_interface: "fallback", tb_recovery_pending: true });
  const control = scriptedControl(sampleReport([share]), (name) => sampleResult({ share: name }));
  const config = scriptedConfig();
  const { home } = await startRig(t, { control, config });
  const running = stream(t, [], home);
  await eventually(() => titles(running.menu()).includes("TB Ready – switch my share's"));
  assert.equal(running.menu().header[0]?.params.get("sfimage"), "bolt.circle.fill");

  share.last_error = "no answer | bash=/bin/false\n---";
  config.emit({ kind: "transition", transition: { name: "share.error", share: share.name } });
  await eventually(() => titles(running.menu()).some((title) => title.startsWith("Last error:")));

  const lines = everyLine(running.menu().body);
  const clicks = lines.flatMap((line) => clickOf(line) ?? []);
  assert.ok(clicks.length > 0);
  for (const wanted of ["TB Ready – switch my share's", "Unmount all"]) {
    const line = lines.find(({ title }) => title === wanted) ?? assert.fail(wanted);
    const click = clickOf(line) ?? assert.fail(wanted);
    if (control.calls.length === 0) await runClick(click);
    else assert.equal((await menubar(click.slice(click.indexOf("menubar") + 1), home)).code, 0);
  }
  assert.deepEqual(pluck(control.calls, "name", "selection"), [
    ["switch", ["my share's"]],
    ["unmount", null],
  ]);
});

/** As menus do it: an environment of next to nothing. */
function runClick([file = "", ...args]: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const env = { PATH: "/usr/bin:/bin", SWIFTBAR: "1" };
    execFile(file, args, { env, timeout: CLICK_DEADLINE_MS }, (error, stdout) =>
      error === null ? resolve(stdout) : reject(error),
    );
  });
}

test("an installed plugin streams, and its lines run it", async (t) => {
  const control = scriptedControl();
  const { home } = await startRig(t, { control, config: scriptedConfig() });
  const folder = await temporaryFolder(t);
  const installed = await menubar(["--plugin-folder", folder], home);
  const path = join(folder, "mountaineer.1d.sh");
  assert.deepEqual([installed.code, installed.stdout], [0, `written: ${path}\n`]);
  await ends(menubar(["--install-swiftbar", "--plugin-folder", folder], home), 0, `already there: ${path}\n`);

  const { spawn } = await import("node:child_process");
  const plugin = spawn(path, {
    env: { PATH: "/usr/bin:/bin", HOME: folder, SWIFTBAR: "1" },
    stdio: ["ignore", "pipe", "ignore"],
  });
  const { ended, stdout } = collect(plugin);
  t.after(async () => {
    plugin.kill("SIGKILL");
    await ended;
  });
  await eventually(() => titles(lastWhole(stdout())).includes("All is well"));
  const line = everyLine(lastWhole(stdout()).body).find(({ title }) => title === "Unmount all");
  const click = clickOf(line ?? assert.fail()) ?? assert.fail();
  assert.deepEqual(click, [path, "--act", "do/unmount"]);
  assert.equal(
    await runClick(click),
    "Unmount all shares: CORE: mounted over Thunderbolt (//10.0.0.2/CORE)\n",
  );
  assert.equal(control.calls.length, 1);
  plugin.kill("SIGTERM");
  await ended;
});

test("SwiftBar shows the failure of a click, since the command's output is invisible", async (t) => {
  const control = scriptedControl(sampleReport(), (share) =>
    sampleResult({ share, result: "busy", detail: "1 file is open" }),
  );
  const { home } = await startRig(t, { control, config: scriptedConfig() });
  const ran = await menubar(["--act", "do/unmount/CORE"], home);
  assert.equal(ran.code, 1);
  assert.equal(ran.stderr, "mountaineer: Unmount CORE: CORE: 1 file is open\n");
  await ends(menubar(["--act", "wipe/CORE"], home), 2, null, /nothing that the menu can do/);
});

test("without a daemon one is started, or not with --no-start; SIGTERM ends the menu and leaves the daemon", async (t) => {
  const started: number[] = [];
  // Before the folder's removal: it writes there until it has ended.
  t.after(async () => {
    for (const pid of started) {
      process.kill(pid, "SIGTERM");
      await eventually(() => isGone(pid));
    }
  });
  const home = await temporaryFolder(t);
  await writeFile(join(home, "config.toml"), "[sync]\nenabled = false\n");
  const idle = stream(t, ["--no-start"], home);
  await eventually(() => titles(idle.menu()).includes("Start Mountaineer"));
  assert.equal(await connectToDaemon(home), null);
  idle.child.kill("SIGTERM");
  assert.equal((await idle.ended).code, 143);

  const running = stream(t, [], home);
  await eventually(() => titles(running.menu()).includes("Nothing is configured yet"));
  const daemon = (await connectToDaemon(home)) ?? assert.fail();
  assert.ok(daemon.pid !== null);
  started.push(daemon.pid);
  running.child.kill("SIGTERM");
  assert.equal((await running.ended).code, 143);
  assert.notEqual(await connectToDaemon(home), null);
});

test("a plugin whose reader is gone ends", async (t) => {
  const config = scriptedConfig();
  const share = sampleShare();
  const { home } = await startRig(t, { control: scriptedControl(sampleReport([share])), config });
  const running = stream(t, [], home);
  await eventually(() => titles(running.menu()).includes("All is well"));
  running.child.stdout?.destroy();
  let turn = 0;
  await eventually(() => {
    share.last_error = `error ${turn++}`;
    config.emit({ kind: "transition", transition: { name: "share.error", share: "CORE" } });
    return running.child.exitCode !== null;
  });
  assert.equal(running.child.exitCode, 0);
});

test("a daemon that cannot start is reported with its reason", async (t) => {
  const home = await temporaryFolder(t);
  await writeFile(join(home, "config.toml"), "nonsense = \n");
  const running = stream(t, [], home);
  await eventually(() => titles(running.menu()).some((title) => /configuration has errors/.test(title)));
  assert.ok(titles(running.menu()).includes("run it in a terminal to see why: mountaineer monitor"));
});

test("outside of SwiftBar the command names the faces there are", async (t) => {
  const { code, stderr } = await menubar([], await temporaryFolder(t));
  assert.equal(code, 2);
  assert.match(stderr, /drawn by SwiftBar or xbar, on macOS\n {2}hint: mountaineer /);
});

test("a path is shown by the desktop's own program, whatever characters are in it", async (t) => {
  const { home } = await startRig(t);
  const programs = join(home, "programs");
  const told = join(home, "told");
  await mkdir(programs);
  await writeFile(join(programs, "xdg-open"), `#!/bin/sh\nprintf '%s' "$1" > '${told}'\n`);
  await chmod(join(programs, "xdg-open"), 0o755);
  const path = "/Shares/it's | a;b$(c) é";
  const text = `open/${encodeURIComponent(path).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)}`;
  const env = { PATH: `${programs}:${process.env["PATH"] ?? ""}` };
  await ends(menubar(["--act", text], home, env), 0);
  assert.equal(await readFile(told, "utf8"), path);
  await writeFile(join(programs, "xdg-open"), "#!/bin/sh\nexit 3\n");
  await ends(menubar(["--act", text], home, env), 1, null, /cannot show it \(exit code 3\)/);
});
