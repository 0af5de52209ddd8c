import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { findPlace } from "../../src/config/locate.ts";
import { loadConfig } from "../../src/config/read/load.ts";
import { sha256Of } from "../../src/runtime/files/sha256.ts";
import { randomOf } from "../lab/random.ts";
import { eventually } from "../support/eventually.ts";
import { liveHome, NEVER, QUICK_SYNC } from "./live-home.ts";

test("B6 two edits at once are both in the file, and what runs is the file", async (t) => {
  const home = await liveHome(t);
  await home.writeConfig(await home.text(["CORE"]));
  await home.start();
  const daemon = await home.daemon();
  const edit = (key: string, value: string) =>
    daemon.edit({ edits: [{ key, value }], source: "test" }, NEVER);
  const reports = await Promise.all([
    edit("global.connect_timeout_ms", "801"),
    edit("global.network_debounce_ms", "501"),
    edit("global.auto_failback", "true"),
    edit("sync.debounce", "0.2"),
  ]);
  assert.deepEqual(
    reports.map(({ changed, reload }) => [changed, reload?.reloaded]),
    [1, 2, 3, 4].map(() => [true, true]),
  );
  const bytes = await readFile(home.configFile);
  for (const line of [
    "connect_timeout_ms = 801",
    "network_debounce_ms = 501",
    "auto_failback = true",
    "debounce = 0.2",
  ]) {
    assert.ok(bytes.toString("utf8").includes(line), line);
  }
  const { sha256, generation, last_error } = await home.sync();
  assert.deepEqual([sha256, generation, last_error], [sha256Of(bytes), 5, null]);
  assert.deepEqual((await home.glance())?.global.auto_failback, true);
});

test("B6 of two edits of what both have seen, one is refused and says so", async (t) => {
  const home = await liveHome(t);
  await home.writeConfig(await home.text(["CORE"]));
  await home.start();
  const daemon = await home.daemon();
  const { sha256: expected_sha256 } = await daemon.config(NEVER);
  const edit = (value: string) =>
    daemon.edit(
      { edits: [{ key: "global.connect_timeout_ms", value }], expected_sha256, source: "test" },
      NEVER,
    );
  const ends = await Promise.allSettled([edit("801"), edit("802")]);
  const refused = ends.flatMap((end) => (end.status === "rejected" ? [end.reason] : []));
  assert.deepEqual(
    refused.map((error) => error.code),
    ["config_changed"],
  );
});

test("B6 an edit by the daemon and a save by an editor do not undo one another silently", async (t) => {
  const home = await liveHome(t);
  const text = await home.text(["CORE"]);
  await home.writeConfig(text);
  await home.start();
  const daemon = await home.daemon();
  for (let round = 1; round <= 5; round += 1) {
    const edit = daemon
      .edit(
        { edits: [{ key: "global.connect_timeout_ms", value: String(800 + round) }], source: "test" },
        NEVER,
      )
      .then(
        () => null,
        (error: unknown) => error,
      );
    await pause(round * 15);
    await home.writeConfig(text.replace("0.3", `0.${30 + round}`));
    await edit;
    const bytes = await readFile(home.configFile);
    await home.untilSync((report) => report.sha256 === sha256Of(bytes) && report.last_error === null);
  }
});

test("B6 kill -9 of the daemon during its edits leaves the old file or the new one, whole, and nothing beside it", async (t) => {
  const home = await liveHome(t);
  await home.writeConfig(await home.text(["CORE"], { sync: `enabled = false\n${QUICK_SYNC}` }));
  const place = findPlace({ HOME: home.folder, MOUNTAINEER_HOME: home.home });
  const random = randomOf(t);
  let last = 800;
  for (let round = 0; round < 6; round += 1) {
    const monitor = await home.start();
    const daemon = await home.daemon();
    const first = last;
    let answered = first;
    const editing = (async () => {
      for (let value = first + 1; ; value += 1) {
        last = value;
        const edits = [{ key: "global.connect_timeout_ms", value: String(value) }];
        const { reload } = await daemon.edit({ edits, source: "test" }, NEVER);
        assert.equal(reload?.reloaded, true);
        answered = value;
      }
    })().catch(() => {
      // The daemon is gone.
    });
    await eventually(() => answered > first);
    await pause(random() * 150);
    await monitor.kill9();
    await editing;
    const loaded = await loadConfig(home.configFile, place);
    assert.ok(loaded.ok, `whole and valid: ${JSON.stringify(loaded)}`);
    const found = loaded.snapshot.config.global.connectTimeoutMs;
    assert.ok(found === answered || found === last, `${found} is neither ${answered} nor ${last}`);
    last = Math.max(found, last);
  }
  await home.start();
  const { sha256 } = await home.sync();
  assert.equal(sha256, sha256Of(await readFile(home.configFile)));
  const daemon = await home.daemon();
  const { entries } = await daemon.history(NEVER);
  assert.equal(entries[0]?.sha256, sha256, "the newest of the history is what runs");
  await daemon.edit({ edits: [{ key: "global.connect_timeout_ms", value: "999" }], source: "test" }, NEVER);
  const left = (await readdir(home.home)).filter(
    (name) => name.includes("config.toml") && name !== "config.toml",
  );
  assert.deepEqual(left, [], "no temporary file is left");
  assert.deepEqual(
    (await readdir(join(home.home, "history"))).filter((name) => !name.endsWith(".entry")),
    [],
  );
});
