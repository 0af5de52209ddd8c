import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { glob, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { configJsonSchema, SECTIONS } from "../../../src/config/schema/schema.ts";
import { optional } from "../../../src/config/schema/schema-keys.ts";
import { table } from "../../../src/config/schema/tables.ts";
import { text, toggle } from "../../../src/config/schema/value-types.ts";
import { parsePath } from "../../../src/config/values/paths.ts";
import { accepted, PLACE } from "../support.ts";

const CHECKOUT = resolve(import.meta.dirname, "../../..");
const BLOCK = /^```(toml|ya?ml)\n(.*?)^```$/gms;

async function pages(): Promise<string[]> {
  const found = await Array.fromAsync(glob("{README.md,docs/**/*.md}", { cwd: CHECKOUT }));
  return found.map((path) => join(CHECKOUT, path));
}

test("every configuration shown in the docs is a valid one", async () => {
  // A fleet's shared file leaves the machine's name out.
  const context = { ...PLACE, machineName: "laptop" };
  let blocks = 0;
  for (const page of await pages()) {
    for (const [, language, text] of (await readFile(page, "utf8")).matchAll(BLOCK)) {
      blocks += 1;
      await assert.doesNotReject(accepted(text ?? "", `config.${language}`, context), `${page}\n${text}`);
    }
  }
  assert.ok(blocks >= 4);
});

test("the generated documents match the code", async () => {
  await promisify(execFile)(process.execPath, [join(CHECKOUT, "scripts/docs.ts"), "--check"]);
});

test("every key has a meaning, in the docs and in the JSON Schema", async () => {
  const page = await readFile(join(CHECKOUT, "docs/reference/configuration.md"), "utf8");
  const schema = JSON.stringify(configJsonSchema());
  for (const section of SECTIONS) {
    for (const key of section.keys) {
      const { meaning } = section.keyDoc(key);
      assert.match(page, new RegExp(`^- \`${key}\`|^As in .*\`${key}\`|^As in \`[^:]+\\.$`, "m"), key);
      assert.ok(page.includes(meaning), key);
      assert.ok(schema.includes(JSON.stringify(meaning).slice(1, -1)), key);
    }
  }
});

test("the description of a key is its own, even where others take the same values", () => {
  const sayings = new Map(
    SECTIONS.flatMap(({ header, keys, keyDoc }) =>
      keys.map((key) => [`${header} ${key}`, keyDoc(key)] as const),
    ),
  );
  const token = sayings.get("[[incoming_auth.users]] token");
  assert.match(token?.meaning ?? "", /Authorization: Bearer/);
  assert.equal(token?.absent, null, "it is required");
});

test("the JSON Schema has the required key, the choices and no other keys", () => {
  const schema = configJsonSchema();
  const text = JSON.stringify(schema);
  assert.match(text, /"required":\["name"\]/);
  assert.match(text, /"enum":\["local"\]/);
  assert.match(text, /"required":\["name","token"\]/);
  assert.match(text, /"propertyNames":\{"pattern":"\^\[A-Za-z\]/);
  assert.equal(schema["additionalProperties"], false);
  assert.equal(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
});

/** Kept from running: that none of them compiles is the proof. */
const UNTAGGED = [
  // @ts-expect-error Nothing says what a change of it decides.
  () => optional(toggle, { absent: "no", meaning: "x", example: "true" }),
  // @ts-expect-error Its documentation cannot loosen that, either.
  () => optional("runs", toggle, { absent: "no", meaning: "x", example: "true", approval: "free" }),
  // @ts-expect-error Nothing says what of it may be shown.
  () => text(parsePath),
  // @ts-expect-error A value alone is no key.
  () => table("x", { port: toggle }),
];

test("E2 a key that does not declare what it decides, or what of it may be shown, does not compile", () => {
  assert.ok(UNTAGGED.every((make) => typeof make === "function"));
  for (const { keys, isOpen, keyDoc } of SECTIONS) {
    for (const key of isOpen ? ["any"] : keys) {
      const { type, shown } = keyDoc(key);
      assert.ok(type !== "reference" || shown === "reference", key);
    }
  }
});
