// What a server of a client becomes here.
import assert from "node:assert/strict";
import { test } from "node:test";
import { planImport } from "../../src/clients/import-plan.ts";
import { importedServer } from "../../src/clients/imported-server.ts";
import { pastedFile } from "../../src/clients/pasted-servers.ts";
import { foundEntries, serversIn } from "../../src/clients/read-files.ts";
import { fc } from "../support/properties.ts";

const imported = (name: string, entry: Record<string, unknown>, environment: NodeJS.ProcessEnv = {}) =>
  importedServer(name, entry, {
    userHome: "/home/ann",
    environment,
    project: null,
    expands: null,
    client: null,
    taken: new Set(),
  });

test("F1 any name becomes a valid backend name, and ends in a letter or a digit however long it was", () => {
  const nameOf = (name: string): string | undefined => imported(name, { command: "x" })?.name;
  assert.equal(nameOf("my server!"), "my-server");
  assert.equal(nameOf("1st"), "mcp-1st");
  assert.equal(nameOf(`${"a".repeat(63)}-rest`), "a".repeat(63));
});

test("F1 mcp-remote is left out where its arguments are an address and known options, and stays otherwise", () => {
  const tableOf = (...args: readonly string[]) =>
    imported("a", { command: "npx", args: ["-y", ...args] })?.table;
  const url = "https://a.example/mcp";
  assert.deepEqual(tableOf("mcp-remote", url, "--transport", "http-only"), { url });
  assert.deepEqual(tableOf("mcp-remote", url, "--debug", "--header", "A: b"), { url, headers: { A: "b" } });
  for (const command of ["npx", "/usr/bin/bunx"])
    assert.deepEqual(imported("a", { command, args: ["--yes", "mcp-remote", url] })?.table, { url });
  const other = { command: "node", args: ["mcp-remote", url] };
  assert.deepEqual(imported("a", other)?.table, other);
  const header = ["--header", "Authorization: Bearer ${TOKEN}"];
  assert.deepEqual(imported("a", { command: "npx", args: ["mcp-remote", url, ...header] })?.table, {
    ...{ url, enabled: false, headers: { Authorization: "Bearer ${secret:a-token}" } },
  });
  for (const args of [
    ["mcp-remote", url, "--transport", "other"],
    ["mcp-remote", "a.example/mcp"],
    ["mcp-remote", url, "--unknown", "x"],
    ["mcp-remote", url, "--header", "no colon"],
    ["another", url],
  ])
    assert.deepEqual(tableOf(...args), { command: "npx", args: ["-y", ...args] });
});

test("F1 each variable of this shell is named with the place where its value is kept", () => {
  const headers = { Authorization: "Bearer ${DOCS}", "X-Team": "${TEAM}", "X-Api-Key": "${API_KEY}" };
  const environment = { DOCS: "docs-0123456789", TEAM: "red", API_KEY: "k" };
  assert.deepEqual(
    Object.fromEntries(imported("a", { url: "https://a.example", headers }, environment)?.given ?? []),
    {
      DOCS: "is stored as secret:a-authorization",
      TEAM: "is written into the file",
      API_KEY: "is stored as secret:a-api-key",
    },
  );
});

test("F1 each entry of a list is imported, there already, or refused, and named", async () => {
  const entry = fc.oneof(
    fc.record(
      {
        name: fc.constantFrom("a", "b", "a b", ""),
        id: fc.constantFrom("a", "c"),
        command: fc.constantFrom("npx", "node", "", 7),
        args: fc.constantFrom(["-y", "x"], "-y x", [1], null),
        url: fc.constantFrom("https://a.example/mcp", "nowhere", null),
        headers: fc.constantFrom(["X: y"], { X: "y" }),
        enabled: fc.boolean(),
        odd: fc.constantFrom(1, "x"),
      },
      { requiredKeys: [] },
    ),
    fc.constantFrom(null, 7, "text", []),
  );
  const home = { userHome: "/home/ann", environment: {}, folder: "/" };
  const file = { client: null, folder: null, path: "/servers.json", format: "json" } as const;
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { maxLength: 8 }), async (mcpServers) => {
      const found = await serversIn({ mcpServers }, file, home, new Set());
      const { added, twins } = planImport([{ ...file, title: "x", isOfFolder: false, ...found }], {});
      assert.equal(added.length + twins.length + found.empty.length, mcpServers.length);
      const names = added.map(({ name }) => name);
      assert.deepEqual([...new Set(names)], names);
      for (const twin of twins) assert.ok(names.includes(twin.as), twin.as);
    }),
    { numRuns: 300 },
  );
});

