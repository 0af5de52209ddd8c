import assert from "node:assert/strict";
import { test } from "node:test";
import type { AuthorizationConfig, BackendConfig, ConflictConfig } from "../../../src/config/snapshot.ts";
import type { OpenTransport } from "../../../src/gateway/backends/transports/backend-transport.ts";
import { BACKEND_UNAVAILABLE, INVALID_PARAMS, REQUEST_TIMEOUT } from "../../../src/gateway/json-rpc.ts";
import { Gateway } from "../../../src/gateway/serving/gateway.ts";
import type { GatewayConfig } from "../../../src/gateway/serving/gateway-contract.ts";
import { NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { connectLight, type LightClient, type LightReply } from "../../mcp/light-client.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock, type ManualClock, settle } from "../../support/manual-clock.ts";
import { passTimeUntilSettled } from "../../support/pass-time.ts";
import { fc, runsOf } from "../../support/properties.ts";
import {
  backendConfig,
  createScript,
  type Script,
  type ScriptedInstance,
} from "../backends/pool/scripted-instance.ts";
import { policy } from "../middleware/requests.ts";
import { serverOn } from "./gateway-rig.ts";

/** What each program offers. */
const PROGRAMS: Readonly<Record<string, readonly string[]>> = {
  one: ["alpha", "beta"],
  two: ["beta", "gamma"],
  three: ["delta"],
  none: [],
};
const NAMES = ["a", "b", "c"] as const;
const USERS = ["ann", "ben"] as const;
/** Beyond every backoff, with its jitter. */
const BACKOFF_OVER_MS = 75_000;

const wish = fc.record({
  program: fc.constantFrom(...Object.keys(PROGRAMS)),
  enabled: fc.constantFrom(true, true, true, false),
  stopFirst: fc.boolean(),
  deny: fc.constantFrom(null, null, "beta", "*a"),
  renamed: fc.boolean(),
  perClient: fc.constantFrom(false, false, false, true),
});
/** `reserved`: only `ann` may use what matches; `renamed`: what the program's first tool is called. */
const wishes = fc.record({
  backends: fc
    .tuple(fc.shuffledSubarray([...NAMES]), fc.array(wish, { minLength: 3, maxLength: 3 }))
    .map(([names, all]) =>
      names.flatMap((name, at) => (all[at] === undefined ? [] : [{ name, ...all[at] }])),
    ),
  strategy: fc.constantFrom<ConflictConfig["strategy"]>("first-wins", "prefix", "error"),
  tokens: fc.boolean(),
  reserved: fc.constantFrom(null, null, "*beta", "*ma"),
});
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("configure" as const),
      wishes,
      accepted: fc.constantFrom(true, true, true, false),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("fortune" as const),
      at: fc.nat(7),
      what: fc.constantFrom(
        "ready" as const,
        "ready" as const,
        "end" as const,
        "answer" as const,
        "relist" as const,
      ),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("time" as const),
      ms: fc.constantFrom(1, 300, 2_000, 31_000, 70_000),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("call" as const), user: fc.nat(1), at: fc.nat(5) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart" as const), at: fc.nat(2) }) },
);

type Made<A> = A extends fc.Arbitrary<infer T> ? T : never;
type Wishes = Made<typeof wishes>;
type Step = Made<typeof step>;

function configOf({ backends, strategy, tokens, reserved }: Wishes): GatewayConfig {
  const authorization: AuthorizationConfig | null =
    reserved === null
      ? null
      : {
          defaultEffect: "allow",
          policies: [
            policy("allow", { roles: ["ann"] }),
            policy("deny", { resources: [`tool:${reserved}`] }),
          ],
        };
  return {
    ...NO_GATEWAY,
    server: serverOn(0, { drainTimeoutMs: 30_000 }),
    backends: backends.map(backendOf),
    conflictResolution: { strategy },
    incomingAuth: tokens
      ? {
          type: "local",
          users: USERS.map((name) => ({
            name,
            token: { kind: "environment", variable: name },
            roles: [name],
          })),
        }
      : { type: "anonymous" },
    authorization,
  };
}

