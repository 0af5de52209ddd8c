import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_LIMITS, type PrincipalLimits } from "../../../src/config/limits.ts";
import { ANONYMOUS, OWNER, type Principal } from "../../../src/gateway/client-handle.ts";
import { isError, LIMIT_REACHED, type Reply } from "../../../src/gateway/json-rpc.ts";
import { PrincipalLimiter } from "../../../src/gateway/limits/principal-limits.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { source } from "../catalog/sources.ts";
import { ask, client, recordingServices, servingSet, user } from "../middleware/requests.ts";

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
