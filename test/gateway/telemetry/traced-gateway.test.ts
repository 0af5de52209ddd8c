// Traces and metrics of a gateway that listens, read back as OpenTelemetry and Prometheus read them.

import assert from "node:assert/strict";
import { createServer } from "node:net";
import { type TestContext, test } from "node:test";
import type { TelemetryConfig } from "../../../src/config/snapshot.ts";
import type { GatewayConfig } from "../../../src/gateway/serving/gateway-contract.ts";
import { NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { assertEach } from "../../support/assert-each.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { backendConfig } from "../backends/pool/scripted-instance.ts";
import { initialize, post } from "../client-sign-in/signed-gateway.ts";
import { startToolServer } from "../client-sign-in/tool-server.ts";
import { realGateway, serverOn } from "../serving/gateway-rig.ts";
import { startReceiver } from "./otlp-receiver.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const PARENT = "b7ad6b7169203331";
const SECRET = "a-secret-in-an-argument";

const telemetry = (change: Partial<TelemetryConfig>): TelemetryConfig => ({
  endpoint: null,
  headers: {},
  traces: true,
  metrics: true,
  sample: 1,
  intervalMs: 200,
  serviceName: "mountaineer",
  prometheus: false,
  metricsToken: null,
  ...change,
});

async function rig(t: TestContext, wanted: TelemetryConfig | null) {
  const [port, tools] = await Promise.all([freePort(), startToolServer(t)]);
  const gateway = realGateway(t, {
    environment: { "secret:otlp": "Bearer the-receivers-own", "secret:metrics": "scrape-me" },
    version: "1.2.3",
    measured: () => [
      {
        name: "mountaineer.share.route",
        help: "h",
        kind: "gauge",
        values: [{ labels: { share: "CORE", route: "tb" }, value: 1 }],
      },
    ],
  });
  const config: GatewayConfig = {
    ...NO_GATEWAY,
    server: serverOn(port),
    backends: [backendConfig("files", { connection: tools.connection })],
    telemetry: wanted,
  };
  await gateway.start(config);
  await eventually(() => gateway.entries().tools.length === 2);
  const url = `http://127.0.0.1:${port}/mcp`;
  const { session } = await post(url, null, initialize());
  const call = (name: string, params: object = {}, headers: Readonly<Record<string, string>> = {}) =>
    post(
      url,
      null,
      {
        jsonrpc: "2.0",
        id: 9,
        method: "tools/call",
        params: { name, arguments: { key: SECRET }, ...params },
      },
      { "mcp-session-id": session ?? "", ...headers },
    );
  return { gateway, tools, url, call, config };
}

const callOf = (seen: readonly { readonly body: string; readonly headers: object }[]) =>
  seen.findLast(({ body }) => body.includes("tools/call"));

test("E5 a trace continues from the client through the gateway to the backend, by header and by _meta", async (t) => {
  const receiver = await startReceiver(t);
  const { gateway, tools, call } = await rig(t, telemetry({ endpoint: receiver.endpoint }));
  const traceparent = `00-${TRACE}-${PARENT}-01`;
  assert.match((await call("read_file", {}, { traceparent, tracestate: "vendor=1" })).body, /done/);
  const sent = callOf(tools.seen);
  assert.match(JSON.stringify(sent?.headers), new RegExp(`"traceparent":"00-${TRACE}-[0-9a-f]{16}-01"`));
  const { _meta: meta } = JSON.parse(sent?.body ?? "{}").params;
  assert.match(meta.traceparent, new RegExp(`^00-${TRACE}-(?!${PARENT})[0-9a-f]{16}-01$`));
  assert.equal(meta.tracestate, "vendor=1");
  // What the request says of itself goes before the header.
  const other = TRACE.replace("0", "1");
  await call("write_file", { _meta: { traceparent: `00-${other}-${PARENT}-01`, own: 1 } }, { traceparent });
  assert.equal(JSON.parse(callOf(tools.seen)?.body ?? "{}").params._meta.own, 1);
  await gateway[Symbol.asyncDispose]();
  const steps = receiver.spans.filter(({ traceId }) => traceId === TRACE);
  const [request, asked] = [2, 3].map((kind) => steps.find((span) => span.kind === kind));
  assert.equal(request?.parentSpanId, PARENT);
  assert.equal(request?.name, "tools/call read_file");
  assert.equal(asked?.parentSpanId, request?.spanId);
  assert.equal(asked?.name, "tools/call files");
  assert.ok(meta.traceparent.includes(asked?.spanId ?? "none"), "the server goes on from our last step");
  assert.equal(request?.attributes["mcp.method.name"], "tools/call");
  assert.ok(receiver.spans.some(({ traceId }) => traceId === other));
  assert.ok(!receiver.texts.join().includes(SECRET), "no argument is in a trace");
});

test("E5 the calls of a script are steps of its trace", async (t) => {
  const receiver = await startReceiver(t);
  const { gateway, tools, call, config } = await rig(t, telemetry({ endpoint: receiver.endpoint }));
  const authorization = { defaultEffect: "allow", unannotated: "harmless", policies: [] } as const;
  const scripts = { enabled: true, timeoutMs: 20_000 };
  const prepared = await gateway.prepare({ ...config, authorization, scripts });
  prepared.commit();
  await prepared.retire();
  const script = "await tools.read_file(); await tools.write_file(); return 'over'";
  const traceparent = `00-${TRACE}-${PARENT}-01`;
  assert.match((await call("run_script", { arguments: { script } }, { traceparent })).body, /over/);
  assert.match(JSON.parse(callOf(tools.seen)?.body ?? "{}").params._meta.traceparent, new RegExp(TRACE));
  await gateway[Symbol.asyncDispose]();
  const spans = receiver.spans.filter(({ traceId }) => traceId === TRACE);
  const named = (name: string) => spans.find((span) => span.name === `tools/call ${name}`);
  assert.equal(named("run_script")?.parentSpanId, PARENT);
  for (const name of ["read_file", "write_file"]) {
    assert.equal(named(name)?.parentSpanId, named("run_script")?.spanId);
    assert.ok(spans.some(({ parentSpanId, kind }) => kind === 3 && parentSpanId === named(name)?.spanId));
  }
});

test("E5 a client without a decision is sampled by share, and one that decided against it is not traced", async (t) => {
  const receiver = await startReceiver(t);
  const { gateway, tools, call } = await rig(t, telemetry({ endpoint: receiver.endpoint, sample: 0 }));
  await call("read_file");
  await call("read_file", {}, { traceparent: `00-${TRACE}-${PARENT}-00` });
  assert.match(JSON.parse(callOf(tools.seen)?.body ?? "{}").params._meta.traceparent, /-00$/);
  await call("read_file", {}, { traceparent: `00-${TRACE}-${PARENT}-01` });
  await call("no_such_tool", {}, { traceparent: `00-${TRACE}-${PARENT}-01` });
  for (const wrong of [
    "00-0-0-01",
    `ff-${TRACE}-${PARENT}-01`,
    `00-${"0".repeat(32)}-${PARENT}-01`,
    "x".repeat(5_000),
  ])
    assert.equal((await call("read_file", {}, { traceparent: wrong })).status, 200);
  await gateway[Symbol.asyncDispose]();
  assertEach(receiver.spans, ({ name, status }) => [name, status.code ?? 0], [
    ["tools/call files", 0],
    ["tools/call read_file", 0],
    ["tools/call", 2],
  ]);
});

test("B6 E5 reconfigured telemetry goes to its new receiver, and stays the same where nothing changed", async (t) => {
  const [before, after] = [await startReceiver(t), await startReceiver(t)];
  const { gateway, call, config } = await rig(t, telemetry({ endpoint: before.endpoint }));
  for (const { endpoint } of [after, after]) {
    const prepared = await gateway.prepare({ ...config, telemetry: telemetry({ endpoint }) });
    prepared.commit();
    await prepared.retire();
    await call("read_file");
  }
  await gateway[Symbol.asyncDispose]();
  const calls = ({ spans }: typeof after) => spans.filter(({ name }) => name === "tools/call read_file");
  assert.deepEqual([calls(before).length, calls(after).length], [0, 2]);
});

test("B6 a configuration whose telemetry cannot be loaded leaves no address behind", async (t) => {
  const { gateway, config } = await rig(t, null);
  const port = await freePort();
  const server = { ...(config.server ?? assert.fail()), port };
  // Nothing that a file can say: its loading fails.
  const broken = { ...telemetry({ endpoint: "http://127.0.0.1:1" }), headers: null } as never;
  const next = { ...config, server, telemetry: broken };
  await assert.rejects(gateway.prepare(next), TypeError);
  const other = createServer();
  await new Promise<void>((resolve, reject) =>
    other.once("error", reject).listen(port, "127.0.0.1", resolve),
  );
  other.close();
});

test("E5 metrics show the called tools, the durations and the present states", async (t) => {
  const receiver = await startReceiver(t);
  const headers = { Authorization: { kind: "stored", name: "otlp" } } as const;
  const { call } = await rig(t, telemetry({ endpoint: receiver.endpoint, traces: false, headers }));
  await call("read_file");
  await call("read_file");
  await call(`no_such_tool_${SECRET}`);
  const labels = { method: "tools/call", backend: "files", target: "read_file" };
  const { metrics } = receiver;
  // Each sending tells of what was counted until then: the last call's may not be in that of the first two.
  await eventually(
    () =>
      metrics.get(`mountaineer.request.duration ${JSON.stringify(labels)}`) === "2" &&
      metrics.get('mountaineer.requests {"method":"tools/call","outcome":"-32602"}') === "1",
  );
  assert.equal(metrics.get(`mountaineer.requests ${JSON.stringify({ ...labels, outcome: "ok" })}`), "2");
  assert.equal(metrics.get("mountaineer.sessions {}"), "1");
  assert.equal(metrics.get('mountaineer.backend.phase {"backend":"files","phase":"Ready"}'), "1");
  assert.equal(metrics.get('mountaineer.share.route {"share":"CORE","route":"tb"}'), "1");
  assert.equal(receiver.headers[0]?.["authorization"], "Bearer the-receivers-own");
  assert.equal(receiver.spans.length, 0);
  assert.ok(!receiver.texts.join().includes(SECRET));
});

test("E5 a receiver that hangs or is down delays no call and no end, and is reported", async (t) => {
  const receiver = await startReceiver(t);
  receiver.status = 503;
  const { gateway, call } = await rig(t, telemetry({ endpoint: receiver.endpoint }));
  assert.match((await call("read_file")).body, /done/);
  const told = await eventually(() =>
    gateway.view().conditions.find(({ code }) => code === "telemetry_not_sent"),
  );
  assert.match(told.title, /answers 503/);
  receiver.status = null;
  assert.match((await call("read_file")).body, /done/);
  await gateway[Symbol.asyncDispose]();
});

test("E5 Prometheus reads /metrics on this machine, and elsewhere only with a token", async (t) => {
  const open = await rig(t, telemetry({ prometheus: true }));
  await open.call("read_file");
  const read = (url: string, headers: Readonly<Record<string, string>> = {}) =>
    fetch(url.replace("/mcp", "/metrics"), { headers });
  const answer = await read(open.url);
  assert.match(answer.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
  const text = await answer.text();
  assert.match(text, /^# TYPE mountaineer_requests_total counter$/m);
  assert.match(
    text,
    /^mountaineer_requests_total\{method="tools\/call",backend="files",target="read_file",outcome="ok"\} 1$/m,
  );
  assert.match(text, /^mountaineer_request_duration_seconds_bucket\{.*le="\+Inf"\} 1$/m);
  assert.match(text, /^mountaineer_share_route\{share="CORE",route="tb"\} 1$/m);
  assert.ok(!text.includes(SECRET));
  const metricsToken = { kind: "stored", name: "metrics" } as const;
  const guarded = await rig(t, telemetry({ prometheus: true, metricsToken }));
  assert.equal((await read(guarded.url)).status, 401);
  assert.equal((await read(guarded.url, { authorization: "Bearer wrong" })).status, 401);
  assert.equal((await read(guarded.url, { authorization: "Bearer scrape-me" })).status, 200);
  const unset = { kind: "stored", name: "nobody-set-it" } as const;
  const shut = await rig(t, telemetry({ prometheus: true, metricsToken: unset }));
  for (const headers of [{}, { authorization: "Bearer null" }, { authorization: "Bearer scrape-me" }])
    assert.equal((await read(shut.url, headers)).status, 401, "a token that is not there lets nobody in");
  const written = await fetch(open.url.replace("/mcp", "/metrics"), { method: "POST" });
  assert.deepEqual([written.status, written.headers.get("allow")], [405, "GET, HEAD"]);
  const head = await fetch(open.url.replace("/mcp", "/metrics"), { method: "HEAD" });
  assert.deepEqual([head.status, await head.text()], [200, ""]);
  const off = await rig(t, null);
  assert.equal((await read(off.url)).status, 404);
});
