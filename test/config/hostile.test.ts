import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { editConfig } from "../../src/config/edit.ts";
import type { ConfigEdit } from "../../src/config/edit-meaning.ts";
import { parseConfig } from "../../src/config/load.ts";
import { LARGEST_FILE_BYTES } from "../../src/config/source-text.ts";
import { starterText } from "../../src/config/starter.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { bytes, PLACE, SHARE } from "./support.ts";

const TOML = `${starterText().replaceAll(/^#(?! |:|$|\n)/gm, "")}\n${SHARE.replace("CORE", "B")}share_name = 'b'\n[[shares]]\nname = "L"\nthunderbolt_path = """/a"""\nfallback_path = "~/b"\n`;
const YAML = `# starter
global: &g
  check_interval_secs: 0.5
  shares_root: "~/Shares"
shares:
  - &base
    name: A
    thunderbolt_host: 10.0.0.1
    fallback_host: 'nas:4450'
    password: \${PW}
  - {<<: *base, name: B, share_name: b}
  - name: >-
      folded
    thunderbolt_path: |-
      /a
    fallback_path: /b
backends: &b
  files: {command: npx, env: {FILES_TOKEN: "\${T}"}}
  web:
    url: https://x/mcp
    headers: {Authorization: Bearer \${T}}
    filters: {tools: {allow: [a]}}
incoming_auth: {type: local, users: [{name: x, token: "\${U}"}]}
authorization:
  policies:
    - effect: allow
`;

/** Loads, checks what must hold of every answer, and returns how long it took in ms. */
async function load(content: Uint8Array, file: string): Promise<number> {
  const start = performance.now();
  const loaded = await parseConfig(content, file, PLACE);
  const took = performance.now() - start;
  if (loaded.ok) {
    assert.ok(Object.isFrozen(loaded.snapshot.config));
    return took;
  }
  assert.ok(loaded.mistakes.length > 0);
  let last = [0, 0];
  for (const mistake of loaded.mistakes) {
    assert.equal(mistake.file, file);
    assert.ok(mistake.line >= 1 && mistake.column >= 1);
    assert.ok(mistake.found !== "" && mistake.expected !== "");
    assert.ok(mistake.line > (last[0] ?? 0) || mistake.column >= (last[1] ?? 0), "mistakes are out of order");
    assert.ok(JSON.stringify(mistake).length < 5000);
    last = [mistake.line, mistake.column];
  }
  return took;
}

const EDITS: readonly ConfigEdit[] = [
  { kind: "set", keyPath: ["global", "check_interval_secs"], value: 7.5 },
  { kind: "set", keyPath: ["sync", "detection"], value: "hash" },
  { kind: "unset", keyPath: ["global", "shares_root"] },
  { kind: "set", keyPath: ["shares", 0, "name"], value: "X" },
  { kind: "add-share", share: { name: "NEW" } },
  { kind: "remove-share", name: "B" },
  { kind: "set", keyPath: ["backends", "files", "timeouts", "call"], value: 7 },
  { kind: "unset", keyPath: ["backends", "files", "env", "FILES_TOKEN"] },
  { kind: "add-backend", name: "new", backend: { command: "x" } },
  { kind: "remove-backend", name: "files" },
];

const CODES: readonly string[] = [
  "config_invalid",
  "config_uneditable",
  "share_unknown",
  "backend_unknown",
  "usage",
];

/** Makes an edit; it is made or refused with a code of its own, and returns how long that took in ms. */
async function edit(content: Uint8Array, file: string, asked: ConfigEdit): Promise<number> {
  const start = performance.now();
  const format = file.endsWith(".toml") ? "toml" : "yaml";
  try {
    const { bytes: after } = await editConfig({ bytes: content, format, edits: [asked] });
    assert.ok(after.length < content.length + 1000);
  } catch (error) {
    if (!(error instanceof MountaineerError)) throw error;
    assert.ok(CODES.includes(error.code), error.message);
    if (error.code === "config_invalid") assert.match(error.message, / at \d+:\d+: found ./);
  }
  return performance.now() - start;
}

