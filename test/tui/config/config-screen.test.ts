import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, type TestContext, test } from "node:test";
import { eventually } from "../../support/eventually.ts";
import { openScene, type Scene, type SceneOptions } from "../scene.ts";
import { NO_TERMINAL } from "../terminal.ts";

const CONFIG = "# mine\n[sync]\npoll_interval = 0.1\ndebounce = 0.05\n";

/** The view on its Config screen, with the file in sight. */
async function openConfig(t: TestContext, options: SceneOptions = {}): Promise<Scene> {
  const scene = await openScene(t, { config: CONFIG, columns: 120, ...options });
  const monitor = await scene.home.startMonitor();
  const { terminal } = scene;
  await terminal.until("● connected");
  await terminal.press("g");
  await terminal.until("debounce = 0.05");
  return {
    ...scene,
    async [Symbol.asyncDispose]() {
      await monitor[Symbol.asyncDispose]();
      await scene[Symbol.asyncDispose]();
    },
  };
}

function fileOf({ home }: Scene): Promise<string> {
  return readFile(home.configFile, "utf8");
}

describe("the Config screen in a terminal", { skip: NO_TERMINAL, concurrency: 1 }, () => {
  test("F1 an edit is checked, shown, saved and in effect; the history rolls it back", async (t) => {
    await using scene = await openConfig(t);
    const { terminal } = scene;
    await terminal.press("Enter");
    await terminal.until("editing");
    await terminal.press("C-f", "debounce", "End", "x");
    await terminal.until("debounce = 0.05x");
    await terminal.press("C-s");
    await terminal.until("✕ 4:");
    assert.equal(await fileOf(scene), CONFIG);
    await terminal.press("C-z", "5");
    await terminal.until("debounce = 0.055");
    await terminal.press("C-s");
    await terminal.until("+debounce = 0.055");
    await terminal.until("sync.debounce");
    await terminal.until("Save it?");
    assert.equal(await fileOf(scene), CONFIG, "nothing is written before the answer");
    await terminal.press("Enter");
    await terminal.until("✓ saved");
    assert.equal(await fileOf(scene), CONFIG.replace("0.05\n", "0.055\n"));
    await eventually(async () => (await scene.sync()).settings.debounce === 0.055);
    await terminal.press("h");
    await terminal.until("(runs now)");
    await terminal.press("Down", "Enter");
    await terminal.until("+debounce = 0.055");
    await terminal.press("r");
    await terminal.until("Roll back to version 1");
    assert.equal(await fileOf(scene), CONFIG.replace("0.05\n", "0.055\n"));
    await terminal.press("y");
    await terminal.until("rolled back to version 1");
    assert.equal(await fileOf(scene), CONFIG);
  });

  test("F1 a file that changed underneath is refused and shown; nothing typed is lost, keys during a save neither", async (t) => {
    await using scene = await openConfig(t);
    const { terminal } = scene;
    await terminal.press("Enter", "# typed", "Enter");
    await terminal.until("# typed");
    await terminal.press("C-s");
    await terminal.until("Save it?");
    await scene.save(CONFIG.replace("# mine", "# theirs"));
    await eventually(async () => (await fileOf(scene)).includes("theirs"));
    await terminal.press("Enter");
    await terminal.until("+# theirs");
    await terminal.until("your text is kept");
    assert.equal(await fileOf(scene), CONFIG.replace("# mine", "# theirs"));
    // In one go: the check, the save, and what is pressed while they are under way.
    await terminal.press("C-s", "Enter", "Enter", "Home", "z");
    await terminal.until((lines) => /z# mine/.test(lines.join("\n")));
    await terminal.until("not saved");
    assert.equal(await fileOf(scene), `# typed\n${CONFIG}`);
    await terminal.press("Escape");
    await terminal.until("Esc drop");
    await terminal.press("q");
    await terminal.until("not saved: Ctrl-S saves");
    await terminal.press("Escape");
    await terminal.until("Drop what you typed");
    await terminal.press("y");
    await terminal.until((lines) => !lines.join("\n").includes("z# mine"));
  });

  test("F1 the text fits while the terminal is resized, many lines are pasted at once", async (t) => {
    await using scene = await openConfig(t);
    const { terminal } = scene;
    await terminal.press("Enter");
    await terminal.until("editing");
    const lines = Array.from({ length: 40 }, (_, index) => `# pasted ${index}`);
    await terminal.paste(`${lines.join("\n")}\n`);
    await terminal.until("# pasted 39");
    await terminal.resize(60, 15);
    await terminal.until((shown) => shown.length === 15 && shown.join().includes("# pasted 39"));
    await terminal.resize(200, 60);
    await terminal.until("# pasted 0");
    await terminal.press("C-z");
    await terminal.until((shown) => !shown.join().includes("pasted"));
    await terminal.press("C-y", "C-s");
    await terminal.until("Save it?");
    await terminal.press("Enter");
    await terminal.until("✓ saved");
    assert.equal(await fileOf(scene), `${lines.join("\n")}\n${CONFIG}`);
  });
});
