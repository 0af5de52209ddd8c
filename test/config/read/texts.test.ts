// What each text of a configuration file means, and what is said of its mistakes, as the golden files beside this have it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect, isDeepStrictEqual } from "node:util";
import { parseConfig } from "../../../src/config/read/load.ts";
import type { MountaineerConfig } from "../../../src/config/snapshot.ts";
import { isTable } from "../../../src/config/values/table.ts";
import { goldenTests } from "../../support/golden.ts";
import { accepted, bytes, PLACE } from "../support.ts";

const EMPTY = await accepted("");
/** What sections, and members of lists, are compared with. */
const PLAIN = await accepted(`[server]
[authorization]
[[authorization.policies]]
effect = "allow"
[audit]
[backends.a]
command = "x"
[[shares]]
name = "A"
thunderbolt_host = "a"
fallback_host = "b"
[incoming_auth]
type = "oidc"
issuer = "https://a.example"
[telemetry]
prometheus = true
[fleet]
name = "a"
servers = ["tls://a"]
credentials = "secret:a"
[limits]
`);
const LONGEST_LINE = 150;

/** Options: `yaml`; `whole`: what is as in a plain section is said, too. */
async function say(text: string, options: readonly string[]): Promise<string> {
  const file = `${PLACE.home}/config.${options.includes("yaml") ? "yaml" : "toml"}`;
  const loaded = await parseConfig(bytes(text), file, PLACE);
  const said = loaded.ok
    ? [
        ...changesOf(loaded.snapshot.config, options.includes("whole")),
        ...loaded.snapshot.warnings.map((one) => `warning ${one.path}: ${withHint(one.text, one.hint)}`),
      ]
    : loaded.mistakes.map(({ line, column, path, found, expected, hint }) =>
        withHint(`${line}:${column} ${path}: ${found}, not ${expected}`, hint),
      );
  for (const line of loaded.ok ? said.filter((one) => one.startsWith("warning")) : said)
    assert.doesNotMatch(line, /hunter2|s3cret|SUACSSL/, "shows a secret");
  return said.join("\n") || "the defaults";
}

const withHint = (text: string, hint: string | null): string => (hint === null ? text : `${text} (${hint})`);

/** A line for each section that is not as in an empty file: what in it differs from a plain one. */
function changesOf(config: MountaineerConfig, isWhole: boolean): string[] {
  const [now, empty, plain] = [config, EMPTY.config, PLAIN.config].map((one) => new Map(Object.entries(one)));
  return [...(now ?? [])].flatMap(([section, value]) => {
    if (isWhole)
      return `${section}: ${inspect(value, { depth: null, breakLength: Number.POSITIVE_INFINITY })}`;
    if (isDeepStrictEqual(value, empty?.get(section))) return [];
    const changes = changesIn(value, plain?.get(section), "");
    return wrapped(`${section}:`, changes.length === 0 ? ["plain"] : changes);
  });
}

function changesIn(now: unknown, before: unknown, at: string): string[] {
  if (isDeepStrictEqual(now, before)) return [];
  if (Array.isArray(now) && now.some(isTable)) {
    const first: unknown = Array.isArray(before) ? before[0] : undefined;
    return now.flatMap((one, index) => {
      const changes = changesIn(one, first, `${at}[${index}]`);
      return changes.length === 0 ? [`${at}[${index}] plain`] : changes;
    });
  }
  if (isTable(now) && isTable(before))
    return Object.keys(now).flatMap((key) => changesIn(now[key], before[key], `${at}.${key}`));
  return [
    `${at} ${inspect(now, { depth: null, breakLength: Number.POSITIVE_INFINITY, maxArrayLength: null })}`,
  ];
}

function wrapped(lead: string, parts: readonly string[]): string[] {
  const lines: string[] = [];
  let line = lead;
  for (const part of parts) {
    if (line !== lead && line.length + part.length > LONGEST_LINE) {
      lines.push(line);
      line = "  ";
    }
    line = `${line} ${part}`;
  }
  return [...lines, line];
}

for (const file of ["sections", "gateway", "mistakes"])
  goldenTests(new URL(`./${file}.golden`, import.meta.url), say);

test("no text has changed the prototype of every object", () => {
  assert.equal(Reflect.get({}, "command"), undefined);
  assert.equal(Object.hasOwn(Object.prototype, "a"), false);
});