const SNIPPETS = [
  "[",
  "]",
  "[[",
  "{",
  "}",
  '"',
  "'",
  '"""',
  "'''",
  "=",
  "\n",
  "\r",
  "\t",
  "#",
  ":",
  "- ",
  "&a ",
  "*a",
  "<<: ",
  "!",
  "%",
  "? ",
  "|\n",
  "\0",
  "\ufeff",
  "\ud800",
  "__proto__",
  "[global]\n",
  "[[shares]]\n",
  "[backends.files]\n",
  "[backends.__proto__]\n",
  "[[incoming_auth.users]]\n",
  "env = {A = 1}\n",
  "constructor",
  "${",
  "name = 1\n",
  "---\n",
  "1e999",
  "0x",
  "🎬",
  "\\u",
  "...",
];

const mutation = fc.oneof(
  fc.record({ kind: fc.constant("cut" as const), at: fc.nat(), length: fc.nat(40) }),
  fc.record({ kind: fc.constant("insert" as const), at: fc.nat(), text: fc.constantFrom(...SNIPPETS) }),
  fc.record({ kind: fc.constant("repeat" as const), at: fc.nat(), length: fc.nat(80) }),
  fc.record({ kind: fc.constant("end" as const), at: fc.nat() }),
);

function mutate(
  text: string,
  mutations: readonly (typeof mutation extends fc.Arbitrary<infer T> ? T : never)[],
): string {
  let result = text;
  for (const step of mutations) {
    const at = step.at % (result.length + 1);
    if (step.kind === "cut") result = result.slice(0, at) + result.slice(at + step.length);
    else if (step.kind === "insert") result = result.slice(0, at) + step.text + result.slice(at);
    else if (step.kind === "repeat") result = result.slice(0, at + step.length) + result.slice(at);
    else result = result.slice(0, at);
  }
  return result;
}

for (const [file, text] of [
  ["config.toml", TOML],
  ["config.yaml", YAML],
] as const) {
  test(`any mutation of ${file} is accepted, or refused with places`, async () => {
    const mutations = fc.array(mutation, { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(mutations, async (steps) => {
        const took = await load(bytes(mutate(text, steps)), file);
        assert.ok(took < 5000);
      }),
      { numRuns: 400 },
    );
  });

  test(`any mutation of ${file} is edited, or refused with a reason`, async () => {
    const mutations = fc.array(mutation, { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(mutations, fc.constantFrom(...EDITS), async (steps, asked) => {
        const took = await edit(bytes(mutate(text, steps)), file, asked);
        assert.ok(took < 5000);
      }),
      { numRuns: 500 },
    );
  });

  test(`any bytes as ${file} are accepted, or refused with places`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 200 }),
        async (content) => void (await load(content, file)),
      ),
      { numRuns: 300 },
    );
    const lines = fc.array(fc.constantFrom(...SNIPPETS, " ", "a", "global", "shares"), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(lines, async (parts) => void (await load(bytes(parts.join("")), file))),
      { numRuns: 400 },
    );
  });
}

// Whatever the largest file can hold; the bound is far above what was measured, so that a busy machine does not fail it.
const MOST = LARGEST_FILE_BYTES - 8;

function lines(length: number, line: (index: number) => string, most = MOST - 100): string {
  return Array.from({ length: Math.floor(most / length) - 100 }, (_, index) => line(index)).join("\n");
}

