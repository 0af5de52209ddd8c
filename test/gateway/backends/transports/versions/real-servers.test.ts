import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { isJsonObject, type JsonObject } from "../../../../../src/gateway/json-rpc.ts";
import { startHttpFixture } from "../../../../mcp/fixture-programs.ts";
import { assertEach } from "../../../../support/assert-each.ts";
import { eventually } from "../../../../support/eventually.ts";
import { temporaryFolder } from "../../../../support/temporary-folder.ts";
import { answer, callTool, createEraRig, initialize, programPath, send, textOf } from "./era-rig.ts";

const SERVER = programPath("era-modern-server");
const accept = (name: string): JsonObject => ({ action: "accept", content: { name } });

async function temporaryFile(t: TestContext, name: string, text: string): Promise<string> {
  const file = path.join(await temporaryFolder(t), name);
  await writeFile(file, text);
  return file;
}

test("D5 stdio: a server that speaks both is used in 2025-11-25, and its tools can ask", async (t) => {
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

test("D5 stdio: a server that speaks both is used in 2026-07-28 where its section says so", async (t) => {
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
  const { tools } = await recorded.ask("tools/list");
  assert.ok(Array.isArray(tools) && tools.length > 0);
});

test("D1 stdio: a server's version is detected at each start, and a change is reported", async (t) => {
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
  assertEach(rig.logger.lines, ({ fields }) => [fields["before"], fields["version"]], [
    [undefined, "2025-11-25"],
    ["2025-11-25", "2026-07-28"],
    ["2026-07-28", "2025-11-25"],
  ]);
});

for (const how of ["ends", "silent", "hangs", "garbage"]) {
  test(`D1 stdio: an older server that ${how} at an unknown first message is served at its first start`, async (t) => {
    const rig = createEraRig(t);
    const file = await temporaryFile(t, "starts", "");
    const recorded = rig.open(rig.stdio("link-echo", [how, file]));
    assert.equal((await initialize(recorded))["protocolVersion"], "2025-11-25");
    assert.deepEqual(await recorded.ask("echo", { a: 1 }), { method: "echo", params: { a: 1 } });
    await recorded.link.close();
    assert.equal((await readFile(file, "utf8")).split("\n").length - 1, 1);
  });
}

test("D1 stdio: a program that cannot start at all reports the reason", async (t) => {
  const rig = createEraRig(t);
  const recorded = rig.open(rig.stdio("link-echo", ["crashes"]));
  recorded.link.send({ jsonrpc: "2.0", id: 1, method: "initialize", params: {} });
  assert.match((await recorded.untilClosed()).message, /MISSING_KEY is not set/);
});
