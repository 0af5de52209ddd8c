// The fixtures themselves, direct: what the suites behind the gateway take for granted.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { eventually } from "../support/eventually.ts";
import {
  CONFORMANCE_SERVER,
  LIGHT_SERVER,
  MISBEHAVING_SERVER,
  startHttpFixture,
} from "./fixture-programs.ts";
import { connectLight, LightError } from "./light-client.ts";
import { runConformance, SUITES, totals } from "./run-conformance.ts";

for (const suite of SUITES) {
  test(`the conformance fixture fails nothing of suite ${suite.version}`, async (t) => {
    const fixture = await startHttpFixture(t, CONFORMANCE_SERVER);
    const { passed, failed } = totals(await runConformance(t, suite, fixture.url));
    assert.equal(failed, 0);
    assert.equal(passed, suite.alone);
  });
}

test("the light server and client speak over HTTP: calls, progress, questions, notices", async (t) => {
  const fixture = await startHttpFixture(t, LIGHT_SERVER, {
    LIGHT_TOOLS: "250",
    LIGHT_PAGE: "100",
    LIGHT_PREFIX: "a_",
  });
  const asked: string[] = [];
  await using client = await connectLight(fixture.url, {
    capabilities: { roots: {} },
    onRequest(method) {
      asked.push(method);
      return { roots: [] };
    },
  });
  assert.equal(await client.call("a_echo", { text: "hello" }), "hello");
  const names = await client.tools();
  assert.equal(new Set(names).size, names.length);
  assert.ok(names.includes("a_tool_0249"));
  assert.equal(await client.call("a_tool_0249"), "tool_0249");
  const notices: unknown[] = [];
  await client.call(
    "a_progress",
    { steps: 2 },
    { meta: { progressToken: 7 }, onNotice: (notice) => notices.push(notice["method"]) },
  );
  assert.deepEqual(notices, ["notifications/progress", "notifications/progress"]);
  assert.equal(await client.call("a_ask", { method: "roots/list" }), '{"roots":[]}');
  assert.deepEqual(asked, ["roots/list"]);
  await client.listen();
  await client.call("a_offer", { tools: 3 });
  await eventually(() => client.notices.length === 1);
  assert.ok(!(await client.tools()).includes("a_tool_0003"));
  await assert.rejects(client.call("nothing"), LightError);
});

test("the light server cancels over stdio", async (t) => {
  const server = talk(t, LIGHT_SERVER, []);
  server.send({ id: 1, method: "tools/call", params: { name: "sleep", arguments: { ms: 60_000 } } });
  server.send({ method: "notifications/cancelled", params: { requestId: 1 } });
  assert.match(await server.line((line) => line.includes('"id":1')), /cancelled/u);
});

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
