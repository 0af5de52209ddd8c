// Mistakes in files: which are found, at which places, and in which words.
import assert from "node:assert/strict";
import { test } from "node:test";
import { editConfig } from "../../../src/config/edit/edit.ts";
import { starterText } from "../../../src/config/edit/starter.ts";
import { describeMistakes, MISTAKE_LIMIT, mistakesError } from "../../../src/config/values/mistakes.ts";
import { assertEach } from "../../support/assert-each.ts";
import { fc, runsOf } from "../../support/properties.ts";
import { bytes, refused, SHARE } from "../support.ts";
import { EDITS, edit, load } from "./hostile-text.ts";

test("the list of errors is bounded", async () => {
  const mistakes = await refused(Array.from({ length: 30_000 }, (_, index) => `k${index} = 1\n`).join(""));
  assert.equal(mistakes.length, MISTAKE_LIMIT);
  assert.match(mistakes.at(-1)?.found ?? "", /more errors/);
  const shares = await refused("[[shares]]\n".repeat(40_000));
  assert.equal(shares.length, MISTAKE_LIMIT);
});

test("errors begin with file, line and column", async () => {
  const mistakes = await refused('[global]\nshare_root = "x"\n', "/etc/c.toml");
  assert.equal(
    describeMistakes(mistakes),
    "/etc/c.toml:2:1: global.share_root\n  found     an unknown key\n  expected  a key of `[global]`\n  hint      did you mean `shares_root`?",
  );
  const error = mistakesError(mistakes);
  assert.equal(error.code, "config_invalid");
  assert.match(error.message, /a mistake\n\/etc\/c\.toml:2:1/);
});

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

const SNIPPETS = [
  ...`[ ] [[ { } " ' """ ''' = # : *a ! % \${ \\u ... 1e999 0x 🎬 __proto__ constructor`.split(" "),
  ...[
    "\n",
    "\r",
    "\t",
    "- ",
    "&a ",
    "<<: ",
    "? ",
    "|\n",
    "\0",
    "\ufeff",
    "\ud800",
    "---\n",
    "name = 1\n",
    "env = {A = 1}\n",
  ],
  ...["global", "[shares]", "backends.files", "backends.__proto__", "[incoming_auth.users]"].map(
    (at) => `[${at}]\n`,
  ),
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
  test(`any mutation of ${file} is accepted, or refused with positions`, async () => {
    const mutations = fc.array(mutation, { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(mutations, async (steps) => {
        await load(bytes(mutate(text, steps)), file);
      }),
      { numRuns: runsOf(800) },
    );
  });

  test(`any mutation of ${file} is edited, or refused with a reason`, async () => {
    const mutations = fc.array(mutation, { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(mutations, fc.constantFrom(...EDITS), async (steps, asked) => {
        await edit(bytes(mutate(text, steps)), file, asked);
      }),
      { numRuns: runsOf(800) },
    );
  });

  test(`any bytes as ${file} are accepted, or refused with positions`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 200 }),
        async (content) => void (await load(content, file)),
      ),
      { numRuns: runsOf(600) },
    );
    const lines = fc.array(fc.constantFrom(...SNIPPETS, " ", "a", "global", "shares"), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(lines, async (parts) => void (await load(bytes(parts.join("")), file))),
      { numRuns: runsOf(800) },
    );
  });
}

test("ten megabytes are refused without being read, even if they are valid", async () => {
  const content = new Uint8Array(10 * 1024 * 1024).fill("#".charCodeAt(0));
  for (const format of ["toml", "yaml"] as const) {
    const mistakes = await refused(content, `config.${format}`);
    assertEach(mistakes, ({ found }) => /MB|KB|bytes/.test(found), [true], JSON.stringify(mistakes));
    for (const asked of EDITS) {
      const editing = editConfig({ bytes: content, format, edits: [asked] });
      await assert.rejects(editing, { code: "config_invalid", message: /MB|KB|bytes/ });
    }
  }
});
