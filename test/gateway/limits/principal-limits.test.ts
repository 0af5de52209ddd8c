// What a principal may ask for in a time, and how large a result may be.
import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_LIMITS, type PrincipalLimits } from "../../../src/config/limits.ts";
import {
  ANONYMOUS,
  type ClientHandle,
  machinePrincipal,
  OWNER,
  type Principal,
} from "../../../src/gateway/client-handle.ts";
import {
  isError,
  isJsonObject,
  type JsonObject,
  LIMIT_REACHED,
  type Reply,
} from "../../../src/gateway/json-rpc.ts";
import { PrincipalLimiter } from "../../../src/gateway/limits/principal-limits.ts";
import { jsonSize } from "../../../src/gateway/limits/result-size.ts";
import { MODERN_VERSION } from "../../../src/gateway/protocol.ts";
import { parseExactly } from "../../../src/runtime/text/exact-json.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { pluck } from "../../support/pluck.ts";
import { source } from "../catalog/sources.ts";
import { ask, callPort, client, recordingServices, servingSet, user } from "../middleware/requests.ts";

function limited(limits: Partial<PrincipalLimits>, answer?: () => Promise<Reply>) {
  const clock = createManualClock();
  const limiter = new PrincipalLimiter({ ...DEFAULT_LIMITS, ...limits }, clock);
  const services = recordingServices(answer);
  const served = servingSet([source("a", { tools: ["x"] })], services, { limiter });
  const call = (principal: Principal, sessionId?: string): Promise<Reply> =>
    ask(served, "tools/call", { name: "x" }, client(principal, sessionId));
  return { clock, limiter, served, services, call };
}

const refusalOf = (reply: Reply) => (isError(reply) ? reply.error : null);

test("E4 calls in a second are refused beyond the burst with the key, the limit and the time to retry; then they pass again", async () => {
  const { clock, call, services } = limited({ callsPerSecond: 4, burst: 2 });
  const ann = user("ann");
  assert.equal(refusalOf(await call(ann)), null);
  assert.equal(refusalOf(await call(ann, "another session")), null);
  const refused = refusalOf(await call(ann));
  assert.deepEqual(refused, {
    code: LIMIT_REACHED,
    message: "user ann makes more than 4 calls a second ([limits].calls_per_second); try again in 0.3 s",
    data: { limit: "[limits].calls_per_second", allowed: 4, retryAfterMs: 250 },
  });
  assert.equal(services.calls.length, 2);
  await clock.advance(249);
  assert.equal(refusalOf(await call(ann))?.code, LIMIT_REACHED);
  await clock.advance(1);
  assert.equal(refusalOf(await call(ann)), null);
  await clock.advance(60_000);
  for (const isRefused of [false, false, true])
    assert.equal(refusalOf(await call(ann)) !== null, isRefused, "a quiet minute earns the burst, not more");
});

test("E4 arguments in flight have a budget, and a principal with none in flight is never refused", async () => {
  const waiting: PromiseWithResolvers<Reply>[] = [];
  const { served } = limited({}, () => {
    const one = Promise.withResolvers<Reply>();
    waiting.push(one);
    return one.promise;
  });
  const call = (name: string, mib: number): Promise<Reply> =>
    ask(served, "tools/call", { name: "x", arguments: { text: "x".repeat(mib << 20) } }, client(user(name)));
  const first = call("ann", 60);
  const second = refusalOf(await call("ann", 5));
  assert.equal(second?.code, LIMIT_REACHED);
  assert.match(second?.message ?? "", /have 60 MiB .*try again in 1 s/);
  const others = ["bob", "ben", "bea"].map((name) => call(name, 63));
  const whole = call("eve", 70);
  assert.equal(waiting.length, 5);
  for (const { resolve } of waiting) resolve({ result: {} });
  for (const reply of await Promise.all([first, ...others, whole])) assert.equal(refusalOf(reply), null);
  const again = call("ann", 5);
  waiting.at(-1)?.resolve({ result: {} });
  assert.equal(refusalOf(await again), null);
});