const LARGE: readonly (readonly [name: string, text: string])[] = [
  ["nested arrays", `a = ${"[".repeat(MOST - 4)}`],
  ["nested inline tables", `a = ${"{a=".repeat(MOST / 3 - 4)}`],
  ["a long dotted key", `a.${"a.".repeat(MOST / 2 - 8)}a = 1`],
  ["a long dotted header", `[${"a.".repeat(MOST / 2 - 8)}a]`],
  ["many keys", Array.from({ length: MOST / 12 }, (_, index) => `k${index} = 1`).join("\n")],
  ["many broken lines", "a = \n".repeat(MOST / 5)],
  ["many doubled keys", "a = 1\n".repeat(MOST / 6)],
  ["many shares", "[[shares]]\n".repeat(MOST / 11)],
  ["many headers", "[a]\n".repeat(MOST / 4)],
  ["an endless string", `a = "${"x".repeat(MOST - 8)}`],
  ["many escapes", `a = "${"\\u0041".repeat(MOST / 6 - 4)}"`],
  ["nested sequences", "- ".repeat(MOST / 2)],
  ["nested flows", "{a: ".repeat(MOST / 4)],
  ["nested keys", "? ".repeat(MOST / 2)],
  ["quotes", '"'.repeat(MOST)],
  ["anchors", "&a ".repeat(MOST / 3)],
  ["documents", "---\n".repeat(MOST / 4)],
  ["an endless key", "k".repeat(MOST)],
  ["spaces", " ".repeat(MOST)],
  ["dots", ".".repeat(MOST)],
  ["many backends", lines(24, (index) => `[backends.b${index}]`)],
  ["many backends in YAML", `backends:\n${lines(28, (index) => `  b${index}: {command: x}`)}`],
  ["many keys that a backend lacks", `[backends.b]\n${lines(14, (index) => `k${index} = 1`)}`],
  [
    "many bad names",
    `[backends.b]\ncommand = "x"\n[backends.b.env]\n${lines(16, (index) => `"-${index}" = ""`)}`,
  ],
  [
    "many variables",
    `[backends.b]\ncommand = "x"\n[backends.b.env]\n${lines(18, (index) => `v${index} = "\${X}"`)}`,
  ],
  [
    "many tools",
    `[backends.b]\ncommand = "x"\n${lines(34, (index) => `tool_overrides.t${index}.name = "x"`)}`,
  ],
  ["an order of nobody", `[conflict_resolution]\norder = [${'"x",'.repeat(MOST / 4 - 20)}]`],
  [
    "an order of many",
    `[conflict_resolution]\norder = [${'"bx",'.repeat(MOST / 16)}]\n${"[backends]\n"}${lines(30, (index) => `b${index}.command = "x"`, MOST / 2)}`,
  ],
  ["many references", `[backends.b]\ncommand = "x"\nenv.A = "${"${X}".repeat(8000)}"`],
  ["many half references", `[backends.b]\ncommand = "x"\nenv.A = "${"$".repeat(MOST - 60)}"`],
  ["many users", "[[incoming_auth.users]]\n".repeat(MOST / 24)],
  ["many policies", "[[authorization.policies]]\n".repeat(MOST / 27)],
  ["aliases", `a: &a [${"1,".repeat(1000)}]\nb: [${"*a,".repeat(MOST / 4)}]`],
];

test("the largest file of anything ends in bounded time", { timeout: 300_000 }, async (t) => {
  for (const [name, text] of LARGE) {
    for (const file of ["config.toml", "config.yaml"]) {
      const took = await load(bytes(text), file);
      const [asked] = EDITS;
      const edited = asked === undefined ? 0 : await edit(bytes(text), file, asked);
      t.diagnostic(`${name} as ${file}: read ${took.toFixed(0)} ms, edited ${edited.toFixed(0)} ms`);
      assert.ok(took < 20_000 && edited < 20_000, `${name} as ${file} took ${took} and ${edited} ms`);
    }
  }
});

test("ten megabytes are refused without being read", async () => {
  const content = new Uint8Array(10 * 1024 * 1024).fill(0x61);
  for (const file of ["config.toml", "config.yaml"]) {
    assert.ok((await load(content, file)) < 1000);
    for (const asked of EDITS) assert.ok((await edit(content, file, asked)) < 1000);
  }
});
