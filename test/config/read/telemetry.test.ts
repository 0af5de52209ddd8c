import assert from "node:assert/strict";
import { test } from "node:test";
import { secretUses } from "../../../src/config/read/secret-uses.ts";
import { describeMistakes } from "../../../src/config/values/mistakes.ts";
import { assertEach } from "../../support/assert-each.ts";
import { accepted, refused } from "../support.ts";

test("E5 telemetry is off unless somebody wants something of it", async () => {
  for (const text of ["", "[telemetry]\n", "[telemetry]\nsample = 0.5\n"]) {
    assert.equal((await accepted(text)).config.telemetry, null, text);
  }
});

test("E5 what can be said of telemetry comes out in the engine's spelling, with its secrets by reference", async () => {
  const { config } = await accepted(`[telemetry]
endpoint = "http://127.0.0.1:4318/"
sample = 0.1
interval = 5
prometheus = true
metrics_token = "secret:metrics"
[telemetry.headers]
Authorization = "\${OTLP_KEY}"
`);
  assert.deepEqual(config.telemetry, {
    endpoint: "http://127.0.0.1:4318",
    protocol: "http/protobuf",
    headers: { Authorization: { kind: "environment", variable: "OTLP_KEY" } },
    traces: true,
    metrics: true,
    sample: 0.1,
    intervalMs: 5_000,
    serviceName: "mountaineer",
    prometheus: true,
    metricsToken: { kind: "stored", name: "metrics" },
  });
  const json = await accepted('[telemetry]\nendpoint = "http://127.0.0.1:4318"\nprotocol = "http/json"\n');
  assert.equal(json.config.telemetry?.protocol, "http/json");
  const grpc = await refused('[telemetry]\nprotocol = "grpc"\n');
  assert.match(describeMistakes(grpc), /telemetry\.protocol.*http\/protobuf/s);
  assertEach(secretUses(config), ({ usedBy }) => usedBy, [
    "telemetry (headers Authorization)",
    "telemetry (metrics_token)",
  ]);
});

test("E5 metrics that others can reach take a token", async () => {
  const prometheus = "[telemetry]\nprometheus = true\n";
  await accepted(prometheus);
  const auth = '[incoming_auth]\ntype = "local"\ntoken = "${T}"\n';
  for (const server of ['host = "192.168.1.4"', 'public_url = "https://mcp.example.com/mcp"']) {
    const text = `[server]\n${server}\n${auth}${prometheus}`;
    assert.match(describeMistakes(await refused(text)), /telemetry\.metrics_token/, server);
    await accepted(`${text}metrics_token = "secret:metrics"\n`);
  }
  assert.match(
    describeMistakes(await refused('[telemetry]\nendpoint = "otel:4318"\n')),
    /telemetry\.endpoint/,
  );
  const literal = await refused('[telemetry.headers]\nAuthorization = "Bearer abc"\n');
  assert.ok(!describeMistakes(literal).includes("abc"));
});
