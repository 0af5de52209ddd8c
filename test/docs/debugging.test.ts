// CONTRIBUTING.md's "Debug a running daemon", tried.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type TestContext, test } from "node:test";
import { COMMAND, environmentOf } from "../cli/command-line.ts";
import { collect } from "../support/collect.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const ROOT = resolve(import.meta.dirname, "../..");

async function startMonitor(t: TestContext, [program = "", ...args]: readonly string[], options: string) {
  const home = await temporaryFolder(t);
  const env = environmentOf({ home, env: { NODE_OPTIONS: options, MOUNTAINEER_DEBUG: "1" } });
  const child = spawn(program, [...args, "monitor"], { cwd: ROOT, env, stdio: ["ignore", "pipe", "pipe"] });
  const { stdout, stderr, ended } = collect(child);
  t.after(async () => {
    child.kill();
    await ended;
  });
  await eventually(() => / running /.test(stdout() + stderr()));
  return { child, debuggerUrl: () => eventually(() => /ws:\/\/127\.0\.0\.1:\S+/.exec(stderr())?.[0]) };
}

/** The files that a debugger sees: URL and source map. */
async function scriptsAt(url: string): Promise<Map<string, string>> {
  const scripts = new Map<string, string>();
  const socket = new WebSocket(url);
  const enabled = new Promise<void>((done, fail) => {
    socket.onerror = () => fail(new Error(`no debugger at ${url}`));
    socket.onopen = () => socket.send(JSON.stringify({ id: 1, method: "Debugger.enable" }));
    socket.onmessage = ({ data }) => {
      const { id, params } = JSON.parse(String(data));
      if (id === 1) done();
      else if (typeof params?.url === "string") scripts.set(params.url, params.sourceMapURL);
    };
  });
  await enabled;
  socket.close();
  return scripts;
}

test("a daemon from the sources shows them to a debugger as they are", async (t) => {
  const document = await readFile(join(ROOT, "CONTRIBUTING.md"), "utf8");
  assert.match(document, /^bin\/with-node --inspect src\/cli\/main\.ts monitor$/m);
  const args = [process.execPath, "--inspect=127.0.0.1:0", join(ROOT, "src/cli/main.ts")];
  const { debuggerUrl } = await startMonitor(t, args, "");
  const scripts = await scriptsAt(await debuggerUrl());
  assert.ok(scripts.has(`file://${join(ROOT, "src/cli/main.ts")}`));
});

test("a build's daemon opens its debugger on SIGUSR1, and its files name their source maps", async (t) => {
  const document = await readFile(join(ROOT, "CONTRIBUTING.md"), "utf8");
  assert.match(document, /^kill -USR1 PID$/m);
  const { child, debuggerUrl } = await startMonitor(t, COMMAND, "--inspect-port=127.0.0.1:0");
  child.kill("SIGUSR1");
  const scripts = await scriptsAt(await debuggerUrl());
  const [main] = [...scripts].filter(([url]) => url.endsWith("/main.js"));
  assert.equal(main?.[1], "main.js.map");
});

test("with source maps read, stacks name the sources", async (t) => {
  const document = await readFile(join(ROOT, "CONTRIBUTING.md"), "utf8");
  assert.match(document, /^NODE_OPTIONS=--enable-source-maps MOUNTAINEER_DEBUG=1 bin\/mountaineer monitor$/m);
  const [program = "", ...args] = COMMAND;
  const home = await temporaryFolder(t);
  const env = environmentOf({
    home,
    env: { NODE_OPTIONS: "--enable-source-maps", MOUNTAINEER_DEBUG: "1" },
  });
  const child = spawn(program, [...args, "monitor", "--config", join(home, "gone.toml")], {
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const { stderr } = await collect(child).ended;
  assert.match(stderr, /\(\S*\/src\/\S+\.ts:\d+:\d+\)/);
});