test("F1 cmd /c is left out, and another program's /c is not", () => {
  const tableOf = (command: string) => imported("a", { command, args: ["/c", "serve", "x"] })?.table;
  assert.deepEqual(tableOf("CMD.EXE"), { command: "serve", args: ["x"] });
  assert.deepEqual(tableOf("tar"), { command: "tar", args: ["/c", "serve", "x"] });
  assert.equal(
    imported("a", { command: "cmd", args: ["/c"] })?.table["command"],
    "cmd",
    "of nothing behind it",
  );
});

test("F1 a client's limits become the nearest values allowed for a backend", () => {
  const limitsOf = (entry: Record<string, unknown>) =>
    imported("a", { command: "x", ...entry })?.table["timeouts"];
  assert.deepEqual(limitsOf({ startup_timeout_sec: 601, tool_timeout_sec: 86_401 }), {
    init: 600,
    call: 86_400,
  });
  assert.deepEqual(limitsOf({ startup_timeout_ms: 5, requestTimeout: 999 }), { init: 0.1, call: 0.999 });
  assert.equal(limitsOf({ startup_timeout_sec: 0, tool_timeout_sec: "9" }), undefined);
});

test("F1 text next to a placeholder that is unknown here is hidden, since it may be a secret", () => {
  const env = { A: "sk-live-0123${workspaceFolder}", B: "${workspaceFolder}" };
  const table = imported("a", { command: "x", env })?.table;
  assert.deepEqual(table?.["env"], { A: "(hidden)", B: "$${workspaceFolder}" });
});

test("F1 two secrets whose names become the same are kept separate", () => {
  const headers = { "X-Api-Key": "sk-live-one-0123456789", X_Api_Key: "sk-live-two-0123456789" };
  const { secrets } = imported("a", { url: "https://a.example/mcp", headers }) ?? {};
  assert.deepEqual([...(secrets?.values() ?? [])], Object.values(headers));
  const env = { A: "${input:k_1}", B: "${input:k-1}" };
  assert.deepEqual(imported("a", { command: "x", env })?.wanted, ["a-k-1", "a-k-1-2"]);
});

test("F1 a remaining setting shows no value of a secret's name", () => {
  const login = { clientSecret: "plainword", scope: "read" };
  const entry = { command: "x", login, motto: "ghp_0123456789abcdef0123456789abcdef0123" };
  assert.deepEqual(imported("a", entry)?.unusedSettings, [
    'login = {"clientSecret":"(hidden)","scope":"read"}',
    'motto = "(hidden)"',
  ]);
  const lists = {
    command: "x",
    tokens: ["plainword"],
    more: [{ password: "plainword" }],
    long: Array.from({ length: 99 }, () => "word"),
  };
  const [tokens, more, long = ""] = imported("a", lists)?.unusedSettings ?? [];
  assert.deepEqual([tokens, more], ['tokens = ["(hidden)"]', 'more = [{"password":"(hidden)"}]']);
  assert.ok(long !== "" && long.length < 220, long);
});

test("F1 a project's servers are those of its folder and its subfolders, not of folders with the same beginning", () => {
  const file = { projects: { "/a/b": { mcpServers: { x: { command: "x" } } } } };
  for (const [folder, count] of [
    ["/a/b", 1],
    ["/a/b/c", 1],
    ["/a/bc", 0],
    ["/a", 0],
  ] as const)
    assert.equal(foundEntries(file, folder).entries.length, count, folder);
});

