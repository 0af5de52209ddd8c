// The fixtures themselves, direct: what the suites behind the gateway take for granted.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { MISBEHAVING_SERVER } from "./fixture-programs.ts";

const INITIALIZE = { id: 1, method: "initialize", params: { protocolVersion: "2025-11-25" } };
const LIST = { id: 2, method: "tools/list", params: { cursor: "4" } };
const CALL = { id: 3, method: "tools/call", params: { name: "work" } };

/** Mode, what it is sent, and what of its output shows the misbehaviour: a line with that, or as long as that. */
const SHOWN: readonly [string, readonly object[], string | number][] = [
  ["late-init", [INITIALIZE], "misbehaving-late-init"],
  ["flood-notices", [INITIALIZE], '"flood"'],
  ["garbage", [INITIALIZE], "Welcome"],
  ["big-result", [CALL], 20_000_000],
  ["list-fails", [LIST], "the list is broken"],
  ["endless-paging", [LIST], '"nextCursor":"5"'],
  ["repeated-cursor", [LIST], '"nextCursor":"again"'],
  ["slow-lists", [LIST], "work_4"],
];

for (const [mode, messages, shown] of SHOWN) {
  test(`the misbehaving server does: ${mode}`, async (t) => {
    const server = talk(t, MISBEHAVING_SERVER, [mode], { LATE_MS: "50" });
    for (const message of messages) server.send(message);
    await server.line((line) => (typeof shown === "number" ? line.length > shown : line.includes(shown)));
  });
}

for (const [mode, code] of [
  ["crash-start", 5],
  ["crash-call", 7],
] as const) {
  test(`the misbehaving server does: ${mode}`, async (t) => {
    const server = talk(t, MISBEHAVING_SERVER, [mode]);
    server.send(CALL);
    assert.equal(await server.ended, code);
  });
}

interface Talk {
  send(message: object): void;
  line(holds: (line: string) => boolean): Promise<string>;
  readonly ended: Promise<number | null>;
}

function talk(
  t: TestContext,
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Talk {
  const child: ChildProcess = spawn(process.execPath, [program, ...args], {
    env: { ...process.env, ...env },
    stdio: ["pipe", "pipe", "ignore"],
  });
  const ended = once(child, "exit").then(([code]) => code);
  t.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  const { stdin, stdout } = child;
  assert.ok(stdin !== null && stdout !== null);
  stdin.on("error", () => {});
  return {
    ended,
    send: (message) => void stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`),
    async line(holds) {
      for await (const line of createInterface({ input: stdout })) if (holds(line)) return line;
      throw new Error("it ended without that line");
    },
  };
}
