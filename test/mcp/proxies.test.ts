// A daemon whose server and authorization server are reached through a web proxy alone, which asks for a password.
import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import path from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { serving, startHttpServer } from "../gateway/backends/programs/http-server.ts";
import { onLoopback } from "../support/on-loopback.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { startTlsFront, startWebProxy, trustedCertificate } from "../support/web-proxy.ts";
import { handOver, startGatewayRig } from "./gateway-rig.ts";

const SERVER = "mcp.example.test";
const ISSUER = "login.example.test";

test("D9 tokens, calls and a restart go through the proxy, and its end is reported as the proxy's", async (t) => {
  const certificate = trustedCertificate(t, SERVER, ISSUER);
  const metadata = `https://${SERVER}/metadata`;
  const answers: Record<string, unknown> = {
    "/metadata": { resource: `https://${SERVER}/mcp`, authorization_servers: [`https://${ISSUER}`] },
    "/.well-known/oauth-authorization-server": {
      issuer: `https://${ISSUER}`,
      token_endpoint: `https://${ISSUER}/token`,
      response_types_supported: ["code"],
      grant_types_supported: ["client_credentials"],
    },
    "/token": { access_token: "tok-1", token_type: "Bearer", expires_in: 3600 },
  };
  const serve = serving({
    "tools/list": { tools: [{ name: "echo", inputSchema: { type: "object" } }] },
    "tools/call": { content: [{ type: "text", text: "heard" }] },
  });
  const elsewhere = ({ url = "" }, response: import("node:http").ServerResponse): unknown =>
    response
      .writeHead(url in answers ? 200 : 404, { "content-type": "application/json" })
      .end(JSON.stringify(answers[url] ?? {}));
  const server = await startHttpServer(
    t,
    (posted) => {
      if (posted.headers.authorization === "Bearer tok-1") return serve(posted);
      const challenge = `Bearer resource_metadata="${metadata}"`;
      return posted.response.writeHead(401, { "www-authenticate": challenge }).end();
    },
    { path: "/mcp", elsewhere },
  );
  const tokens: string[] = [];
  const issuer = createServer(async (request, response) => {
    if (request.method === "POST") tokens.push(await text(request));
    elsewhere(request, response);
  });
  const [serverPort, issuerPort] = await Promise.all([
    startTlsFront(t, certificate, Number(new URL(server.url).port)),
    startTlsFront(t, certificate, await onLoopback(t, issuer)),
  ]);
  const proxy = await startWebProxy(t, {
    leads: { [`${SERVER}:443`]: serverPort, [`${ISSUER}:443`]: issuerPort },
    user: "ann:pass-of-the-proxy",
  });
  const authority = path.join(await temporaryFolder(t), "authority.pem");
  await writeFile(authority, certificate.authority);
  const auth = {
    type: "client-credentials",
    client_id: "g",
    client_secret: "${MACHINE}",
    issuer: `https://${ISSUER}`,
  };
  const remote = { type: "streamable-http", url: `https://${SERVER}/mcp`, auth };
  const rig = await startGatewayRig(
    t,
    { backends: { remote } },
    {
      kept: true,
      env: {
        HTTPS_PROXY: `http://ann:pass-of-the-proxy@${proxy.name}`,
        HTTP_PROXY: "http://nothing.example.test:1",
        MACHINE: "s3cret",
        NODE_EXTRA_CA_CERTS: authority,
      },
    },
  );
  await rig.untilReady("remote");
  const client = await rig.connect();
  assert.equal(await client.call("echo"), "heard");
  assert.deepEqual(new Set(proxy.asked), new Set([`CONNECT ${SERVER}:443`, `CONNECT ${ISSUER}:443`]));
  assert.equal(tokens.length, 1);
  await handOver(rig);
  assert.equal(await client.call("echo"), "heard");
  proxy.stop();
  await assert.rejects(client.call("echo"));
  await rig.edit({ backends: { remote, second: remote } });
  const { conditions } = await rig.untilBackend("second", ({ conditions }) =>
    conditions.some(({ title, hint }) => `${title} ${hint}`.includes(proxy.name)),
  );
  const shown = JSON.stringify(conditions);
  assert.match(shown, new RegExp(`cannot reach the proxy ${proxy.name} on the way to https://${SERVER}`));
  assert.match(shown, /check HTTPS_PROXY in the daemon's environment/);
  const report = path.join(rig.home.home, "report.md");
  await rig.home.cli(["doctor", "--report", report]);
  assert.match(await readFile(report, "utf8"), /second/);
  const files = await readdir(rig.home.home, { withFileTypes: true });
  const kept = await Promise.all(
    files
      .filter((file) => file.isFile())
      .map((file) => readFile(path.join(rig.home.home, file.name), "latin1")),
  );
  for (const said of [shown, ...kept])
    assert.doesNotMatch(said, /pass-of-the-proxy|YW5uOnBhc3Mtb2YtdGhlLXByb3h5/);
});
