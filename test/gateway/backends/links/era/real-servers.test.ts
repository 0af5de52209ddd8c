import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { isJsonObject, type JsonObject } from "../../../../../src/gateway/json-rpc.ts";
import { startHttpFixture } from "../../../../mcp/fixture-programs.ts";
import { eventually } from "../../../../support/eventually.ts";
import { temporaryFolder } from "../../../../support/temporary-folder.ts";
import type { RecordedLink } from "../link-recorder.ts";
import {
  answer,
  asked,
  callTool,
  createEraRig,
  type EraRig,
  initialize,
  programPath,
  send,
  textOf,
} from "./era-rig.ts";

const OVER: Readonly<Record<string, (t: TestContext, rig: EraRig) => Promise<RecordedLink>>> = {
  stdio: async (_t, rig) => rig.open(rig.stdio("era-modern-server")),
  http: async (t, rig) =>
    rig.open(rig.http((await startHttpFixture(t, programPath("era-modern-server"))).url)),
};

async function temporaryFile(t: TestContext, name: string, text: string): Promise<string> {
  const file = path.join(await temporaryFolder(t), name);
  await writeFile(file, text);
  return file;
}

const accept = (name: string): JsonObject => ({ action: "accept", content: { name } });

for (const [transport, open] of Object.entries(OVER)) {
  test(`D1 D2 ${transport}: a server of 2026-07-28 is listed, called and asks like an older one`, async (t) => {
    const rig = createEraRig(t);
    const recorded = await open(t, rig);
    const result = await initialize(recorded);
    assert.equal(result["protocolVersion"], "2026-07-28");
    assert.deepEqual(result["serverInfo"], { name: "era", version: "2" });
    assert.equal(result["instructions"], "Use it well.");
    assert.deepEqual(
      rig.logger.lines.map(({ message, fields }) => [message, fields["version"]]),
      [["a backend's protocol version was found", "2026-07-28"]],
    );
    assert.equal((await recorded.ask("tools/list"))["nextCursor"], "rest");
    const { tools } = await recorded.ask("tools/list", { cursor: "rest" });
    assert.ok(Array.isArray(tools) && tools.length === 10);
    assert.deepEqual(textOf(await callTool(recorded, "echo", { a: "ü" }).reply), { a: "ü" });
    const { result: called } = await callTool(recorded, "région", { place: " Zürich " }).reply;
    assert.ok(isJsonObject(called) && called["isError"] !== true, JSON.stringify(called));
    assert.equal("resultType" in called, false);
    const read = await recorded.ask("resources/read", { uri: "test://one" });
    assert.deepEqual(read, { contents: [{ uri: "test://one", text: "one" }] });
    assert.deepEqual(Object.keys(await recorded.ask("prompts/get", { name: "greet" })), ["messages"]);
    assert.deepEqual(await recorded.ask("ping"), {});
    assert.deepEqual(await recorded.ask("logging/setLevel", { level: "debug" }), {});
    const missing = await send(recorded, "resources/nothing", {}).reply;
    assert.equal(isJsonObject(missing["error"]) && missing["error"]["code"], -32601);
    const rounds = callTool(recorded, "ask_rounds");
    for (const nth of [1, 2, 3])
      answer(recorded, (await asked(recorded, rounds, nth))[nth - 1], accept(`${nth}`));
    assert.deepEqual(textOf(await rounds.reply), { done: 3, inputResponses: { q2: accept("3") } });
  });
}

test("D2 stdio: a cancelled call is cancelled there, and the server goes on", async (t) => {
  const rig = createEraRig(t);
  const recorded = rig.open(rig.stdio("era-modern-server"));
  await initialize(recorded);
  const call = callTool(recorded, "wait");
  recorded.link.send({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: call.id } });
  await eventually(() => recorded.logLines.includes("the call was cancelled"));
  assert.deepEqual(await recorded.ask("ping"), {});
});

test("D1 stdio: a crash within a call closes the link with its reason", async (t) => {
  const rig = createEraRig(t);
  const recorded = rig.open(rig.stdio("era-modern-server"));
  await initialize(recorded);
  callTool(recorded, "crash");
  assert.match((await recorded.untilClosed()).message, /exit code 7/);
});

test("D1 stdio: a server that speaks both is spoken with in 2026-07-28", async (t) => {
  const rig = createEraRig(t);
  const recorded = rig.open(rig.stdio("era-modern-server", ["both"]));
  assert.equal((await initialize(recorded))["protocolVersion"], "2026-07-28");
  assert.deepEqual(textOf(await callTool(recorded, "echo", { a: 1 }).reply), { a: 1 });
});

