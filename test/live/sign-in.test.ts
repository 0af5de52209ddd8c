// The built program with everything of signing in and telemetry configured: a person's token, a program's, a receiver,
// and no secret in anything that is written or told.
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { initialize, post } from "../gateway/client-sign-in/signed-gateway.ts";
import { startTokenIssuer } from "../gateway/client-sign-in/token-issuer.ts";
import { startReceiver } from "../gateway/telemetry/otlp-receiver.ts";
import { LIGHT_SERVER } from "../mcp/fixture-programs.ts";
import { type GatewaySections, nodeBackend, startGatewayRig } from "../mcp/gateway-rig.ts";
import { eventually } from "../support/eventually.ts";

const SECRETS = {
  GATEWAY_TOKEN: "secret-of-a-program",
  OTLP_KEY: "Bearer secret-of-the-receiver",
  METRICS_TOKEN: "secret-of-prometheus",
  BACKEND_KEY: "secret-of-the-backend",
};
const ARGUMENT = "secret-in-an-argument";

/** All that the home holds, but what the secrets themselves are kept in. */
async function textsIn(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => path.join(parentPath, name));
  const texts = await Promise.all(files.map((file) => readFile(file, "latin1").catch(() => "")));
  return texts.join("\n");
}

test("E1 and E5 the built program admits by token, exports its traces, and writes no secret anywhere", async (t) => {
  const backend = nodeBackend(LIGHT_SERVER, [], { env: { KEY: "${BACKEND_KEY}" } });
  const rig = await startGatewayRig(t, { backends: { a: backend } }, { env: SECRETS });
  const [server, receiver] = await Promise.all([startTokenIssuer(t, rig.url), startReceiver(t)]);
  const audit = path.join(rig.folder, "audit.jsonl");
  const sections: GatewaySections = {
    backends: { a: backend },
    more: {
      incoming_auth: { type: "oidc", issuer: server.issuer, token: "${GATEWAY_TOKEN}" },
      "incoming_auth.scopes": { "files:read": ["reader"] },
      authorization: { default_effect: "allow" },
      audit: { path: audit, arguments: true, redact: ["text"] },
      telemetry: {
        endpoint: receiver.endpoint,
        interval: 1,
        prometheus: true,
        metrics_token: "${METRICS_TOKEN}",
      },
      "telemetry.headers": { Authorization: "${OTLP_KEY}" },
    },
  };
  await rig.edit(sections);
  await rig.untilReady("a");
  const token = await server.token(rig.url);
  const call = async (bearer: string) => {
    const opened = await eventually(async () => {
      const answer = await post(rig.url, bearer, initialize());
      return answer.status === 200 && answer;
    });
    return post(
      rig.url,
      bearer,
      {
        jsonrpc: "2.0",
        id: 2,
        method: "tools/call",
        params: { name: "echo", arguments: { text: ARGUMENT } },
      },
      { "mcp-session-id": opened.session ?? "" },
    );
  };
  for (const bearer of [token, SECRETS.GATEWAY_TOKEN]) assert.match((await call(bearer)).body, /secret-in/);
  assert.equal((await post(rig.url, `${token.slice(0, -4)}AAAA`)).status, 401);
  const metrics = await fetch(rig.url.replace("/mcp", "/metrics"), {
    headers: { authorization: `Bearer ${SECRETS.METRICS_TOKEN}` },
  });
  const page = await metrics.text();
  assert.match(
    page,
    /mountaineer_requests_total\{method="tools\/call",backend="a",target="echo",outcome="ok"\} 2/,
  );
  await eventually(() => receiver.spans.some(({ name }) => name === "tools/call a"));
  assert.equal(receiver.headers[0]?.["authorization"], SECRETS.OTLP_KEY);
  const status = JSON.stringify(await rig.status());
  const doctor = await rig.home.cli(["doctor", "--report", path.join(rig.folder, "report.md")]);
  const told = [
    await textsIn(rig.folder),
    ...receiver.texts,
    page,
    status,
    doctor.stdout,
    doctor.stderr,
    (await post(rig.url, "nobodys")).body,
  ].join("\n");
  assert.match(told, /"principal":"machine-client"/);
  for (const secret of [...Object.values(SECRETS), ARGUMENT, token, token.split(".")[2] ?? "none"]) {
    assert.ok(!told.includes(secret.replace("Bearer ", "")), `${secret.slice(0, 24)} is written somewhere`);
  }
});
