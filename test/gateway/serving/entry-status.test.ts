// How an entry stands, and what each face, list and call says of it: one row for each way to be unlisted.
import assert from "node:assert/strict";
import { type Duplex, duplexPair } from "node:stream";
import { type TestContext, test } from "node:test";
import type { AuthorizationConfig } from "../../../src/config/snapshot.ts";
import { createGatewayControl, toolChangesReport } from "../../../src/daemon/control/gateway-control.ts";
import { gatewayStatus } from "../../../src/daemon/control/gateway-status.ts";
import type { RequiredData } from "../../../src/gateway/backends/policy/required-data.ts";
import { NO_LISTINGS } from "../../../src/gateway/catalog/catalog.ts";
import { machinePrincipal, OWNER } from "../../../src/gateway/client-handle.ts";
import { isError, isJsonObject, type JsonObject, type Reply } from "../../../src/gateway/json-rpc.ts";
import type { GatewayConfig } from "../../../src/gateway/serving/gateway-contract.ts";
import { NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { exportGroup } from "../../../src/gateway/serving/selection.ts";
import { settle } from "../../support/manual-clock.ts";
import { backendConfig } from "../backends/pool/scripted-instance.ts";
import { FIRST_WINS } from "../catalog/sources.ts";
import { callPort, client, policy, user } from "../middleware/requests.ts";
import { memoryStore } from "../pins/tools.ts";
import { scriptedGateway } from "./gateway-rig.ts";

const CORE = [{ share: "CORE", folder: null }];
/** The user ben may not use the tool x. */
const AUTHORIZATION: AuthorizationConfig = {
  defaultEffect: "allow",
  policies: [policy("deny", { users: ["ben"], resources: ["tool:x"] })],
};

/** A client over lines. Returns a function that counts the change notices since its last call. */
function session(serve: (stream: Duplex) => void): () => number {
  const [ours, theirs] = duplexPair();
  let said = "";
  ours.setEncoding("utf8").on("data", (chunk: string) => {
    said += chunk;
  });
  serve(theirs);
  const clientInfo = { name: "c", version: "1" };
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo };
  ours.write(`${JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params })}\n`);
  return () => {
    const count = said.split("tools/list_changed").length - 1;
    said = "";
    return count;
  };
}

/** Backend `a` offers the tool x, backend `b` the tool z. */
async function world(t: TestContext, stores = { pinStore: memoryStore(), nameStore: memoryStore() }) {
  const listeners: (() => void)[] = [];
  let data: RequiredData = { kind: "there", mounts: "1" };
  const b = scriptedGateway(t, {
    ...stores,
    data: { status: () => data, onChange: (listener) => void listeners.push(listener) },
  });
  const config: GatewayConfig = {
    ...NO_GATEWAY,
    backends: [backendConfig("a", { requires: CORE, pin: "block" }), backendConfig("b")],
    groups: [{ name: "without-x", tools: ["z"], backends: null }],
    profiles: [{ users: null, clients: ["finder"], groups: null, optimizer: true }],
    exports: ["a", "b"],
    authorization: AUTHORIZATION,
  };
  await b.gateway.start(config);
  await settle();
  const sessions = [
    session((stream) => b.gateway.serveLines(stream)),
    session((stream) => b.gateway.serveMachine(stream, "m", "a")),
    session((stream) => b.gateway.serveMachine(stream, "m", "b")),
  ];
  await settle();
  return {
    ...b,
    config,
    stores,
    list: async (backend: string, ...tools: readonly string[]) => {
      b.instanceOf(backend).becomeReady(...tools);
      await settle();
    },
    async relist(...tools: readonly JsonObject[]) {
      const instance = b.instanceOf("a");
      instance.listings = { ...NO_LISTINGS, tools };
      instance.options.onListings();
      await settle();
    },
    async shareLeaves() {
      const sinceMs = b.clock.monotonicMs();
      data = { kind: "away", requirement: "CORE", reason: "it is not mounted", sinceMs };
      for (const listener of listeners) listener();
      await b.clock.advance(5_000);
    },
    /** Ends again and again until nobody waits for it any more. */
    async serverFails() {
      for (let tries = 0; tries < 20; tries++) {
        b.instanceOf("a").endWith("it crashed");
        await b.clock.advance(120_000);
      }
      b.instanceOf("a").endWith("it crashed");
      await settle();
    },
    edit: (change: Partial<GatewayConfig>) => b.change({ ...config, ...change }),
    /** How often the owner, a machine that borrows `a` and one that borrows `b` got `list_changed` since last asked. */
    told: async () => {
      await settle();
      return sessions.map((take) => take());
    },
  };
}

type World = Awaited<ReturnType<typeof world>>;

function textOf(reply: Reply): string {
  if (isError(reply)) return reply.error.message;
  const { content, from } = reply.result;
  if (from !== undefined) return "answered";
  const [block]: readonly unknown[] = Array.isArray(content) ? content : [];
  return isJsonObject(block) ? String(block["text"]) : JSON.stringify(reply.result);
}

