// Answers that are taken up again after their connection broke.
import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { errorReply, isError, type Reply } from "../../../../src/gateway/json-rpc.ts";
import { assertEach } from "../../../support/assert-each.ts";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import {
  createBlockingTool,
  createScriptedGateway,
  objectOf,
  type ScriptedGateway,
  text,
} from "../scripted-gateway.ts";
import { callMessage, collect, openFront, type Rig, startRig } from "./http-rig.ts";

interface Event {
  readonly id: string;
  readonly retry: string | undefined;
  readonly data: string;
}

/** What was read of a stream, events with their ids. */
function reading(response: IncomingMessage): { readonly events: Event[]; readonly ended: () => boolean } {
  const told = collect(response);
  return {
    get events() {
      const blocks = told.text().split("\n\n").slice(0, -1);
      return blocks.flatMap((block) => {
        const field = (name: string): string | undefined =>
          new RegExp(`^${name}: (.*)$`, "m").exec(block)?.[1];
        const id = field("id");
        return id === undefined ? [] : [{ id, retry: field("retry"), data: field("data") ?? "" }];
      });
    },
    ended: told.ended,
  };
}

const progress = (step: number): [string, Record<string, unknown>] => [
  "notifications/progress",
  { progressToken: "p", progress: step },
];

async function begin(rig: Rig, version = "2025-11-25"): Promise<Record<string, string>> {
  const id = await rig.initialize(version, { elicitation: {} });
  return { "mcp-session-id": id, "mcp-protocol-version": version };
}

async function resume(rig: Rig, headers: Record<string, string>, lastEventId: string) {
  const opened = await rig.open("GET", { ...headers, "last-event-id": lastEventId });
  return { ...opened, told: reading(opened.response) };
}

/** All that comes after that event, once its stream has ended. */
async function rest(rig: Rig, headers: Record<string, string>, lastEventId: string): Promise<string[]> {
  const { told } = await resume(rig, headers, lastEventId);
  await eventually(() => told.ended());
  return told.events.map(({ data }) => data);
}

/** A call of the tool `held` that is a stream, as it has sent its progress. */
async function held(
  { rig, blocking }: Awaited<ReturnType<typeof openFront>>,
  headers: Record<string, string>,
  id: string | number = 1,
  steps = 1,
) {
  const before = blocking.started.length;
  const opening = rig.open("POST", headers, callMessage(id, "held"));
  const { handle } = await eventually(() => blocking.started[before]);
  for (let step = 1; step <= steps; step++) handle.notify(...progress(step));
  const { request, response } = await opening;
  const told = reading(response);
  await eventually(() => told.events.length === steps);
  return { handle, request, response, told, eventId: told.events[0]?.id ?? "" };
}

/** A call whose connection broke after its first event. */
async function broken(
  front: Awaited<ReturnType<typeof openFront>>,
  headers: Record<string, string>,
  id: number,
) {
  const { handle, request, eventId } = await held(front, headers, id);
  request.destroy();
  await eventually(() => front.rig.listener.connections === 0);
  return { port: handle, eventId };
}

test("D2 a call whose connection breaks is resumed: nothing is lost, nothing arrives twice", async (t) => {
  const front = await openFront(t);
  const { rig, blocking } = front;
  const headers = await begin(rig);
  const { handle: port, request, told: first } = await held(front, headers, "one");
  const [one] = first.events;
  assert.ok(one);
  assert.deepEqual([one.retry, JSON.parse(one.data).params.progress], ["1000", 1]);
  port.notify(...progress(2));
  await eventually(() => first.events.length === 2);
  assert.equal(first.events[1]?.retry, undefined);
  request.destroy();
  await eventually(() => first.ended());
  port.notify(...progress(3));
  const again = await resume(rig, headers, one.id);
  await eventually(() => again.told.events.length === 3);
  port.notify(...progress(4));
  blocking.release(text("done"));
  await eventually(() => again.told.ended());
  const [primed, ...messages] = again.told.events.map(({ data }) => (data === "" ? null : JSON.parse(data)));
  assert.equal(primed, null);
  assertEach(messages, ({ params, id }) => params?.progress ?? id, [2, 3, 4, "one"]);
  const last = again.told.events.at(-1);
  assert.ok(last);
  const after = await rig.send("GET", "/mcp", {
    ...headers,
    accept: "text/event-stream",
    "last-event-id": last.id,
  });
  assert.equal(after.status, 405);
  assert.match(after.body, /complete/);
});

