import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { LIST_CHANGED, loopGuard } from "../../../../src/gateway/protocol.ts";
import { assertEach } from "../../../support/assert-each.ts";
import { settle } from "../../../support/manual-clock.ts";
import { FAILURE, INITIALIZED, toolOf } from "../programs/instance-scripted-link.ts";
import { createTestClient } from "../programs/instance-test-client.ts";
import { startReady, startUnderTest, type UnderTest } from "../programs/instance-under-test.ts";

const OK = { result: { content: [] } };

function failureOf({ instance }: UnderTest): string | null {
  const { state } = instance.observed;
  return state.kind === "ended" ? state.failure.message : null;
}

function hintOf({ instance }: UnderTest): string | null {
  const { state } = instance.observed;
  return state.kind === "ended" ? state.failure.hint : null;
}

/** First lines of what fetches a server before it starts it. */
const FETCHING = [
  "npm warn exec The following package was not found and will be installed: x@1.0.0",
  "Unable to find image 'acme/notes:latest' locally",
  "Trying to pull docker.io/acme/notes:latest...",
  "Creating virtual environment at: .venv",
  "Download https://jsr.example/@acme/notes",
  "go: downloading github.com/acme/notes v1.2.0",
  "    Updating crates.io index",
  "Progress: resolved 1, reused 0, downloaded 0, added 0",
];

describe("a client's notifications to the server", () => {
  const ROOTS_CHANGED = "notifications/roots/list_changed";
  const told = ({ link }: UnderTest): unknown[] =>
    link.received.filter((message) => "method" in message && message.method === ROOTS_CHANGED);

  test("reaches it unchanged during a session, and is dropped before one", async () => {
    const starting = startUnderTest({}, { initialize: null });
    starting.instance.notify(ROOTS_CHANGED, undefined);
    await settle();
    assert.deepEqual(told(starting), []);
    const ready = await startReady();
    ready.instance.notify(ROOTS_CHANGED, undefined);
    ready.instance.notify(ROOTS_CHANGED, { _meta: { x: 1 } });
    assert.deepEqual(told(ready), [
      { jsonrpc: "2.0", method: ROOTS_CHANGED },
      { jsonrpc: "2.0", method: ROOTS_CHANGED, params: { _meta: { x: 1 } } },
    ]);
  });
});