test("E4 bodies that are being received have the same budget", () => {
  const { limiter } = limited({});
  const [ann, mib] = [user("ann"), 1024 * 1024];
  const first = limiter.receiving(ann, 70 * mib);
  assert.notEqual(first, null);
  assert.equal(limiter.receiving(ann, mib), null);
  assert.notEqual(limiter.receiving(user("bob"), mib), null);
  first?.();
  first?.();
  assert.notEqual(limiter.receiving(ann, 63 * mib), null);
});

test("E4 unread answers have the same budget", async () => {
  const { limiter, call } = limited({});
  const mib = 1024 * 1024;
  const answers = Array.from({ length: 5 }, () => limiter.unread(user("ann")));
  for (const unread of answers.slice(0, 4)) unread(50 * mib);
  assert.equal(refusalOf(await call(user("ann"))), null, "small, and there is room");
  answers[4]?.(60 * mib);
  assert.equal(refusalOf(await call(user("ann")))?.code, LIMIT_REACHED);
  assert.equal(refusalOf(await call(user("bob"))), null);
  for (const unread of answers) unread(0);
  assert.equal(refusalOf(await call(user("ann"))), null);
});

test("E4 reading answers pauses for a principal that leaves a quarter unread, and not for one that leaves none", async () => {
  const { limiter } = limited({});
  const mib = 1024 * 1024;
  const [ann, bob] = [user("ann"), user("bob")];
  const unread = limiter.unread(ann);
  const [first, second] = [limiter.reading(ann), limiter.reading(ann)];
  assert.deepEqual([first.take(40 * mib), second.take(mib)], [null, null]);
  assert.notEqual(second.take(30 * mib), null, "together they are too much");
  assert.equal(first.take(45 * mib), null, "the oldest is read on");
  first[Symbol.dispose]();
  assert.equal(second.isPaused, false);
  unread(300 * mib);
  assert.notEqual(second.take(31 * mib), null);
  const later = limiter.untilRead(ann);
  assert.notEqual(later, null);
  using other = limiter.reading(bob);
  assert.deepEqual([other.take(30 * mib), limiter.untilRead(bob)], [null, null]);
  unread(0);
  await later;
  assert.deepEqual([second.isPaused, limiter.untilRead(ann)], [false, null]);
});

test("E4 a call that a policy denies counts as one of the second, and nothing else", async () => {
  const clock = createManualClock();
  const limiter = new PrincipalLimiter({ ...DEFAULT_LIMITS, callsPerSecond: 1, burst: 3 }, clock);
  const served = servingSet([source("a", { tools: ["x"] })], recordingServices(), {
    limiter,
    authorization: {
      defaultEffect: "allow",
      policies: [{ effect: "deny", resources: ["tool:x"], methods: ["*"], roles: ["*"], arguments: {} }],
    },
  });
  const ann = client(user("ann"));
  const codes: unknown[] = [];
  for (let count = 0; count < 5; count++)
    codes.push(refusalOf(await ask(served, "tools/call", { name: "x" }, ann))?.code);
  const denied = codes[0];
  assert.notEqual(denied, LIMIT_REACHED);
  assert.deepEqual(codes, [denied, denied, denied, LIMIT_REACHED, LIMIT_REACHED]);
});

test("E4 calls in a second that return with a person's consent are counted once, and resumed ones are counted", () => {
  const { limiter } = limited({ callsPerSecond: 1, burst: 1 });
  const ann = user("ann");
  assert.equal(limiter.count(ann), null);
  assert.ok(!("error" in limiter.admit(ann, "already")));
  assert.ok("error" in limiter.admit(ann));
  assert.equal(limiter.count(ann)?.error.code, LIMIT_REACHED);
});

