import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { runCommand } from "../command-line.ts";

/** A server at one path, that keeps what it is asked. */
async function serveAt(t: TestContext, path: string, type: string) {
  const asked: string[] = [];
  const headers: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    headers.push(...Object.keys(request.headers));
    const isHere = request.url === path && (path === "/mcp") === (request.method === "POST");
    response.writeHead(isHere ? (path === "/mcp" ? 400 : 200) : 404, {
      "Content-Type": isHere ? type : "text/html",
    });
    response.end("{}");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, port, asked, headers };
}

test("F1 validate warns of what a start would stumble over, and asks nobody", async (t) => {
  const home = await temporaryFolder(t);
  const { url, port, asked } = await serveAt(t, "/mcp", "application/json");
  const file = join(home, "draft.toml");
  await writeFile(
    file,
    `[server]
port = ${port}
[backends.gone]
command = "no-such-program"
[backends.line]
command = "npx -y some-server"
[backends.unset]
command = "true"
env = { KEY = "\${NO_SUCH_VARIABLE}" }
[backends.bare]
url = "${url}"
[backends.off]
command = "no-such-program"
enabled = false
[[shares]]
name = "CORE"
thunderbolt_host = "10.0.0.2"
fallback_host = "192.168.1.20"
password = "\${NO_SUCH_PASSWORD}"
`,
  );
  const { code, stdout } = await runCommand(["config", "validate", file, "--json"], { home });
  assert.equal(code, 0);
  const { ok, warnings } = JSON.parse(stdout) as {
    ok: boolean;
    warnings: { path: string; text: string; hint: string }[];
  };
  assert.equal(ok, true);
  const told = warnings.map(({ path, text, hint }) => `${path}: ${text} | ${hint}`).join("\n");
  for (const expected of [
    /^backends\.gone: its program no-such-program is not found \| install it/m,
    /^backends\.line: its program .* is not found \| command is the program alone/m,
    /^backends\.unset: .*NO_SUCH_VARIABLE/m,
    /^backends\.bare: its address has no path, .* \| mountaineer backends edit bare --url http:\S+\/mcp$/m,
    /^shares\.CORE: .*NO_SUCH_PASSWORD/m,
    /^server: .* listens at 127\.0\.0\.1:\d+ already/m,
  ])
    assert.match(told, expected);
  assert.doesNotMatch(told, /backends\.off/);
  assert.deepEqual(asked, []);
  const plain = await runCommand(["config", "validate", file], { home });
  assert.match(plain.stdout, /is valid: 1 share, 5 backends\n[\s\S]*▲ backends\.gone: its program/);
});

for (const [path, type] of [
  ["/mcp", "application/json"],
  ["/sse", "text/event-stream"],
] as const)
  test(`F1 backends add takes ${path} for an address without a path where a server answers there, and shows it no header`, async (t) => {
    const home = await temporaryFolder(t);
    const { url, asked, headers } = await serveAt(t, path, type);
    const added = await runCommand(
      ["backends", "add", "x", "--url", url, "--header", "X-Region: eu", "--wait", "0"],
      { home },
    );
    assert.equal(added.code, 0, added.stderr);
    assert.match(
      added.stderr,
      new RegExp(`has no path, and a server answers at ${url}${path}: that is added`),
    );
    const shown = await runCommand(["config", "get", "backends.x.url"], { home });
    assert.match(shown.stdout, new RegExp(`${url}${path}`));
    assert.equal(asked[0], "POST /");
    assert.ok(!headers.includes("x-region") && !headers.includes("authorization"));
  });
