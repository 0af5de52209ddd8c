// Tokens that are taken back while their clients are at work: over real connections, with a real server behind.

import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { type TestContext, test } from "node:test";
import type { AuthorizationConfig, AuthUser } from "../../../src/config/snapshot.ts";
import type { GatewayConfig } from "../../../src/gateway/serving/gateway-contract.ts";
import { NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { backendConfig } from "../backends/pool/scripted-instance.ts";
import { initialize, post } from "../client-sign-in/signed-gateway.ts";
import { startToolServer } from "../client-sign-in/tool-server.ts";
import { policy } from "../middleware/requests.ts";
import { realGateway, serverOn } from "./gateway-rig.ts";

const TOKENS = { ANN_OLD: "anns-old", ANN_NEW: "anns-new", BEN: "bens-own" };
const userWith = (name: string, variable: keyof typeof TOKENS, ...roles: string[]): AuthUser => ({
  name,
  token: { kind: "environment", variable },
  roles,
});
const ANN = userWith("ann", "ANN_OLD");
const BEN = userWith("ben", "BEN");
const MODERN = { "mcp-protocol-version": "2026-07-28" };

async function startRig(t: TestContext, first: AuthorizationConfig | null = null) {
  const server = await startToolServer(t, ["wait"], undefined, ["note:1"]);
  const port = await freePort();
  const gateway = realGateway(t, { environment: TOKENS });
  const backend = backendConfig("files", { connection: server.connection });
  const configFor = (users: readonly AuthUser[]): GatewayConfig => ({
    ...NO_GATEWAY,
    server: serverOn(port, { bodyLimitBytes: 100_000 }),
    backends: [backend],
    scripts: { enabled: true, timeoutMs: 20_000 },
    authorization: rig.authorization,
    incomingAuth: { type: "local", users },
  });
  const rig = {
    authorization: first,
    gateway,
    port,
    url: `http://127.0.0.1:${port}/mcp`,
    server,
    async reload(...users: readonly AuthUser[]) {
      const prepared = await gateway.prepare(configFor(users));
      prepared.commit();
      await prepared.retire();
    },
  };
  await gateway.start(configFor([ANN, BEN]));
  await gateway.pool.whenStarted(AbortSignal.timeout(10_000));
  return rig;
}

const call = (id: number, meta: Readonly<Record<string, unknown>> = {}) => ({
  jsonrpc: "2.0",
  id,
  method: "tools/call",
  params: { name: "wait", arguments: {}, ...meta },
});

const modernMeta = (capabilities: Readonly<Record<string, unknown>> = {}) => ({
  _meta: {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
    "io.modelcontextprotocol/clientCapabilities": capabilities,
  },
});

async function sessionOf(
  { url }: { readonly url: string },
  token: string,
): Promise<Readonly<Record<string, string>>> {
  const { session } = await post(url, token);
  assert.ok(session !== null);
  return { "mcp-session-id": session };
}

/** A stream that stays open: what came on it until it ended. */
async function listening(address: string, token: string, headers: Readonly<Record<string, string>> = {}) {
  const response = await fetch(address, {
    headers: { authorization: `Bearer ${token}`, accept: "text/event-stream", ...headers },
  });
  assert.equal(response.status, 200);
  const state = { text: "", isOver: false };
  void (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) state.text += decoder.decode(chunk);
    state.isOver = true;
  })();
  return state;
}

