// The HTTP front with much at once: batches, large results, slow readers; and its end.
import assert from "node:assert/strict";
import { once } from "node:events";
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { test } from "node:test";
import { CoarseTimer } from "../../../../src/gateway/frontend/http/coarse-timer.ts";
import { HttpExchange, type SlowAnswers } from "../../../../src/gateway/frontend/http/http-exchange.ts";
import type { Resumption } from "../../../../src/gateway/frontend/http/resumption.ts";
import type { StreamParts } from "../../../../src/gateway/frontend/http/sse-stream.ts";
import type { Session } from "../../../../src/gateway/frontend/session/session.ts";
import { errorReply, LIMIT_REACHED } from "../../../../src/gateway/json-rpc.ts";
import type { GatewayRequest } from "../../../../src/gateway/middleware/middleware.ts";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { passTimeUntil } from "../../../support/pass-time.ts";
import { postModern } from "../modern/modern-rig.ts";
import {
  createBlockingTool,
  createScriptedGateway,
  objectOf,
  onlySession,
  text,
} from "../scripted-gateway.ts";
import {
  BOTH_TYPES,
  begin,
  callMessage,
  collect,
  eventsOf,
  initializeMessage,
  openFront,
  readAll,
  startRig,
} from "./http-rig.ts";

const two = [callMessage(1, "x"), { jsonrpc: "2.0", method: "notifications/other" }, callMessage(2, "x")];

test("the HTTP front's batches are answered with an array where the version has them, else refused", async (t) => {
  const { gateway, rig } = await openFront(t);
  const old = { "mcp-session-id": await rig.initialize("2025-03-26") };
  const answer = await rig.post(two, old);
  const ids = (JSON.parse(answer.body) as { id: number }[]).map(({ id }) => id);
  assert.deepEqual(ids, [1, 2]);
  assert.equal(gateway.heard.length, 1);
  const notes = await rig.post([{ jsonrpc: "2.0", method: "notifications/other" }], old);
  assert.deepEqual([notes.status, notes.body], [202, ""]);
  const fresh = { "mcp-session-id": await rig.initialize() };
  for (const [batch, headers] of [
    [two, fresh],
    [[], old],
    [Array.from({ length: 101 }, (_, id) => callMessage(id, "x")), old],
  ] as const) {
    const refused = await rig.post(batch, headers);
    assert.deepEqual([refused.status, objectOf(refused.json()["error"])["code"]], [400, -32600]);
  }
});

test("the HTTP front's batches answer each invalid member with a separate error, and take the others", async (t) => {
  const { gateway, rig, headers } = await begin(t, {}, { version: "2025-03-26" });
  const answersTo = async (batch: readonly unknown[], status: number): Promise<unknown[]> => {
    const answer = await rig.post(batch, headers);
    assert.equal(answer.status, status);
    const answers = JSON.parse(answer.body) as { id: unknown; error?: { code: number } }[];
    return answers.map(({ id, error }) => [id, error?.code ?? "ok"]);
  };
  const wrong = [7, [], { jsonrpc: "2.0", id: 3, method: 5 }, { jsonrpc: "1.0", id: "x", method: "ping" }];
  const errors = [
    [null, -32600],
    [null, -32600],
    [3, -32600],
    ["x", -32600],
  ];
  assert.deepEqual(await answersTo([...wrong.slice(0, 2), ...two, ...wrong.slice(2)], 200), [
    ...errors,
    [1, "ok"],
    [2, "ok"],
  ]);
  assert.equal(gateway.heard.length, 1);
  assert.deepEqual(
    await answersTo([...wrong, { jsonrpc: "2.0", method: "notifications/other" }], 400),
    errors,
  );
  assert.equal(gateway.heard.length, 2);
  assert.deepEqual(await answersTo([initializeMessage(), callMessage(1, "x")], 200), [
    [0, -32600],
    [1, "ok"],
  ]);
  assert.equal(gateway.sessions.size, 1);
  gateway.handle = async () => errorReply(LIMIT_REACHED, "too many", { retryAfterMs: 1 });
  const limited = [
    [1, LIMIT_REACHED],
    [2, LIMIT_REACHED],
  ];
  assert.deepEqual(await answersTo(two, 200), limited, "a batch has no status of one of its answers");
});