function namesIn(reply: Reply): readonly unknown[] {
  const tools = isError(reply) ? null : reply.result["tools"];
  return Array.isArray(tools) ? tools.map(({ name }: JsonObject) => name) : [];
}

/** All that is said of x, the tool of backend a. */
async function saidOf(w: World) {
  const { gateway, script } = w;
  const port = (from: Partial<ReturnType<typeof client>>) => ({ ...client(user("ann")), ...from });
  const asked = async (method: string, params: JsonObject, from: Partial<ReturnType<typeof client>> = {}) => {
    const who = port(from);
    const ended = new AbortController();
    let reply: Reply | null = null;
    const served = gateway.serving.served.forClient(who);
    const request = served.finalRequest({
      method,
      params,
      handle: callPort(who),
      signal: ended.signal,
      served,
    });
    const asking = served.handle(request).then((one) => {
      reply = one;
    });
    await settle();
    for (const instance of script.alive) instance.answer();
    await settle();
    const given: Reply | null = reply;
    ended.abort();
    await asking;
    return given;
  };
  const call = async (from: Partial<ReturnType<typeof client>> = {}, name = "x", given: JsonObject = {}) => {
    const reply = await asked("tools/call", { name, ...given }, from);
    return reply === null ? "waits" : textOf(reply);
  };
  const lists = async (from: Partial<ReturnType<typeof client>> = {}) =>
    namesIn((await asked("tools/list", {}, from)) ?? { result: {} });
  const finder = { clientInfo: { name: "finder" } };
  const fleet = { principal: machinePrincipal("m"), group: exportGroup("a") };
  const outsider = user("ben");
  const view = gateway.view();
  const control = createGatewayControl(() => gateway);
  const { tools, off } = await control.tools();
  const { withheld } = await control.catalog();
  const { backends } = gatewayStatus(gateway);
  const found = await call(finder, "find_tool", { arguments: { query: "x" } });
  return {
    list: await lists(),
    call: await call(),
    owner: await call({ principal: OWNER }),
    find: found.startsWith("{") ? JSON.parse(found).tools.map(({ name }: JsonObject) => name) : [],
    callTool: await call(finder, "call_tool", { arguments: { name: "x" } }),
    forbidden: [await lists({ principal: outsider }), await call({ principal: outsider })],
    group: [await lists({ group: "without-x" }), await call({ group: "without-x" })],
    fleet: [await lists(fleet), await call(fleet)],
    status: [
      view.counts.tools,
      backends.find(({ name }) => name === "a")?.withheld_tools ?? 0,
      view.conditions.map(({ code }) => code),
    ],
    tools: [tools.map(({ name }) => name), off.map(({ name }) => name)],
    catalog: withheld.map(({ backend, name, reason, why }) => `${backend} ${name}: ${reason}, ${why}`),
    approve: toolChangesReport(gateway, null).changes.map(({ tool, kind }) => `${tool} is ${kind}`),
  };
}

/** What is said where there is no x. */
const UNKNOWN = {
  list: ["z"],
  call: "Unknown tool: x",
  owner: "Unknown tool: x",
  find: [],
  callTool: "There is no tool x. find_tool finds tools by what they do.",
  forbidden: [["z"], "Unknown tool: x"],
  group: [["z"], "Unknown tool: x"],
  fleet: [[], "Unknown tool: x"],
  status: [1, 0, []],
  tools: [["z"], []],
  catalog: [],
  approve: [],
};

/** The reason, for everybody who may call x. */
function because(text: string) {
  return { call: text, owner: text, callTool: text, fleet: [[], text] };
}

const OFF =
  "The tool x is switched off on this machine. Its owner can switch it on: mountaineer tools enable x";
const AWAY = "server a cannot work: share CORE is away: it is not mounted";
const DOWN = "server a is unavailable: it crashed; it is tried again in 60 s";
const UNAPPROVED =
  "Unknown tool: x. Server a offers it, but it is new or was changed, and waits for approval (mountaineer tools diff)";
const WAITS = {
  ...because(UNAPPROVED),
  status: [1, 0, ["tools_withheld"]],
  approve: ["x is changed"],
  catalog: ["a x: approval, it changed and waits for approval"],
};
const DENIES_X = { ...backendConfig("a").filters, tools: { allow: null, deny: ["x"] } };

interface Row {
  readonly act: (w: World) => Promise<unknown>;
  readonly said: Partial<Record<keyof typeof UNKNOWN, unknown>>;
  /** Change notices: of the owner, of a machine that borrows `a`, and of one that borrows `b`. */
  readonly told: readonly number[];
}