test("E4 calls in a second are calls: lists and pings, which no backend is asked for, are counted separately, ten times as many", async () => {
  const { limiter, served } = limited({ callsPerSecond: 1, burst: 3 });
  const ann = user("ann");
  const list = (): Promise<Reply> => ask(served, "tools/list", {}, client(ann));
  for (let count = 0; count < 30; count++) assert.equal(refusalOf(await list()), null);
  assert.match(
    refusalOf(await list())?.message ?? "",
    /asks for lists and the like more than 10 times a second/,
  );
  for (const isRefused of [false, false, false, true]) assert.equal(limiter.count(ann) !== null, isRefused);
});

test("E4 calls in a second of one principal use up no other's, and a principal is the same in whatever object", async () => {
  const { call } = limited({ callsPerSecond: 1, burst: 1 });
  for (const [principal, isRefused] of [
    [user("ann"), false],
    [user("ann", "other", "roles"), true],
    [user("bob"), false],
    [ANONYMOUS, false],
    [user("anonymous"), false],
    [OWNER, false],
    [OWNER, true],
  ] as const)
    assert.equal(refusalOf(await call(principal)) !== null, isRefused, principal.name);
});

test("E4 calls in a second change with the configuration, and used ones stay used", async () => {
  const { clock, call, limiter } = limited({ callsPerSecond: 1, burst: 1 });
  const ann = user("ann");
  await call(ann);
  limiter.configure({ ...DEFAULT_LIMITS, callsPerSecond: 10, burst: 10 });
  assert.equal(refusalOf(await call(ann))?.code, LIMIT_REACHED);
  await clock.advance(100);
  assert.equal(refusalOf(await call(ann)), null);
  limiter.configure({ ...DEFAULT_LIMITS, callsPerSecond: null });
  for (let count = 0; count < 100; count++) assert.equal(refusalOf(await call(ann)), null);
});

test("E4 calls in a second: beyond ten thousand principals those without a call in flight are forgotten", () => {
  const { limiter } = limited({ callsPerSecond: 1, burst: 1, callsInFlight: 1 });
  const refused = (name: string): boolean => "error" in limiter.admit(user(name), "already");
  const ann = user("ann");
  assert.equal(limiter.count(ann), null);
  assert.equal(refused("bob"), false);
  for (let count = 0; count < 10_000; count++) limiter.count(user(`u${count}`));
  assert.equal(limiter.count(ann), null, "as one that never came");
  assert.notEqual(limiter.count(user("ann")), null, "one account, whatever object stands for her");
  assert.equal(refused("bob"), true);
});

test("E4 calls in flight are counted over all sessions, and free again however a call ends", async () => {
  const ends: ((reply: Reply | Error) => void)[] = [];
  const { call } = limited(
    { callsInFlight: 2 },
    () =>
      new Promise((resolve, reject) => {
        ends.push((end) => (end instanceof Error ? reject(end) : resolve(end)));
      }),
  );
  const first = call(user("ann"), "one");
  const second = call(user("ann"), "two");
  const refused = refusalOf(await call(user("ann"), "three"));
  assert.equal(refused?.code, LIMIT_REACHED);
  assert.match(String(refused?.message), /user ann has 2 calls in flight \(\[limits\]\.calls_in_flight\)/);
  const other = call(user("bob"));
  ends[0]?.({ result: { content: [] } });
  ends[1]?.(new Error("of ours"));
  await Promise.all([first, second]);
  const again = [call(user("ann")), call(user("ann"))];
  assert.equal(ends.length, 5);
  for (const end of ends) end({ result: {} });
  for (const reply of await Promise.all([other, ...again])) assert.equal(refusalOf(reply), null);
});

test("E4 calls in flight are free again after a failure between the limits and the backend", async () => {
  const clock = createManualClock();
  const limiter = new PrincipalLimiter({ ...DEFAULT_LIMITS, callsInFlight: 1 }, clock);
  const served = servingSet([source("a", { tools: ["x"] })], recordingServices(), {
    limiter,
    between: [() => () => Promise.reject(new Error("of the telemetry"))],
  });
  for (const _call of [1, 2])
    assert.equal(refusalOf(await ask(served, "tools/call", { name: "x" }))?.message, "internal error");
});

