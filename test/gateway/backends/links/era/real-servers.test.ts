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

const SERVER = programPath("era-modern-server");
const OVER: Readonly<Record<string, (t: TestContext, rig: EraRig) => Promise<RecordedLink>>> = {
  stdio: async (_t, rig) => rig.open(rig.stdio("era-modern-server")),
  http: async (t, rig) => rig.open(rig.http((await startHttpFixture(t, SERVER)).url)),
};

const accept = (name: string): JsonObject => ({ action: "accept", content: { name } });

async function temporaryFile(t: TestContext, name: string, text: string): Promise<string> {
  const file = path.join(await temporaryFolder(t), name);
  await writeFile(file, text);
  return file;
}

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
    assert.ok(Array.isArray(tools) && tools.length === 12);
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

test("D5 stdio: a server that speaks both is spoken with in 2025-11-25, and its tools can ask", async (t) => {
  const rig = createEraRig(t);
  const recorded = rig.open(rig.stdio("era-modern-server", ["both"]));
  assert.equal((await initialize(recorded))["protocolVersion"], "2025-11-25");
  const call = callTool(recorded, "ask_as_before");
  const question = await eventually(() =>
    recorded.received
      .map(({ message }) => message)
      .find((one) => isJsonObject(one) && one["method"] !== undefined),
  );
  assert.ok(isJsonObject(question) && question["method"] === "elicitation/create");
  answer(recorded, question, accept("Ada"));
  assert.deepEqual(textOf(await call.reply), accept("Ada"));
});

test("D5 stdio: a server that speaks both is spoken with in 2026-07-28 where its section says so", async (t) => {
  const rig = createEraRig(t, { isPinned: true });
  const recorded = rig.open(rig.stdio("era-modern-server", ["both"]));
  assert.equal((await initialize(recorded))["protocolVersion"], "2026-07-28");
  assert.deepEqual(textOf(await callTool(recorded, "echo", { a: 1 }).reply), { a: 1 });
  const older = rig.open(rig.stdio("era-modern-server", ["older"]));
  await assert.rejects(initialize(older), /does not speak 2026-07-28/);
});

test("D5 http: a server that speaks both gets each client's own version, side by side", async (t) => {
  const rig = createEraRig(t);
  const recorded = rig.open(rig.http((await startHttpFixture(t, SERVER, {}, { args: ["both"] })).url));
  assert.equal((await initialize(recorded))["protocolVersion"], "2026-07-28");
  const version = { params: { name: "version", arguments: {} } };
  assert.deepEqual(textOf(await callTool(recorded, "version").reply), "2025-11-25");
  const _meta = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  assert.deepEqual(
    textOf(await send(recorded, "tools/call", { ...version.params, _meta }).reply),
    "2026-07-28",
  );
  const { tools } = await recorded.ask("tools/list", { cursor: "rest" });
  assert.ok(Array.isArray(tools) && tools.length > 0);
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

for (const how of ["ends", "silent", "hangs", "garbage"]) {
  test(`D1 stdio: an older server that ${how} at an unknown first message is served at its first start`, async (t) => {
    const rig = createEraRig(t);
    const file = await temporaryFile(t, "starts", "");
    const recorded = rig.open(rig.stdio("era-odd-server", [how, file]));
    assert.equal((await initialize(recorded))["protocolVersion"], "2025-11-25");
    assert.deepEqual(await recorded.ask("echo", { a: 1 }), { method: "echo", params: { a: 1 } });
    await recorded.link.close();
    assert.equal((await readFile(file, "utf8")).split("\n").length - 1, 1);
  });
}

test("D1 stdio: a program that cannot start at all says why", async (t) => {
  const rig = createEraRig(t);
  const recorded = rig.open(rig.stdio("era-odd-server", ["crashes"]));
  recorded.link.send({ jsonrpc: "2.0", id: 1, method: "initialize", params: {} });
  assert.match((await recorded.untilClosed()).message, /MISSING_KEY is not set/);
});