describe("starting", () => {
  test("B7 it is ready only when every list that the server declares has been read", async () => {
    const { instance, link, counts } = startUnderTest({}, { "prompts/list": null });
    assert.deepEqual([counts.seen, instance.observed.state.kind], [0, "starting"]);
    await settle();
    assert.deepEqual([instance.observed.state.kind, instance.listings], ["starting", null]);
    assert.deepEqual(instance.initializeResult?.serverInfo, { name: "scripted", version: "1.2.3" });
    link.answerTo("prompts/list", { result: { prompts: [{ name: "p" }] } });
    await settle();
    assert.equal(instance.observed.state.kind, "ready");
    assert.deepEqual(instance.listings, {
      tools: [toolOf("one")],
      resources: [{ uri: "a://1", name: "1" }],
      resourceTemplates: [],
      prompts: [{ name: "p" }],
    });
    assert.deepEqual(link.established, ["2025-11-25"]);
    assert.deepEqual(
      link.received.slice(0, 2).map((message) => ("method" in message ? message.method : null)),
      ["initialize", "notifications/initialized"],
    );
    assert.deepEqual([counts.seen, counts.listings], [1, 0]);
  });
  test("a shared instance declares everything that any client may have, one with an owner exactly the owner's", async () => {
    const shared = await startReady({ extensions: () => ({ "com.example/all": {} }) });
    const { _meta, ...said } = shared.link.requests("initialize")[0]?.params ?? {};
    assert.deepEqual(_meta, loopGuard());
    assert.deepEqual(said, {
      protocolVersion: "2025-11-25",
      capabilities: {
        sampling: { tools: {}, context: {} },
        elicitation: { form: {}, url: {} },
        roots: { listChanged: true },
        extensions: {
          "com.example/all": {},
          "io.modelcontextprotocol/ui": { mimeTypes: ["text/html;profile=mcp-app"] },
          "io.modelcontextprotocol/skills": {},
        },
      },
      clientInfo: { name: "mountaineer", version: "0.0.0" },
    });
    const owner = createTestClient("a", { roots: {}, experimental: { x: 1 } });
    const owned = await startReady({ owner });
    assert.deepEqual(owned.link.requests("initialize")[0]?.params?.["capabilities"], owner.capabilities);
  });
  test("lists that the server does not declare are not requested", async () => {
    const { instance, link } = await startReady(
      {},
      { initialize: { protocolVersion: "2024-11-05", capabilities: { logging: {} } } },
    );
    assert.deepEqual([link.received.length, instance.initializeResult?.protocolVersion], [2, "2024-11-05"]);
    assert.deepEqual(instance.initializeResult?.serverInfo, { name: "files", version: "" });
    assert.deepEqual(instance.listings?.tools, []);
  });
  test("a version that the gateway does not speak ends it, with both versions named", async () => {
    const { instance, link } = startUnderTest(
      {},
      { initialize: { protocolVersion: "1999-01-01", capabilities: {} } },
    );
    await settle();
    const { state } = instance.observed;
    assert.ok(state.kind === "ended" && !state.wasReady);
    assert.equal(state.failure.kind, "protocol");
    assert.match(state.failure.message, /1999-01-01.*2025-11-25, 2025-06-18, 2025-03-26, 2024-11-05/);
    assert.equal(link.closed, true);
  });
  for (const [title, prepare, kind] of [
    [
      "initialize answered with an error",
      { initialize: { error: { code: -1, message: "no\u001b[31m" } } },
      "protocol",
    ],
    ["a request that the link could not carry", { "tools/list": FAILURE("refused") }, "refused"],
  ] as const) {
    test(`B7 ${title} ends it before it was ready`, async () => {
      const { instance } = startUnderTest({}, (link) => {
        for (const [method, answer] of Object.entries(prepare)) link.answers.set(method, () => answer);
      });
      await settle();
      const { state } = instance.observed;
      assert.ok(state.kind === "ended" && !state.wasReady, JSON.stringify(state));
      assert.equal(state.failure.kind, kind);
      assert.equal(state.failure.message.includes("\u001b"), false);
    });
  }
  for (const [title, answer, reason] of [
    [
      "is answered with an error",
      { error: { code: -32603, message: "x" } },
      "tools/list was answered with error -32603: x",
    ],
    ["is answered without a list", { result: {} }, "tools/list was answered without a list of tools"],
    [
      "ends in nothing",
      { result: { tools: [], nextCursor: "c" } },
      "tools/list gives the same page again and again",
    ],
    [
      "is too long",
      { result: { tools: Array.from({ length: 3_001 }, () => 1) } },
      "tools/list gives more than 3000 entries",
    ],
  ] as const) {
    test(`D3 a list that ${title} leaves the others in use, and is read later`, async () => {
      const { instance, link, clock } = startUnderTest({}, (link) =>
        link.answers.set("tools/list", () => answer),
      );
      await settle();
      assert.equal(instance.observed.state.kind, "ready");
      assert.equal(instance.observed.listsStaleBecause, reason);
      assert.deepEqual(instance.listings?.tools, []);
      assert.deepEqual(instance.listings?.resources, [{ uri: "a://1", name: "1" }]);
      link.gives("tools/list", { tools: [toolOf("one")] });
      await clock.advance(1_000);
      instance.refresh();
      await settle();
      assert.equal(instance.observed.listsStaleBecause, null);
      assert.deepEqual(instance.listings?.tools, [toolOf("one")]);
    });
  }
  test("D3 D9 a list that is never answered leaves the others in use", async () => {
    const { instance, clock } = startUnderTest({}, { "prompts/list": null });
    await clock.advance(10_000);
    assert.equal(instance.observed.state.kind, "ready");
    assert.equal(instance.observed.listsStaleBecause, "no answer to prompts/list within 10 s");
    assert.equal(instance.listings?.tools.length, 1);
  });
  test("D3 a server of which no list can be read does not start", async () => {
    const { instance } = startUnderTest({}, (link) => {
      for (const method of ["tools/list", "resources/list", "resources/templates/list", "prompts/list"])
        link.refuses(method, "x");
    });
    await settle();
    const { state } = instance.observed;
    assert.ok(state.kind === "ended" && !state.wasReady, JSON.stringify(state));
    assert.equal(state.failure.message, "tools/list was answered with error -32603: x");
  });
  test("D3 a fault in a list is reported even if the next list fails", async () => {
    const { instance, logger } = startUnderTest({}, (link) => {
      const resources = [{ uri: "a://1", size: "1" }];
      link.gives("resources/list", { resources });
      link.refuses("resources/templates/list", "x");
    });
    await settle();
    assert.match(instance.observed.listsStaleBecause ?? "", /templates/);
    const told = logger.lines.filter(({ message }) => message.startsWith("malformed entries"));
    assert.deepEqual(
      told.map(({ fields }) => fields["entries"]),
      [['resource "a://1": name is missing, size is "1", not a number']],
    );
  });
  test("D3 malformed entries are repaired or withheld; a withheld one is reported once, until it is sound", async () => {
    const broken = { name: "broken", inputSchema: { type: "string" } };
    const { instance, link, clock, logger, counts } = startUnderTest(
      {},
      { "tools/list": { tools: [{ name: "bare", title: null }, broken, toolOf("one")] } },
    );
    await settle();
    assert.deepEqual(instance.listings?.tools, [toolOf("bare"), toolOf("one")]);
    assert.deepEqual(instance.observed.withheldEntries, [
      'tool "broken" is withheld: inputSchema.type is "string", not "object"',
    ]);
    const seenBefore = counts.seen;
    await clock.advance(1_000);
    link.notify(LIST_CHANGED.tools);
    await settle();
    assert.equal(counts.seen, seenBefore, "the same again is no news");
    const told = logger.lines.filter(({ message }) => message.startsWith("malformed entries"));
    assert.deepEqual(
      told.map(({ level, fields }) => [level, fields["entries"]]),
      [
        ["warn", ['tool "broken": inputSchema.type is "string", not "object"']],
        ["info", ['tool "bare": title is null, inputSchema is missing']],
      ],
    );
    link.gives("tools/list", { tools: [toolOf("broken")] });
    await clock.advance(1_000);
    link.notify(LIST_CHANGED.tools);
    await settle();
    assert.deepEqual(instance.observed.withheldEntries, []);
    assert.deepEqual(instance.listings?.tools, [toolOf("broken")]);
    assert.equal(counts.seen, seenBefore + 1);
  });
  test("initialize and each list have their deadlines; initialize is not cancelled, lists are", async () => {
    const silent = startUnderTest({}, { initialize: null });
    await silent.clock.advance(14_999);
    assert.equal(silent.instance.observed.state.kind, "starting");
    await silent.clock.advance(1);
    assert.equal(failureOf(silent), "no answer to initialize within 15 s");
    assert.deepEqual(silent.link.told("notifications/cancelled"), []);
    const slow = startUnderTest({}, { "tools/list": null, "resources/list": null, "prompts/list": null });
    await slow.clock.advance(10_000);
    assert.deepEqual([failureOf(slow), slow.clock.pendingTimers], ["no answer to tools/list within 10 s", 0]);
  });
  for (const line of FETCHING)
    test(`D6 a program that writes "${line.slice(0, 20)}…" has five minutes until its first output`, async () => {
      const start = (fetchMs: number) => startUnderTest({ silentMs: 45_000, fetchMs }, { initialize: null });
      const fetching = start(300_000);
      await fetching.clock.advance(1_000);
      fetching.link.log(line);
      await fetching.clock.advance(298_999);
      assert.equal(fetching.instance.observed.state.kind, "starting");
      await fetching.clock.advance(1);
      assert.equal(failureOf(fetching), "no answer to initialize within 300 s");
      assert.match(hintOf(fetching) ?? "", /raise `timeouts\.init` of server files/);
      const talking = start(300_000);
      talking.link.log(line);
      await talking.clock.advance(200_000);
      talking.link.notify("notifications/message", {});
      await talking.clock.advance(15_000);
      assert.deepEqual(
        [failureOf(talking), talking.clock.pendingTimers],
        ["no answer to initialize within 15 s", 0],
      );
      const limited = start(0);
      limited.link.log(line);
      await limited.clock.advance(15_000);
      assert.equal(failureOf(limited), "no answer to initialize within 15 s");
    });
  test("D6 a silent program has a minute, and one that answers in it serves", async () => {
    const start = () => startUnderTest({ silentMs: 45_000, fetchMs: 300_000 }, { initialize: null });
    const silent = start();
    await silent.clock.advance(59_999);
    assert.equal(silent.instance.observed.state.kind, "starting");
    await silent.clock.advance(1);
    assert.equal(failureOf(silent), "no answer to initialize within 60 s");
    assert.match(
      hintOf(silent) ?? "",
      /has written nothing.*cannot reach their registry.*HTTPS_PROXY.*backend_defaults\.env/,
    );
    const late = start();
    await late.clock.advance(55_000);
    late.link.answerTo("initialize", INITIALIZED);
    await settle();
    assert.equal(late.instance.observed.state.kind, "ready");
  });
  test("all pages are read, nameless entries are skipped and logged once", async () => {
    const { instance, link, logger } = await startReady({}, (link) =>
      link.answers.set("tools/list", ({ params }) => {
        const page = Number(params?.["cursor"] ?? 0);
        const tools = [{ name: `t${page}` }, { title: "nameless" }, null];
        return { result: page < 4 ? { tools, nextCursor: String(page + 1) } : { tools, nextCursor: "" } };
      }),
    );
    assertEach(instance.listings?.tools, (tool) => tool["name"], ["t0", "t1", "t2", "t3", "t4"]);
    assert.equal(link.requests("tools/list").length, 5);
    assert.equal(link.requests("tools/list")[0]?.params, undefined);
    assert.equal(logger.lines.filter(({ message }) => /without a name/.test(message)).length, 1);
  });
  test("a requested log level is set before it is ready; missing templates are an empty list", async () => {
    const { instance, link } = startUnderTest({ logLevel: "debug" }, (link) => {
      link.answers.delete("resources/templates/list");
      link.hangs("logging/setLevel");
    });
    await settle();
    assert.equal(instance.observed.state.kind, "starting");
    link.answerTo("logging/setLevel", { error: { code: -32602, message: "no" } });
    await settle();
    assert.equal(instance.observed.state.kind, "ready");
  });
  test("a level and a subscription that arrive during the start reach the server as soon as it is ready", async () => {
    const { instance, link } = startUnderTest({ logLevel: "info" }, { "prompts/list": null });
    await settle();
    instance.setLogLevel("debug");
    instance.adopt(new Map([["a://1", new Set([createTestClient("a")])]]));
    assert.equal(link.requests("resources/subscribe").length, 0);
    link.answerTo("prompts/list", { result: { prompts: [] } });
    await settle();
    assert.deepEqual(
      link.requests("logging/setLevel").map(({ params }) => params?.["level"]),
      ["info", "debug"],
    );
    assert.equal(link.requests("resources/subscribe").length, 1);
  });
  test("while it starts a ping is answered, and a question without a known client is refused", async () => {
    const { link, instance } = startUnderTest({}, { initialize: null });
    await settle();
    instance.check();
    assert.deepEqual(link.requests("ping"), [], "nothing may come before initialize is answered");
    link.ask("p", "ping");
    link.ask("r", "roots/list");
    assert.deepEqual(link.replyTo("p"), { result: {} });
    assert.deepEqual(link.replyTo("r"), {
      error: {
        code: -32600,
        message: 'the client that this belongs to is unknown; set instances = "per-client" for server files',
      },
    });
  });
  test("a process that dies during the start ends it", async () => {
    const { instance, link, counts } = startUnderTest({}, { initialize: null });
    link.die(FAILURE("closed", "exited with 1"));
    assert.deepEqual(instance.observed.state, {
      kind: "ended",
      wasReady: false,
      failure: FAILURE("closed", "exited with 1"),
    });
    await settle();
    assert.equal(counts.seen, 1);
  });
});