test("E1 calls in flight, streams and sessions end with the token that they used, and no others do", async (t) => {
  const rig = await startRig(t);
  const [anns, bens] = [await sessionOf(rig, TOKENS.ANN_OLD), await sessionOf(rig, TOKENS.BEN)];
  const stream = await listening(rig.url, TOKENS.ANN_OLD, anns);
  const cut = post(rig.url, TOKENS.ANN_OLD, call(2), anns);
  const kept = post(rig.url, TOKENS.BEN, call(3), bens);
  await eventually(() => rig.server.waiting.size === 2);
  await rig.reload(userWith("ann", "ANN_NEW"), BEN);
  const answered = await cut;
  assert.match(answered.body, /"id":2,"error":\{.*the token of this request is no longer accepted/);
  await eventually(() => stream.isOver && rig.server.cancelled.length === 1);
  assert.equal((await post(rig.url, TOKENS.ANN_OLD, call(4), anns)).status, 401);
  assert.equal((await post(rig.url, TOKENS.ANN_NEW, call(4), anns)).status, 404);
  rig.server.finish();
  assert.match((await kept).body, /done/);
  assert.equal(rig.gateway.view().sessions, 1);
});

test("E1 a client of 2026-07-28 has its calls ended with its token, including those that wait for it", async (t) => {
  const rig = await startRig(t, { defaultEffect: "allow", destructive: "ask", policies: [] });
  const elicits = modernMeta({ elicitation: { form: {} } });
  const named = { ...MODERN, "mcp-method": "tools/call", "mcp-name": "wait" };
  const blocking = await post(rig.url, TOKENS.ANN_OLD, call(1, elicits), named);
  assert.match(blocking.body, /input_required/);
  assert.equal(rig.gateway.view().inFlight, 1);
  await rig.reload(BEN);
  await eventually(() => rig.gateway.view().inFlight === 0);

  const plain = await startRig(t);
  const wanted = { notifications: { toolsListChanged: true } };
  const listen = { jsonrpc: "2.0", id: 9, method: "subscriptions/listen" };
  const told = post(
    plain.url,
    TOKENS.ANN_OLD,
    { ...listen, params: { ...modernMeta(), ...wanted } },
    { ...MODERN, "mcp-method": "subscriptions/listen" },
  );
  const cut = post(plain.url, TOKENS.ANN_OLD, call(1, modernMeta()), named);
  const kept = post(plain.url, TOKENS.BEN, call(2, modernMeta()), named);
  await eventually(() => plain.server.waiting.size === 2);
  await plain.reload(BEN);
  assert.match((await cut).body, /"id":1,"error":\{.*the token of this request is no longer accepted/);
  assert.match((await told).body, /acknowledged[\s\S]*"id":9,"result"/);
  await eventually(() => plain.server.cancelled.length === 1);
  plain.server.finish();
  assert.match((await kept).body, /done/);
});

test("E1 the older transport's streams end with their token, with a session and without one", async (t) => {
  const rig = await startRig(t);
  const sse = `http://127.0.0.1:${rig.port}/sse`;
  const [silent, used, bens] = [
    await listening(sse, TOKENS.ANN_OLD),
    await listening(sse, TOKENS.ANN_OLD),
    await listening(sse, TOKENS.BEN),
  ];
  await eventually(() => used.text.includes("/messages"));
  const endpoint = `http://127.0.0.1:${rig.port}${/data: (\S+)/.exec(used.text)?.[1]}`;
  await post(endpoint, TOKENS.ANN_OLD, initialize());
  await post(endpoint, TOKENS.ANN_OLD, call(2));
  await eventually(() => rig.server.waiting.size === 1);
  await rig.reload(BEN);
  await eventually(() => silent.isOver && used.isOver && rig.server.cancelled.length === 1);
  assert.match(used.text, /"id":2,"error":\{.*no longer accepted/);
  assert.equal(bens.isOver, false);
});

test("E1 calls and subscriptions that the rules no longer allow end at once, of sessions and without, and no others do", async (t) => {
  const freely = policy("allow", { resources: ["tool:wait"] });
  const rig = await startRig(t, { defaultEffect: "allow", policies: [freely] });
  const named = { ...MODERN, "mcp-method": "tools/call", "mcp-name": "wait" };
  const [anns, bens] = [await sessionOf(rig, TOKENS.ANN_OLD), await sessionOf(rig, TOKENS.BEN)];
  const subscribe = { jsonrpc: "2.0", id: 1, method: "resources/subscribe", params: { uri: "note:1" } };
  await post(rig.url, TOKENS.ANN_OLD, subscribe, anns);
  const listen = { jsonrpc: "2.0", id: 9, method: "subscriptions/listen" };
  const wanted = { ...modernMeta(), notifications: { resourceSubscriptions: ["note:1"] } };
  const toListen = { ...MODERN, "mcp-method": listen.method };
  const listened = post(rig.url, TOKENS.ANN_OLD, { ...listen, params: wanted }, toListen);
  const scripted = { name: "run_script", arguments: { script: "return await tools.wait({})" } };
  const cut = [
    post(rig.url, TOKENS.ANN_OLD, call(2), anns),
    post(rig.url, TOKENS.ANN_OLD, call(1, modernMeta()), named),
    post(rig.url, TOKENS.ANN_OLD, call(4, scripted), anns),
  ];
  const kept = post(rig.url, TOKENS.BEN, call(3), bens);
  await eventually(() => rig.server.waiting.size === 4);
  await rig.reload(ANN, BEN);
  assert.deepEqual(rig.server.cancelled, []);
  const runs = policy("allow", { resources: ["tool:run_script"] });
  rig.authorization = { defaultEffect: "deny", policies: [policy("allow", { roles: ["dev"] }), runs] };
  await rig.reload(ANN, userWith("ben", "BEN", "dev"));
  for (const { body } of await Promise.all(cut)) assert.match(body, /"error":\{.*Unknown tool/);
  assert.match((await listened).body, /acknowledged.*note:1[\s\S]*"id":9,"result"/);
  await eventually(() => rig.server.cancelled.length === 3);
  await eventually(() => rig.server.seen.some(({ method }) => method === "resources/unsubscribe"));
  rig.server.finish();
  assert.match((await kept).body, /done/);
});

test("E1 a token that stays valid interrupts nothing: a second one next to it, other roles, another name", async (t) => {
  const rig = await startRig(t);
  const anns = await sessionOf(rig, TOKENS.ANN_OLD);
  const stream = await listening(rig.url, TOKENS.ANN_OLD, anns);
  const working = post(rig.url, TOKENS.ANN_OLD, call(2), anns);
  await eventually(() => rig.server.waiting.size === 1);
  await rig.reload(ANN, userWith("ann-next", "ANN_NEW"), BEN);
  await rig.reload(userWith("ann", "ANN_OLD", "reader"), BEN);
  await rig.reload(userWith("anna", "ANN_OLD"), BEN);
  await rig.reload(ANN);
  assert.deepEqual([stream.isOver, rig.server.cancelled], [false, []]);
  rig.server.finish();
  assert.match((await working).body, /done/);
});

test("E1 a request that is still being sent when its token is withdrawn is refused", async (t) => {
  const rig = await startRig(t);
  const body = JSON.stringify(initialize());
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  const slow = httpRequest(rig.url, {
    method: "POST",
    headers: {
      authorization: `Bearer ${TOKENS.ANN_OLD}`,
      accept: "application/json, text/event-stream",
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
    },
  });
  slow.on("response", (response) => {
    response.resume();
    resolve(response.statusCode);
  });
  slow.on("error", reject);
  slow.write(body.slice(0, 10));
  // Its head has come when a later request on another connection is answered.
  await post(rig.url, TOKENS.BEN);
  await rig.reload(BEN);
  slow.end(body.slice(10));
  assert.equal(await promise, 401);
  assert.equal(rig.gateway.view().sessions, 1);
});
