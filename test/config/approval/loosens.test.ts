import assert from "node:assert/strict";
import { test } from "node:test";
import { loosens } from "../../../src/config/approval/loosens.ts";
import { readTables } from "../../../src/config/read/load.ts";

const USER = (more = "") =>
  `[incoming_auth]\ntype = "local"\n[[incoming_auth.users]]\nname = "ann"\ntoken = "\${ANN}"\n${more}`;
const BOB = `[[incoming_auth.users]]\nname = "bob"\ntoken = "\${BOB}"\n`;
const JWT = (more = "") =>
  `[incoming_auth]\ntype = "jwt"\nissuer = "https://i.example"\naudience = ["a"]\njwks = "https://i.example/k"\n${more}`;
const RULES = (more = "", first = "") => `[authorization]\n${first}${more}`;
const POLICY = (effect: string, more = "") => `[[authorization.policies]]\neffect = "${effect}"\n${more}`;

// Before, after, and what is dropped.
const ROWS: readonly (readonly [string, string, readonly string[]])[] = [
  ["", "", []],
  [USER(), "", ["[incoming_auth]"]],
  [USER(BOB), USER(), []],
  [USER(), USER(BOB), []],
  [USER('roles = ["guest"]\n'), USER(), ["[incoming_auth]"]],
  [USER('roles = ["guest"]\n'), USER('roles = ["dev"]\n'), []],
  [JWT('required_scopes = ["mcp"]\n'), JWT(), ["[incoming_auth]"]],
  [RULES(POLICY("allow")), "", ["[authorization]"]],
  [RULES(POLICY("deny") + POLICY("allow")), RULES(POLICY("allow")), ["[authorization]"]],
  [RULES(POLICY("allow") + POLICY("allow", 'roles = ["a"]\n')), RULES(POLICY("allow")), []],
  [RULES(POLICY("allow", 'roles = ["a"]\n')), RULES(POLICY("allow")), ["[authorization]"]],
  [RULES(POLICY("allow", 'roles = ["ab"]\n')), RULES(POLICY("allow", 'roles = ["a"]\n')), []],
  [RULES("", 'destructive = "ask"\n'), RULES(), ["[authorization]"]],
  [RULES("", 'default_effect = "deny"\n'), RULES("", 'default_effect = "allow"\n'), []],
  [RULES(), "", ["[authorization]"]],
  [
    RULES(`${POLICY("allow")}[authorization.policies.arguments]\na = ["x"]\nb = ["y"]\n`),
    RULES(`${POLICY("allow")}[authorization.policies.arguments]\na = ["x"]\n`),
    ["[authorization]"],
  ],
  [`[server]\nhost = "10.0.0.5"\n${USER()}`, USER(), ["[server].host"]],
  [`[server]\nhost = "10.0.0.5"\n${USER()}`, `[server]\nhost = "10.0.0.6"\n${USER()}`, []],
];

async function tablesOf(text: string) {
  const read = await readTables(Buffer.from(text), "config.toml", "toml");
  assert.ok(read.ok, JSON.stringify(read));
  return read.value;
}

for (const [before, after, dropped] of ROWS) {
  test(`B12 ${JSON.stringify(before)} → ${JSON.stringify(after)} drops ${dropped.join() || "nothing"}`, async () => {
    assert.deepEqual(loosens(await tablesOf(before), await tablesOf(after)), dropped);
  });
}
