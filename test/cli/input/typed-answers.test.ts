// What people type without reading, at the questions of the commands, in a real terminal: nothing happens that nobody meant.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { type Scope, temporaryFolder } from "../../support/temporary-folder.ts";
import { COMMAND, environmentOf, runCommand, serveHere } from "../command-line.ts";

const CTRL_C = "\x03";
const CTRL_D = "\x04";
const ENTER = "\r";
const ANSWERS = [
  ...["y", "yes", "n", "no", "1", "", " ", "q", "?", "10.0.2.2"].map((typed) => `${typed}${ENTER}`),
  CTRL_C,
  CTRL_D,
];
const YES = [`y${ENTER}`, `yes${ENTER}`];

interface Question {
  readonly args: readonly string[];
  /** How the question begins. */
  readonly asks: RegExp;
  /** The answers that change something. */
  readonly means: readonly string[];
  readonly files?: Readonly<Record<string, string>>;
  /** Makes the question necessary. */
  readonly prepare?: (home: string, t: Scope) => Promise<void>;
}

const CLIENT_FILE = JSON.stringify({ mcpServers: { echo: { command: "node", args: ["echo.js"] } } });
const APPROVING = '[trust]\napprove = "all"\n[server]\nport = ';

const QUESTIONS: readonly Question[] = [
  {
    args: ["import"],
    asks: /Import it\?/,
    means: [...YES, ENTER, ` ${ENTER}`],
    files: { ".claude.json": CLIENT_FILE },
  },
  {
    args: ["connect", "claude"],
    asks: /Claude Desktop or Claude Code\?/,
    means: [],
    files: { "config.toml": '[backends.echo]\ncommand = "cat"\n' },
  },
  {
    args: ["approve"],
    asks: /Approve backends\.echo\?/,
    means: YES,
    async prepare(home, t) {
      const config = `${APPROVING}${await freePort()}\n`;
      await writeFile(join(home, "config.toml"), config);
      const daemon = await serveHere({ home });
      t.after(() => daemon.stop());
      await writeFile(join(home, "config.toml"), `${config}[backends.echo]\ncommand = "cat"\n`);
      await eventually(async () => (await listed(home)).includes("echo"));
    },
  },
  {
    args: ["config", "rollback"],
    asks: /\[y\/N\]/,
    means: YES,
    files: { "config.toml": "[global]\ncheck_interval_secs = 2\n" },
    async prepare(home) {
      await runCommand(["config", "set", "global.check_interval_secs", "3"], { home });
    },
  },
  {
    args: ["secret", "set", "nas"],
    asks: /Value of nas/,
    // Whatever is typed is the value, but for blanks.
    means: ANSWERS.filter((answer) => /^\w|^\?/.test(answer)),
  },
];

/** What a person would lose or get by a wrong answer. */
async function stateOf(home: string): Promise<unknown> {
  const read = (name: string) => readFile(join(home, name), "utf8").catch(() => null);
  const secrets = JSON.parse((await read("secrets.json")) ?? "{}").secrets ?? {};
  return [await read("config.toml"), Object.keys(secrets), await read(".claude.json"), await listed(home)];
}

async function listed(home: string): Promise<string> {
  return (await runCommand(["approve", "--list", "--json"], { home })).stdout;
}

/** The exit code; null: there is no script(1). */
async function typed({ args, asks }: Question, answer: string, home: string): Promise<number | null> {
  const line = [...COMMAND, ...args].map((word) => `'${word}'`).join(" ");
  const terminal = spawn("script", ["-qec", line, "/dev/null"], {
    env: environmentOf({ home, env: { TERM: "xterm" } }),
    timeout: 60_000,
  });
  let shown = "";
  let answered = 0;
  terminal.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    shown += chunk;
    const times = shown.split(asks).length - 1;
    // Asked again, the person gives up.
    if (times > answered) terminal.stdin.write(answered === 0 ? answer : CTRL_D);
    answered = times;
  });
  terminal.stdin.on("error", () => {});
  const code = await new Promise<number | null>((resolve) => {
    terminal.once("error", () => resolve(null));
    terminal.once("close", (status) => resolve(status ?? -1));
  });
  if (code !== null) assert.ok(answered > 0, `${JSON.stringify(answer)}: ${shown}`);
  return code;
}

describe("F3 answers without reading", () => {
  for (const question of QUESTIONS) {
    const { args, means, files = {}, prepare } = question;
    test(`${args.join(" ")} does nothing that was not meant`, async (t) => {
      const ends: (() => unknown)[] = [];
      t.after(() => Promise.all(ends.map((end) => end())));
      const folder = await temporaryFolder(t);
      for (const [at, answer] of ANSWERS.entries()) {
        const home = join(folder, String(at));
        await mkdir(home, { mode: 0o700 });
        for (const [name, text] of Object.entries(files)) await writeFile(join(home, name), text);
        await prepare?.(home, { after: (end) => ends.push(end) });
        const before = await stateOf(home);
        const code = await typed(question, answer, home);
        if (code === null) return t.skip("no script(1) here");
        const what = JSON.stringify(answer);
        if (means.includes(answer)) {
          assert.equal(code, 0, what);
          assert.notDeepEqual(await stateOf(home), before, what);
        } else {
          assert.notEqual(code, args[0] === "approve" ? -1 : 0, what);
          assert.deepEqual(await stateOf(home), before, what);
        }
      }
    });
  }
});
