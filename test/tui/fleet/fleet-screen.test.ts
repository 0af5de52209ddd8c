// The Fleet screen in a real terminal: a daemon in a fleet on a real nats-server, and another machine that changes.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { sampleBackend } from "../../api/sample-gateway.ts";
import { sampleShare } from "../../api/sample-report.ts";
import { needsNats, startMember, startNats } from "../../fleet/nats-rig.ts";
import { createTestHome } from "../../support/daemon.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { CONFIG, MOUNTAINEER, openScene, row } from "../scene.ts";
import { NO_TERMINAL } from "../terminal.ts";

const skip = NO_TERMINAL || needsNats.skip;

test("G1 the Fleet screen says what to type without a fleet, follows one, and shows what another machine becomes", {
  skip,
}, async (t) => {
  const nats = await startNats(t);
  const home = await createTestHome({
    home: join(await temporaryFolder(t), "laptop"),
    config: CONFIG,
    env: { FLEET_KEY: nats.key("laptop").seed },
  });
  await using _monitor = await home.startMonitor();
  await using scene = await openScene(t, {
    mountaineerHome: home.home,
    command: `exec ${MOUNTAINEER} tui`,
  });
  const { terminal } = scene;
  await terminal.until("connected");
  await terminal.press("F");
  await terminal.until("mountaineer fleet join CODE");
  const fleet = `\n[fleet]\nname = "laptop"\nservers = ["${nats.url}"]\ncredentials = "\${FLEET_KEY}"\n`;
  await home.writeConfig(CONFIG + fleet);
  await terminal.until("No other machine is known yet.");
  const desktop = startMember(t, nats, "desktop");
  await terminal.until("2 machines: all here; no trouble");
  desktop.become({
    shares: [sampleShare({ name: "MEDIA", active_interface: "fallback" })],
    backends: [sampleBackend({ name: "db", phase: "Failed", reason: "\u001b[2Jexit 1", tools: 0 })],
  });
  await terminal.until("2 machines: all here; trouble on 1");
  await terminal.press("Down");
  await terminal.shows((lines) => {
    row(lines, /^▸ ● desktop +here +✕ db Failed, 0 tools: .*exit 1/);
    row(lines, /^ {2}share +MEDIA mounted over Fallback$/);
  });
  await terminal.press("/", "nobody");
  await terminal.until("no machine is like it");
  await terminal.press("Escape");
  await terminal.until("▸ ● laptop");
  await terminal.press("Down", "Enter");
  await terminal.until("Esc back");
  assert.ok(!(await terminal.lines()).join("\n").includes("laptop"), "the machine has the whole screen");
  await terminal.press("Escape");
  await desktop.fleet.end("stopped");
  await terminal.until("stopped");
  await terminal.resize(60, 15);
  await terminal.until("▸ ○ desktop");
  await nats.kill();
  await terminal.until("The fleet is not reached");
});
