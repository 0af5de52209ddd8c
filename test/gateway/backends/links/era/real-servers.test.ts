import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { isJsonObject, type JsonObject } from "../../../../../src/gateway/json-rpc.ts";
import { eventually } from "../../../../support/eventually.ts";
import type { RecordedLink } from "../link-recorder.ts";
import {
  answer,
  asked,
  CAPABILITIES,
  callTool,
  createEraRig,
  type EraRig,
  initialize,
  send,
  startModernHttp,
  textOf,
} from "./era-rig.ts";

const OVER: Readonly<Record<string, (t: TestContext, rig: EraRig) => Promise<RecordedLink>>> = {
  stdio: async (_t, rig) => rig.open(rig.stdio("era-modern-server", ["stdio"])),
  http: async (t, rig) => rig.open(rig.http(await startModernHttp(t))),
};

async function temporaryFile(t: TestContext, name: string, text: string): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), "mt-era-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = path.join(folder, name);
  await writeFile(file, text);
  return file;
}

const accept = (name: string): JsonObject => ({ action: "accept", content: { name } });

function notices({ received }: RecordedLink, method: string): readonly unknown[] {
  return received.flatMap(({ message }) =>
    isJsonObject(message) && message["method"] === method ? [message["params"] ?? null] : [],
  );
}

for (const [transport, open] of Object.entries(OVER)) {
  test(`D2 ${transport}: a server of 2026-07-28 as an older one`, async (all) => {
    const rig = createEraRig(all);
    const recorded = await open(all, rig);
    const result = await initialize(recorded);
    const heard = (method: string): readonly unknown[] => notices(recorded, method);

    await all.test(
      `D1 ${transport}: a server of 2026-07-28 is initialized, listed, called and read like an older one`,
      async () => {
        assert.equal(result["protocolVersion"], "2026-07-28");
        assert.deepEqual(result["serverInfo"], { name: "era", version: "2" });
        assert.equal(result["instructions"], "Use it well.");
        assert.deepEqual(
          rig.logger.lines.map(({ message, fields }) => [message, fields["version"]]),
          [["a backend's protocol version was found", "2026-07-28"]],
        );
        const first = await recorded.ask("tools/list");
        assert.equal(first["nextCursor"], "rest");
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
      },
    );

    await all.test(
      `D2 ${transport}: one question, three at once and three rounds come as requests within the call`,
      async () => {
        const one = callTool(recorded, "ask");
        const [question] = await asked(recorded, one, 1);
        assert.equal(question?.["method"], "elicitation/create");
        answer(recorded, question, accept("Ada"));
        assert.deepEqual(textOf(await one.reply), { state: "s1", inputResponses: { who: accept("Ada") } });

        const three = callTool(recorded, "ask_three");
        const questions = await asked(recorded, three, 3);
        const results: Record<string, JsonObject> = {
          "elicitation/create": accept("Bo"),
          "sampling/createMessage": { role: "assistant", model: "m", content: { type: "text", text: "hi" } },
          "roots/list": { roots: [{ uri: "file:///tmp" }] },
        };
        for (const each of questions.toReversed())
          answer(recorded, each, results[String(each["method"])] ?? {});
        assert.deepEqual(textOf(await three.reply), {
          who: results["elicitation/create"],
          say: results["sampling/createMessage"],
          where: results["roots/list"],
        });

        const rounds = callTool(recorded, "ask_rounds");
        for (const nth of [1, 2, 3])
          answer(recorded, (await asked(recorded, rounds, nth))[nth - 1], accept(`${nth}`));
        assert.deepEqual(textOf(await rounds.reply), { done: 3, inputResponses: { q2: accept("3") } });
      },
    );

    await all.test(`D2 ${transport}: a page to open gets an id of its own, and is told as done`, async () => {
      const call = callTool(recorded, "ask_page");
      const [question] = await asked(recorded, call, 1);
      const params = question?.["params"];
      const { elicitationId, url } = isJsonObject(params) ? params : {};
      assert.equal(url, "https://example.com");
      assert.match(String(elicitationId), /^[0-9a-f-]{36}$/);
      answer(recorded, question, { action: "accept" });
      assert.deepEqual(textOf(await call.reply), { page: { action: "accept" } });
      assert.deepEqual(heard("notifications/elicitation/complete"), [{ elicitationId }]);
    });

    await all.test(
      `D2 ${transport}: what the client cannot do is an error of the tool that says so`,
      async () => {
        const sender = { sessionId: "session-1", capabilities: { roots: {} }, logLevel: null };
        const { result } = await callTool(recorded, "ask", {}, sender).reply;
        assert.ok(isJsonObject(result) && result["isError"] === true, JSON.stringify(result));
        assert.match(JSON.stringify(result), /the client does not declare elicitation/);
      },
    );

    await all.test(
      `D2 ${transport}: progress and logs of a call arrive, at the level that the client asked for`,
      async () => {
        const params = { name: "work", arguments: {}, _meta: { progressToken: 77 } };
        const sender = { sessionId: "session-1", capabilities: CAPABILITIES, logLevel: "info" as const };
        await send(recorded, "tools/call", params).reply;
        await eventually(() => heard("notifications/message").length === 2);
        await send(recorded, "tools/call", params, sender).reply;
        const logs = await eventually(() => {
          const all = heard("notifications/message");
          return all.length === 3 && all;
        });
        assert.deepEqual(
          logs.map((each) => isJsonObject(each) && each["level"]),
          ["info", "debug", "info"],
        );
        assert.equal(heard("notifications/progress").length, 2);
      },
    );

    await all.test(`D2 ${transport}: changed lists and resources are told outside of any call`, async () => {
      assert.deepEqual(await recorded.ask("resources/subscribe", { uri: "test://one" }), {});
      await callTool(recorded, "touch").reply;
      await callTool(recorded, "change").reply;
      await eventually(() => heard("notifications/tools/list_changed").length > 0);
      await eventually(() => heard("notifications/resources/updated").length > 0);
      assert.deepEqual(heard("notifications/resources/updated")[0], { uri: "test://one" });
      assert.deepEqual(await recorded.ask("resources/unsubscribe", { uri: "test://one" }), {});
    });

    await all.test(`D2 ${transport}: a list as structured content becomes an object`, async () => {
      await recorded.ask("tools/list", { cursor: "rest" });
      const { result } = await callTool(recorded, "numbers").reply;
      assert.deepEqual(isJsonObject(result) && result["structuredContent"], { result: [1, 2] });
    });

    await all.test(
      `D2 ${transport}: a request of a client of 2026-07-28 passes as it is, and so does its answer`,
      async () => {
        const _meta = {
          "io.modelcontextprotocol/protocolVersion": "2026-07-28",
          "io.modelcontextprotocol/clientCapabilities": { elicitation: { form: {} } },
          "io.modelcontextprotocol/clientInfo": { name: "theirs", version: "9" },
        };
        const params = { name: "ask", arguments: {}, _meta };
        const { result } = await send(recorded, "tools/call", params).reply;
        assert.ok(isJsonObject(result));
        assert.equal(result["resultType"], "input_required");
        assert.equal(result["requestState"], "s1");
        const retry = { ...params, requestState: "s1", inputResponses: { who: accept("Ada") } };
        const again = await send(recorded, "tools/call", retry).reply;
        assert.deepEqual(textOf(again), { state: "s1", inputResponses: { who: accept("Ada") } });
        assert.equal(isJsonObject(again["result"]) && again["result"]["resultType"], "complete");
      },
    );
  });
}

