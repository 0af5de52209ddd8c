// Modern clients of a legacy server that asks them: over HTTP, through the real program.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { eventually } from "../support/eventually.ts";
import { ASKING_SERVER, LIGHT_SERVER, startHttpFixture } from "./fixture-programs.ts";
import type { Json } from "./fixtures/matrix-tools.ts";
import { type GatewayRig, type GatewaySections, nodeBackend, startGatewayRig } from "./gateway-rig.ts";
import { handOver } from "./handover-load.ts";
import { connectLight } from "./light-client.ts";
import { ask, requiredBy, textOf, type WireReply } from "./modern-wire.ts";

const EVERYTHING = path.resolve(
  import.meta.dirname,
  "../../node_modules/@modelcontextprotocol/server-everything/dist/index.js",
);
const asking = nodeBackend(ASKING_SERVER);
const form = (message: string): Json => ({
  method: "elicitation/create",
  params: {
    mode: "form",
    message,
    requestedSchema: { type: "object", properties: { name: { type: "string" } } },
  },
});
const SAMPLE: Json = {
  method: "sampling/createMessage",
  params: { messages: [{ role: "user", content: { type: "text", text: "?" } }], maxTokens: 5 },
};
const ROOTS: Json = { method: "roots/list" };
const accepted = (name: string): Json => ({ action: "accept", content: { name } });

async function start(t: TestContext, more: Partial<GatewaySections> = {}, kept = false): Promise<GatewayRig> {
  const rig = await startGatewayRig(t, { backends: { asking }, ...more }, { kept });
  await rig.untilReady("asking");
  return rig;
}

function interview(rounds: readonly (readonly Json[])[], mark = ""): Json {
  return { name: "interview", arguments: { rounds, mark } };
}

/** The call, and what it requires first. */
async function asked(
  rig: GatewayRig,
  call: Json,
): Promise<{ state: string; key: string; again: (params: Json) => Promise<WireReply> }> {
  const { state, requests } = requiredBy(await ask(rig.url, "tools/call", call));
  const [key = ""] = Object.keys(requests);
  const again = (params: Json): Promise<WireReply> => ask(rig.url, "tools/call", { ...call, ...params });
  return { state, key, again };
}

/** Answers all that it is asked: a form with its own message. */
async function sdkClient(rig: GatewayRig): Promise<Client> {
  const client = new Client(
    { name: "sdk-2", version: "1.0.0" },
    {
      capabilities: { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} },
      versionNegotiation: { mode: { pin: "2026-07-28" } },
    },
  );
  client.setRequestHandler("elicitation/create", ({ params }) => ({
    action: "accept",
    content: { name: params.message },
  }));
  client.setRequestHandler("sampling/createMessage", () => ({
    role: "assistant",
    model: "m",
    content: { type: "text", text: "sampled" },
  }));
  client.setRequestHandler("roots/list", () => ({ roots: [{ uri: "file:///r", name: "r" }] }));
  await client.connect(new StreamableHTTPClientTransport(new URL(rig.url)));
  rig.beforeStop(() => client.close());
  return client;
}

test("D2 the SDK's modern client answers one question, three at once and three rounds of a legacy server", async (t) => {
  const rig = await start(t);
  const client = await sdkClient(rig);
  const answers = async (rounds: readonly (readonly Json[])[]): Promise<unknown> => {
    const { content } = await client.callTool({ name: "interview", arguments: { rounds } });
    const [first] = content as readonly { readonly text: string }[];
    return JSON.parse(first?.text ?? "null");
  };
  const sampled = { role: "assistant", model: "m", content: { type: "text", text: "sampled" } };
  const roots = { roots: [{ uri: "file:///r", name: "r" }] };
  assert.deepEqual(await answers([[form("Ann")]]), [[accepted("Ann")]]);
  assert.deepEqual(await answers([[form("Ann"), SAMPLE, ROOTS]]), [[accepted("Ann"), sampled, roots]]);
  assert.deepEqual(await answers([[ROOTS], [SAMPLE, form("Ben")], [form("Carl")]]), [
    [roots],
    [sampled, accepted("Ben")],
    [accepted("Carl")],
  ]);
  const { content } = await client.callTool({ name: "visit", arguments: {} });
  assert.deepEqual(content, [{ type: "text", text: "visited" }]);
});

test("D2 a server that others wrote asks the SDK's modern client: a form, a sample, its roots", async (t) => {
  const rig = await startGatewayRig(t, { backends: { everything: nodeBackend(EVERYTHING, ["stdio"]) } });
  await rig.untilReady("everything");
  const client = await sdkClient(rig);
  const call = async (name: string, given: Json = {}): Promise<string> =>
    JSON.stringify((await client.callTool({ name, arguments: given })).content);
  assert.match(await call("trigger-elicitation-request"), /Please provide inputs/u);
  assert.match(await call("trigger-sampling-request", { prompt: "say", maxTokens: 10 }), /sampled/u);
  assert.match(await call("get-roots-list"), /file:\/\/\/r/u);
});