test("D2 an answer that arrived without a reader waits; a broken stream may be resumed again and again", async (t) => {
  const front = await openFront(t);
  const { rig, blocking } = front;
  const headers = await begin(rig);
  let { request, told, eventId: lastId } = await held(front, headers, 1, 2);
  for (let turn = 0; turn < 3; turn++) {
    request.destroy();
    ({ request, told } = await resume(rig, headers, lastId));
    await eventually(() => told.events.length === 2);
  }
  // Nobody says that the connection is broken: the new one takes its place.
  const second = await resume(rig, headers, lastId);
  await eventually(() => told.ended());
  second.request.destroy();
  await eventually(() => second.told.ended());
  blocking.release(text("late"));
  assert.match((await rest(rig, headers, lastId)).at(-1) ?? "", /late/);
});

test("D2 a server's question on a broken stream is asked there when it is resumed, and the answer reaches it", async (t) => {
  const answers: (Reply | null)[] = [];
  const asked = Promise.withResolvers<void>();
  const { rig } = await openFront(t, {
    async asks({ handle, signal }) {
      handle.notify(...progress(1));
      await asked.promise;
      const reply = await handle.request("elicitation/create", { message: "?" }, signal);
      answers.push(reply);
      return text("asked");
    },
  });
  const headers = await begin(rig);
  const { request, response } = await rig.open("POST", headers, callMessage(1, "asks"));
  const told = reading(response);
  await eventually(() => told.events.length === 1);
  request.destroy();
  await eventually(() => told.ended());
  asked.resolve();
  const again = await resume(rig, headers, told.events[0]?.id ?? "");
  const question = await eventually(() => again.told.events.find(({ data }) => data.includes("elicitation")));
  const { id } = JSON.parse(question.data);
  await rig.post({ jsonrpc: "2.0", id, result: { action: "decline" } }, headers);
  await eventually(() => again.told.ended());
  assert.deepEqual(answers, [{ result: { action: "decline" } }]);
});

test("D2 a question waits for a quarter of a minute, an answer for two; a later client learns that it is lost", async (t) => {
  const clock = createManualClock();
  const { rig } = await openFront(
    t,
    {
      async asks({ handle, signal }) {
        handle.notify(...progress(1));
        const reply = await handle.request("elicitation/create", { message: "?" }, signal);
        // Nothing more is kept for who is away so long.
        const more = reply === null && (await handle.request("elicitation/create", { message: "!" }, signal));
        return more === null ? text("nobody") : text("answered");
      },
    },
    { clock },
  );
  const headers = await begin(rig);
  const { request, response } = await rig.open("POST", headers, callMessage("a.b/1", "asks"));
  const told = reading(response);
  await eventually(() => told.events.length === 2);
  request.destroy();
  await eventually(() => told.ended());
  await eventually(() => rig.listener.connections === 0);
  await clock.advance(14_000);
  assert.equal(rig.front.store.openQuestions, 1);
  await clock.advance(1_000);
  await eventually(() => rig.front.inFlight === 0);
  await clock.advance(105_000);
  const [late = "{}"] = await rest(rig, headers, told.events[0]?.id ?? "");
  const { id, error } = JSON.parse(late);
  assert.equal(id, "a.b/1");
  assert.match(error.message, /not known whether the call took effect/);
});

for (const [awayMs, thenMs] of [
  [20_000, 0],
  [10_000, 10_000],
] as const)
  test(`D2 a client that returns after ${awayMs / 1_000} s gets the messages from then on, also ${thenMs / 1_000} s later`, async (t) => {
    const clock = createManualClock();
    const front = await openFront(t, {}, { clock });
    const { rig, blocking } = front;
    const headers = await begin(rig);
    const { port, eventId } = await broken(front, headers, 1);
    await clock.advance(awayMs);
    const late = await resume(rig, headers, eventId);
    await eventually(() => late.told.events.length === 1);
    await clock.advance(thenMs);
    port.notify(...progress(2));
    blocking.release(text("done"));
    await eventually(() => late.told.ended());
    assert.match(late.told.events.map(({ data }) => data).join(), /"progress":2.*done/s);
  });