test("D1 stdio: a server that speaks both is so spoken with, too, when it is slow at its start", async (t) => {
  const rig = createEraRig(t);
  const open = rig.stdio("era-modern-server", ["both"], { LATE_MS: "3000" });
  assert.equal((await initialize(rig.open(open)))["protocolVersion"], "2026-07-28");
  assert.ok(rig.memory.isLate("key"));
  assert.equal(rig.memory.isUnprobed("key"), false);
});

test("D1 stdio: what a server speaks is looked for at each start, and a change is told", async (t) => {
  const rig = createEraRig(t);
  const file = await temporaryFile(t, "speaks", "older");
  const open = rig.stdio("era-modern-server", [], { SPEAKS_FILE: file });
  const versions: unknown[] = [];
  for (const speaks of ["older", "modern", "older"]) {
    await writeFile(file, speaks);
    const recorded = rig.open(open);
    versions.push((await initialize(recorded))["protocolVersion"]);
    await recorded.link.close();
  }
  assert.deepEqual(versions, ["2025-11-25", "2026-07-28", "2025-11-25"]);
  assert.deepEqual(
    rig.logger.lines.map(({ fields }) => [fields["before"], fields["version"]]),
    [
      [undefined, "2025-11-25"],
      ["2025-11-25", "2026-07-28"],
      ["2026-07-28", "2025-11-25"],
    ],
  );
});

for (const [how, startsFirst, startsLater] of [
  ["ends", 2, 1],
  ["silent", 1, 1],
  ["hangs", 2, 1],
  ["garbage", 1, 1],
] as const) {
  test(`D1 stdio: an older server that ${how} at an unknown first message is served, and the next start knows it`, async (t) => {
    const rig = createEraRig(t);
    const file = await temporaryFile(t, "starts", "");
    const open = rig.stdio("era-odd-server", [how, file]);
    const starts = async (): Promise<number> => (await readFile(file, "utf8")).split("\n").length - 1;
    const recorded = rig.open(open);
    assert.equal((await initialize(recorded))["protocolVersion"], "2025-11-25");
    assert.deepEqual(await recorded.ask("echo", { a: 1 }), { method: "echo", params: { a: 1 } });
    await recorded.link.close();
    assert.equal(await starts(), startsFirst);
    assert.ok(rig.memory.isUnprobed("key"));
    const later = rig.open(open);
    await initialize(later);
    assert.equal(await starts(), startsFirst + startsLater);
  });
}

test("D1 stdio: a program that ends at each start is started once each time, with a probe and without by turns", async (t) => {
  const rig = createEraRig(t);
  const file = await temporaryFile(t, "starts", "");
  const starts = async (): Promise<number> => (await readFile(file, "utf8")).split("\n").length - 1;
  const endsAtStart = async (how: string): Promise<void> => {
    const recorded = rig.open(rig.stdio("era-odd-server", [how, file]));
    recorded.link.send({ jsonrpc: "2.0", id: 1, method: "initialize", params: {} });
    await recorded.untilClosed();
  };
  const seen: number[] = [];
  for (let attempt = 0; attempt < 3; attempt++) {
    await endsAtStart("crashes");
    seen.push(await starts());
  }
  assert.deepEqual(seen, [2, 3, 4]);
  // What ailed it is mended; a probe ends it as ever.
  await endsAtStart("ends");
  const open = rig.stdio("era-odd-server", ["ends", file]);
  assert.equal((await initialize(rig.open(open)))["protocolVersion"], "2025-11-25");
  assert.equal(await starts(), 6);
  await initialize(rig.open(open));
  assert.equal(await starts(), 8, "nothing is known against the probe any more");
  for (const attempt of [1, 2]) {
    const mended = createEraRig(t);
    const crashes = mended.stdio("era-odd-server", ["crashes", file]);
    for (let failed = 0; failed < attempt; failed++) {
      const recorded = mended.open(crashes);
      recorded.link.send({ jsonrpc: "2.0", id: 1, method: "initialize", params: {} });
      await recorded.untilClosed();
    }
    const modern = mended.open(mended.stdio("era-modern-server"));
    assert.equal((await initialize(modern))["protocolVersion"], "2026-07-28", `after ${attempt} attempts`);
  }
});

test("D1 stdio: a program that cannot start at all is told as before, and not remembered", async (t) => {
  const rig = createEraRig(t);
  const recorded = rig.open(rig.stdio("era-odd-server", ["crashes"]));
  recorded.link.send({ jsonrpc: "2.0", id: 1, method: "initialize", params: {} });
  assert.match((await recorded.untilClosed()).message, /MISSING_KEY is not set/);
  assert.equal(rig.memory.isUnprobed("key"), false);
});