function backendOf({
  name,
  program,
  enabled,
  stopFirst,
  deny,
  renamed,
  perClient,
}: Wishes["backends"][number]): BackendConfig {
  const [first] = PROGRAMS[program] ?? [];
  const everything = { allow: null, deny: [] };
  return backendConfig(name, {
    command: program,
    enabled,
    replace: stopFirst ? "stop-first" : "overlap",
    instances: perClient ? "per-client" : "shared",
    filters: {
      tools: { allow: null, deny: deny === null ? [] : [deny] },
      resources: everything,
      prompts: everything,
    },
    toolOverrides: renamed && first !== undefined ? { [first]: { name: "renamed", description: null } } : {},
  });
}

/**
 * An account of what `user` sees when every backend serves what `toolsOf` says. Which of those that meet have their
 * backends' names before them is told by `all`, which are published: that depends on who came first.
 */
function expectedNames(
  { backends, strategy, tokens, reserved }: Wishes,
  user: string,
  toolsOf: (name: string) => readonly string[],
  all: ReadonlyMap<string, string>,
): string[] {
  const isPrefixed = (name: string, tool: string): boolean =>
    strategy !== "error" && all.get(`${name}_${tool}`) === name && all.get(tool) !== name;
  const offers = backends
    .filter(({ enabled }) => enabled)
    .map(({ name, program, deny, renamed }) => ({
      name,
      tools: toolsOf(name)
        .filter((tool) => !(deny === "beta" && tool === "beta") && !(deny === "*a" && tool.endsWith("a")))
        .map((tool) => (renamed && tool === PROGRAMS[program]?.[0] ? "renamed" : tool))
        .map((tool) => (strategy === "prefix" || isPrefixed(name, tool) ? `${name}_${tool}` : tool)),
    }));
  const owners = new Map<string, string>();
  for (const { name, tools } of offers) {
    for (const tool of tools) {
      assert.ok(
        strategy === "error" || !owners.has(tool) || owners.get(tool) === name,
        `${tool} of ${name} is hidden`,
      );
      if (!owners.has(tool)) owners.set(tool, name);
    }
  }
  const suffix = reserved === null || (tokens && user === "ann") ? null : reserved.slice(1);
  return offers.flatMap(({ name, tools }) =>
    [...new Set(tools)].filter(
      (tool) => owners.get(tool) === name && (suffix === null || !tool.endsWith(suffix)),
    ),
  );
}

interface Client {
  readonly user: string;
  readonly light: LightClient;
  /** As it read them last. */
  known: readonly string[];
  heard: number;
}

interface Call {
  readonly name: string;
  readonly reply: Promise<LightReply>;
}

class World {
  readonly clock: ManualClock = createManualClock();
  readonly script: Script = createScript();
  readonly gateway: Gateway;
  readonly #programs = new WeakMap<OpenTransport, string>();
  readonly calls: Call[] = [];
  clients: Client[] = [];
  wishes: Wishes;
  /** Whose each name is that a client has seen, under one strategy. */
  readonly #seen = new Map<string, string>();

  constructor(first: Wishes) {
    this.wishes = first;
    this.gateway = new Gateway(
      {
        clock: this.clock,
        logger: noopLogger,
        environment: { ann: "token-ann", ben: "token-ben" },
        redact() {},
        announce() {},
        version: "1",
        listens: true,
      },
      {
        startInstance: this.script.start,
        openTransport: (connection) => {
          const open: OpenTransport = () => assert.fail("a scripted instance opens no link");
          this.#programs.set(open, connection.type === "stdio" ? connection.command : "");
          return open;
        },
        random: () => 0.5,
      },
    );
  }

