// The live view's stage: a home, and a terminal that shows it.
import assert from "node:assert/strict";
import { rename, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { TestContext } from "node:test";
import { connectToDaemon } from "../../src/api/client/client.ts";
import type { SyncReport } from "../../src/api/contract/config.ts";
import { createTestHome, type TestHome } from "../support/daemon.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { openTerminal, type Terminal } from "./terminal.ts";

export const MOUNTAINEER = resolve(import.meta.dirname, "../../bin/mountaineer");
/** Long enough for a machine with much else to do. */
export const SOON_MS = 10_000;

/** Comments, tabs and no last line break: what a save must keep. Looked at often, so that no test waits. */
export const CONFIG = [
  "# What this machine does.",
  "[global]",
  "check_interval_secs = 2   # seconds",
  "",
  "[sync]",
  "  poll_interval = 0.1 # often, for the test",
  "debounce=0.05\t# quickly",
  "",
  "# The end, without a line break",
].join("\n");

export interface SceneOptions {
  readonly config?: string;
  /** Of a home that is there; default a new one. */
  readonly mountaineerHome?: string;
  readonly columns?: number;
  readonly rows?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Default `mountaineer tui --screen sync`. */
  readonly command?: string;
}

export interface Scene extends AsyncDisposable {
  readonly home: TestHome;
  readonly terminal: Terminal;
  sync(): Promise<SyncReport>;
  /** Replaces the file as editors do. */
  save(text: string): Promise<void>;
}

/** A home, and a terminal that runs the live view for it. */
export async function openScene(t: TestContext, options: SceneOptions = {}): Promise<Scene> {
  const folder = await temporaryFolder(t);
  const home = await createTestHome({ home: join(folder, "h"), config: options.config ?? CONFIG });
  const { PATH: path = "", HOME: userHome = "/", TERM: _term, ...inherited } = process.env;
  const terminal = await openTerminal({
    columns: options.columns ?? 80,
    rows: options.rows ?? 24,
    command: options.command ?? `exec ${MOUNTAINEER} tui --screen sync`,
    env: {
      PATH: path,
      HOME: userHome,
      // Marks what the test run starts, for the check of what is left behind.
      MOUNTAINEER_TEST_RUN: inherited["MOUNTAINEER_TEST_RUN"] ?? "",
      MOUNTAINEER_HOME: options.mountaineerHome ?? home.home,
      LC_ALL: "C.UTF-8",
      NO_COLOR: "",
      ...options.env,
    },
  });
  return {
    home,
    terminal,
    async sync() {
      const daemon = await connectToDaemon(home.home);
      assert.ok(daemon !== null, "a daemon runs");
      return daemon.call("sync", null, AbortSignal.timeout(SOON_MS));
    },
    async save(text) {
      await writeFile(`${home.configFile}.new`, text);
      await rename(`${home.configFile}.new`, home.configFile);
    },
    [Symbol.asyncDispose]: () => terminal[Symbol.asyncDispose](),
  };
}

/** The first line like `mark`. */
export function row(lines: readonly string[], mark: RegExp): string {
  const found = lines.find((line) => mark.test(line));
  assert.ok(found !== undefined, `no line is like ${mark}:\n${lines.join("\n")}`);
  return found;
}