// Servers in text as people paste it.
const SURROUNDINGS = { userHome: "/home/ann", environment: {}, folder: "/" };

/** The servers of the text, a word each: its name, and what runs. */
async function read(text: string): Promise<readonly string[]> {
  const { servers } = await pastedFile(text, SURROUNDINGS, new Set());
  return servers.map(({ name, table: { command, args = [], url } }) =>
    [name, url ?? command, ...(Array.isArray(args) ? args : [])].join(" "),
  );
}

const PASTED: Readonly<Record<string, readonly [text: string, ...servers: string[]]>> = {
  "a byte order mark": ['\uFEFF{"mcpServers":{"a":{"command":"x"}}}', "a x"],
  "code fences among sentences": [
    'Add:\n```json\n{"mcpServers":{"a":{"command":"x"},}}\n```\nor\n```\n"b": {"url":"https://b.example/mcp"}\n```\n',
    ...["a x", "b https://b.example/mcp"],
  ],
  "an open code fence": ['```json\n{"a":{"command":"x"}}', "a x"],
  "commas and comments around a part": [
    '# mcp.json\n,\n// mine\n"a": {"command":"x"}, /* end */\n"b": {"command":"y"},\n}',
    ...["a x", "b y"],
  ],
  "a bare server": [
    '{"command":"npx","args":["-y","@modelcontextprotocol/server-github@1.2"]}',
    "github npx -y @modelcontextprotocol/server-github@1.2",
  ],
  "the members of a bare server": ['"command": "uvx", "args": ["mcp-server-git"]', "git uvx mcp-server-git"],
  "a bare address": ['{"url":"https://mcp.linear.app/mcp"}', "linear https://mcp.linear.app/mcp"],
  "several objects": ['{"a":{"command":"x"}}\n{"servers":{"b":{"command":"y"}}}', "a x", "b y"],
  "one name twice": ['"a":{"command":"x"},\n"a":{"command":"y"}', "a x", "a y"],
  "a list": ['[{"name":"a","command":"x"}]', "a x"],
  "paths of Windows": [
    String.raw`{"a":{"command":"C:\\Users\ann\new.exe","args":["C:\temp\new","D:\\ok","\\nas\share"]}}`,
    String.raw`a C:\Users\ann\new.exe C:\temp\new D:\ok \nas\share`,
  ],
  "other escapes": [String.raw`{"a":{"command":"x","args":["a\tb","\"C\""]}}`, 'a x a\tb "C"'],
  nothing: [" \n"],
};

for (const [what, [text, ...servers]] of Object.entries(PASTED)) {
  test(`F4 pasted servers are read: ${what}`, async () => assert.deepEqual(await read(text), servers));
}

test("F4 E4 pasted text of more than a thousand objects is refused before they are read", async () => {
  await assert.rejects(read('"'.repeat(65_536)), { message: "the pasted text has more than 1000 servers" });
});

test("F4 pasted text that is not JSON is refused with the place of the error", async () => {
  await assert.rejects(
    read('{"a":{"command":"x"}'),
    /the pasted text is not JSON .*: at 1:21, close brace expected/,
  );
  await assert.rejects(read("npx -y server"), { code: "client_unreadable" });
  await assert.rejects(read("42"), /42 where a server was expected/);
});

// Passwords in the entries of clients: no part of one stays in what import writes or shows.
const RUNS = Number(process.env["RUNS"] ?? 300);

const GLUED = (password: string) => ({ command: "mysql", args: ["-u", "ann", `-p${password}`] });

const IN_KEY = (password: string) => ({
  url: "https://a.example/mcp",
  headers: { "X-Api-Key": password },
});