test("the HTTP front's batches settle a question with an error when its answer in them is invalid", async (t) => {
  const { gateway, rig, headers } = await begin(t, {}, { version: "2025-03-26" });
  const stream = await rig.listen(headers);
  const asked = onlySession(gateway).request("roots/list", undefined, new AbortController().signal);
  const { id } = await eventually(() => stream.messages[0]);
  await rig.post([{ jsonrpc: "2.0", id, result: null }, callMessage(1, "x")], headers);
  assert.match(JSON.stringify(await asked), /not a JSON-RPC response/);
});

test("the HTTP front's batches stream when one of them does, and end when all are answered or cancelled", async (t) => {
  const blocking = createBlockingTool();
  const { rig, headers } = await begin(
    t,
    {
      held: blocking.tool,
      async noisy({ handle }) {
        handle.notify("notifications/message", {});
        return text("noisy");
      },
    },
    { version: "2025-03-26" },
  );
  const batch = rig.post([callMessage(1, "x"), callMessage(2, "held"), callMessage(3, "noisy")], headers);
  await eventually(() => blocking.started.length === 1);
  const cancel = { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 2 } };
  await rig.post(cancel, headers);
  const messages = eventsOf((await batch).body);
  assert.deepEqual(
    messages
      .map(({ id }) => id)
      .filter((id) => id !== undefined)
      .sort(),
    [1, 3],
  );
});

test("the HTTP front's end ends listening streams, refuses new requests, and waits for requests in flight", async (t) => {
  const { gateway, rig, headers, blocking } = await begin(t);
  const stream = collect((await rig.open("GET", headers)).response);
  const answer = rig.post(callMessage(1, "held"), headers);
  await eventually(() => blocking.started.length === 1);
  const stopped = rig.front.stop(60_000);
  await eventually(stream.ended);
  const late = await rig.post(callMessage(2, "x"), headers);
  assert.deepEqual([late.status, late.headers["retry-after"]], [503, "2"]);
  assert.equal((await rig.send("GET", "/manage/v1/health", {})).status, 200);
  blocking.release(text("in time"));
  assert.match((await answer).body, /in time/);
  await stopped;
  assert.equal(gateway.sessions.size, 0);
});

test("past its grace the HTTP front answers requests in flight with an error", async (t) => {
  const clock = createManualClock();
  const { rig, headers, blocking } = await begin(t, {}, { clock });
  const answer = rig.post(callMessage(1, "held"), headers);
  await eventually(() => blocking.started.length === 1);
  const stopped = rig.front.stop(5_000);
  await clock.advance(5_000);
  await stopped;
  assert.match((await answer).body, /the gateway is stopping/);
  assert.equal(clock.pendingTimers, 0);
});

test("a result of 6 MB arrives whole, as JSON and as an event, and is then no longer watched", async (t) => {
  const clock = createManualClock();
  const large = "ä".repeat(3 * 1024 * 1024);
  const { rig, headers } = await begin(
    t,
    {
      large: async () => text(large),
      async noisy({ handle }) {
        handle.notify("notifications/message", {});
        return text(large);
      },
    },
    { clock },
  );
  const json = await rig.post(callMessage(1, "large"), headers);
  assert.equal(Number(json.headers["content-length"]), Buffer.byteLength(json.body));
  assert.ok(json.body.includes(large));
  const events = await rig.post(callMessage(1, "noisy"), headers);
  assert.ok(JSON.stringify(eventsOf(events.body)[1]).includes(large));
  await eventually(() => rig.listener.connections === 0);
  // The checks of streams and of answers that are kept for a while run once more, and the one of sessions goes on.
  await clock.advance(30_000);
  assert.equal(clock.pendingTimers, 1);
});

