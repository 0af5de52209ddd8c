import assert from "node:assert/strict";
import { it } from "node:test";
import type { BackendConfig } from "../../../../src/config/snapshot.ts";
import { isError } from "../../../../src/gateway/json-rpc.ts";
import { settle } from "../../../support/manual-clock.ts";
import { fc, happening, runsOf } from "../../../support/properties.ts";
import { bench } from "./backend-pool-bench.ts";
import { backendConfig, callOf, createClient } from "./scripted-instance.ts";

const NAMES = ["a", "b", "c"] as const;
const COMMANDS = ["x", "y", "z"] as const;
const name = fc.constantFrom(...NAMES);

const config = fc
  .record({
    name,
    command: fc.constantFrom(...COMMANDS),
    enabled: fc.nat(5).map((one) => one > 0),
    deny: fc.constantFrom<readonly string[]>([], ["secret*"]),
    replace: fc.constantFrom<BackendConfig["replace"]>("overlap", "overlap", "stop-first"),
    instances: fc.constantFrom<BackendConfig["instances"]>("shared", "shared", "per-client"),
  })
  .map(({ name: of, command, enabled, deny, replace, instances }) => {
    const plain = backendConfig(of, { command, enabled, replace, instances });
    return { ...plain, filters: { ...plain.filters, tools: { allow: null, deny } } };
  });

const event = fc.oneof(
  happening(4, "apply", { configs: fc.uniqueArray(config, { selector: (one) => one.name, maxLength: 3 }) }),
  // Overtaken: what happens next comes before anything has started for it.
  happening(4, "call", { name, client: fc.nat(1), isOvertaken: fc.boolean() }),
  happening(3, "answer"),
  happening(4, "advance", { ms: fc.constantFrom(1, 300, 2_000, 31_000) }),
  happening(2, "fate", { command: fc.constantFrom(...COMMANDS), works: fc.boolean() }),
  happening(2, "crash", { nth: fc.nat(5) }),
  happening(1, "restart", { name }),
  happening(1, "forget", { client: fc.nat(1) }),
);

type Happening = typeof event extends fc.Arbitrary<infer Value> ? Value : never;

async function play(all: readonly Happening[]): Promise<void> {
  const b = bench();
  const { pool, clock, script } = b;
  const fates = new Map<string, boolean>();
  let clients = [createClient("0"), createClient("1")];
  let wanted: readonly BackendConfig[] = [];
  let open = 0;
  /** What was started becomes what its fate says. */
  const live = async (): Promise<void> => {
    await settle();
    for (let round = 0; round < 8; round++) {
      const starting = script.alive.filter(({ observed }) => observed.state.kind === "starting");
      if (starting.length === 0) return;
      for (const instance of starting) {
        const runs = b.program(instance) ?? "";
        if (fates.get(runs) ?? true) instance.becomeReady(runs);
        else instance.endWith("it does not start");
      }
      await settle();
    }
  };
  /** At any moment: nothing that is not wanted, in the file's order, and nothing that nobody listed. */
  const look = (): void => {
    const published = pool.published.map(({ backend }) => backend);
    const allowed = wanted.filter(({ enabled }) => enabled).map(({ name: of }) => of);
    assert.deepEqual(
      published,
      allowed.filter((of) => published.includes(of)),
    );
  };
  pool.onPublished(look);

  for (const one of all) {
    if (one.do === "apply") {
      wanted = one.configs;
      pool.apply(wanted, { drainTimeoutMs: 30_000 });
    } else if (one.do === "call") {
      open++;
      const client = clients[one.client] ?? null;
      void pool.call(one.name, callOf(client)).then((reply) => {
        open--;
        if (isError(reply)) assert.notEqual(reply.error.message, "instance is not ready");
      });
    } else if (one.do === "answer") for (const instance of script.alive) instance.answer();
    else if (one.do === "advance") await clock.advance(one.ms);
    else if (one.do === "fate") fates.set(one.command, one.works);
    else if (one.do === "crash") {
      const instance = script.alive[one.nth];
      if (instance?.observed.state.kind === "ready") instance.endWith("it crashed");
    } else if (one.do === "restart") pool.restart(one.name);
    else {
      const gone = clients[one.client];
      gone?.end();
      if (gone !== undefined) pool.forget(gone);
      clients = clients.map((client) => (client === gone ? createClient("new") : client));
    }
    look();
    if (one.do === "call" && one.isOvertaken) continue;
    await live();
    look();
  }

  fates.clear();
  for (let round = 0; round < 6; round++) {
    for (const instance of script.alive) instance.answer();
    await clock.advance(31_000);
    await live();
  }
  const allowed = wanted.filter(({ enabled }) => enabled);
  assert.deepEqual(
    pool.published.map(({ backend, filters, listings }) => [backend, filters, listings.tools[0]?.["name"]]),
    allowed.map(({ name: of, filters, connection }) => [
      of,
      filters,
      connection.type === "stdio" ? connection.command : "",
    ]),
  );
  assert.equal(open, 0, "every call was answered");
  const shared = script.alive.filter(({ options }) => options.owner === null);
  assert.equal(shared.length, allowed.length, "nothing is left beside what serves");
  for (const { options } of script.alive.filter((one) => !shared.includes(one))) {
    const { instances } = allowed.find(({ name: of }) => of === options.backend) ?? {};
    assert.equal(instances, "per-client", "clients' own are where the last config wants them");
    const serving = shared.find((one) => one.options.backend === options.backend);
    assert.equal(options.key, serving?.options.key, "clients' own have the connection that serves");
  }
  for (const { name: of, phase, enabled, conditions } of pool.view()) {
    assert.equal(phase, enabled ? "Ready" : "Pending", of);
    assert.deepEqual(conditions, []);
  }
  for (const client of clients) pool.forget(client);
  await settle();
  assert.equal(script.alive.length, allowed.length, "clients' own ended with them");
  assert.equal(clock.pendingTimers, allowed.length, "a timer each, for its next check");
  const disposed = pool[Symbol.asyncDispose]();
  await clock.advance(5_000);
  await disposed;
  assert.deepEqual([script.alive.length, clock.pendingTimers], [0, 0]);
}

it("B7 whatever is edited and happens to the backends, the published entries equal those that the last config and the world allow", async () => {
  await fc.assert(fc.asyncProperty(fc.array(event, { maxLength: 25, size: "max" }), play), {
    numRuns: runsOf(150),
  });
});