test("D2 a retry on another connection goes on; tampered, used or changed ones are -32602", async (t) => {
  const rig = await start(t);
  const { state, key, again } = await asked(rig, interview([[form("?")]]));
  const inputResponses = { [key]: accepted("Ann") };
  const refused = [
    { requestState: `${state}A`, inputResponses },
    { requestState: state, inputResponses, arguments: {} },
  ];
  for (const params of refused) {
    const { status, error } = await again(params);
    assert.deepEqual([status, error?.code], [200, -32602]);
  }
  assert.equal(
    textOf(await again({ requestState: state, inputResponses })),
    JSON.stringify([[accepted("Ann")]]),
  );
  assert.equal((await again({ requestState: state, inputResponses })).error?.code, -32602);
});

test("D2 what a client does not support ends the call with -32021 and status 400, and cancels it at the server", async (t) => {
  const rig = await start(t);
  const { status, error } = await ask(rig.url, "tools/call", interview([[SAMPLE]], "undeclared"), {
    capabilities: { elicitation: {} },
  });
  assert.deepEqual(
    [status, error?.code, error?.data],
    [400, -32021, { requiredCapabilities: { sampling: {} } }],
  );
  await eventually(async () => {
    const seen = textOf(await ask(rig.url, "tools/call", { name: "seen" }));
    return JSON.parse(seen).includes("undeclared");
  });
});

test("D2 a client that leaves in its retry cancels the call; each that was told to come back has left without that", async (t) => {
  const rig = await start(t);
  const file = path.join(rig.folder, "answered");
  const call: Json = {
    name: "interview",
    arguments: { rounds: [[form("?")]], staysAfter: file, mark: "left" },
  };
  const { state, key, again } = await asked(rig, call);
  const seen = async (): Promise<string> => textOf(await ask(rig.url, "tools/call", { name: "seen" }));
  const abort = new AbortController();
  const retry = { ...call, requestState: state, inputResponses: { [key]: accepted("Ann") } };
  const leaving = ask(rig.url, "tools/call", retry, { signal: abort.signal });
  leaving.catch(() => {});
  // It has arrived when the server has its answer.
  await eventually(async () => existsSync(file));
  assert.equal(await seen(), "[]");
  assert.equal((await again({ requestState: state, inputResponses: {} })).error?.code, -32602);
  abort.abort();
  await assert.rejects(leaving);
  await eventually(async () => (await seen()) === JSON.stringify(["left"]));
});

test("D2 two clients asked at once through one stdio server: refused, never crossed; with processes of their own, both asked", async (t) => {
  const rig = await start(t);
  const first = await asked(rig, interview([[form("first")]], "first"));
  const second = textOf(await ask(rig.url, "tools/call", interview([[form("second")]], "second")));
  assert.match(second, /cannot tell which client this belongs to/u);
  // A legacy client beside the modern one: the same.
  const legacy = await connectLight(rig.url, {
    capabilities: { elicitation: {} },
    onRequest: () => accepted("legacy"),
  });
  t.after(() => legacy[Symbol.asyncDispose]());
  assert.match(await legacy.call("interview", { rounds: [[form("third")]] }), /cannot tell which client/u);
  const answer = await first.again({
    requestState: first.state,
    inputResponses: { [first.key]: accepted("Ann") },
  });
  assert.equal(textOf(answer), JSON.stringify([[accepted("Ann")]]));

  await rig.edit({ backends: { asking: nodeBackend(ASKING_SERVER, [], { instances: "per-client" }) } });
  await rig.untilReady("asking");
  const both = await Promise.all(["one", "two"].map((mark) => asked(rig, interview([[form(mark)]], mark))));
  const legacyOne = await connectLight(rig.url, {
    capabilities: { elicitation: {} },
    onRequest: () => accepted("legacy"),
  });
  t.after(() => legacyOne[Symbol.asyncDispose]());
  assert.match(await legacyOne.call("interview", { rounds: [[form("third")]] }), /"legacy"/u);
  const answers = await Promise.all(
    both.map(({ state, key, again }, index) =>
      again({ requestState: state, inputResponses: { [key]: accepted(`answer ${index}`) } }),
    ),
  );
  assert.deepEqual(
    answers.map((one) => JSON.parse(textOf(one))),
    [[[accepted("answer 0")]], [[accepted("answer 1")]]],
  );
});

test("D2 two clients asked at once over HTTP: the stream tells whose question it is, and each answers its own", async (t) => {
  const far = await startHttpFixture(t, LIGHT_SERVER);
  const rig = await startGatewayRig(t, { backends: { far: { type: "streamable-http", url: far.url } } });
  await rig.untilReady("far");
  const calls = ["one", "two"].map((mark) => ({ name: "ask", arguments: form(mark) }));
  const both = await Promise.all(calls.map((call) => asked(rig, call)));
  const legacy = await connectLight(rig.url, {
    capabilities: { elicitation: {} },
    onRequest: () => accepted("legacy"),
  });
  t.after(() => legacy[Symbol.asyncDispose]());
  assert.deepEqual(JSON.parse(await legacy.call("ask", form("three"))), accepted("legacy"));
  const answers = await Promise.all(
    both.map(({ state, key, again }, index) =>
      again({ requestState: state, inputResponses: { [key]: accepted(`answer ${index}`) } }),
    ),
  );
  assert.deepEqual(
    answers.map((one) => JSON.parse(textOf(one))),
    [accepted("answer 0"), accepted("answer 1")],
  );
});