const ROWS: Readonly<Record<string, Row>> = {
  "B7 a listed tool": {
    act: async () => {},
    told: [0, 0, 0],
    said: {
      ...because("answered"),
      list: ["x", "z"],
      find: ["x"],
      fleet: [["x"], "answered"],
      status: [2, 0, []],
      tools: [["x", "z"], []],
    },
  },
  "B7 a tool that its server no longer lists": {
    act: (w) => w.relist(),
    told: [1, 1, 0],
    said: { status: [1, 0, ["rule_matches_nothing"]] },
  },
  "C1 a tool whose share is unavailable": {
    act: (w) => w.shareLeaves(),
    told: [1, 1, 0],
    said: { ...because(AWAY), catalog: ["a x: share, the share that its server requires is away"] },
  },
  "D3 a tool whose server is down": {
    act: (w) => w.serverFails(),
    told: [1, 1, 0],
    said: { ...because(DOWN), catalog: ["a x: server, its server is not ready"] },
  },
  "E2 a tool that is switched off": {
    act: (w) => w.gateway.switchTools(["x"], false),
    told: [1, 1, 0],
    said: { ...because(OFF), tools: [["z"], ["x"]], catalog: ["a x: off, you have switched it off"] },
  },
  "E2 a tool that is switched off, and whose server is down": {
    async act(w) {
      await w.gateway.switchTools(["x"], false);
      await w.serverFails();
    },
    told: [1, 1, 0],
    said: { ...because(OFF), tools: [["z"], ["x"]], catalog: ["a x: off, you have switched it off"] },
  },
  "E3 a changed tool that waits": {
    act: (w) => w.relist({ name: "x", description: "other" }),
    told: [1, 1, 0],
    said: WAITS,
  },
  "E3 a changed tool that waits, and whose server is down": {
    async act(w) {
      await w.relist({ name: "x", description: "other" });
      await w.serverFails();
    },
    told: [1, 1, 0],
    said: WAITS,
  },
  "E2 a tool that a filter removes": {
    act: (w) =>
      w.edit({
        backends: w.config.backends.map((one) => (one.name === "a" ? { ...one, filters: DENIES_X } : one)),
      }),
    told: [1, 1, 0],
    said: { status: [1, 1, []], catalog: ["a x: filter, the server's filters hide it"] },
  },
  "E2 a tool that a filter removes, and whose share is unavailable": {
    async act(w) {
      const backends = w.config.backends.map((one) =>
        one.name === "a" ? { ...one, filters: DENIES_X } : one,
      );
      await w.edit({ backends });
      await w.shareLeaves();
    },
    told: [1, 1, 0],
    said: { status: [1, 1, []], catalog: ["a x: filter, the server's filters hide it"] },
  },
};

for (const [name, { act, said, told }] of Object.entries(ROWS))
  test(`${name}: the answers of each list, call and UI`, async (t) => {
    const w = await world(t);
    await w.list("a", "x");
    await w.list("b", "z");
    await w.told();
    await act(w);
    assert.deepEqual(await w.told(), told);
    assert.deepEqual(await saidOf(w), { ...UNKNOWN, ...said });
  });

test("E3 a new tool waits, and a call of it is answered with the reason", async (t) => {
  const w = await world(t);
  await w.list("a", "y");
  await w.list("b", "z");
  await w.told();
  await w.relist({ name: "y" }, { name: "x" });
  assert.deepEqual(await w.told(), [0, 0, 0], "nothing that anybody lists has changed");
  const { call, approve, catalog, forbidden } = await saidOf(w);
  assert.deepEqual([call, approve], [UNAPPROVED, ["x is new"]]);
  assert.deepEqual(catalog, ["a x: approval, it is new and waits for approval"]);
  assert.equal(forbidden[1], "Unknown tool: x");
  assert.deepEqual(await w.gateway.switchTools(["x"], false), { unknown: "x" });
});

test("B11 a tool that a server listed before the restart is away until it lists it again", async (t) => {
  const before = await world(t);
  await before.list("a", "x");
  await before.end();
  const w = await world(t, before.stores);
  await w.list("b", "z");
  await w.told();
  assert.deepEqual(await saidOf(w), {
    ...UNKNOWN,
    ...because("server a is unavailable: it is being started"),
    catalog: ["a x: server, its server is not ready"],
  });
  await w.list("a", "x");
  assert.deepEqual(await w.told(), [1, 1, 0]);
  assert.deepEqual((await saidOf(w)).list, ["x", "z"]);
});

test("a tool whose name another backend already has is not published, and the call goes to the other", async (t) => {
  const w = await world(t);
  const [a, b] = w.config.backends;
  assert.ok(a !== undefined && b !== undefined);
  await w.edit({ backends: [b, a], conflictResolution: { ...FIRST_WINS, strategy: "error" } });
  await w.list("a", "x");
  await w.list("b", "x");
  assert.deepEqual(await saidOf(w), {
    ...UNKNOWN,
    ...because("answered"),
    list: ["x"],
    find: ["x"],
    forbidden: [[], "Unknown tool: x"],
    group: [[], "Unknown tool: x"],
    fleet: [[], "Unknown tool: x"],
    status: [1, 0, ["catalog_collision", "rule_matches_nothing"]],
    tools: [["x"], []],
    catalog: ["a x: collision, b offers the same name, and comes first"],
  });
});
