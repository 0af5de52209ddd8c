// What a server of a client becomes here.
import assert from "node:assert/strict";
import { test } from "node:test";
import { planImport } from "../../src/clients/import-plan.ts";
import { importedServer } from "../../src/clients/imported-server.ts";
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
