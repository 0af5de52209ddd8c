// Errors in single keys and values: the schema's issues, in words for people.
import { closestWord } from "../../runtime/text/suggest.ts";
import {
  ANY_INDEX,
  knownKeys,
  memberSection,
  SECTIONS,
  type SectionDoc,
  sectionAt,
  TOP_NAMES,
} from "../schema/schema.ts";
import type { Issue, KeyDoc } from "../schema/schema-keys.ts";
import { describeKind, describeValue, type Finding, type KeyPath, MISSING } from "../values/mistakes.ts";
import { valueAt } from "../values/table.ts";

const BACKENDS_HERE = "MCP servers are `[backends.NAME]` here";
/**
 * Hints for keys that MCP clients or other gateways use and that have another name here, by section and key.
 */
const OTHERS_NAMES: ReadonlyMap<string, string> = new Map([
  ["mcpServers", BACKENDS_HERE],
  ["mcp_servers", BACKENDS_HERE],
  ["servers", BACKENDS_HERE],
  ["[backends.NAME] disabled", "write `enabled = false` for `disabled = true`"],
  ["[[shares]] tb_host", "did you mean `thunderbolt_host`?"],
  ["[[shares]] tb_path", "did you mean `thunderbolt_path`?"],
  ...["servers", "server", "mcp_servers", "namespaces", "groups", "group"].map((key): [string, string] => [
    `[[authorization.policies]] ${key}`,
    "did you mean `backends`?",
  ]),
  ...["principals", "subjects", "people", "names"].map((key): [string, string] => [
    `[[authorization.policies]] ${key}`,
    "did you mean `users`?",
  ]),
  ["[[authorization.policies]] tools", 'write `resources = ["tool:NAME"]`'],
  ["[[authorization.policies]] allow", 'write `effect = "allow"`'],
  ["[[authorization.policies]] deny", 'write `effect = "deny"`'],
  // What other programs call the address and the login of a server.
  ...["[[shares]]", "[nas.NAME]"].flatMap((header) => [
    ...["host", "hostname", "server", "address", "ip"].map((key): [string, string] => [
      `${header} ${key}`,
      "did you mean `fallback_host`? `thunderbolt_host` is the one over a faster cable",
    ]),
    [`${header} user`, "did you mean `username`?"] as [string, string],
  ]),
]);

/**
 * A hint for an unknown key of the section `own` (null: the top of the file): a similar key, or the key that
 * Mountaineer uses instead.
 */
export function unknownKeyHint(own: SectionDoc | null, key: string): string | null {
  const known = OTHERS_NAMES.get(own === null ? key : `${own.header} ${key}`);
  if (known !== undefined) return known;
  const siblings = own === null ? TOP_NAMES : knownKeys(own);
  const meant = closestWord(key, siblings);
  if (meant !== null) return `did you mean \`${meant}\`?`;
  const others = SECTIONS.filter(({ name }) => name !== own?.name);
  const isRelated = ({ pattern }: SectionDoc): boolean => own === null || pattern[0] === own.pattern[0];
  const homes = others.filter((section) => knownKeys(section).includes(key));
  const [home] = homes;
  // Elsewhere, a word that several sections use, or a plain one, means something else.
  const isClear = new Set(homes.map(({ pattern }) => pattern[0])).size === 1;
  if (home !== undefined && isClear && (isRelated(home) || key.includes("_")))
    return `\`${key}\` belongs in \`${home.header}\``;
  for (const section of others.filter(isRelated)) {
    const elsewhere = closestWord(key, section.keys);
    if (elsewhere !== null) return `did you mean \`${elsewhere}\` in \`${section.header}\`?`;
  }
  return null;
}

const TOP_HEADERS = TOP_NAMES.map((name) => SECTIONS.find(({ pattern }) => pattern[0] === name)?.header ?? "")
  .map((header) => `\`${header}\``)
  .join(", ")
  .replace(/, (?!.*, )/, " or ");

function unknownKeyFinding(parent: KeyPath, key: string): Finding {
  const section = sectionAt(parent);
  const expected = section === null ? `a section: ${TOP_HEADERS}` : `a key of \`${section.header}\``;
  const hint = unknownKeyHint(section, key);
  return { path: [...parent, key], at: "key", found: "an unknown key", expected, hint };
}

const YES_AND_NO: Readonly<Record<string, string>> = {
  true: "true",
  yes: "true",
  on: "true",
  "1": "true",
  false: "false",
  no: "false",
  off: "false",
  "0": "false",
};

const ADDRESS_HERE = 'write "streamable-http", or leave it out if there is a `url`';
/** Hints for the transport types of MCP clients. */
const OTHERS_TYPES: ReadonlyMap<string, string> = new Map([
  ["http", ADDRESS_HERE],
  ["streamableHttp", ADDRESS_HERE],
  // The gateway detects which of the two transports a server uses.
  ["sse", ADDRESS_HERE],
]);

