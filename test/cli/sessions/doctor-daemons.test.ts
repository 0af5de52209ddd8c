// What `mountaineer doctor` says of daemons: one that runs, was stopped or killed, or is one too many.
import assert from "node:assert/strict";
import { chmod, rename } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { liveHome } from "../../live/live-home.ts";
import { createTestHome, type TestHome } from "../../support/daemon.ts";
import { eventually } from "../../support/eventually.ts";
import { stopProcess } from "../../support/stop-process.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { causeOf, examined, localConfig } from "./doctor-reports.ts";

async function homeWithDaemon(folder: string, name: string): Promise<TestHome> {
  const home = await createTestHome({ home: join(folder, name), config: await localConfig(folder) });
  await chmod(home.home, 0o700);
  return home;
}

test("a running daemon, a stopped one, and the remains of a killed one are each reported", async (t) => {
  const folder = await temporaryFolder(t);
  const home = await homeWithDaemon(folder, "home");
  await using monitor = await home.startMonitor();
  await home.untilShare("CORE", ({ mount_alive }) => mount_alive, 10_000);
  const running = await examined(home.home);
  assert.equal(running.ok, true, JSON.stringify(running.findings, null, 2));
  assert.match(causeOf(running, "daemon").text, new RegExp(`pid ${monitor.pid}`));
  const good = await localConfig(folder);
  await home.writeConfig(`${good}\n[sink]\n`);
  await rename(join(folder, "fallback"), join(folder, "elsewhere"));
  const mistaken = await examined(home.home);
  causeOf(mistaken, "config_invalid");
  assert.equal(
    causeOf(mistaken, "folder_away").subject,
    "CORE",
    "a mistake in the file hides no fault of a share",
  );
  await rename(join(folder, "elsewhere"), join(folder, "fallback"));
  await home.writeConfig(good);
  await stopProcess(monitor.pid);
  try {
    const silent = causeOf(await examined(home.home), "daemon_silent");
    assert.match(silent.text, /it said nothing for 4 s$/);
    assert.match(silent.hint ?? "", new RegExp(`kill ${monitor.pid}`));
  } finally {
    monitor.signal("SIGCONT");
  }
  await monitor.kill9();
  const left = await examined(home.home);
  assert.match(causeOf(left, "stale_lock").text, new RegExp(`pid ${monitor.pid}, which has ended`));
  causeOf(left, "stale_socket");
  assert.equal(causeOf(left, "daemon_off").severity, "info");
});

test("daemons of other homes are named, and the one whose share another has claimed says so", async (t) => {
  const folder = await temporaryFolder(t);
  const [one, other] = [await homeWithDaemon(folder, "one"), await homeWithDaemon(folder, "other")];
  await using first = await one.startMonitor();
  await one.untilShare("CORE", ({ mount_alive }) => mount_alive, 10_000);
  await using second = await other.startMonitor();
  const [well, report] = [await examined(one.home), await examined(other.home)];
  for (const [{ findings }, severity, text] of [
    [well, "info", `another daemon runs for ${other.home} (pid ${second.pid})`],
    [report, "info", `another daemon runs for ${one.home} (pid ${first.pid})`],
    [report, "error", one.home],
  ] as const) {
    const named = findings.some((one) => one.severity === severity && one.text.includes(text));
    assert.ok(named, `${text}: ${JSON.stringify(findings)}`);
  }
});

// `mountaineer logs` with a daemon, and after one.
test("A9 a daemon's actions are in its log while it runs, and after", async (t) => {
  const home = await liveHome(t);
  await home.writeConfig(await home.text(["CORE"]));
  const monitor = await home.start();
  await eventually(async () => {
    const { stdout } = await home.cli(["logs", "--share", "CORE"]);
    return /CORE: Mounted /.test(stdout);
  });
  await monitor.stop();
  assert.match((await home.cli(["logs"])).stdout, /stopping/i);
});
