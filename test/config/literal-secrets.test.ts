// The secrets that a configuration holds written out.
import assert from "node:assert/strict";
import { test } from "node:test";
import { literalSecrets } from "../../src/config/literal-secrets.ts";
import { accepted } from "./support.ts";

async function found(text: string): Promise<readonly (readonly [key: string, value: string])[]> {
  const { config } = await accepted(text);
  return literalSecrets(config.backends).map(({ key, value }) => [key, value]);
}

test("E2 what is written out and looks like a secret, or stands under the name of one, is found with its key", async () => {
  const text = `[backends.files]
command = "npx"
args = ["-y", "server", "--api-key", "hunter2", "--token=swordfish", "ghp_abcdefgh"]
env = { DB_PASSWORD = "letmein", LEVEL = "debug", TOKEN = "\${TOKEN}", MIXED = "x-\${TOKEN}" }
[backends.web]
url = "https://example.org/mcp?api_key=opensesame&page=2"
headers = { X-Api-Key = "mellon", Authorization = "Bearer \${TOKEN}" }
`;
  assert.deepEqual(await found(text), [
    ["backends.files.args[3]", "hunter2"],
    ["backends.files.args[4]", "swordfish"],
    ["backends.files.args[5]", "ghp_abcdefgh"],
    ["backends.files.env.DB_PASSWORD", "letmein"],
    ["backends.web.url", "opensesame"],
    ["backends.web.headers.X-Api-Key", "mellon"],
  ]);
});

test("E2 what everybody writes is no secret", async () => {
  const text = `[backends.files]
command = "npx"
args = ["-y", "@modelcontextprotocol/server-filesystem@2026.1.14", "/srv/files", "--auth", "none", "--port=8080", "--pin", "1234"]
env = { NODE_ENV = "production", DEBUG = "mcp:*", CACHE_DIR = "/tmp/cache-x7Kq9L", EMPTY_TOKEN = "" }
cwd = "/srv"
[backends.web]
url = "https://example.org/v1/mcp?page=2"
headers = { Accept-Language = "en" }
[backends.built]
command = "node"
args = ["/srv/app/dist/35010a7b583850f6/main.js"]
env = { ENTRY = "/srv/app/dist/35010a7b583850f6/main.js" }
`;
  assert.deepEqual(await found(text), []);
});