test("a reader that does not read congests its call, and is cut beyond 8 MiB", async (t) => {
  const flooding = Promise.withResolvers<{ sent: number; congestedAt: number; settled: Promise<void> }>();
  const { rig, headers } = await begin(t, {
    async flood({ handle }) {
      const filler = "x".repeat(64 * 1024);
      let congestedAt = 0;
      let settled: Promise<void> = Promise.resolve();
      let sent = 0;
      for (; sent < 500; sent++) {
        handle.notify("notifications/message", { filler });
        if (congestedAt === 0 && handle.congested !== null) {
          congestedAt = sent;
          settled = handle.congested;
        }
        if (sent % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      flooding.resolve({ sent, congestedAt, settled });
      return text("done");
    },
  });
  const { response } = await rig.open("POST", headers, callMessage(1, "flood"));
  response.pause();
  const { congestedAt, settled } = await flooding.promise;
  assert.ok(congestedAt > 0);
  await settled;
  response.on("error", () => {});
  response.resume();
  await eventually(() => response.closed);
  assert.equal(response.complete, false);
  // Others are served.
  assert.equal((await rig.post(callMessage(2, "x"), headers)).status, 200);
});

test("a reader that reads nothing of a large result for 60 s is cut", async (t) => {
  const clock = createManualClock();
  const large = "x".repeat(16 * 1024 * 1024);
  const { rig, headers } = await begin(t, { large: async () => text(large) }, { clock });
  const { response } = await rig.open("POST", headers, callMessage(1, "large"));
  response.on("error", () => {});
  response.pause();
  await clock.advance(59_000);
  assert.equal(rig.listener.connections, 1);
  // The system may still take a little of it for a while, which begins the minute anew.
  await passTimeUntil(clock, () => rig.listener.connections === 0, 15_000);
  response.resume();
  await eventually(() => response.closed);
  assert.equal(response.complete, false);
});

test("the HTTP front answers 413 with the limit and its key, though the sender keeps sending", async () => {
  await using rig = await startRig(createScriptedGateway(), {
    bodyLimitBytes: 1024 * 1024,
    clock: createManualClock(),
  });
  const headers = {
    "mcp-session-id": await rig.initialize(),
    "content-type": "application/json",
    accept: BOTH_TYPES,
  };
  const body = Buffer.alloc(20 * 1024 * 1024, 0x20);
  const declared = await rig.send("POST", "/mcp", headers, body);
  assert.equal(declared.status, 413);
  assert.match(declared.body, /larger than 1 MiB.*\[server\]\.body_limit_mb/);
  const chunked = await rig.send("POST", "/mcp", { ...headers, "transfer-encoding": "chunked" }, body);
  assert.deepEqual([chunked.status, chunked.headers.connection], [413, "close"]);
  const response = await rig.open("POST", headers, {});
  assert.equal((await readAll(response.response)).includes("-32600"), true);
});

// What becomes a stream when it takes its time, and what does not.

test("D2 a slow answer to a client that reads no streams stays one JSON text", async (t) => {
  const clock = createManualClock();
  const { rig, headers, blocking } = await begin(t, {}, { version: "2025-11-25", clock });
  const answers = ["application/json", "application/json, text/event-stream"].map((accept, id) =>
    rig.post(callMessage(id, "held"), { ...headers, accept }),
  );
  await eventually(() => blocking.started.length === 2);
  await clock.advance(5_000);
  await clock.advance(5_000);
  for (const _ of answers) blocking.release(text("done"));
  const kinds = (await Promise.all(answers)).map(({ headers: { "content-type": kind } }) => kind);
  assert.deepEqual(kinds, ["application/json", "text/event-stream"]);
});

test("a coarse timer calls back for remaining entries after one to two periods, and for no deleted ones", async () => {
  const clock = createManualClock();
  const due: string[] = [];
  const timer = new CoarseTimer<string>(clock, 10, (entry) => due.push(entry));
  for (const entry of ["stays", "deleted young", "deleted old"]) timer.add(entry);
  timer.delete("deleted young");
  await clock.advance(10);
  timer.delete("deleted old");
  await clock.advance(10);
  assert.deepEqual([due, timer.size], [["stays"], 0]);
});

test("D2 nothing is stored for resumption by a client that is gone", async () => {
  const clock = createManualClock();
  const slow: SlowAnswers = new CoarseTimer(clock, 5_000, (answer) => answer.begin());
  const response = new ServerResponse(new IncomingMessage(new Socket()));
  const opened: unknown[] = [];
  const resumption = { open: (...given: unknown[]) => void opened.push(given) } as object as Resumption;
  // Neither is asked for anything while nothing is sent.
  const [parts, session] = [{ clock } as object as StreamParts, {} as Session];
  const options = { session, slow, resumable: { resumption, id: 1 } };
  new HttpExchange(parts, response, { json: true, events: true }, options);
  response.destroy();
  await clock.advance(10_000);
  assert.deepEqual(opened, []);
});

test("D2 a request whose client is gone does not wait to be slow", async () => {
  const clock = createManualClock();
  const slow: SlowAnswers = new CoarseTimer(clock, 15_000, (answer) => answer.begin());
  const response = new ServerResponse(new IncomingMessage(new Socket()));
  let gone = 0;
  new HttpExchange(
    { clock } as object as StreamParts,
    response,
    { json: true, events: true },
    { session: null, slow },
  ).whenGone(() => {
    gone += 1;
  });
  response.destroy();
  await once(response, "close");
  assert.deepEqual([gone, slow.size], [1, 0]);
});

test("D5 a client that refuses large events gets JSON, which begins after a while, and notices on its listening stream", async (t) => {
  const clock = createManualClock();
  const large = text("x".repeat(2_000_000));
  const { rig, blocking } = await openFront(
    t,
    {
      noisy: async ({ handle }) => {
        handle.notify("notifications/progress", { progressToken: 1, progress: 1 });
        return large;
      },
    },
    { clock },
  );
  const headers = {
    "mcp-session-id": await rig.initialize("2025-11-25"),
    "user-agent": "python-httpx2/2.16.2",
  };
  const { response } = await rig.open("GET", headers);
  let heard = "";
  response.setEncoding("utf8").on("data", (chunk: string) => (heard += chunk));
  const slow = rig.post(callMessage(1, "held"), headers);
  await eventually(() => blocking.started.length === 1);
  await clock.advance(119_000);
  blocking.release(large);
  const noisy = rig.post(callMessage(2, "noisy"), headers);
  await eventually(() => heard.includes("notifications/progress"));
  // What was told just before the answer comes over another connection, and is read first.
  await clock.advance(50);
  for (const answer of [await slow, await noisy]) {
    assert.equal(answer.headers["content-type"], "application/json");
    assert.equal(answer.body.length > 2_000_000, true);
  }
  // Proxies end a connection that carries no byte for a minute.
  const verySlow = rig.post(callMessage(4, "held"), headers);
  await eventually(() => blocking.started.length === 2);
  await clock.advance(299_000);
  blocking.release(text("done"));
  assert.match((await verySlow).body, /^ +\{.*done/);
  // Another client is told within its call, as ever.
  const other = await rig.post(callMessage(3, "noisy"), { "mcp-session-id": headers["mcp-session-id"] });
  assert.equal(other.headers["content-type"], "text/event-stream");
  response.destroy();
});

test("D5 a client of 2026-07-28 that refuses large events gets a large result as JSON, and learns of others within the call", async () => {
  const clock = createManualClock();
  const blocking = createBlockingTool();
  const told =
    (size: number, message = "", times = 1) =>
    async ({ handle }: GatewayRequest) => {
      for (let time = 0; time < times; time++)
        handle.notify("notifications/progress", { progressToken: 1, progress: 1, message });
      return text("x".repeat(size));
    };
  const gateway = createScriptedGateway({
    small: told(10),
    large: told(2_000_000),
    loud: told(2_000_000, "y".repeat(1_100_000)),
    much: told(2_000_000, "", 101),
    held: async (call) => {
      call.handle.notify("notifications/progress", { progressToken: 1, progress: 1 });
      return blocking.tool(call);
    },
  });
  await using rig = await startRig(gateway, { clock });
  const call = (name: string) =>
    postModern(
      rig,
      "tools/call",
      { name, _meta: { progressToken: 1 } },
      { "user-agent": "python-httpx2/2.16.2" },
    );
  const small = await call("small");
  assert.equal(small.headers["content-type"], "text/event-stream");
  assert.match(small.body, /notifications\/progress[\s\S]*xxxxxxxxxx/);
  const large = await call("large");
  assert.deepEqual(
    [large.headers["content-type"], large.body.length > 2_000_000],
    ["application/json", true],
  );
  for (const name of ["loud", "much"])
    assert.equal((await call(name)).headers["content-type"], "text/event-stream", "so much is not kept back");
  const slow = call("held");
  await eventually(() => blocking.started.length === 1);
  await clock.advance(2_000);
  blocking.release(text("done"));
  assert.match((await slow).body, /notifications\/progress[\s\S]*done/);
});

test("D5 a list is one JSON text wherever JSON is accepted", async (t) => {
  const { rig, headers } = await begin(t, {}, { version: "2025-11-25" });
  const list = { jsonrpc: "2.0", id: 1, method: "tools/list" };
  assert.equal((await rig.post(list, headers)).headers["content-type"], "application/json");
  const accept = "text/event-stream";
  assert.equal((await rig.post(list, { ...headers, accept })).headers["content-type"], accept);
});