describe("calls", () => {
  test("results and errors pass as the same objects, and the ids are the instance's own", async () => {
    const { call, link, instance } = await startReady();
    const a = createTestClient("a").call("its-own-id");
    const params = { name: "one", arguments: { deep: [1] }, _meta: { traceparent: "t" } };
    const first = call(a, params);
    assert.equal(link.requests("tools/call")[0]?.params, params);
    assert.equal(instance.observed.inFlight, 1);
    const result = { content: [], isError: true };
    link.answer(first.id, { result });
    const reply = await first.reply;
    assert.ok("result" in reply && reply.result === result);
    assert.equal(instance.observed.inFlight, 0);
    const second = call(a);
    const error = { code: -32002, message: "not found", data: { uri: "x" } };
    link.answer(second.id, { error });
    const failed = await second.reply;
    assert.ok("error" in failed && failed.error === error);
  });
  test("progress tokens are the instance's own towards the server, and the client's towards the client", async () => {
    const { call, link } = await startReady();
    const a = createTestClient("a").call(1);
    const b = createTestClient("b").call(1);
    const params = { name: "one", _meta: { progressToken: "same", other: { x: 1 } } };
    const first = call(a, params);
    const second = call(b, params);
    const without = call(createTestClient("c").call(1));
    assert.deepEqual(link.requests("tools/call")[0]?.params, {
      name: "one",
      _meta: { progressToken: first.id, other: { x: 1 } },
    });
    link.notify("notifications/progress", { progressToken: second.id, progress: 1, message: "m" });
    link.notify("notifications/progress", { progressToken: without.id, progress: 1 });
    link.notify("notifications/progress", { progressToken: "same", progress: 1 });
    link.notify("notifications/progress", { progress: 1 });
    assert.deepEqual(a.told, []);
    assert.deepEqual(b.told, [
      {
        method: "notifications/progress",
        params: { progressToken: "same", progress: 1, message: "m" },
      },
    ]);
    link.answer(second.id, OK);
    link.notify("notifications/progress", { progressToken: second.id, progress: 2 });
    assert.equal(b.told.length, 1);
  });
  test("a call times out unless progress arrives, and the server is notified", async () => {
    const { call, link, clock } = await startReady();
    const port = createTestClient("a").call(1);
    const { id, reply } = call(port, { _meta: { progressToken: 0 } }, { timeoutMs: 60_000 });
    await clock.advance(59_000);
    link.notify("notifications/progress", { progressToken: id, progress: 1 });
    await clock.advance(59_999);
    assert.deepEqual([port.told.length, port.told[0]?.params?.["progressToken"]], [1, 0]);
    assert.deepEqual(link.told("notifications/cancelled"), []);
    await clock.advance(1);
    const reason = "server files did not answer within 60 s";
    const message = `${reason}; to wait longer: mountaineer config set backends.files.timeouts.call 600`;
    assert.deepEqual(await reply, { error: { code: -32001, message } });
    assert.deepEqual(link.told("notifications/cancelled"), [{ requestId: id, reason }]);
    link.answer(id, OK);
    assert.equal(clock.pendingTimers, 0);
  });
  test("a cancelled call is cancelled at the server with its reason; a late answer is dropped", async () => {
    const { call, link } = await startReady();
    const abort = new AbortController();
    const { id, reply } = call(createTestClient("a").call(1), {}, { signal: abort.signal });
    abort.abort("the person pressed stop");
    assert.ok("error" in (await reply));
    assert.deepEqual(link.told("notifications/cancelled"), [
      { requestId: id, reason: "the person pressed stop" },
    ]);
    const failing = new AbortController();
    const failed = call(createTestClient("a").call(2), {}, { signal: failing.signal });
    failing.abort(new Error("the\nline broke"));
    assert.ok("error" in (await failed.reply));
    assert.deepEqual(link.told("notifications/cancelled").at(-1), {
      requestId: failed.id,
      reason: "the line broke",
    });
    link.answer(id, OK);
    const before = link.received.length;
    assert.ok("error" in (await call(null, {}, { signal: abort.signal }).reply));
    assert.equal(link.received.length, before);
  });
  test("the end of the process answers every call with an error that names the backend", async () => {
    const { call, link, instance } = await startReady();
    const calls = [call(createTestClient("a").call(1)), call(null)];
    link.die(FAILURE("closed", "exited\nwith 1"));
    for (const { reply } of calls) {
      assert.deepEqual(await reply, { error: { code: -32000, message: "server files: exited with 1" } });
    }
    assert.ok(instance.observed.state.kind === "ended" && instance.observed.state.wasReady);
    assert.deepEqual(await call(null).reply, {
      error: { code: -32000, message: "server files: exited with 1" },
    });
    assert.deepEqual(await instance.subscribe("a://1", createTestClient("b")), {
      error: { code: -32000, message: "server files: exited with 1" },
    });
  });
  test("a request that the transport fails is an error that names the backend; unreachable ones count", async () => {
    const { call, link, instance } = await startReady();
    const one = call(null);
    link.failRequest(one.id, FAILURE("refused", "HTTP 500"));
    assert.deepEqual(await one.reply, { error: { code: -32000, message: "server files: HTTP 500" } });
    assert.equal(instance.observed.missedChecks, 0);
    for (const missed of [1, 2]) {
      const { id, reply } = call(null);
      link.failRequest(id, FAILURE("unreachable"));
      await reply;
      assert.equal(instance.observed.missedChecks, missed);
    }
    const together = [call(null), call(null), call(null)];
    for (const { id } of together) link.failRequest(id, FAILURE("unreachable"));
    await Promise.all(together.map(({ reply }) => reply));
    assert.equal(instance.observed.missedChecks, 3, "what was under way together is one miss");
    link.notify("notifications/x");
    assert.equal(instance.observed.missedChecks, 0);
  });
  test("the sender of a lost call knows whether it was sent", async () => {
    const { link, instance } = await startReady();
    for (const [kind, wasSent] of [
      ["unreachable", false],
      ["refused", true],
    ] as const) {
      const losses: unknown[] = [];
      const reply = instance.request({
        ...{ method: "tools/call", params: {}, handle: null, timeoutMs: 1_000 },
        signal: new AbortController().signal,
        onLoss: (loss) => void losses.push(loss.wasSent),
      });
      link.failRequest(link.requests("tools/call").at(-1)?.id ?? -1, FAILURE(kind));
      await reply;
      assert.deepEqual(losses, [wasSent]);
    }
  });
  test("E1 a server that refuses its token ends when its last call is answered", async () => {
    const { call, link, instance } = await startReady();
    const [one, other] = [call(null), call(null)];
    link.failRequest(one.id, FAILURE("unauthorized"));
    assert.equal(instance.observed.state.kind, "ready");
    link.answer(other.id, OK);
    assert.deepEqual(await other.reply, OK);
    assert.deepEqual(instance.observed.state, {
      kind: "ended",
      wasReady: true,
      failure: FAILURE("unauthorized"),
    });
  });
  test("B7 closing gives calls in flight its error, withdraws questions, and closes the link once", async () => {
    const { call, link, instance, clock } = await startReady();
    const port = createTestClient("a").call(1);
    const { reply } = call(port);
    link.ask(1, "roots/list");
    const error = { code: -32000, message: "server files was removed" };
    const closed = instance.close(error);
    assert.equal(instance.close(error), closed);
    await closed;
    assert.deepEqual(await reply, { error });
    assert.deepEqual(await call(null).reply, { error });
    assert.deepEqual([port.asked[0]?.signal.aborted, instance.observed.state.kind], [true, "closing"]);
    assert.deepEqual([link.closed, clock.pendingTimers], [true, 0]);
    link.notify(LIST_CHANGED.tools);
    link.die(FAILURE("closed"));
    assert.equal(instance.observed.state.kind, "closing");
  });
  test("the end of the last call in flight is reported at once, then at most ten times a second", async () => {
    const { call, link, counts, clock } = await startReady();
    const before = counts.seen;
    for (let turn = 0; turn < 50; turn++) {
      const { id, reply } = call(null);
      link.answer(id, OK);
      await reply;
    }
    assert.equal(counts.seen, before + 1);
    await clock.advance(100);
    assert.equal(counts.seen, before + 2);
    await clock.advance(1_000);
    assert.equal(counts.seen, before + 2);
  });
});