function wrongValueHint(value: unknown, type: string, choices: readonly string[] | null): string | null {
  if (typeof value === "string") {
    const othersHint = choices?.includes("streamable-http") ? OTHERS_TYPES.get(value) : undefined;
    if (othersHint !== undefined) return othersHint;
    const meant = choices === null ? null : closestWord(value, choices);
    if (meant !== null) return `did you mean "${meant}"?`;
    const text = value.trim().toLowerCase();
    if (type.endsWith("number") && text !== "" && Number.isFinite(Number(text)))
      return "write the number without quotes";
    const meaning =
      type === "true or false" && Object.hasOwn(YES_AND_NO, text) ? YES_AND_NO[text] : undefined;
    return meaning === undefined ? null : `write ${meaning}, without quotes`;
  }
  if (type === "true or false" && (value === 0 || value === 1)) return `write ${value === 1}`;
  const isText = !/number(?: or false)?$|^list|^true or false$/.test(type);
  return isText && (typeof value === "number" || typeof value === "boolean") ? "write it in quotes" : null;
}

const MEMBER_HINTS: Readonly<Record<string, string>> = {
  shares: "each share begins with `[[shares]]` (YAML: `shares:` and `- name: …`)",
  nas: "each NAS begins with `[nas.NAME]` (YAML: `nas:` and `NAME:`)",
  backends: "each server begins with `[backends.NAME]` (YAML: `backends:` and `NAME:`)",
  "incoming_auth.users": "each user begins with `[[incoming_auth.users]]`",
  "authorization.policies": "each policy begins with `[[authorization.policies]]`",
};

/** The error of a section that has the wrong kind of value, or none. */
function sectionFinding(root: unknown, path: KeyPath): Finding {
  const found = describeKind(valueAt(root, path));
  const members = memberSection(path);
  if (members !== null) {
    const kind = members.pattern.at(-1) === ANY_INDEX ? "list" : "table";
    const hint = Object.hasOwn(MEMBER_HINTS, members.name) ? (MEMBER_HINTS[members.name] ?? null) : null;
    return { path, at: "key", found, expected: `a ${kind} of ${members.members}`, hint };
  }
  const section = sectionAt(path);
  const isMember = section !== null && section.members !== null;
  const expected = isMember ? `a table with the keys of \`${section.header}\`` : "a table";
  const hint = isMember ? memberHint(section, path, valueAt(root, path)) : null;
  return { path, at: "value", found, expected, hint };
}

/** A hint for a value in the place of a member, such as a key that is written in `[nas]` itself. */
function memberHint(section: SectionDoc, path: KeyPath, value: unknown): string | null {
  const isKey = knownKeys(section).includes(String(path.at(-1)));
  return isKey ? (MEMBER_HINTS[section.name] ?? null) : missingColonHint(section, value);
}

/** A hint for a text such as `command npx`, which YAML reads as one text because the colon is missing. */
function missingColonHint(section: SectionDoc, value: unknown): string | null {
  const key = typeof value === "string" ? (/^([a-z_]+) /.exec(value)?.[1] ?? null) : null;
  return key !== null && knownKeys(section).includes(key) ? `a colon is missing: \`${key}: …\`` : null;
}

function leafFinding(root: unknown, path: KeyPath, { shown, ...doc }: KeyDoc): Finding {
  const value = valueAt(root, path);
  const isPlain = shown === "plain";
  const found = isPlain ? describeValue(value) : describeKind(value);
  const isMissing = found === MISSING;
  // A hint may quote a text, and the text may be a password. So a text gets a hint only if the values of its key may
  // be shown.
  const mayHint = isPlain || (typeof value !== "string" && shown !== "reference");
  const hint = mayHint ? wrongValueHint(value, doc.type, doc.choices) : null;
  return { path, at: isMissing ? "key" : "value", found, expected: doc.expected, hint };
}

function findingOf(root: unknown, issue: Issue): Finding {
  const { path } = issue;
  switch (issue.kind) {
    case "detail":
      return { path, at: issue.at, ...issue.detail };
    case "value":
      return leafFinding(root, path, issue.doc);
    case "section":
      return sectionFinding(root, path);
    case "unknown":
      return unknownKeyFinding(path, issue.key);
  }
}

export function valueFindings(root: unknown, issues: readonly Issue[], limit: number): Finding[] {
  return issues.slice(0, limit).map((issue) => findingOf(root, issue));
}

/** The issues of `value` for one key, with the key as their path; empty when the key accepts it. */
export function keyFindings(section: SectionDoc, key: string, value: unknown): Finding[] {
  const issues: Issue[] = [];
  section.key(key).read(value, [key], issues);
  return issues.map((issue) => findingOf({ [key]: value }, issue));
}
