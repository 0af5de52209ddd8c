import assert from "node:assert/strict";
import { mkdir, readFile, rename, rm } from "node:fs/promises";
import test from "node:test";
import type { StreamEvent } from "../../src/api/contract.ts";
import { eventually } from "../support/eventually.ts";
import { type LiveHome, liveHome, QUICK_SYNC, renameOver } from "./live-home.ts";

/** Follows the daemon's events into a list, until the test ends. */
async function follow(home: LiveHome, signal: AbortSignal): Promise<readonly StreamEvent[]> {
  const heard: StreamEvent[] = [];
  const daemon = await home.daemon();
  const stream = await daemon.openEvents(signal, { afterId: 0 });
  (async () => {
    for await (const { event } of stream.events) heard.push(event);
  })().catch(() => {
    // The daemon or the test ended.
  });
  return heard;
}

function syncEvents(heard: readonly StreamEvent[]): string[] {
  return heard.flatMap((each) =>
    each.kind === "sync" ? [`${each.event.type} ${each.event.generation}`] : [],
  );
}

async function errors(home: LiveHome): Promise<readonly (readonly [unknown, unknown])[]> {
  const lines = await home.log();
  return lines.filter((line) => line["level"] === "error").map((line) => [line["message"], line["reason"]]);
}

for (const onFailure of ["backoff", "fixed"]) {
  test(`B4 B6 under ${onFailure} a broken edit changes nothing and is told once with its place; mending it applies at once`, async (t) => {
    const home = await liveHome(t);
    const sync = `${QUICK_SYNC}\non_failure = "${onFailure}"`;
    const good = await home.text(["CORE"], { sync });
    await home.writeConfig(good);
    await home.start();
    const [core] = await home.untilMounted("CORE");
    const ending = new AbortController();
    t.after(() => ending.abort());
    const heard = await follow(home, ending.signal);

    await renameOver(
      home.configFile,
      good.replace("check_interval_secs = 0.3", "check_interval_secs = 'soon'"),
    );
    const condition = await eventually(() => home.condition("config_rejected"));
    assert.match(condition.title, /home\/config\.toml:3:23: global\.check_interval_secs: found .*soon/);
    assert.match(condition.hint ?? "", /mending the file applies it/);
    const share = await home.shareStatus("CORE");
    assert.deepEqual([share.mount_state, share.tb_healthy_since], ["mounted", core?.tb_healthy_since]);
    const { generation, last_error, watching } = await home.sync();
    assert.deepEqual([generation, last_error?.kind, watching], [1, "rejected", "live"]);
    const human = await home.cli(["status"]);
    assert.match(human.stdout, /config\.toml:3:23/);
    assert.equal((await home.cli(["verify"])).code, 1);

    await renameOver(home.configFile, good.replace("0.3", "0.4"));
    await home.untilSync((report) => report.generation === 2 && report.last_error === null);
    await eventually(() => syncEvents(heard).length >= 2);
    assert.deepEqual(syncEvents(heard), ["error 1", "changed 2"]);
    const told = await errors(home);
    assert.equal(told.length, 1, JSON.stringify(told));
    assert.equal(told[0]?.[0], "config.rejected");
    assert.match(String(told[0]?.[1]), /config\.toml:3:23/);
    assert.equal(await home.condition("config_rejected"), null);
    assert.equal((await home.cli(["verify"])).code, 0);
  });
}

for (const [how, mend] of [
  [
    "mountaineer reload",
    async (home: LiveHome) => {
      const { code, stderr } = await home.cli(["reload"]);
      assert.equal(code, 0, stderr);
    },
  ],
  ["SIGHUP", async (_: LiveHome, hangUp: () => void) => hangUp()],
] as const) {
  test(`B4 under stop watching ends; ${how} applies the mended file, and the watcher runs again`, async (t) => {
    const home = await liveHome(t);
    const sync = `${QUICK_SYNC}\non_failure = "stop"`;
    const good = await home.text(["CORE"], { sync });
    await home.writeConfig(good);
    const monitor = await home.start();
    await home.writeConfig(`${good}[[shares]]\n`);
    await home.untilSync((report) => report.watching === "stopped");
    assert.notEqual(await home.condition("sync_stopped"), null);
    assert.match((await home.condition("config_rejected"))?.hint ?? "", /mountaineer reload/);
    const broken = await home.cli(["reload"]);
    assert.equal(broken.code, 3, broken.stderr);
    assert.match(broken.stderr, /config\.toml:\d+:\d+/);
    assert.equal((await home.sync()).watching, "stopped");

    await home.writeConfig(good.replace("0.3", "0.4"));
    await mend(home, () => monitor.signal("SIGHUP"));
    await home.untilSync((report) => report.generation === 2 && report.watching === "live");
    assert.equal(await home.condition("sync_stopped"), null);
    await home.writeConfig(good.replace("0.3", "0.5"));
    await home.untilSync((report) => report.generation === 3);
  });
}

test("B4 a folder in the file's place is one error, retried; the file back in its place clears it", async (t) => {
  const home = await liveHome(t);
  await home.writeConfig(await home.text(["CORE"]));
  await home.start();
  await home.untilMounted("CORE");
  await rename(home.configFile, `${home.configFile}.away`);
  await mkdir(home.configFile);
  const condition = await eventually(() => home.condition("config_unreadable"));
  assert.match(condition.title, /config\.toml/);
  const reload = await home.cli(["reload", "--json"]);
  assert.equal(reload.code, 1, reload.stderr);
  await rm(home.configFile, { recursive: true });
  await rename(`${home.configFile}.away`, home.configFile);
  const { events, generation } = await home.untilSync((report) => report.last_error === null);
  assert.equal(generation, 1);
  assert.equal(events.at(-1)?.type, "no-change");
});

test("B6 an edit whose result would be no valid configuration is refused, and the daemon runs on", async (t) => {
  const home = await liveHome(t);
  const good = await home.text(["CORE", "MEDIA"]);
  await home.writeConfig(good);
  await home.start();
  const refused = await home.cli(["config", "set", "shares.MEDIA.name", "core"]);
  assert.equal(refused.code, 3, refused.stderr);
  assert.match(refused.stderr, /config\.toml:12:8: shares\[1\]\.name/);
  const { generation, last_error } = await home.sync();
  assert.deepEqual([generation, last_error], [1, null]);
  assert.equal(await readFile(home.configFile, "utf8"), good);
});