test("D2 the newest completely written answers are kept for a while, in case they were not read", async (t) => {
  const clock = createManualClock();
  const { rig } = await openFront(
    t,
    {
      async steps({ handle }) {
        handle.notify(...progress(1));
        return text("done");
      },
    },
    { clock },
  );
  const headers = await begin(rig);
  const firstIds: string[] = [];
  for (let id = 0; id < 260; id++) {
    const { body } = await rig.post(callMessage(id, "steps"), headers);
    firstIds.push(/^id: (\S+)$/m.exec(body)?.[1] ?? "");
  }
  const after = async (id: number) => (await rest(rig, headers, firstIds[id] ?? "")).at(-1) ?? "";
  assert.match(await after(0), /no longer kept/);
  assert.match(await after(259), /done/);
  await clock.advance(10_000);
  await clock.advance(10_000);
  assert.match(await after(259), /no longer kept/);
});

test("D2 a message too large to store is still sent to a connected client, and so is its answer after it", async (t) => {
  const front = await openFront(t);
  const { handle, told } = await held(front, await begin(front.rig));
  handle.notify("notifications/message", { level: "info", data: "x".repeat(1024 * 1024) });
  front.blocking.release(text("done"));
  await eventually(() => told.ended());
  assert.equal(JSON.parse(told.events.at(-1)?.data ?? "{}").id, 1);
});

for (const [size, what, expected] of [
  [7, "can be had for two minutes", /xxx/],
  [24, "is too large to be kept, and told as lost", /no longer kept/],
] as const)
  test(`D2 an answer of ${size} MiB that broke off while it was sent ${what}`, async (t) => {
    const clock = createManualClock();
    const front = await openFront(t, {}, { clock });
    const { rig, blocking } = front;
    const headers = await begin(rig);
    const { request, response, eventId } = await held(front, headers);
    response.pause();
    blocking.release(text("x".repeat(size * 1024 * 1024)));
    await eventually(() => rig.front.inFlight === 0);
    request.destroy();
    await eventually(() => rig.listener.connections === 0);
    await clock.advance(100_000);
    assert.match((await rest(rig, headers, eventId)).at(-1) ?? "", expected);
  });

test("D2 a long request id is not part of the ids of events, which clients send in a header", async (t) => {
  const front = await openFront(t);
  const { eventId } = await held(front, await begin(front.rig), "x".repeat(300));
  assert.ok(eventId.length < 100);
  front.blocking.release(text("done"));
});

test("E4 messages stored for one principal displace no other's", async (t) => {
  const front = await openFront(t);
  const { gateway, rig, blocking } = front;
  let name = "ann";
  gateway.authenticate = () => ({ ok: true, principal: { kind: "user", name, roles: [] } });
  const anns = await begin(rig);
  const { eventId } = await broken(front, anns, 1);
  name = "ben";
  const bens = await begin(rig);
  const [first, ...more] = [
    await broken(front, bens, 1),
    await broken(front, bens, 2),
    await broken(front, bens, 3),
    await broken(front, bens, 4),
    await broken(front, bens, 5),
  ];
  assert.ok(first);
  for (const { port } of [first, ...more])
    port.notify("notifications/progress", {
      progressToken: "p",
      progress: 2,
      message: "x".repeat(7 * 1024 * 1024),
    });
  assert.match((await rest(rig, bens, first.eventId)).at(-1) ?? "", /no longer kept/);
  blocking.release(text("ann's"));
  name = "ann";
  assert.match((await rest(rig, anns, eventId)).at(-1) ?? "", /ann's/);
});

test("D2 an answer of another session, of an earlier process, or of no session is not given", async (t) => {
  const front = await openFront(t);
  const { rig, blocking } = front;
  const [own, other] = [await begin(rig), await begin(rig)];
  const { told, eventId } = await held(front, own);
  assert.match((await rest(rig, other, eventId))[0] ?? "", /"error"/);
  assert.equal(told.ended(), false);
  assert.match((await rest(rig, own, eventId.replace(/^[^.]+/, "AAAAAAAA-1")))[0] ?? "", /"error"/);
  // An id that is none of ours is that of the stream outside of calls.
  for (const strange of ["17", "x.y.z", `${eventId}.`]) {
    const { request, response: listening } = await rig.open("GET", { ...own, "last-event-id": strange });
    assert.equal(listening.statusCode, 200);
    request.destroy();
  }
  blocking.release(text("done"));
  await eventually(() => told.ended());
  assert.match(told.events.at(-1)?.data ?? "", /done/);
});

test("D2 a slow call becomes a stream; quick ones, lists and older clients are answered as before", async () => {
  const clock = createManualClock();
  const blocking = createBlockingTool();
  await using rig = await startRig(createScriptedGateway({ held: blocking.tool }), { clock });
  const headers = await begin(rig);
  const quick = await rig.post(callMessage(1, "any"), headers);
  assert.equal(quick.headers["content-type"], "application/json");
  const list = await rig.post({ jsonrpc: "2.0", id: 2, method: "tools/list" }, headers);
  assert.doesNotMatch(list.body, /^id:/m);
  const slow = rig.open("POST", headers, callMessage(3, "held"));
  await eventually(() => blocking.started.length === 1);
  await clock.advance(5_000);
  await clock.advance(5_000);
  const { response } = await slow;
  assert.equal(response.headers["content-type"], "text/event-stream");
  const told = reading(response);
  await eventually(() => told.events.length === 1);
  blocking.release(text("done"));
  await eventually(() => told.ended());
  const older = await begin(rig, "2025-06-18");
  const olderSlow = rig.open("POST", older, callMessage(4, "held"));
  await eventually(() => blocking.started.length === 2);
  await clock.advance(5_000);
  await clock.advance(5_000);
  const { response: olderResponse } = await olderSlow;
  const olderTold = reading(olderResponse);
  blocking.release(text("done"));
  await eventually(() => olderTold.ended());
  assert.deepEqual(olderTold.events, []);
  await clock.advance(10_000);
  assert.equal(rig.front.inFlight, 0);
});

/** Passes bytes on, and can cut what is connected. */
async function startCut(t: TestContext, port: number) {
  const { createServer } = await import("node:net");
  const pairs = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      pairs.add(one);
      one.on("error", () => {});
      one.on("close", () => {
        pairs.delete(one);
        other.destroy();
      });
    }
    near.pipe(far);
    far.pipe(near);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = (): void => {
    for (const socket of pairs) socket.destroy();
  };
  t.after(() => {
    cut();
    server.close();
  });
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("no address");
  return { url: `http://127.0.0.1:${address.port}/mcp`, cut };
}