test("D2 stdio: a cancelled call is cancelled there, and the server goes on", async (t) => {
  const rig = createEraRig(t);
  const recorded = rig.open(rig.stdio("era-modern-server", ["stdio"]));
  await initialize(recorded);
  const call = callTool(recorded, "wait");
  recorded.link.send({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: call.id } });
  await eventually(() => recorded.logLines.includes("the call was cancelled"));
  assert.deepEqual(await recorded.ask("ping"), {});
});

test("D1 stdio: a crash within a call closes the link with its reason", async (t) => {
  const rig = createEraRig(t);
  const recorded = rig.open(rig.stdio("era-modern-server", ["stdio"]));
  await initialize(recorded);
  callTool(recorded, "crash");
  assert.match((await recorded.untilClosed()).message, /exit code 7/);
});

test("D5 stdio: a server that speaks both is spoken with in 2025-11-25, and its tools can ask", async (t) => {
  const rig = createEraRig(t);
  const recorded = rig.open(rig.stdio("era-modern-server", ["stdio", "both"]));
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
  const recorded = rig.open(rig.stdio("era-modern-server", ["stdio", "both"]));
  assert.equal((await initialize(recorded))["protocolVersion"], "2026-07-28");
  assert.deepEqual(textOf(await callTool(recorded, "echo", { a: 1 }).reply), { a: 1 });
  const older = rig.open(rig.stdio("era-modern-server", ["stdio", "older"]));
  await assert.rejects(initialize(older), /does not speak 2026-07-28/);
});

test("D5 http: a server that speaks both gets each client's own version, side by side", async (t) => {
  const rig = createEraRig(t);
  const recorded = rig.open(rig.http(await startModernHttp(t, "both")));
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
  const open = rig.stdio("era-modern-server", ["stdio"], { SPEAKS_FILE: file });
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
