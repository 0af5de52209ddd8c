import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { connectToDaemon } from "../../src/api/client/client.ts";
import { SIGN_OF_LIFE_MS } from "../../src/api/server/performing.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { eventually } from "../support/eventually.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { assertRefused, connectedRig, get, post, startRig, talk } from "./management-rig.ts";
import { sampleReload, scriptedConfig } from "./sample-config.ts";
import { gatewayReport, noGateway, sampleCatalog, sampleTool, scriptedGateway } from "./sample-gateway.ts";
import { scriptedControl } from "./sample-report.ts";

const never = new AbortController().signal;
const FOREVER = () => new Promise<never>(() => {});

test("each request to the gateway crosses the socket and comes back as it was", async (t) => {
  const result = {
    content: [{ type: "text", text: "Füße 🎬\u0000\n" }],
    structuredContent: { deep: [{ x: null }] },
    _meta: { "example.com/own": 1 },
  };
  const gateway = scriptedGateway(() => ({ result, error: null }));
  const { client } = await connectedRig(t, { gateway });
  assert.deepEqual(await client.ask("tools", null, never), {
    tools: [sampleTool(), sampleTool({ name: "write_file", original_name: "write_file" })],
  });
  assert.deepEqual(await client.ask("catalog", null, never), sampleCatalog());
  const request = { tool: "read_file", arguments: { path: "/Füße", depth: { n: 1 } } };
  assert.deepEqual(await client.ask("call", request, never), { result, error: null });
  assert.deepEqual(await client.ask("restart", { backends: ["web"] }, never), { restarted: ["web"] });
  assert.deepEqual(await client.ask("restart", { backends: null }, never), { restarted: ["files", "web"] });
  assert.deepEqual(await client.ask("logs", { backend: "web" }, never), {
    lines: ["web started", "listening"],
  });
  assert.deepEqual(
    gateway.calls.map(({ name, request: asked }) => [name, asked]),
    [
      ["tools", null],
      ["catalog", null],
      ["call", request],
      ["restart", ["web"]],
      ["restart", null],
      ["logs", "web"],
    ],
  );
});

test("a status with a gateway and backends comes as it is", async (t) => {
  const report = gatewayReport();
  const { home } = await startRig(t, { control: scriptedControl(report) });
  assert.deepEqual(await (await connectToDaemon(home))?.ask("status", null, never), report);
});

test("a tool's error, and a call's, are answers and no failures of the API", async (t) => {
  const errors = [
    { result: { content: [], isError: true }, error: null },
    { result: null, error: { code: -32602, message: "no", data: { why: ["x"] } } },
    { result: null, error: { code: -32603, message: "no" } },
  ];
  const left = [...errors];
  const gateway = scriptedGateway(() => left.shift() ?? { result: {}, error: null });
  const { client } = await connectedRig(t, { gateway });
  for (const report of errors) {
    assert.deepEqual(await client.ask("call", { tool: "read_file" }, never), report);
  }
});

test("where no gateway runs what is asked of it is refused with gateway_off, and what to do", async (t) => {
  const { client, server } = await connectedRig(t, { gateway: noGateway() });
  await assert.rejects(client.ask("tools", null, never), (error) => {
    assert.ok(error instanceof MountaineerError);
    assert.equal(error.code, "gateway_off");
    assert.match(error.hint ?? "", /backend/);
    return true;
  });
  assert.equal((await talk(server.socketPath, get("tools"))).status, 409);
});

test("unknown backends and tools say what was probably meant", async (t) => {
  const { client, server } = await connectedRig(t, { gateway: scriptedGateway() });
  await assert.rejects(client.ask("restart", { backends: ["files", "wbe"] }, never), {
    code: "backend_unknown",
    hint: "did you mean web? (configured: files, web)",
  });
  await assert.rejects(client.ask("logs", { backend: "flies" }, never), { code: "backend_unknown" });
  await assert.rejects(client.ask("call", { tool: "raed_file" }, never), {
    code: "tool_unknown",
    message: 'there is no tool named "raed_file"',
    hint: "did you mean read_file? (published: read_file, write_file)",
  });
  for (const [tool, hint] of [
    ["write", "did you mean write_file? (published: read_file, write_file)"],
    ["file", "published: read_file, write_file"],
  ] as const)
    await assert.rejects(client.ask("call", { tool }, never), { code: "tool_unknown", hint }, tool);
  assert.equal((await talk(server.socketPath, post("backends/logs", '{"backend":"x"}'))).status, 404);
  assert.equal((await talk(server.socketPath, post("call", '{"tool":"x"}'))).status, 404);
});

