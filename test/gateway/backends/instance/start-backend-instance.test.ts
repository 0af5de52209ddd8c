// How an instance starts, what calls through it get, and what it makes of garbage.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { LIST_CHANGED, loopGuard } from "../../../../src/gateway/protocol.ts";
import { assertEach } from "../../../support/assert-each.ts";
import { settle } from "../../../support/manual-clock.ts";
import { FAILURE, toolOf } from "../programs/instance-scripted-link.ts";
import { createTestClient } from "../programs/instance-test-client.ts";
import { startReady, startUnderTest } from "../programs/instance-under-test.ts";
import { stories } from "./instance-words.ts";

const OK = { result: { content: [] } };

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

describe("starting", () => {
  stories(`
a client's notification reaches the server unchanged during a session, and is dropped before one
  a server to start, hangs initialize, starts, notified roots/list_changed: server hears nothing
  a server, notified roots/list_changed, notified roots/list_changed {"_meta":{"x":1}}
  : server hears roots/list_changed & roots/list_changed {"_meta":{"x":1}}
B7 it is ready only when every list that the server declares has been read
  a server to start, hangs prompts/list, at once starts: is starting, 0 news; 0 ms: is starting, 1 sessions, no lists, introduces scripted 1.2.3 of 2025-11-25
  prompts/list answered {"prompts":[{"name":"p"}]}: is ready, 1 news, 0 new lists
  : lists {"tools":[{"name":"one","inputSchema":{"type":"object"}}],"resources":[{"uri":"a://1","name":"1"}],"resourceTemplates":[],"prompts":[{"name":"p"}]}
lists that the server does not declare are not requested
  a server to start, gives initialize {"protocolVersion":"2024-11-05","capabilities":{"logging":{}}}, starts: introduces files  of 2024-11-05
  : 0 tools/list requests, 0 prompts/list requests, 0 resources/list requests, tools
a version that the gateway does not speak ends it, with both versions named
  a server to start, gives initialize {"protocolVersion":"1999-01-01","capabilities":{}}, starts: the link is closed
  : ended as protocol "…1999-01-01" before it was ready, ended "…2025-11-25, 2025-06-18, 2025-03-26, 2024-11-05"
B7 a server that refuses to start, or a request that the link cannot carry, ends it before it was ready
  a server to start, refuses initialize "no\u001b[31m", starts: ended as protocol "…" before it was ready, says no control character
  a server to start, fails tools/list refused, starts: ended as refused "as scripted" before it was ready
D3 D9 a list that is never answered leaves the others in use
  a server to start, hangs prompts/list, starts, 10 s: is ready, lists are stale: "no answer to prompts/list within 10 s", tools one
D3 a server of which no list can be read does not start
  a server to start, refuses tools/list "x", refuses resources/list "x", refuses resources/templates/list "x", refuses prompts/list "x", starts
  : ended "tools/list was answered with error -32603: x" before it was ready
initialize and each list have their deadlines; initialize is not cancelled, lists are
  a server to start, hangs initialize, starts, 14999 ms: is starting; 1 ms: ended "no answer to initialize within 15 s", server hears nothing
  a server to start, hangs tools/list, hangs resources/list, hangs prompts/list, starts, 10 s: ended "no answer to tools/list within 10 s", no timers
D6 a silent program has a minute, and one that answers in it serves
  a silent server to start, hangs initialize, starts, 59999 ms: is starting; 1 ms: ended "no answer to initialize within 60 s"
  : hints /has written nothing.*cannot reach their registry.*HTTPS_PROXY.*backend_defaults\\.env/
  a silent server to start, hangs initialize, starts, 55 s, initialize answered: is ready
a requested log level is set before it is ready; missing templates are an empty list
  a server to start, knows no resources/templates/list, hangs logging/setLevel, starts with level debug: is starting
  logging/setLevel refused {"code":-32602,"message":"no"}: is ready
a level and a subscription that arrive during the start reach the server as soon as it is ready
  a server to start, hangs prompts/list, starts with level info, level debug, adopts a://1 of a: 0 resources/subscribe requests
  prompts/list answered {"prompts":[]}: logging/setLevel was sent {"level":"info"} & {"level":"debug"}, 1 resources/subscribe request
while it starts a ping is answered, and a question without a known client is refused
  a server to start, hangs initialize, starts, checked: 0 ping requests; asks p ping, asks r roots/list: p gets {}, r has no owner
a process that dies during the start ends it
  a server to start, hangs initialize, at once starts, dies "exited with 1": ended as closed "exited with 1" before it was ready, 1 news
`);
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
        },
      },
      clientInfo: { name: "mountaineer", version: "0.0.0" },
    });
    const owner = createTestClient("a", { roots: {}, experimental: { x: 1 } });
    const owned = await startReady({ owner });
    assert.deepEqual(owned.link.requests("initialize")[0]?.params?.["capabilities"], owner.capabilities);
  });
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
  test("D3 a fault in a list is reported even if the next list fails", async () => {
    const { instance, logger } = startUnderTest({}, (link) => {
      const resources = [{ uri: "a://1", size: "1" }];
      link.gives("resources/list", { resources });
      link.refuses("resources/templates/list", "x");
    });
    await settle();
    assert.match(instance.observed.listsStaleBecause ?? "", /templates/);
    const told = logger.lines.filter(({ message }) => message.startsWith("malformed entries"));
    assertEach(told, ({ fields }) => fields["entries"], [
      ['resource "a://1": name is missing, size is "1", not a number'],
    ]);
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
    assertEach(told, ({ level, fields }) => [level, fields["entries"]], [
      ["warn", ['tool "broken": inputSchema.type is "string", not "object"']],
      ["info", ['tool "bare": title is null, inputSchema is missing']],
    ]);
    link.gives("tools/list", { tools: [toolOf("broken")] });
    await clock.advance(1_000);
    link.notify(LIST_CHANGED.tools);
    await settle();
    assert.deepEqual(instance.observed.withheldEntries, []);
    assert.deepEqual(instance.listings?.tools, [toolOf("broken")]);
    assert.equal(counts.seen, seenBefore + 1);
  });
  for (const line of FETCHING)
    stories(`
D6 a program that writes "${line.slice(0, 20)}…" has five minutes until its first output
  a silent server to start, hangs initialize, starts, 1 s, prints "${line}", 298999 ms: is starting
  1 ms: ended "no answer to initialize within 300 s", hints /raise .timeouts\\.init. of server files/
  a silent server to start, hangs initialize, starts, prints "${line}", 200 s, says message {}, 15 s: ended "no answer to initialize within 15 s", no timers
  one to start that may fetch nothing, hangs initialize, starts, prints "${line}", 15 s: ended "no answer to initialize within 15 s"
`);
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
});

