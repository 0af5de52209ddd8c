import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { CONFIG, openScene, row } from "../scene.ts";
import { NO_TERMINAL } from "../terminal.ts";

describe("the Sync screen in a terminal", { skip: NO_TERMINAL, concurrency: 2 }, () => {
  test("B8 an edit's event stands on the screen with the time and the words it was applied with", async (t) => {
    await using scene = await openScene(t);
    const { home, terminal } = scene;
    await using _monitor = await home.startMonitor();
    await terminal.until("● live");
    await scene.save(CONFIG.replace("check_interval_secs = 2", "check_interval_secs = 3"));
    await terminal.until("⟳ changed");
    const { events, sha256 } = await scene.sync();
    const applied = events.find(({ type }) => type === "changed");
    assert.ok(applied !== undefined);
    await terminal.shows((lines) => {
      const shown = row(lines, /⟳ changed/);
      assert.ok(shown.startsWith(applied.time) && shown.endsWith(applied.details), shown);
      assert.ok(lines.some((line) => line.includes(`Hash ${sha256.slice(0, 8)}…`)));
    });
  });

  test("B8 saves without a change are one row that counts them", async (t) => {
    await using scene = await openScene(t);
    await using _monitor = await scene.home.startMonitor();
    await scene.terminal.until("● live");
    for (const count of [1, 2, 3]) {
      await scene.save(`${CONFIG}\n# ${count}`);
      await scene.terminal.until(count === 1 ? "✓ no changes" : `✓ no changes ×${count}`);
    }
    const lines = await scene.terminal.lines();
    assert.equal(lines.filter((line) => line.includes("no changes")).length, 1);
  });

  test("B4, B8, B9 a broken edit is told with its place in error, table and panel, until it is mended", async (t) => {
    await using scene = await openScene(t);
    const { home, terminal } = scene;
    await using _monitor = await home.startMonitor();
    const { sha256 } = await scene.sync();
    await terminal.until("● live");
    await scene.save(CONFIG.replace("debounce=0.05", 'debounce="x"'));
    await terminal.until("✕ error");
    await terminal.shows((lines) => {
      const text = lines.join("\n");
      assert.match(text, /✕ \S+config\.toml:7:\d+: sync\.debounce/);
      assert.match(text, /✕ the file is not in effect/);
      assert.match(text, /Hash .+● live/);
      assert.ok(text.includes(sha256.slice(0, 8)), "what ran runs on");
      assert.match(row(lines, /^\s+debounce/), /0\.05/);
    });
    await scene.save(CONFIG);
    await terminal.until((now) => !now.join("\n").includes("not in effect"));
  });

  test("B9 a save changes its own bytes alone, is in effect at once, and survives a restart", async (t) => {
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
      await terminal.until("▸ interval");
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
        assert.match(text, /6 - {3}poll_interval = 0\.1 # often, for the test/);
        assert.match(text, /6 \+ {3}poll_interval = 0\.25 # often, for the test/);
        assert.match(text, /8 \+ detection="hash"/);
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

  test("B9 a save is refused when the file changed underneath; Esc reads it again", async (t) => {
    await using scene = await openScene(t, { config: CONFIG.replace("[sync]", "[sync]\nenabled = false") });
    const { home, terminal } = scene;
    await using _monitor = await home.startMonitor();
    await terminal.until("○ off");
    await terminal.press("Tab", "Tab", "Tab", "0.5");
    await terminal.until("● not saved");
    const theirs = `# theirs\n${await readFile(home.configFile, "utf8")}`;
    await scene.save(theirs);
    await terminal.press("C-s");
    await terminal.until("the file has changed meanwhile");
    assert.equal(await readFile(home.configFile, "utf8"), theirs);
    await terminal.press("Escape");
    await terminal.until((lines) => !lines.join("\n").includes("not saved"));
    await terminal.press("0.5", "C-s");
    await terminal.until("✓ saved and in effect");
    assert.equal(await readFile(home.configFile, "utf8"), theirs.replace("debounce=0.05", "debounce=0.5"));
  });

  test("B9 the panel follows the file while clean, and says that it changed while not", async (t) => {
    await using scene = await openScene(t);
    const { terminal } = scene;
    await using _monitor = await scene.home.startMonitor();
    await terminal.until("● live");
    const other = CONFIG.replace("debounce=0.05", "debounce=0.06");
    await scene.save(other);
    await terminal.until((lines) => lines.some((line) => /^\s+debounce\s+0\.06/.test(line)));
    await terminal.press("BTab", "Up");
    await terminal.until("● not saved");
    await scene.save(other.replace("0.06", "0.07"));
    await terminal.until("the file has changed meanwhile");
    await terminal.shows((lines) => assert.match(row(lines, /on failure/), /\(●\) stop/));
    await terminal.until((now) => now.some((line) => /^\s+debounce\s+0\.07/.test(line)));
  });

  test("B9 a mistake stands beside its field, and is not saved", async (t) => {
    await using scene = await openScene(t, { columns: 60, rows: 15 });
    const { terminal } = scene;
    await using _monitor = await scene.home.startMonitor();
    await terminal.until("● live");
    await terminal.press("Tab", "Tab", "0", "C-s");
    await terminal.until("✕ not saved: mend what is marked first");
    await terminal.shows((lines) => assert.match(row(lines, /interval/), /✕ must be 0\.05 to 3600 seconds$/));
    assert.equal(await readFile(scene.home.configFile, "utf8"), CONFIG);
  });

  test("B4 when watching has stopped, Ctrl-S applies the mended file and it is watched again", async (t) => {
    await using scene = await openScene(t, {
      config: CONFIG.replace("[sync]", '[sync]\non_failure = "stop"'),
    });
    const { home, terminal } = scene;
    await using _monitor = await home.startMonitor();
    await terminal.until("● live");
    const good = await readFile(home.configFile, "utf8");
    await scene.save(good.replace("check_interval_secs = 2", "check_interval_secs = 0"));
    await terminal.until("■ stopped");
    await scene.save(good.replace("check_interval_secs = 2", "check_interval_secs = 5"));
    await terminal.press("C-s");
    await terminal.until("✓ reloaded");
    await terminal.until("● live");
    await scene.save(good);
    await terminal.until((lines) => lines.filter((line) => line.includes("⟳ changed")).length === 2);
  });
});
