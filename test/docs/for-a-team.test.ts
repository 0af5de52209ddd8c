// The proxy of docs/use/for-a-team.md, in front of a daemon, without its TLS.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { get } from "node:http";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { serveHere } from "../cli/command-line.ts";
import { blockOf, openProxy } from "../kit/balancers.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { programMissing } from "../sync/programs.ts";

const PAGE = resolve(import.meta.dirname, "../../docs/use/for-a-team.md");

function statusOf(url: string): Promise<number | undefined> {
  const { promise, resolve: answered, reject } = Promise.withResolvers<number | undefined>();
  get(url, { headers: { host: "mcp.example.com" } }, (answer) => {
    answer.resume();
    answered(answer.statusCode);
  }).once("error", reject);
  return promise;
}

const skip = (await programMissing("nginx")) ?? false;
test("E1 through the page's nginx clients reach MCP, and neither the page nor the API", {
  skip,
}, async (t) => {
  const [home, gateway, port] = await Promise.all([temporaryFolder(t), freePort(), freePort()]);
  const config = `[server]
port = ${gateway}
public_url = "https://mcp.example.com/mcp"
[[incoming_auth.users]]
name = "ann"
token = "\${ANN_TOKEN}"
[incoming_auth]
type = "local"
`;
  await writeFile(join(home, "config.toml"), config);
  await using _served = await serveHere({ home, env: { ANN_TOKEN: "a-token-that-is-long-enough-for-ann" } });
  const block = (await blockOf("nginx", PAGE))
    .replace("listen 443 ssl;", `listen 127.0.0.1:${port};`)
    .replace(/^ +ssl_certificate.+\n/gm, "")
    .replace("127.0.0.1:9000", `127.0.0.1:${gateway}`);
  await using _proxy = await openProxy("nginx", block, port);
  await eventually(async () => (await statusOf(`http://127.0.0.1:${port}/mcp`)) === 401);
  for (const path of ["/", "/manage/v1/status"])
    assert.equal(await statusOf(`http://127.0.0.1:${port}${path}`), 403, path);
});