describe("calls", () => {
  stories(`
progress tokens are the instance's own towards the server, and the client's towards the client
  a server, a1 calls {"name":"one","_meta":{"progressToken":"same","other":{"x":1}}}, b1 calls {"name":"one","_meta":{"progressToken":"same"}}, c1 calls {}
  : tools/call was sent {"name":"one","_meta":{"progressToken":"#a1","other":{"x":1}}} & {"name":"one","_meta":{"progressToken":"#b1"}} & {}
  says progress {"progressToken":"#b1","progress":1,"message":"m"}, says progress {"progressToken":"#c1","progress":1}
  says progress {"progressToken":"same","progress":1}, says progress {"progress":1}: a1 hears nothing, c1 hears nothing
  : b1 hears progress {"progressToken":"same","progress":1,"message":"m"}
  b1 answered, says progress {"progressToken":"#b1","progress":2}: b1 hears nothing
a call times out unless progress arrives, and the server is notified
  a server, a1 calls {"_meta":{"progressToken":0}} for 60 s, 59 s, says progress {"progressToken":"#a1","progress":1}, 59999 ms: server hears nothing
  : a1 hears progress {"progressToken":0,"progress":1}
  1 ms: server hears cancelled {"requestId":"#a1","reason":"server files did not answer within 60 s"}, no timers
  : a1 got error {"code":-32001,"message":"server files did not answer within 60 s; to wait longer: mountaineer config set backends.files.timeouts.call 600"}
  a1 answered: a1 got an error
a cancelled call is cancelled at the server with its reason; a late answer is dropped
  a server, a1 calls, a1 cancelled "the person pressed stop": a1 got an error, server hears cancelled {"requestId":"#a1","reason":"the person pressed stop"}
  a2 calls, a2 cancelled by an error "the⏎line broke": a2 got an error, server hears cancelled {"requestId":"#a2","reason":"the line broke"}
  a1 answered: a1 got an error; x3 calls once cancelled: x3 got an error, server hears nothing, 2 tools/call requests
the end of the process answers every call with an error that names the backend
  a server, a1 calls, x1 calls, dies "exited⏎with 1", x2 calls, b subscribes a://1: is ended
  : a1 got error {"code":-32000,"message":"server files: exited with 1"}, x1 got an error "server files: exited with 1"
  : x2 got error {"code":-32000,"message":"server files: exited with 1"}, b got error {"code":-32000,"message":"server files: exited with 1"}
a request that the transport fails is an error that names the backend; unreachable ones count
  a server, x1 calls, x1 fails as refused "HTTP 500": x1 got error {"code":-32000,"message":"server files: HTTP 500"}, missed 0
  x2 calls, x2 fails as unreachable: missed 1; x3 calls, x3 fails as unreachable: missed 2
  x4 calls, x5 calls, x6 calls, at once x4 fails as unreachable, at once x5 fails as unreachable, x6 fails as unreachable: missed 3
  says x: missed 0
E1 a server that refuses its token ends when its last call is answered
  a server, x1 calls, x2 calls, x1 fails as unauthorized: is ready; x2 answered: x2 is answered, ended as unauthorized "as scripted"
B7 closing gives calls in flight its error, withdraws questions, and closes the link once
  a server, a1 calls, asks 1 roots/list, closed "gone", x1 calls: a1 got error {"code":-32000,"message":"gone"}, x1 got error {"code":-32000,"message":"gone"}
  : a1 question 1 is withdrawn, is closing, the link is closed, no timers; tools change, dies "closed": is closing
the end of the last call in flight is reported at once, then at most ten times a second
  a server: 1 news; 50 times a call is answered: 1 news; 100 ms: 1 news; 1 s: 0 news
`);
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