test("what is asked wrongly of the gateway is refused and never reaches it", async (t) => {
  const gateway = scriptedGateway();
  const { server } = await startRig(t, { gateway });
  await assertRefused(server, [
    [post("call", ""), 400, /lacks tool/],
    [post("call", '{"tool":1}'), 400, /tool is not a text/],
    [post("call", '{"tool":"\\ud800"}'), 400, /tool is not a text/],
    [post("call", '{"tool":"a","arguments":[]}'), 400, /arguments is not a JSON object/],
    [post("call", '{"tool":"a","arguments":null}'), 400, /arguments is not a JSON object/],
    [post("call", '{"tool":"a","args":{}}'), 400, /not known here: args/],
    [post("call", '{"tool":'), 400, /not JSON/],
    [post("backends/restart", '{"backends":"files"}'), 400, /backends is not a list of names/],
    [post("backends/logs", "{}"), 400, /lacks backend/],
    [get("call"), 405, /not served/],
    [post("tools", "{}"), 405, /not served/],
    [get("backends"), 404, /not served/],
  ]);
  assert.deepEqual(gateway.calls, []);
});

test("a call may carry megabytes both ways", async (t) => {
  const big = "x".repeat(12 * 1024 * 1024);
  const gateway = scriptedGateway(({ arguments: given }) => ({ result: { given }, error: null }));
  const { client, server } = await connectedRig(t, { gateway });
  const report = await client.ask("call", { tool: "write_file", arguments: { big } }, never);
  assert.deepEqual(report, { result: { given: { big } }, error: null });
  const tooBig = post(
    "call",
    JSON.stringify({ tool: "write_file", arguments: { a: "x".repeat(17 * 1024 * 1024) } }),
  );
  assert.equal((await talk(server.socketPath, tooBig)).status, 413);
});

test("calls that hang hold up no step, no reload, no restart and no other question", async (t) => {
  const gateway = scriptedGateway(FOREVER);
  const { client, server } = await connectedRig(t, { gateway, config: scriptedConfig() });
  const cancel = new AbortController();
  const hanging = Array.from({ length: 32 }, () =>
    client.ask("call", { tool: "read_file" }, cancel.signal).catch((error: unknown) => error),
  );
  await eventually(() => gateway.calls.length === 32);
  await assert.rejects(client.ask("call", { tool: "read_file" }, never), {
    code: "daemon_unreachable",
    message: /32 requests are under way/,
  });
  assert.equal((await talk(server.socketPath, post("mount", "{}"))).status, 200);
  assert.deepEqual(await client.ask("reload", {}, never), sampleReload());
  assert.deepEqual(await client.ask("restart", { backends: ["web"] }, never), { restarted: ["web"] });
  assert.equal((await client.ask("tools", null, never)).tools.length, 2);
  cancel.abort();
  await Promise.all(hanging);
  await eventually(() =>
    gateway.calls.filter(({ name }) => name === "call").every(({ signal }) => signal.aborted),
  );
});

test("a long call is told to be under way for as long as it takes; no deadline but the tool's own ends it", async (t) => {
  const clock = createManualClock();
  const release = new AbortController();
  const gateway = scriptedGateway(async () => {
    await once(release.signal, "abort");
    return { result: { content: [] }, error: null };
  });
  const { home } = await startRig(t, { gateway, clock });
  const client = await connectToDaemon(home, { silenceMs: 60_000 });
  assert.ok(client);
  const calling = client.ask("call", { tool: "read_file" }, never);
  const call = await eventually(() => gateway.calls[0]);
  await clock.advance(3_600_000 + SIGN_OF_LIFE_MS);
  assert.equal(call.signal.aborted, false);
  release.abort();
  assert.deepEqual(await calling, { result: { content: [] }, error: null });
});

test("a client that goes away cancels its call, and so does a daemon that stops", async (t) => {
  const gateway = scriptedGateway(FOREVER);
  const { client, server } = await connectedRig(t, { gateway });
  const cancel = new AbortController();
  const cancelled = client.ask("call", { tool: "read_file" }, cancel.signal);
  cancelled.catch(() => {});
  const first = await eventually(() => gateway.calls[0]);
  cancel.abort(new MountaineerError("aborted", "stopped by SIGINT"));
  await assert.rejects(cancelled, { code: "aborted", message: "stopped by SIGINT" });
  await eventually(() => first.signal.aborted);
  const stopped = client.ask("call", { tool: "read_file" }, never);
  stopped.catch(() => {});
  const second = await eventually(() => gateway.calls[1]);
  await server[Symbol.asyncDispose]();
  assert.equal(second.signal.aborted, true);
  await assert.rejects(stopped, { code: "daemon_unreachable" });
});
