import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, type TestContext, test } from "node:test";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { editorThat, openScene, type Scene, type SceneOptions } from "../scene.ts";
import { NO_TERMINAL } from "../terminal.ts";

const CONFIG = "# mine\n[sync]\npoll_interval = 0.1\ndebounce = 0.05\n";

/** The view on its Config screen, with the file in sight. */
async function openConfig(t: TestContext, options: SceneOptions = {}): Promise<Scene> {
  const editor = await editorThat(t, 'exec sed -i "$typed" "$1"');
  const scene = await openScene(t, { config: CONFIG, columns: 120, env: { VISUAL: editor }, ...options });
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

/** Opens the person's editor and changes the text there, as sed does. */
async function write({ terminal }: Scene, expression: string): Promise<void> {
  await terminal.press("Enter");
  await terminal.until("my editor:");
  await terminal.press(expression, "Enter");
}

describe("the Config screen in a terminal", { skip: NO_TERMINAL, concurrency: 1 }, () => {
  test("F1 an edit is checked, shown, saved and in effect; the history rolls it back", async (t) => {
    await using scene = await openConfig(t);
    const { terminal } = scene;
    await write(scene, "s/0[.]05$/0.05x/");
    await terminal.until("4:");
    await terminal.until("not saved: 1 mistake");
    assert.equal(await fileOf(scene), CONFIG);
    await write(scene, "s/0[.]05x/0.055/");
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
    await terminal.until("rollback to version 1");
    assert.equal(await fileOf(scene), CONFIG);
  });

  test("F1 a file that changed underneath is refused and shown; nothing written is lost, keys during a save neither", async (t) => {
    await using scene = await openConfig(t);
    const { terminal } = scene;
    await write(scene, "1s/^/# written, /");
    await terminal.until("Save it?");
    await scene.save(CONFIG.replace("# mine", "# theirs"));
    await eventually(async () => (await fileOf(scene)).includes("theirs"));
    await terminal.press("Enter");
    await terminal.until("+# theirs");
    await terminal.until("your text is kept");
    assert.equal(await fileOf(scene), CONFIG.replace("# mine", "# theirs"));
    // In one go: the check, the save, and what is pressed while they are under way.
    await terminal.press("C-s", "Enter", "h");
    await terminal.until("(runs now)");
    assert.equal(await fileOf(scene), `# written, ${CONFIG}`);
    await terminal.press("Escape");
    await terminal.until("h history");
    await write(scene, "$d");
    await terminal.until("Save it?");
    await terminal.press("Escape");
    await terminal.until("Esc drop");
    await terminal.press("q");
    await terminal.until("not saved: Ctrl-S saves");
    await terminal.press("Escape");
    await terminal.until("Drop what you wrote");
    await terminal.press("y");
    await terminal.until("4 debounce = 0.05");
  });

  test("F1 an editor that fails, or is ended by Ctrl-C, changes nothing, and the view goes on", async (t) => {
    await using scene = await openConfig(t);
    const { terminal } = scene;
    await terminal.press("Enter");
    await terminal.until("my editor:");
    await terminal.press("C-c");
    await terminal.until("ended with");
    await terminal.resize(60, 15);
    await terminal.until((lines) => lines.length === 15 && lines.join("\n").includes("4 debounce = 0.05"));
    await write(scene, "no expression");
    await terminal.until((lines) => /ended with\s+1;/.test(lines.join("\n")));
    assert.equal(await fileOf(scene), CONFIG);
    await terminal.press("d");
    await terminal.until("[d Home]");
  });

  test("F1 what is typed before the editor is there saves nothing; what is no UTF-8, or was written when all is ended, is kept and named", async (t) => {
    const command = [
      'while test -z "$typed"; do IFS= read -r typed; done',
      'case "$typed" in',
      'bytes) printf "# \\377" >> "$1" ;;',
      'wait) echo "# more" >> "$1"; echo it waits; exec sleep 600 ;;',
      '*) exec sed -i "$typed" "$1" ;;',
      "esac",
    ];
    const VISUAL = await editorThat(t, command.join("\n"));
    await using scene = await openConfig(t, { env: { VISUAL, TMPDIR: await temporaryFolder(t) } });
    const { terminal } = scene;
    await terminal.press("Enter", "Enter");
    await terminal.until("my editor:");
    await terminal.press("1s/^/# written, /", "Enter");
    await terminal.until("Save it?");
    assert.equal(await fileOf(scene), CONFIG);
    await terminal.press("Escape");
    await terminal.until("Esc drop");
    await write(scene, "bytes");
    await terminal.until("not UTF-8: nothing was changed; what you wrote is kept in");
    await write(scene, "wait");
    await terminal.until("it waits");
    process.kill(await terminal.pid(), "SIGTERM");
    await terminal.until("hint: what you wrote is kept in");
    assert.equal(await fileOf(scene), CONFIG);
  });
});