/** Where clients' files have passwords. */
const FORMS: readonly ((password: string) => Record<string, unknown>)[] = [
  (password) => ({ command: "x", args: ["--token", password] }),
  (password) => ({ command: "x", args: [`--token=${password}`, "serve"] }),
  GLUED,
  (password) => ({ command: "mysql", args: [`-p${password}`, "postgres://ann:0therW0rd@db.example/work"] }),
  (password) => ({ command: "x", args: [`API_TOKEN=${password}`] }),
  (password) => ({ command: "docker", args: ["run", "-e", `API_TOKEN=${password}`, "image"] }),
  (password) => ({ command: "x", args: [`postgres://ann:${password}@db.example:5432/work`] }),
  (password) => ({ command: "x", args: [`--dsn=postgres://ann:${password}@db.example/work?sslmode=on`] }),
  (password) => ({ command: "x", args: ["--dsn", `redis://:${password}@db.example/0`] }),
  (password) => ({ command: "x", args: [`https://${password}@git.example/ann/work.git`] }),
  (password) => ({ command: "x", args: [`Server=db;User Id=ann;Password=${ado(password)};Database=work`] }),
  (password) => ({
    command: "x",
    args: [`Driver={ODBC 18};Server=db;UID=ann;PWD=${braced(password)};Database=work`],
  }),
  (password) => ({
    command: "x",
    args: [`jdbc:sqlserver://db:1433;user=ann;password=${braced(password)};encrypt=on`],
  }),
  (password) => ({ command: "x", args: [`jdbc:mysql://ann:${password}@db.example/work`] }),
  (password) => ({
    command: "x",
    args: [`--url=jdbc:mysql://db/work?user=ann&password=${encodeURIComponent(password)}`],
  }),
  (password) => ({ command: "x", env: { API_TOKEN: password, LEVEL: "info" } }),
  (password) => ({ command: "x", env: { DATABASE_URL: `postgres://ann:${password}@db.example/work` } }),
  (password) => ({ command: "x", env: { DB: `Server=db;Uid=ann;Pwd=${ado(password)};Database=work` } }),
  (password) => ({ url: "https://a.example/mcp", headers: { Authorization: `Bearer ${password}` } }),
  IN_KEY,
  (password) => ({ url: `https://ann:${password}@a.example/mcp` }),
  (password) => ({ url: `https://a.example/mcp?token=${encodeURIComponent(password)}&mode=fast` }),
];

/** As ADO.NET writes a value with signs. */
function ado(password: string): string {
  return /[;"'={} ]/.test(password) ? `"${password.replaceAll('"', '""')}"` : password;
}

/** As ODBC writes a value with signs. */
function braced(password: string): string {
  return `{${password.replaceAll("}", "}}")}}`;
}

const letter = fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code));
const password = fc.string({ unit: letter, minLength: 12, maxLength: 24 });

test("E2 no part of a password stays in what import writes or shows, whatever characters it has", () => {
  fc.assert(
    fc.property(fc.constantFrom(...FORMS), password, (form, secret) => {
      const taken = { userHome: "/home/ann", environment: {}, project: null, expands: null } as const;
      const found = importedServer("a", form(secret), { ...taken, client: null, taken: new Set() });
      const { secrets: _, ...shown } = found ?? { secrets: null };
      const texts = textsIn(shown);
      const around = textsIn(form("")).join("\n");
      for (let at = 0; at + 4 <= secret.length; at += 1) {
        const [long, short] = [secret.slice(at, at + 8), secret.slice(at, at + 4)];
        const leaks = (part: string): boolean => texts.some((text) => text.includes(part));
        assert.ok(long.length < 8 || !leaks(long), `${long} of ${secret}: ${JSON.stringify(shown)}`);
        assert.ok(around.includes(short) || !leaks(short), `${short} of ${secret}: ${JSON.stringify(shown)}`);
      }
    }),
    {
      numRuns: RUNS,
      examples: [
        [GLUED, "00aa=!!!!!!!!!"],
        [IN_KEY, "%AAA%!!!!&!!!"],
      ],
    },
  );
});

function textsIn(value: unknown): readonly string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsIn) : [];
}