function officialGateway(blocking: ReturnType<typeof createBlockingTool>): ScriptedGateway {
  return createScriptedGateway({
    async held(request) {
      const meta = objectOf(request.params?.["_meta"]);
      request.handle.notify("notifications/progress", { progressToken: meta["progressToken"], progress: 1 });
      return await blocking.tool(request);
    },
    async asks({ handle, signal }) {
      const reply = await handle.request(
        "elicitation/create",
        { message: "?", requestedSchema: { type: "object", properties: {} } },
        signal,
      );
      return text(reply === null || isError(reply) ? "none" : JSON.stringify(reply.result));
    },
    async fails({ handle }) {
      handle.notify("notifications/message", { level: "info", data: "it begins" });
      return errorReply(-32050, "it failed");
    },
  });
}

test("D2 the official client gets the answer of a call whose connection is cut", async (t) => {
  const blocking = createBlockingTool();
  await using rig = await startRig(officialGateway(blocking));
  const { url, cut } = await startCut(t, rig.listener.port);
  const client = new Client({ name: "resumes", version: "1" }, { capabilities: { elicitation: {} } });
  client.setRequestHandler(ElicitRequestSchema, () => ({ action: "accept", content: {} }));
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  t.after(() => client.close());
  let steps = 0;
  const call = client.callTool({ name: "held" }, undefined, {
    onprogress: () => void steps++,
  });
  await eventually(() => steps === 1);
  cut();
  blocking.release(text("after the cut"));
  assert.match(JSON.stringify((await call).content), /after the cut/);
  assert.match(JSON.stringify((await client.callTool({ name: "asks" })).content), /accept/);
});

test("D2 an answer that is an error makes the official client ask again once, and not more often", async (t) => {
  const blocking = createBlockingTool();
  const gateway = officialGateway(blocking);
  await using rig = await startRig(gateway);
  const methods: string[] = [];
  const client = new Client({ name: "errs", version: "1" }, {});
  const errors: unknown[] = [];
  client.onerror = (error) => errors.push(error);
  const counted: typeof fetch = (input, init) => {
    methods.push(init?.method ?? "GET");
    return fetch(input, init);
  };
  await client.connect(new StreamableHTTPClientTransport(new URL(rig.url), { fetch: counted }));
  t.after(() => client.close());
  await eventually(() => methods.includes("GET"));
  const before = methods.filter((method) => method === "GET").length;
  await assert.rejects(client.callTool({ name: "fails" }), /it failed/);
  await eventually(() => methods.filter((method) => method === "GET").length === before + 1);
  await client.callTool({ name: "any" });
  assert.equal(methods.filter((method) => method === "GET").length, before + 1);
  assert.deepEqual(errors, []);
});