describe("garbage", () => {
  test("lines that are not JSON-RPC are counted and logged at intervals, and break nothing", async () => {
    const { call, link, logger, clock } = await startReady();
    const port = createTestClient("a").call(1);
    const { id, reply } = call(port);
    const garbage = [null, 1, "x", [], [[]], {}, { jsonrpc: "1.0" }, { jsonrpc: "2.0", id: {}, method: "x" }];
    for (const message of garbage) link.say(message);
    link.say({ jsonrpc: "2.0", id: 999_999, result: {} });
    link.say({ jsonrpc: "2.0", id: `x${id}`, result: {} });
    link.say({ jsonrpc: "2.0", id: null, error: { code: -32700, message: "parse" } });
    link.say({ jsonrpc: "2.0", id, method: 1 });
    for (const method of ["progress", "message", "resources/updated", "cancelled", "elicitation/complete"]) {
      link.notify(`notifications/${method}`);
      link.notify(`notifications/${method}`, { uri: 1, requestId: {}, progressToken: [], level: {} });
    }
    const logged = (): number =>
      logger.lines.filter(({ message }) => /not an MCP message/.test(message)).length;
    assert.equal(logged(), 1);
    await clock.advance(59_000);
    link.say(1);
    assert.deepEqual([logged(), port.asked.length], [1, 0]);
    link.say({ jsonrpc: "2.0", id, result: null });
    assert.deepEqual(await reply, {
      error: { code: -32000, message: "server files: its answer is not a JSON-RPC response" },
    });
  });
  test("gathered messages are taken one by one", async () => {
    const { call, link } = await startReady();
    const one = call(null);
    const two = call(null);
    link.say([
      { jsonrpc: "2.0", id: two.id, ...OK },
      { jsonrpc: "2.0", id: one.id, ...OK },
    ]);
    assert.deepEqual(await Promise.all([one.reply, two.reply]), [OK, OK]);
  });
  test("D5 an answer whose id is the number as a text is the answer, as it is for today's SDKs", async () => {
    const { call, link } = await startReady();
    const { id, reply } = call(null);
    link.say({ jsonrpc: "2.0", id: String(id), ...OK });
    assert.deepEqual(await reply, OK);
  });
  test("the last 200 lines outside the protocol are kept", async () => {
    const { link, instance } = await startReady();
    for (let line = 0; line < 1_000; line++) link.log(`line ${line}`);
    assert.deepEqual([instance.logLines.length, instance.logLines[199]], [200, "line 999"]);
  });
});