const LIMIT_BYTES = 10_000;

function bounded(result: JsonObject) {
  const limiter = new PrincipalLimiter({ ...DEFAULT_LIMITS, resultBytes: LIMIT_BYTES }, createManualClock());
  const services = recordingServices(() => ({ result }));
  const served = servingSet([source("a", { tools: ["x"], resources: ["file:///big"] })], services, {
    limiter,
  });
  const call = (from: ClientHandle = client(user("ann"))): Promise<Reply> =>
    ask(served, "tools/call", { name: "x" }, from);
  const read = (): Promise<Reply> =>
    ask(served, "resources/read", { uri: "file:///big" }, client(user("ann")));
  /** Of a task that the tool began. */
  const get = (): Promise<Reply> => {
    const from: ClientHandle = { ...client(user("ann")), protocolVersion: MODERN_VERSION };
    const task = { backend: "a", tool: "x", originalTool: "x", id: "t", taskLocation: "h", mark: null };
    const declared = { extensions: { "io.modelcontextprotocol/tasks": {} } };
    const handle = { ...callPort(from), declared };
    const params = { taskId: services.taskIds.seal(task, from.principal) };
    const signal = new AbortController().signal;
    return served.handle({ method: "tasks/get", params, handle, signal, served, task });
  };
  /** As older versions ask for the result of a task that the tool began. */
  const resultOfTask = (from: ClientHandle): Promise<Reply> => {
    services.tasks.remember(from, "t", { backend: "a", tool: "x", originalTool: "x" });
    return ask(served, "tasks/result", { taskId: "t" }, from);
  };
  return { call, read, get, resultOfTask };
}

function contentOf(reply: Reply): readonly JsonObject[] {
  assert.ok(!isError(reply), JSON.stringify(reply));
  const { content } = reply.result;
  assert.ok(Array.isArray(content));
  return content.filter(isJsonObject);
}

const text = (value: string): JsonObject => ({ type: "text", text: value });

test("D5 D9 a client that ends its connection at a large message gets the beginning of the text, exactly within its limit", async () => {
  const whole = "\u0001€".repeat(5_000);
  const reply = await bounded({ content: [text(whole)] }).call({
    ...client(user("ann")),
    messageLimitBytes: 9_000,
  });
  const [beginning, remark] = pluck(contentOf(reply), "text");
  assert.ok(typeof beginning === "string" && beginning.length > 600 && whole.startsWith(beginning));
  assert.match(String(remark), /more than the [\d.]+ MiB of a message to this client/);
  assert.ok(Buffer.byteLength(JSON.stringify(reply)) < 9_000);
});

test("E4 a result over the size is cut to it at a whole character, and a note says what is missing and which key allows more", async () => {
  const whole = "a🙂".repeat(8_000);
  const reply = await bounded({ content: [text("in short"), text(whole)], isError: false }).call();
  const [short, beginning, remark, ...more] = pluck(contentOf(reply), "text").map(String);
  assert.equal(short, "in short");
  assert.ok(whole.startsWith(beginning ?? "-") && beginning?.isWellFormed(), "no character is cut");
  assert.match(remark ?? "", /tools\/call x has 0\.04?.* MiB.*\[limits\]\.result_mb; a text is cut\. .*done/);
  assert.deepEqual(more, []);
  const size = jsonSize(isError(reply) ? {} : reply.result);
  assert.ok(size <= LIMIT_BYTES && size > LIMIT_BYTES * 0.8, String(size));
});

test("E4 a result over the size: what fits is sent beside an image or a file that does not", async () => {
  const data = Buffer.alloc(20_000, "image").toString("base64");
  const file = { type: "resource", resource: { uri: "file:///a.png", mimeType: "image/png", blob: data } };
  for (const large of [{ type: "image", data, mimeType: "image/png" }, file]) {
    const reply = await bounded({ content: [large, text("it is saved"), large] }).call();
    const [saved, remark] = contentOf(reply);
    assert.deepEqual(saved, text("it is saved"));
    assert.match(String(remark?.["text"]), /2 parts are left out/);
  }
});