test("D2 a server that ends while its client is away: the call is to be made again, and the next one is served", async (t) => {
  const rig = await start(t);
  const { state, again } = await asked(rig, interview([[form("?")]]));
  const { pid } = await rig.backend("asking");
  assert.ok(pid !== null && pid !== undefined);
  process.kill(pid, "SIGKILL");
  await rig.untilBackend("asking", (backend) => backend.phase === "Ready" && backend.pid !== pid);
  const { error } = await again({ requestState: state, inputResponses: {} });
  assert.deepEqual([error?.code, error?.message.includes("make it again")], [-32602, true]);
  assert.ok(requiredBy(await again({})).state !== state);
});

test("D2 the gateway's own question about a destructive tool comes as input that is required", async (t) => {
  const rig = await start(t, { more: { authorization: { default_effect: "allow", destructive: "ask" } } });
  const call: Json = { name: "destroy", arguments: {} };
  const { requests, state } = requiredBy(await ask(rig.url, "tools/call", call));
  const [[key = "", request] = []] = Object.entries(requests);
  assert.match(JSON.stringify(request), /Allow the tool destroy of asking\?/u);
  const yes = { ...call, requestState: state, inputResponses: { [key]: { action: "accept", content: {} } } };
  assert.equal(textOf(await ask(rig.url, "tools/call", yes)), "destroyed");
  const declined = await asked(rig, call);
  const no = await declined.again({
    requestState: declined.state,
    inputResponses: { [declined.key]: { action: "decline" } },
  });
  assert.match(textOf(no), /was not run: the person at the client declined it/u);
  const unable = await ask(rig.url, "tools/call", call, { capabilities: {} });
  assert.match(textOf(unable), /this client cannot be asked/u);
});

test("D2 a call that waits for its client goes on after a reload", async (t) => {
  const rig = await start(t);
  const { state, key, again } = await asked(rig, interview([[form("?")], [form("more?")]]));
  await rig.edit({ backends: { asking, light: nodeBackend(LIGHT_SERVER) } });
  const next = requiredBy(await again({ requestState: state, inputResponses: { [key]: accepted("Ann") } }));
  await rig.edit({ backends: { asking } });
  const [second = ""] = Object.keys(next.requests);
  const end = await again({ requestState: next.state, inputResponses: { [second]: accepted("Ben") } });
  assert.deepEqual(JSON.parse(textOf(end)), [[accepted("Ann")], [accepted("Ben")]]);
});

test("B11 D2 a call that waits for its client goes on after a handover, by way of the daemon that has it", async (t) => {
  const rig = await start(t, {}, true);
  const { state, key, again } = await asked(rig, interview([[form("?")], [form("more?")]]));
  await handOver(rig);
  const forged = await again({ requestState: `${state}A`, inputResponses: {} });
  assert.equal(forged.error?.code, -32602);
  const next = requiredBy(await again({ requestState: state, inputResponses: { [key]: accepted("Ann") } }));
  assert.equal((await again({ requestState: state, inputResponses: {} })).error?.code, -32602);
  const [second = ""] = Object.keys(next.requests);
  const end = await again({ requestState: next.state, inputResponses: { [second]: accepted("Ben") } });
  assert.deepEqual(JSON.parse(textOf(end)), [[accepted("Ann")], [accepted("Ben")]]);
});

test("B11 D2 a call that waits for its client goes on after three handovers in quick succession", async (t) => {
  const rig = await start(t, {}, true);
  const { state, key, again } = await asked(rig, interview([[form("?")], [form("more?")]]));
  const { to } = await handOver(rig);
  // By then who has nothing to wait for has gone.
  for (let more = 0; more < 2; more++) await handOver(rig);
  const next = requiredBy(await again({ requestState: state, inputResponses: { [key]: accepted("Ann") } }));
  assert.ok(isAlive(to), "the one between them passes on what is said");
  const [second = ""] = Object.keys(next.requests);
  const end = await again({ requestState: next.state, inputResponses: { [second]: accepted("Ben") } });
  assert.deepEqual(JSON.parse(textOf(end)), [[accepted("Ann")], [accepted("Ben")]]);
});

test("B11 D2 when the time of the old daemon is up, what waits there is cancelled, and its state is -32602", async (t) => {
  const rig = await start(t, { server: { drain_timeout: 1 } }, true);
  const { state, again } = await asked(rig, interview([[form("?")]]));
  const { from } = await handOver(rig);
  await eventually(() => !isAlive(from));
  assert.equal((await again({ requestState: state, inputResponses: {} })).error?.code, -32602);
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
