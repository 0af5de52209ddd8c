import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { LIGHT_SERVER } from "../mcp/fixture-programs.ts";
import { nodeBackend, startGatewayRig } from "../mcp/gateway-rig.ts";
import { createTestHome } from "../support/daemon.ts";
import { ends } from "../support/ends.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { CONFIG, MOUNTAINEER, openScene, row } from "./scene.ts";
import { NO_TERMINAL, type Terminal } from "./terminal.ts";

describe("the live view in a terminal", { skip: NO_TERMINAL, concurrency: 2 }, () => {
  test("B8 the view outlives the daemon: it waits, keeps its rows, and continues with the next one", async (t) => {
    await using scene = await openScene(t);
    const { home, terminal } = scene;
    await terminal.until("waiting for the daemon");
    await terminal.until("mountaineer up starts");
    {
      await using monitor = await home.startMonitor();
      await terminal.until("● connected");
      await scene.save(CONFIG.replace("check_interval_secs = 2", "check_interval_secs = 3"));
      await terminal.until("⟳ changed");
      await monitor.kill9();
      await terminal.until("waiting for the daemon");
      await terminal.until((lines) => /Settings\] +○ not connected$/.test(lines[0] ?? ""));
      await terminal.shows((lines) => {
        assert.match(row(lines, /Hash/), /○ idle/);
        row(lines, /⟳ changed/);
      });
      await terminal.press("Tab", " ", "C-s");
      await terminal.until("✗ nothing saved: no daemon runs for this home");
      await terminal.press("d", "R");
      await terminal.until("✗ no daemon runs for this home");
      await terminal.press("s");
    }
    await using _next = await home.startMonitor();
    await terminal.until("● connected");
    await terminal.shows((lines) => {
      row(lines, /⟳ changed/);
      assert.match(row(lines, /enabled/), /\[ \]/, "what a person set is still there");
    });
    await terminal.press("C-s");
    await terminal.until("✓ saved and in effect");
    assert.equal((await scene.sync()).settings.enabled, false);
  });

  test("the view continues over a handover: typed text stays, and the next daemon saves it", async (t) => {
    const sections = { backends: { first: nodeBackend(LIGHT_SERVER) }, server: { drain_timeout: 4 } };
    const rig = await startGatewayRig(t, sections, { kept: true });
    await rig.untilReady("first");
    const before = (await rig.status()).global.pid;
    await using scene = await openScene(t, { columns: 100, mountaineerHome: rig.home.home });
    const { terminal } = scene;
    await terminal.until("● live");
    await terminal.press("Tab", "Tab", "Tab", "BSpace", "BSpace", "BSpace", "0.25");
    await terminal.until("● not saved");
    await ends(rig.home.cli(["restart"], 120_000), 0);
    assert.notEqual((await rig.status()).global.pid, before);
    await terminal.until("● connected");
    await terminal.shows((lines) => assert.match(row(lines, /^\s*▸ debounce/), /0\.25/));
    await terminal.press("C-s");
    await terminal.until("✓ saved and in effect");
    assert.match(await readFile(rig.home.configFile, "utf8"), /debounce"? = 0\.25$/m);
    await terminal.press("Escape", "Escape", "d");
    await terminal.until((lines) => /● first +Ready/.test(lines.join("\n")));
  });

  test("B9 left by Ctrl-C right after a save of the settings, the settings are saved", async (t) => {
    await using scene = await openScene(t, {
      columns: 100,
      command: `${MOUNTAINEER} tui --screen sync; echo "ended with $?"; exec ${MOUNTAINEER} tui`,
    });
    const { home, terminal } = scene;
    await using _monitor = await home.startMonitor();
    await terminal.until("● live");
    await terminal.press("Tab", "Tab", "Tab", "0.055");
    await terminal.until("● not saved");
    await terminal.press("C-s", "C-c");
    // The next view begins with another screen.
    await terminal.until((lines) => /\[d Home\].*● connected/.test(lines[0] ?? ""));
    assert.equal(await readFile(home.configFile, "utf8"), CONFIG.replace("debounce=0.05", "debounce=0.055"));
  });

  test("without colour and without UTF-8 everything is still shown", async (t) => {
    await using scene = await openScene(t, { env: { NO_COLOR: "1", LC_ALL: "C" } });
    const { terminal } = scene;
    await using _monitor = await scene.home.startMonitor();
    await terminal.until("* live");
    await scene.save(CONFIG.replace("check_interval_secs = 2", "check_interval_secs = 3"));
    await terminal.until("~ changed");
    await terminal.press("Tab");
    const lines = await terminal.until("> enabled          [x]");
    for (const line of lines) assert.match(line, /^[ -~]*$/);
    assert.ok(!(await terminal.painted()).includes("\u001b["), "no colours");
  });

  test("with colour there are colour codes", async (t) => {
    await using scene = await openScene(t, { env: { LC_ALL: "C.UTF-8" } });
    await using _monitor = await scene.home.startMonitor();
    await scene.terminal.until("● live");
    assert.ok((await scene.terminal.painted()).includes("\u001b[32m● live"));
  });

  const leavings = [
    { by: "q", leave: (terminal: Terminal) => terminal.press("q"), code: "0" },
    { by: "Ctrl-C", leave: (terminal: Terminal) => terminal.press("C-c"), code: "0" },
    { by: "SIGTERM", leave: (_: Terminal, pid: number) => process.kill(pid, "SIGTERM"), code: "143" },
    { by: "SIGINT", leave: (_: Terminal, pid: number) => process.kill(pid, "SIGINT"), code: "130" },
    { by: "SIGHUP", leave: (_: Terminal, pid: number) => process.kill(pid, "SIGHUP"), code: "129" },
  ] as const;
  for (const { by, leave, code } of leavings) {
    test(`left by ${by}, the terminal is as it was`, async (t) => {
      const script = [
        "echo before",
        `${MOUNTAINEER} tui --screen sync & echo $! > "$MOUNTAINEER_HOME/pid"; fg > /dev/null`,
        'echo "ended with $?"',
        "stty -a | tr ' ' '\\n' | grep -x -e icanon -e echo -e isig",
        "exec sleep 600",
      ].join("; ");
      await using scene = await openScene(t, { command: `set -m; ${script}` });
      const { home, terminal } = scene;
      await terminal.until("waiting for the daemon");
      await leave(terminal, Number(await readFile(join(home.home, "pid"), "utf8")));
      const lines = await terminal.until("echo");
      assert.ok(lines.includes("before"), "what was on the screen is back");
      assert.ok(lines.includes(`ended with ${code}`), lines.join("\n"));
      for (const mode of ["icanon", "echo", "isig"]) {
        await terminal.until((now) => now.includes(mode));
      }
      assert.ok(!lines.join("\n").includes("Settings"));
    });
  }

  test("an uncaught error restores the terminal and is printed on it", async (t) => {
    const boom = "--import=data:text/javascript,process.once('SIGUSR2',()=>{throw%20new%20Error('boom')})";
    const tui = `sh -c 'echo $$ > "$MOUNTAINEER_HOME/pid"; exec ${MOUNTAINEER} tui --screen sync'`;
    const command = `NODE_OPTIONS="${boom}" ${tui}; echo "ended with $?"; exec sleep 600`;
    await using scene = await openScene(t, { command });
    await scene.terminal.until("waiting for the daemon");
    process.kill(Number(await readFile(join(scene.home.home, "pid"), "utf8")), "SIGUSR2");
    const lines = await scene.terminal.until("ended with 70");
    assert.match(lines.join("\n"), /mountaineer: internal error: boom/);
    assert.ok(!lines.join("\n").includes("Settings"));
  });

  test("B8 in a terminal of any size it keeps running, and nothing is drawn over another", async (t) => {
    await using scene = await openScene(t, { columns: 12, rows: 2 });
    const { terminal } = scene;
    await terminal.until("Too small:");
    for (const [columns, rows] of [
      [1, 1],
      [300, 3],
      [12, 90],
      [60, 15],
    ] as const) {
      await terminal.resize(columns, rows);
      await terminal.until((lines) => lines.length === rows && lines[0] !== "");
    }
    await terminal.until("waiting for the daemon");
    await terminal.until(
      (lines) =>
        lines.at(-1) === "Tab settings  q quit" &&
        lines[0]?.length === 60 &&
        lines.filter((line) => line.startsWith("Settings [sync]")).length === 1,
    );
  });

  test("a daemon with another configuration than --config names is refused", async (t) => {
    await using scene = await openScene(t, {
      columns: 200,
      command: `${MOUNTAINEER} --config /etc/other.toml tui; echo "ended with $?"; exec sleep 600`,
    });
    await using _monitor = await scene.home.startMonitor();
    const lines = await scene.terminal.until("ended with 2");
    assert.match(lines.join(""), /the running daemon uses .*config\.toml, not \/etc\/other\.toml/);
  });
});

test("without a terminal it says so, and ends with 2", async (t) => {
  const home = await createTestHome({ home: join(await temporaryFolder(t), "h") });
  await ends(home.cli(["tui"]), 2, "", /tui needs a terminal/);
});
