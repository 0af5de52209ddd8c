import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { editorThat, openScene, type Scene, type SceneOptions } from "../scene.ts";
import { NO_TERMINAL } from "../terminal.ts";

const SERVER = join(import.meta.dirname, "call-server.ts");
const CONFIG = `[backends.lab]\ncommand = ${JSON.stringify(process.execPath)}\nargs = [${JSON.stringify(SERVER)}]\n`;

/** The view on its Catalog screen, with the tools of the server in sight. */
async function openCatalog(t: TestContext, options: SceneOptions = {}): Promise<Scene> {
  const editor = await editorThat(t, 'printf "%s" "$typed" > "$1"');
  const scene = await openScene(t, { config: CONFIG, columns: 160, env: { VISUAL: editor }, ...options });
  const monitor = await scene.home.startMonitor();
  const { terminal } = scene;
  await terminal.until("● connected");
  await terminal.press("c");
  await terminal.until("echo");
  return {
    ...scene,
    async [Symbol.asyncDispose]() {
      await monitor[Symbol.asyncDispose]();
      await scene[Symbol.asyncDispose]();
    },
  };
}

/** From a call's form to the whole list, a key at a time: keys that come too quickly are another key. */
async function backToList({ terminal }: Scene): Promise<void> {
  for (const mark of ["Enter call it", "Enter details", "/ searches"]) {
    await terminal.press("Escape");
    await terminal.until(mark);
  }
}

/** The form of the only tool that is found so. */
async function openForm({ terminal }: Scene, query: string): Promise<void> {
  await terminal.press("/", query);
  await terminal.until("1 of 6");
  await terminal.press("Enter", "Enter", "Enter");
  await terminal.until("[ Call ]");
}

describe("the Catalog screen in a terminal", { skip: NO_TERMINAL, concurrency: 1 }, () => {
  test("D1 a tool is found as one types, and called with what the form says", async (t) => {
    await using scene = await openCatalog(t);
    const { terminal } = scene;
    await terminal.press("/", "answers wi");
    await terminal.until("1 of 6");
    await terminal.press("Enter", "Enter");
    await terminal.until("Marked read-only");
    await terminal.press("Enter");
    await terminal.until("What it is called");
    await terminal.press("C-s");
    await terminal.until("✕ required");
    await terminal.press("hello", "Tab", "77");
    await terminal.until("✕ 1 to 10");
    await terminal.press("C-s");
    await terminal.until("✕ 1 to 10");
    await terminal.press(
      "BSpace",
      "Tab",
      "Space",
      "Tab",
      "g",
      "Tab",
      "Enter",
      "one",
      "Up",
      "Enter",
      "two",
      "Tab",
    );
    await terminal.press("Enter", "Ada", "Tab", "36", "Tab");
    await terminal.until("JSON (its schema has oneOf)");
    await terminal.paste('["x" 1]');
    await terminal.press("C-s");
    await terminal.until("line 1:6: expected a comma or ]");
    await terminal.press("Enter");
    await terminal.until("my editor:");
    await terminal.press("12", "Enter");
    // The picture of before comes back first, and the keys after it.
    await terminal.until("filter    12");
    await terminal.press("C-s");
    await terminal.until(
      'got {"title":"hello","count":7,"loud":true,"color":"green","tags":["one","two"],"owner":{"name":"Ada","age":36},"filter":12}',
    );
    await terminal.press("Escape");
    await terminal.until("hello");
  });

  test("D1 a tool that may destroy something is called after a yes only, and its answer drives no terminal", async (t) => {
    await using scene = await openCatalog(t);
    const { terminal } = scene;
    await openForm(scene, "wipes");
    await terminal.press("C-s");
    await terminal.until("may destroy something. Call it?");
    await terminal.press("n");
    await terminal.until((lines) => !lines.join().includes("Call it?") && lines.join().includes("[ Call ]"));
    await terminal.press("C-s");
    await terminal.until("Call it?");
    await terminal.press("y");
    await terminal.until("wiped \\x1b[31mred");
  });

  test("D1 Esc cancels a call under way, there too; answers scroll, failures say so, at every size", async (t) => {
    await using scene = await openCatalog(t);
    const { terminal } = scene;
    await openForm(scene, "never");
    await terminal.press("C-s");
    await terminal.until("Esc cancels it");
    await terminal.press("Escape");
    await terminal.until("the call was cancelled");
    await backToList(scene);
    await openForm(scene, "how many");
    await terminal.press("C-s");
    await terminal.until("cancelled: 1");
    await terminal.press("Escape");
    await terminal.until("* is required");
    await backToList(scene);
    await openForm(scene, "long");
    await terminal.press("C-s");
    await terminal.until("line 1");
    await terminal.resize(60, 15);
    await terminal.until((lines) => lines.length === 15 && lines.join().includes("below"));
    await terminal.press("End");
    await terminal.until("line 300");
    await terminal.resize(200, 60);
    await terminal.until((lines) => /line 250\b[\s\S]*line 300\b/.test(lines.join("\n")));
    await terminal.press("Escape");
    await terminal.until("* is required");
    await backToList(scene);
    await openForm(scene, "fails");
    await terminal.press("C-s");
    await terminal.until("it went wrong");
    await terminal.until("failed in");
  });
});
