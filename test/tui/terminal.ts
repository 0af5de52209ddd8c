// A real terminal for tests: tmux with one pane, its keys, and what its screen shows.
import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { eventually } from "../support/eventually.ts";
import { isGone } from "../support/processes.ts";

const run = promisify(execFile);
/** Deadlines are no claims of speed: they end what hangs. */
const COMMAND_DEADLINE_MS = 60_000;
const SCREEN_DEADLINE_MS = 60_000;
/** Each look is a process of its own, and takes from what is looked at. */
const BETWEEN_LOOKS_MS = 30;

/** Why there can be no terminal here; false when there can be one. */
export const NO_TERMINAL: string | false =
  spawnSync("tmux", ["-V"]).status === 0 ? false : "tmux is not installed";

export interface TerminalOptions {
  readonly columns: number;
  readonly rows: number;
  /** What runs in it, a shell command; the pane stays when it has ended. */
  readonly command: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Disposal ends whatever runs in it. */
export interface Terminal extends AsyncDisposable {
  /** The screen's lines, spaces at their ends cut. */
  lines(): Promise<readonly string[]>;
  /** The screen with its colours, as escape sequences. */
  painted(): Promise<string>;
  /** Resolves with the screen once `holds` says so (or a text is on it); rejects with the last one seen. */
  until(
    holds: string | ((lines: readonly string[]) => boolean),
    deadlineMs?: number,
  ): Promise<readonly string[]>;
  /** Resolves once `check` throws nothing: a frame that is being drawn may lack what it is about. */
  shows(check: (lines: readonly string[]) => void): Promise<void>;
  /** Keys by tmux's names (`Tab`, `C-s`, `BSpace`), anything else is typed. */
  press(...keys: readonly string[]): Promise<void>;
  /** As a terminal pastes, where the program has asked for it: in brackets. */
  paste(text: string): Promise<void>;
  resize(columns: number, rows: number): Promise<void>;
  /** Whether the other screen is up, and the cursor visible. */
  modes(): Promise<{ readonly alternate: boolean; readonly cursor: boolean }>;
  /** Of what runs in it. */
  pid(): Promise<number>;
}

export async function openTerminal({ columns, rows, command, env }: TerminalOptions): Promise<Terminal> {
  const folder = await mkdtemp(join(tmpdir(), "term-"));
  const socket = join(folder, "s");
  const settings = join(folder, "conf");
  await writeFile(
    settings,
    [
      "set -g status off",
      "set -g default-terminal screen-256color",
      "set -g remain-on-exit on",
      "set -sg escape-time 0",
      "set -g default-shell /bin/sh",
      "",
    ].join("\n"),
  );
  const tmux = async (...args: readonly string[]): Promise<string> => {
    // UTF-8 for the client, so that what it captures is not replaced; the program has an environment of its own.
    const { stdout } = await run("tmux", ["-u", "-S", socket, "-f", settings, ...args], {
      timeout: COMMAND_DEADLINE_MS,
      env: { ...process.env, LC_ALL: "C.UTF-8" },
    });
    return stdout;
  };
  const variables = Object.entries(env).flatMap(([name, value]) => ["-e", `${name}=${value}`]);
  const size = ["-x", String(columns), "-y", String(rows)];
  await tmux("new-session", "-d", ...size, ...variables, command);
  const lines = async (): Promise<readonly string[]> =>
    (await tmux("capture-pane", "-p"))
      .replace(/\n$/, "")
      .split("\n")
      .map((line) => line.trimEnd());
  const self: Terminal = {
    lines,
    painted: () => tmux("capture-pane", "-p", "-e"),
    async until(holds, deadlineMs = SCREEN_DEADLINE_MS) {
      let last: readonly string[] = [];
      try {
        return await eventually(
          async () => {
            last = await lines();
            const isThere = typeof holds === "string" ? last.join("\n").includes(holds) : holds(last);
            return isThere ? last : null;
          },
          deadlineMs,
          BETWEEN_LOOKS_MS,
        );
      } catch (cause) {
        const why = cause instanceof Error ? cause.message : String(cause);
        throw new Error(`the screen did not come to ${holds}: ${why}\n${last.join("\n")}`, { cause });
      }
    },
    async shows(check) {
      await self.until((now) => {
        check(now);
        return true;
      });
    },
    press: async (...keys) => void (await tmux("send-keys", ...keys)),
    async paste(text) {
      await tmux("set-buffer", text);
      await tmux("paste-buffer", "-p", "-r");
    },
    resize: async (toColumns, toRows) =>
      void (await tmux("resize-window", "-x", String(toColumns), "-y", String(toRows))),
    async modes() {
      const [alternate, cursor] = (await tmux("display-message", "-p", "#{alternate_on} #{cursor_flag}"))
        .trim()
        .split(" ");
      return { alternate: alternate === "1", cursor: cursor === "1" };
    },
    pid: async () => Number(await tmux("display-message", "-p", "#{pane_pid}")),
    async [Symbol.asyncDispose]() {
      const server = Number(await tmux("display-message", "-p", "#{pid}"));
      await tmux("kill-server");
      await eventually(() => isGone(server), COMMAND_DEADLINE_MS);
      await rm(folder, { recursive: true, force: true });
    },
  };
  return self;
}