test("E4 a result over the size in many small texts, or with much beside its content, stays within the size", async () => {
  const lines = Array.from({ length: 3_000 }, (_, at) => text(`line ${at}`));
  const many = await bounded({ content: lines }).call();
  assert.ok(!isError(many) && jsonSize(many.result) <= LIMIT_BYTES);
  assert.deepEqual(contentOf(many)[0], lines[0]);
  const beside = bounded({ content: [text("x")], _meta: { huge: "m".repeat(50_000) } });
  assert.ok(isError(await beside.call()), "its rest is too large by itself");
});

test("E4 a result over the size that is structured, or a resource, is refused with the size, the limit and the key", async () => {
  const large = "x".repeat(20_000);
  const structured = { content: [text(large)], structuredContent: { rows: [large] } };
  const contents = [{ uri: "file:///big", mimeType: "text/csv", text: large }];
  for (const [reply, message] of [
    [
      await bounded(structured).call(),
      /0\.0382 MiB, more than the 0\.0095 MiB; structured.* \(\[limits\]\.result_mb\)/,
    ],
    [await bounded({ contents }).read(), /resources\/read file:\/\/\/big has 0\.0192 MiB/],
    [await bounded({ taskId: "t", status: "completed", result: structured }).get(), /of tasks\/get has/],
  ] as const) {
    assert.ok(isError(reply));
    assert.equal(reply.error.code, LIMIT_REACHED);
    assert.match(reply.error.message, message);
    assert.deepEqual(reply.error.data, { limit: "[limits].result_mb", allowed: LIMIT_BYTES });
  }
});

test("E4 G1 a result passes as the same object when it is within the size, to `mountaineer call`, and to another machine", async () => {
  const owner = client({ kind: "owner", name: "owner", roles: [] }, "owner");
  for (const [length, from] of [
    [9_000, client(user("ann"))],
    [20_000, owner],
    [20_000, client(machinePrincipal("laptop"))],
  ] as const) {
    const result = { content: [text("x".repeat(length))] };
    const reply = await bounded(result).call(from);
    assert.equal(isError(reply) ? null : reply.result, result);
  }
});

test("the size of a result is about that of its JSON, and no nesting is too deep", () => {
  for (const value of [
    { content: [text("x".repeat(100_000))] },
    { content: [text("ü".repeat(100_000))] },
    { ids: Array.from({ length: 1_000 }, () => parseExactly("1234567890".repeat(3))) },
    {
      structuredContent: {
        rows: Array.from({ length: 5_000 }, (_, id) => ({ id, name: `row ${id}`, ok: true })),
      },
    },
  ]) {
    const ratio = jsonSize(value) / Buffer.byteLength(JSON.stringify(value));
    assert.ok(ratio > 0.8 && ratio < 1.3, String(ratio));
  }
  let deep: unknown = "x";
  for (let level = 0; level < 100_000; level++) deep = [deep];
  assert.ok(jsonSize(deep) > 0);
});

test("D1 the size of a result: a tool's answer within its task is treated like its direct answer", async () => {
  const result = { content: [text("x".repeat(30_000))] };
  const older = contentOf(await bounded(result).resultOfTask(client(user("ann"))));
  assert.match(String(older[1]?.["text"]), /a text is cut/);
  const reply = await bounded({ taskId: "t", status: "completed", result }).get();
  assert.ok(!isError(reply), JSON.stringify(reply));
  assert.equal(reply.result["status"], "completed");
  assert.ok(jsonSize(reply.result) < LIMIT_BYTES);
  const newer = contentOf({ result: reply.result["result"] as JsonObject });
  assert.deepEqual(newer[0], older[0]);
});
