// A tab of Apple's engine, driven by the W3C's WebDriver: Safari itself on a Mac, WebKitGTK's small browser on Linux.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import type { OpenTab, Tab } from "./hand.ts";
import { SOON_MS } from "./page-rig.ts";

const IS_MAC = process.platform === "darwin";
const DRIVER = IS_MAC ? "/usr/bin/safaridriver" : "/usr/bin/WebKitWebDriver";
const SMALL_BROWSER = "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser";
const NEEDED = IS_MAC ? [DRIVER] : [DRIVER, SMALL_BROWSER, "/usr/bin/Xvfb"];
const missing = NEEDED.filter((file) => !existsSync(file));
export const NO_WEBKIT: string | false = missing.length === 0 ? false : `needs ${missing.join(", ")}`;

const SIZE = { width: 1200, height: 900 };
/** The standard's own names for keys that write nothing. */
const KEYS = {
  Tab: "\uE004",
  Enter: "\uE007",
  Space: " ",
  Escape: "\uE00C",
  ArrowDown: "\uE015",
  Home: "\uE011",
} as const;

export async function openWebkitTab(): Promise<OpenTab> {
  await using started = new AsyncDisposableStack();
  const start = (file: string, args: readonly string[], env = {}): void => {
    const child = spawn(file, args, { stdio: "ignore", env: { ...process.env, ...env } });
    const ended = once(child, "exit");
    started.defer(async () => {
      child.kill();
      await ended;
    });
  };
  const display = `:${await freePort()}`;
  if (!IS_MAC) start("/usr/bin/Xvfb", [display, "-screen", "0", `${SIZE.width}x1000x24`, "-nolisten", "tcp"]);
  const port = await freePort();
  start(DRIVER, IS_MAC ? ["-p", String(port)] : [`--port=${port}`], { DISPLAY: display });
  const say = async (method: "POST" | "DELETE", at: string, body?: object): Promise<unknown> => {
    const response = await fetch(`http://127.0.0.1:${port}/session${at}`, {
      ...{ method, signal: AbortSignal.timeout(SOON_MS) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const { value } = (await response.json()) as { value: unknown };
    if (!response.ok) throw new Error(`${method} ${at}: ${JSON.stringify(value)}`);
    return value;
  };
  const browser = IS_MAC
    ? { browserName: "safari" }
    : { "webkitgtk:browserOptions": { binary: SMALL_BROWSER, args: ["--automation"] } };
  const session = await eventually(
    () => say("POST", "", { capabilities: { alwaysMatch: browser } }) as Promise<{ sessionId: string }>,
    SOON_MS,
  );
  const at = `/${session.sessionId}`;
  started.defer(async () => void (await say("DELETE", at)));
  await say("POST", `${at}/window/rect`, SIZE);
  const act = (type: "pointer" | "key", actions: readonly object[]): Promise<unknown> =>
    say("POST", `${at}/actions`, { actions: [{ type, id: type, actions }] });
  const stroke = (value: string): readonly object[] => [
    { type: "keyDown", value },
    { type: "keyUp", value },
  ];
  const tab: Tab = {
    goto: (url) => say("POST", `${at}/url`, { url }),
    evaluate: (script) => say("POST", `${at}/execute/sync`, { script: `return (${script});`, args: [] }),
    mouse: {
      async click(x, y) {
        const move = { type: "pointerMove", duration: 0, x: Math.round(x), y: Math.round(y) };
        const press = { type: "pointerDown", button: 0 };
        await act("pointer", [move, press, { ...press, type: "pointerUp" }]);
      },
    },
    keyboard: {
      press: async (key) => void (await act("key", stroke(KEYS[key]))),
      type: async (text) => void (await act("key", [...text].flatMap(stroke))),
    },
  };
  const ends = started.move();
  return { tab, close: () => ends.disposeAsync() };
}
