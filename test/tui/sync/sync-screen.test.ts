import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { CONFIG, openScene, row } from "../scene.ts";
import { NO_TERMINAL } from "../terminal.ts";

describe("the Sync screen in a terminal", { skip: NO_TERMINAL, concurrency: 2 }, () => {
  test("B4, B8, B9 an edit's event has the summary of its application; a broken one is listed with its position until it is corrected", async (t) => {
    await using scene = await openScene(t);
    const { home, terminal } = scene;
    await using _monitor = await home.startMonitor();
    await terminal.until("● live");
    const good = CONFIG.replace("check_interval_secs = 2", "check_interval_secs = 3");
    await scene.save(good);
    await terminal.until("⟳ changed");
    const { events, sha256 } = await scene.sync();
    const applied = events.find(({ type }) => type === "changed");
    assert.ok(applied !== undefined);
    await terminal.shows((lines) => {
      const shown = row(lines, /⟳ changed/);
      assert.ok(shown.startsWith(applied.time) && shown.endsWith(applied.details), shown);
    });
    await scene.save(good.replace("debounce=0.05", 'debounce="x"'));
    await terminal.until("✗ error");
    await terminal.shows((lines) => {
      const text = lines.join("\n");
      assert.match(text, /✗ \S+config\.toml:7:\d+: sync\.debounce/);
      assert.match(text, /✗ the file is not in effect/);
      assert.match(text, /Hash .+● live/);
      assert.ok(text.includes(`Hash ${sha256.slice(0, 8)}…`), "what ran runs on");
      assert.match(row(lines, /^\s+debounce/), /0\.05/);
    });
    await scene.save(good);
    await terminal.until((now) => !now.join("\n").includes("not in effect"));
  });

  test("B9 a save changes only its own bytes, is in effect at once, and survives a restart", async (t) => {
    await using scene = await openScene(t);
    const { home, terminal } = scene;
    const settings = {
      enabled: true,
      poll_interval: 0.25,
      debounce: 0.05,
      detection: "hash",
      on_failure: "stop",
    };
    {
      await using _monitor = await home.startMonitor();
      await terminal.until("● live");
      await terminal.press("Tab", "Tab");
      await terminal.until("▸ poll_interval");
      await terminal.press("BSpace", "BSpace", "BSpace", "0.25", "Tab", "Tab", "Right", "Tab", "Left");
      await terminal.until("● not saved");
      assert.equal(await readFile(home.configFile, "utf8"), CONFIG, "nothing is written before Ctrl-S");
      await terminal.press("C-s");
      await terminal.until("✓ saved and in effect");
      const expected = CONFIG.replace("poll_interval = 0.1 #", "poll_interval = 0.25 #").replace(
        // In the manner of the line above.
        "# quickly\n",
        '# quickly\ndetection="hash"\non_failure="stop"\n',
      );
      assert.equal(await readFile(home.configFile, "utf8"), expected);
      assert.deepEqual((await scene.sync()).settings, settings);
      await terminal.shows((lines) => {
        const text = lines.join("\n");
        assert.match(text, / - {2}poll_interval = 0\.1 # often, for the test/);
        assert.match(text, / \+ {2}poll_interval = 0\.25 # often, for the test/);
        assert.match(text, / \+detection="hash"/);
        assert.ok(!text.includes("not saved"));
      });
    }
    await terminal.until("waiting for the daemon");
    await using _again = await home.startMonitor();
    assert.deepEqual((await scene.sync()).settings, settings);
    await terminal.until("● connected");
    await terminal.shows((lines) => {
      assert.match(row(lines, /interval/), /0\.25/);
      assert.match(row(lines, /detection/), /\(●\) hash/);
    });
  });

  test("B4 when watching has stopped, Ctrl-S applies the corrected file and it is watched again", async (t) => {
    await using scene = await openScene(t, {
      config: CONFIG.replace("[sync]", '[sync]\non_failure = "stop"'),
    });
    const { home, terminal } = scene;
    await using _monitor = await home.startMonitor();
    await terminal.until("● live");
    const good = await readFile(home.configFile, "utf8");
    await scene.save(good.replace("check_interval_secs = 2", "check_interval_secs = 0"));
    await terminal.until("✗ stopped");
    await scene.save(good.replace("check_interval_secs = 2", "check_interval_secs = 5"));
    await terminal.press("C-s");
    await terminal.until("✓ reloaded");
    await terminal.until("● live");
    await scene.save(good);
    await terminal.until((lines) => lines.filter((line) => line.includes("⟳ changed")).length === 2);
  });
});
