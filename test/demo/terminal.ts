// A real terminal: a tmux of its own, what it shows, and keys typed into it.
import { execFile, execFileSync } from "node:child_process";
import { mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { eventually } from "../support/eventually.ts";

const run = promisify(execFile);
const BETWEEN_LOOKS_MS = 40;

export interface Terminal {
  /** What stands on the screen, without trailing blanks. */
  screen(): Promise<string>;
  /** Resolves with the screen once it matches. Rejects, with the last one, after `deadlineMs` (20 s). */
  shows(pattern: RegExp, deadlineMs?: number): Promise<string>;
  /** A key as tmux names it: `q`, `C-c`. */
  key(name: string): Promise<void>;
  resize(width: number, height: number): Promise<void>;
  /** Whether the other screen is up, and the cursor visible. */
  modes(): Promise<{ readonly alternate: boolean; readonly cursor: boolean }>;
}

export interface TerminalOptions {
  readonly width: number;
  readonly height: number;
  /** What a shell runs in it, given a folder that lives as long as the terminal. */
  readonly script: (folder: string) => readonly string[];
}

/** Why there is no terminal to test in; false when there is one. */
export function missingForTerminal(): string | false {
  try {
    execFileSync("tmux", ["-V"]);
    return false;
  } catch {
    return "tmux is not installed";
  }
}

/** Ended after the test. */
export async function openTerminal(t: TestContext, options: TerminalOptions): Promise<Terminal> {
  const { width, height, script } = options;
  const folder = await realpath(await mkdtemp(join(tmpdir(), "mountaineer-test-")));
  const scriptFile = join(folder, "run.sh");
  await writeFile(scriptFile, script(folder).join("\n"));
  const tmux = (...args: string[]): Promise<{ stdout: string }> =>
    run("tmux", ["-S", join(folder, "tmux"), "-f", "/dev/null", ...args], {
      env: { ...process.env, TERM: "xterm", LANG: "C.UTF-8" },
    });
  t.after(async () => {
    await tmux("kill-server").catch(() => {});
    await rm(folder, { recursive: true, force: true });
  });
  await tmux("new-session", "-d", "-x", String(width), "-y", String(height), "sh", scriptFile);
  const screen = async (): Promise<string> => (await tmux("capture-pane", "-p")).stdout.trimEnd();
  return {
    screen,
    async shows(pattern, deadlineMs = 20_000) {
      let last = "";
      try {
        await eventually(async () => {
          last = await screen();
          // Each look is a process of its own: no more of them than a person could see.
          if (!pattern.test(last)) await pause(BETWEEN_LOOKS_MS);
          return pattern.test(last);
        }, deadlineMs);
      } catch (error) {
        throw new Error(`the terminal never showed ${pattern}; at last it was:\n${last}`, { cause: error });
      }
      return last;
    },
    async key(name) {
      await tmux("send-keys", name);
    },
    async resize(columns, rows) {
      await tmux("resize-window", "-x", String(columns), "-y", String(rows));
    },
    async modes() {
      const { stdout } = await tmux("display-message", "-p", "#{alternate_on} #{cursor_flag}");
      const [alternate, cursor] = stdout.trim().split(" ");
      return { alternate: alternate === "1", cursor: cursor === "1" };
    },
  };
}
