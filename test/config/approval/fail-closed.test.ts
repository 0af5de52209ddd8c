// What guards the configuration fails closed: no tag and no row of a table can be dropped unseen.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import test from "node:test";
import { fc, runsOf } from "../../support/properties.ts";
import { modulesOf, requireGuarded } from "./guarded.ts";

const CONFIG = new URL("../../../src/config/", import.meta.url);
const ENTRIES = "approval/entries.ts";
const APPROVALS = "approval/apply-approvals.ts";
const SCHEMAS = readdirSync(new URL("schema/", CONFIG))
  .filter((name) => name.endsWith("-schema.ts") || name === "schema.ts" || name === "value-types.ts")
  .map((name) => `schema/${name}`);

/** One place of a source, and what it is without its guard. */
interface Drop {
  readonly path: string;
  readonly at: number;
  readonly was: string;
  readonly becomes: string;
}

function dropsIn(path: string, guard: RegExp, becomes: string): readonly Drop[] {
  const source = readFileSync(new URL(path, CONFIG), "utf8");
  return [...source.matchAll(guard)].map(({ index: at, 0: was }) => ({ path, at, was, becomes }));
}

/** By what is dropped. */
const DROPS: Readonly<Record<string, readonly Drop[]>> = {
  "what a change of a key decides": SCHEMAS.flatMap((path) =>
    dropsIn(path, /(?<=Key\(|required\(|optional\(|defaulted\()\s*"(?!free)\w+"/gi, '"free"'),
  ),
  "how a key may be shown": SCHEMAS.flatMap((path) =>
    dropsIn(path, /(?<=text(?:<\w+>)?\(\s*)"(?!plain)[\w ]+"/g, '"plain"'),
  ),
  "what a part decides": dropsIn(
    ENTRIES,
    /(?<=kind: |\? |: |\?\? )"(runs|access|sends)"(?!\s*\|)/g,
    '"free"',
  ),
  "an entry": dropsIn(
    ENTRIES,
    /^ {4}(\.\.\.(?:backends|shares|aliases|WHOLE)|entryOf\("sections").*\n/gm,
    "",
  ),
  "a part of the sign-in": dropsIn(
    ENTRIES,
    /\.\.\.approvalsIn\(serverKeys\), |incomingAuth: "access", /g,
    "",
  ),
  "the closed form of a section": dropsIn(
    APPROVALS,
    /^ {2}(?:incoming_auth|authorization|\[TRUST\]): \{ .*\n/gm,
    "",
  ),
};

let dropped: Drop | null = null;
registerHooks({
  resolve(specifier, context, next) {
    const resolved = next(specifier, context);
    const query = new URL(context.parentURL ?? CONFIG).search;
    return resolved.url.startsWith(CONFIG.href) && !resolved.url.includes("?")
      ? { ...resolved, url: resolved.url + query }
      : resolved;
  },
  load(url, context, next) {
    const loaded = next(url, context);
    if (dropped === null || url.split("?")[0] !== new URL(dropped.path, CONFIG).href) return loaded;
    const source = String(loaded.source);
    const { at, was, becomes } = dropped;
    assert.equal(source.slice(at, at + was.length), was);
    return { ...loaded, source: source.slice(0, at) + becomes + source.slice(at + was.length) };
  },
});

test("E2 E5 keys, parts of entries and closed sections are guarded as the lists say", async () => {
  await requireGuarded(await modulesOf(""));
});

for (const [what, drops] of Object.entries(DROPS)) {
  test(`E2 E5 ${what} cannot be dropped unseen: ${drops.length} places`, async () => {
    assert.notEqual(drops.length, 0);
    const tried = runsOf(drops.length);
    const [some = []] = fc.sample(fc.shuffledSubarray([...drops], { minLength: tried, maxLength: tried }), 1);
    for (const drop of some) {
      dropped = drop;
      const modules = await modulesOf(`?without=${drop.path}:${drop.at}`);
      dropped = null;
      const line = `${drop.path}: ${drop.was.trim()} at ${drop.at}`;
      await assert.rejects(requireGuarded(modules), assert.AssertionError, line);
    }
  });
}
