// Clients with their own instances in random worlds: instances that come up or not, by client; sessions that end; edits,
// crashes, a share that goes and comes.
import assert from "node:assert/strict";
import { it } from "node:test";
import { isError, type Reply } from "../../../../src/gateway/json-rpc.ts";
import { settle } from "../../../support/manual-clock.ts";
import { fc, happening, runsOf } from "../../../support/properties.ts";
import { CORE, dataBench } from "./backend-pool-bench.ts";
import { backendConfig, callOf, createClient, type ScriptedInstance } from "./scripted-instance.ts";

const CLIENTS = 4;
const client = fc.nat(CLIENTS - 1);
const event = fc.oneof(
  happening(6, "call", { client }),
  happening(5, "advance", { ms: fc.constantFrom(100, 1_000, 4_000, 31_000) }),
  happening(4, "fate", { client, works: fc.boolean() }),
  happening(2, "leave", { client }),
  happening(2, "crash", { nth: fc.nat(5) }),
  happening(1, "allFail"),
  happening(1, "data", { is: fc.constantFrom("away" as const, "moving" as const, "there" as const) }),
  happening(1, "edit", { command: fc.constantFrom("x", "y") }),
  happening(1, "restart"),
);
type Happening = typeof event extends fc.Arbitrary<infer Value> ? Value : never;

async function play(all: readonly Happening[]): Promise<void> {
  const config = backendConfig("a", { instances: "per-client", requires: [CORE], command: "x" });
  const b = dataBench(config);
  const clients = Array.from({ length: CLIENTS }, (_, at) => createClient(String(at)));
  const fates = clients.map(() => true);
  let isThere = true;
  let [mounts, command, version] = [1, "x", 0];
  /** The version of the configuration with which each was started. */
  const versions = new WeakMap<ScriptedInstance, number>();
  let servedVersion = 0;
  let mountsSeen = 1;
  /** Those that were ready once count for themselves. */
  const known = new WeakSet<object>();
  let seen = 0;
  let failedAtMs = Number.NEGATIVE_INFINITY;
  /** No client's instance was ready since the last change of the configuration. */
  let isUnproven = true;
  const isOwned = ({ options }: ScriptedInstance): boolean => options.owner !== null;
  const change = (): void => {
    version++;
    forgive();
  };
  const forgive = (): void => {
    isUnproven = true;
    failedAtMs = Number.NEGATIVE_INFINITY;
  };
  const look = (): void => {
    const fresh = b.script.started.slice(seen);
    seen = b.script.started.length;
    for (const one of fresh) versions.set(one, version);
    const own = fresh.filter(({ options: { owner } }) => owner !== null && !known.has(owner));
    assert.ok(isThere || fresh.length === 0, "nothing starts on a share that is not there");
    if (!isUnproven || failedAtMs === Number.NEGATIVE_INFINITY) return;
    assert.ok(own.length <= 1, "one start per wait");
    if (own.length === 1) assert.ok(b.clock.monotonicMs() >= failedAtMs + 1_000, "after a wait");
  };
  const live = async (): Promise<void> => {
    for (let round = 0; round < 6; round++) {
      await settle();
      look();
      // The shared one last: what clients' own run may be something else from then on.
      const owned = b.script.alive.filter(isOwned);
      for (const instance of [...owned, ...b.script.alive.filter((one) => !isOwned(one))]) {
        if (instance.observed.state.kind !== "starting") continue;
        const { owner } = instance.options;
        const at = clients.findIndex((one) => Object.is(one, owner));
        if (owner === null || fates[at] === true) {
          const started = versions.get(instance) ?? 0;
          if (owner !== null) {
            isUnproven = false;
            known.add(owner);
          } else if (started > servedVersion) {
            servedVersion = started;
            forgive();
          }
          instance.becomeReady("one");
        } else {
          if (!known.has(owner)) failedAtMs = Math.max(failedAtMs, b.clock.monotonicMs());
          instance.endWith("another copy is running");
        }
      }
    }
  };
  const answers: Promise<Reply>[] = [];
  const advance = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 1_000) {
      await b.clock.advance(Math.min(1_000, left));
      await live();
      for (const instance of b.script.alive) instance.answer();
    }
  };
  const leave = (at: number): void => {
    const gone = clients[at] ?? assert.fail();
    gone.end();
    b.pool.forget(gone);
    clients[at] = createClient("new");
  };
  await live();
  for (const one of all) {
    if (one.do === "call") answers.push(b.pool.call("a", callOf(clients[one.client] ?? null)));
    else if (one.do === "advance") await advance(one.ms);
    else if (one.do === "fate") fates[one.client] = one.works;
    else if (one.do === "allFail") fates.fill(false);
    else if (one.do === "leave") leave(one.client);
    else if (one.do === "crash") {
      const instance = b.script.alive[one.nth];
      if (instance?.observed.state.kind === "ready") instance.endWith("it crashed");
    } else if (one.do === "data") {
      isThere = one.is === "there";
      if (one.is === "moving") mounts++;
      if (isThere && mounts !== mountsSeen) change();
      if (isThere) mountsSeen = mounts;
      await (isThere ? b.come(String(mounts)) : one.is === "away" ? b.leave() : b.move("taken"));
    } else if (one.do === "restart") {
      change();
      b.pool.restart("a");
    } else if (one.command !== command) {
      change();
      command = one.command;
      b.apply({ ...config, connection: backendConfig("a", one).connection });
    }
    await live();
  }
  fates.fill(true);
  isThere = true;
  await b.come(String(mounts));
  await advance(61_000);
  for (const one of clients) answers.push(b.pool.call("a", callOf(one)));
  await live();
  for (const instance of b.script.alive) instance.answer();
  const replies = await Promise.all(answers);
  assert.ok(
    replies.slice(-CLIENTS).every((reply) => !isError(reply)),
    "each client is served in the end",
  );
  b.is({ phase: "Ready", codes: [], instances: CLIENTS + 1 });
  for (let at = 0; at < CLIENTS; at++) leave(at);
  await settle();
  b.is({ instances: 1 });
  await b.pool[Symbol.asyncDispose]();
  assert.equal(b.clock.pendingTimers, 0);
}

it("B7 whichever clients' instances start: one start per wait, none without its share, and in the end each is served", async () => {
  await fc.assert(fc.asyncProperty(fc.array(event, { maxLength: 30, size: "max" }), play), {
    numRuns: runsOf(80),
  });
});