  async begin(): Promise<void> {
    await this.gateway.start(configOf(this.wishes));
    const { url } = this.gateway.view();
    assert.ok(url !== null);
    for (const user of USERS) {
      const light = await connectLight(url, { token: `token-${user}` });
      await light.listen();
      this.clients.push({ user, light, known: await light.tools(), heard: 0 });
    }
  }

  programOf(instance: ScriptedInstance): string {
    return this.#programs.get(instance.options.open) ?? "";
  }

  async take(step: Step): Promise<void> {
    switch (step.kind) {
      case "configure": {
        const prepared = await this.gateway.prepare(configOf(step.wishes));
        if (!step.accepted) return prepared.rollback();
        prepared.commit();
        if (step.wishes.strategy !== this.wishes.strategy) this.#seen.clear();
        this.wishes = step.wishes;
        return prepared.retire();
      }
      case "fortune": {
        const { alive } = this.script;
        const instance = alive[step.at % Math.max(1, alive.length)];
        if (instance !== undefined) this.#befall(instance, step.what);
        return;
      }
      case "time":
        return this.clock.advance(step.ms);
      case "restart":
        this.gateway.pool.restart(NAMES[step.at] ?? "a");
        return;
      case "call":
        return this.#call(step);
    }
  }

  #befall(instance: ScriptedInstance, what: Extract<Step, { kind: "fortune" }>["what"]): void {
    const { kind } = instance.observed.state;
    if (what === "ready" && kind === "starting") instance.becomeReady(...this.toolsOf(instance));
    else if (what === "end" && (kind === "starting" || kind === "ready")) instance.endWith("it broke");
    else if (what === "answer") instance.answer();
    else if (what === "relist" && kind === "ready") instance.list(...this.toolsOf(instance), "late");
  }

  toolsOf(instance: ScriptedInstance): readonly string[] {
    return PROGRAMS[this.programOf(instance)] ?? [];
  }

  async #call({ user, at }: Extract<Step, { kind: "call" }>): Promise<void> {
    const client = this.clients[user];
    const names = (await client?.light.tools()) ?? [];
    const name = names[at % Math.max(1, names.length)];
    if (client === undefined || name === undefined) return;
    const reply = client.light.ask("tools/call", { name });
    reply.catch(() => {});
    this.calls.push({ name, reply });
  }

  /** What must hold at any moment. */
  async check(): Promise<void> {
    const enabled = new Set(this.wishes.backends.filter((each) => each.enabled).map(({ name }) => name));
    for (const { backend } of this.gateway.entries().tools)
      assert.ok(enabled.has(backend as "a"), `${backend} is published, and is not wanted`);
    const configured = new Set<string>(this.wishes.backends.map(({ name }) => name));
    for (const client of this.clients) {
      const names = await client.light.tools();
      if (this.wishes.strategy === "first-wins") {
        for (const { name, backend } of this.gateway.entries().tools) {
          const owner = this.#seen.get(name) ?? backend;
          if (configured.has(owner)) assert.equal(backend, owner, `${name} stays with ${owner}`);
          this.#seen.set(name, backend);
        }
      }
      const all = new Set(this.gateway.entries().tools.map(({ name }) => name));
      const hidden = this.wishes.reserved?.slice(1);
      const isFree = this.wishes.tokens && client.user === "ann";
      const visible = [...all].filter((name) => isFree || hidden === undefined || !name.endsWith(hidden));
      assert.deepEqual(names, visible, `${client.user} sees what the policies say`);
      await this.#heard(client, names);
    }
  }

  /** Whose list became another one was told so. */
  async #heard(client: Client, names: readonly string[]): Promise<void> {
    const isSame = JSON.stringify(names) === JSON.stringify(client.known);
    if (!isSame) {
      await eventually(() => client.light.notices.length > client.heard).catch(() => {
        assert.fail(`${client.user} was not told that ${client.known} became ${names}`);
      });
    }
    client.known = names;
    client.heard = client.light.notices.length;
  }

  /** From here on every program comes up and answers. */
  async calm(): Promise<void> {
    for (let round = 0; round < 6; round++) {
      for (const instance of this.script.alive) {
        this.#befall(instance, "answer");
        this.#befall(instance, "ready");
      }
      await settle();
      await this.clock.advance(round % 2 === 0 ? 1_000 : BACKOFF_OVER_MS);
    }
    for (const instance of this.script.alive) instance.answer();
    await settle();
  }

  async checkCalm(): Promise<void> {
    await this.calm();
    await this.check();
    const wanted = this.wishes.backends.filter(({ enabled }) => enabled);
    const shared = this.script.alive.filter(({ options }) => options.owner === null);
    assert.deepEqual(
      shared.map((each) => `${each.options.backend} ${this.programOf(each)}`).toSorted(),
      wanted.map(({ name, program }) => `${name} ${program}`).toSorted(),
      "one instance of each that is wanted, of the program that is wanted",
    );
    const toolsOf = (name: string): readonly string[] =>
      shared
        .find(({ options }) => options.backend === name)
        ?.listings?.tools.map((tool) => String(tool["name"])) ?? [];
    for (const { user, light } of this.clients) {
      const names = await light.tools();
      const all = new Map(this.gateway.entries().tools.map((tool) => [tool.name, tool.backend]));
      assert.deepEqual(names, expectedNames(this.wishes, user, toolsOf, all), `the tools of ${user}`);
      for (const name of names) await this.#isRouted(light, name);
    }
    for (const instance of this.script.started) {
      const own = [...this.toolsOf(instance), "late"];
      for (const { params } of instance.calls)
        assert.ok(own.includes(String(params?.["name"])), `${params?.["name"]} is not one of ${own}`);
    }
    for (const { name, reply } of this.calls) {
      const answer = await reply;
      if (!("error" in answer)) continue;
      assert.ok(
        [BACKEND_UNAVAILABLE, REQUEST_TIMEOUT, INVALID_PARAMS].includes(answer.error.code),
        JSON.stringify(answer),
      );
      if (answer.error.code === INVALID_PARAMS) {
        assert.match(answer.error.message, new RegExp(`Unknown tool: ${name}$`), "told by the client's name");
      }
    }
  }

  /** A call goes to its backend, under the name that the program has for it. */
  async #isRouted(light: LightClient, name: string): Promise<void> {
    const entry = this.gateway.entries().tools.find((each) => each.name === name);
    const reply = light.ask("tools/call", { name });
    const [instance] = await eventually(() => {
      // A client's own instance is started by its first call.
      for (const each of this.script.alive) this.#befall(each, "ready");
      const found = this.script.alive.filter(({ pending }) => pending.size > 0);
      return found.length > 0 && found;
    });
    const [one] = instance?.pending ?? [];
    assert.equal(instance?.options.backend, entry?.backend);
    assert.equal(one?.call.params?.["name"], entry?.originalName);
    instance?.answer();
    assert.ok("result" in (await reply));
  }

  async end(): Promise<void> {
    for (const { light } of this.clients) await light[Symbol.asyncDispose]();
    await passTimeUntilSettled(this.clock, this.gateway[Symbol.asyncDispose](), 1_000);
    assert.deepEqual(this.script.alive, [], "nothing outlives the gateway");
  }
}

test("B6 B7 under any configurations and events, the served entries are those that the last accepted one and the world allow", async () => {
  await fc.assert(
    fc.asyncProperty(wishes, fc.array(step, { minLength: 5, maxLength: 25 }), async (first, steps) => {
      const world = new World(first);
      try {
        await world.begin();
        for (const each of steps) {
          await world.take(each);
          await settle();
          await world.check();
        }
        await world.checkCalm();
      } finally {
        await world.end();
      }
    }),
    { numRuns: runsOf(40), interruptAfterTimeLimit: 60_000 },
  );
});
