// KEY and VALUE as people type them: dotted paths, short names, and the values that a key takes.
import { parse } from "smol-toml";
import { MountaineerError } from "../../runtime/errors.ts";
import { closestWord } from "../../runtime/text/suggest.ts";
import { keyFindings, unknownKeyHint } from "../read/value-findings.ts";
import { ANY_INDEX, SECTIONS, type SectionDoc, sectionNamed, TOP_NAMES } from "../schema/schema.ts";
import { type KeyPath, quoted } from "../values/mistakes.ts";
import type { ConfigEdit, NamedList } from "./edit-meaning.ts";
import { assertWritable, type ConfigValue, keyName } from "./edit-value.ts";

/** One key of the configuration. The path of a share's key has the share's name or index. */
export interface ConfigKey {
  /** `["shares", "CORE", "driver"]`, `["global", "check_interval_secs"]` */
  readonly path: KeyPath;
  readonly section: SectionDoc;
  readonly key: string;
}

const SHORT_NAMES: Readonly<Record<string, readonly [section: string, key: string]>> = {
  "lsof-recheck": ["global", "lsof_recheck"],
  "auto-failback": ["global", "auto_failback"],
};

const SEGMENT =
  /^(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^."'[\]\s](?:[^."'[\]]*[^."'[\]\s])?))((?:\[\d{1,6}\])*)(\.(?=.)|$)/su;

function wrongKey(text: string, hint: string): MountaineerError {
  return new MountaineerError("usage", `${quoted(text)} is not a key`, { hint });
}

function unescaped(text: string, whole: string): string {
  try {
    const parsed: unknown = parse(`x = "${text}"`)["x"];
    if (typeof parsed === "string") return parsed;
  } catch {
    // The error below also covers this case.
  }
  throw wrongKey(whole, "quotes hold a name as TOML writes it");
}

/** Splits `shares."My share".driver` or `shares[0].driver`. Rejects with `usage`. */
export function splitKey(text: string): KeyPath {
  const path: (string | number)[] = [];
  let rest = text.trim();
  while (rest !== "") {
    const match = SEGMENT.exec(rest);
    if (match === null)
      throw wrongKey(text, 'write `section.key`, and names with dots in quotes: `shares."a.b".driver`');
    const [whole, double, single, bare, indices = ""] = match;
    path.push(double === undefined ? (single ?? bare ?? "") : unescaped(double, text));
    for (const [, index] of indices.matchAll(/\[(\d+)\]/g)) path.push(Number(index));
    rest = rest.slice(whole.length);
  }
  if (path.length === 0) throw wrongKey(text, "write `section.key`");
  return path;
}

function unknownKey(path: KeyPath, hint: string | null): MountaineerError {
  return new MountaineerError("config_key_unknown", `the configuration has no key ${keyName(path)}`, {
    hint,
  });
}

function shortName(text: string): ConfigKey | null {
  const known = Object.hasOwn(SHORT_NAMES, text) ? SHORT_NAMES[text] : undefined;
  const section = SECTIONS.find(({ name }) => name === known?.[0]);
  return known === undefined || section === undefined ? null : { path: known, section, key: known[1] };
}

/** The path of a section's table as people type it: `shares.NAME`, `backends.NAME.timeouts`. */
function typedPath({ header, pattern }: SectionDoc): string {
  const names = header.replaceAll(/[[\]]/g, "");
  return pattern.at(-1) === ANY_INDEX ? `${names}.NAME` : names;
}

/** The hint for a single word: the full path of a similar key. */
function fullNameHint(key: string): string | null {
  const short = closestWord(key, Object.keys(SHORT_NAMES));
  for (const section of SECTIONS) {
    if (section.keys.includes(key)) return `did you mean \`${typedPath(section)}.${key}\`?`;
  }
  if (short !== null) return `did you mean \`${short}\`?`;
  return unknownKeyHint(null, key);
}

/** The hint for a path that leads to no key: the form of similar keys. */
function nearHint(path: KeyPath): string | null {
  const [first = ""] = path;
  if (!TOP_NAMES.includes(String(first))) {
    return path.length === 1 ? fullNameHint(String(first)) : unknownKeyHint(null, String(first));
  }
  const around = path
    .map((_, index) => path.slice(0, path.length - index))
    .find((part) => sectionNamed(part));
  const section =
    (around === undefined ? null : sectionNamed(around)) ??
    SECTIONS.find(({ pattern, keys }) => pattern[0] === first && keys.length > 0);
  if (section === null || section === undefined) return null;
  const form = `write \`${typedPath(section)}.${section.isOpen ? "VARIABLE" : "key"}\``;
  if (section.isOpen) return section.name.endsWith("headers") ? form.replace("VARIABLE", "HEADER") : form;
  return section.keys.length === 0
    ? `below it are ${section.tables.join(", ")}`
    : `${form}; the keys are ${section.keys.join(", ")}`;
}

/**
 * Reads KEY: `section.key`, `shares.NAME.key`, `backends.NAME.timeouts.key`, or a short name (`lsof-recheck`,
 * `auto-failback`). It does not check whether there is a share or backend of that name. Rejects with `usage` and
 * `config_key_unknown`, with a suggestion.
 */
export function parseConfigKey(text: string): ConfigKey {
  const short = shortName(text.trim());
  if (short !== null) return short;
  const path = splitKey(text);
  const key = path.at(-1);
  const section = sectionNamed(path.slice(0, -1));
  const isWhole = section?.tables.includes(String(key)) === true || sectionNamed(path)?.isOpen === true;
  if (section === null || typeof key !== "string" || isWhole) throw unknownKey(path, nearHint(path));
  if (!section.isOpen && !section.keys.includes(key)) throw unknownKey(path, unknownKeyHint(section, key));
  return { path, section, key };
}

function fromToml(text: string): ConfigValue | undefined {
  let value: unknown;
  try {
    // A value with a line break could add further keys.
    if (/[\r\n]/.test(text)) return undefined;
    const table = parse(`x = ${text}`, { integersAsBigInt: "asNeeded", maxDepth: 16 });
    if (Object.keys(table).length !== 1) return undefined;
    value = table["x"];
  } catch {
    return undefined;
  }
  return hasNoDate(value) ? value : undefined;
}

/** False for a date: no key takes a date, so the typed text is used unchanged. */
function hasNoDate(value: unknown): value is ConfigValue {
  if (value instanceof Date) return false;
  return typeof value !== "object" || value === null || Object.values(value).every(hasNoDate);
}

const ON_AND_OFF: Readonly<Record<string, boolean>> = { on: true, off: false };

/**
 * Reads VALUE for a key: as TOML writes values, else as text; a key whose value is true or false also takes
 * `on` and `off`. Rejects with `usage` when the key does not take it, saying what was found and what is
 * expected.
 */
export function parseConfigValue(text: string, { section, key, path }: ConfigKey): ConfigValue {
  const lower = text.trim().toLowerCase();
  const isToggle = section.keyDoc(key).type === "true or false";
  const toggled = isToggle && Object.hasOwn(ON_AND_OFF, lower) ? ON_AND_OFF[lower] : undefined;
  const value = toggled ?? fromToml(text) ?? text;
  assertWritable(value);
  const [finding] = keyFindings(section, key, value);
  if (finding === undefined) return value;
  // Only a text may be here, and a shell has taken away the quotes around it.
  if (typeof value !== "object" && keyFindings(section, key, text).length === 0) return text;
  const { found, expected, hint } = finding;
  // The finding's path begins at the key, and may lead into the key's value.
  const at = [...path.slice(0, -1), ...finding.path];
  const message = `${keyName(at)} cannot be that: found ${found}, expected ${expected}`;
  throw new MountaineerError("usage", message, { hint });
}

/**
 * The path if `key` names a table that may be removed as a whole: one in which people choose the keys, such as
 * `backends.NAME.env`, or a NAS; else null.
 */
export function wholeTable(key: string): KeyPath | null {
  const path = splitKey(key);
  const section = sectionNamed(path);
  return section?.isOpen === true || section?.name === "nas" ? path : null;
}

/**
 * The edit that KEY and VALUE ask for; without a value, the key is unset. Rejects as `parseConfigKey` and
 * `parseConfigValue` do.
 */
export function configEdit(key: string, value: string | null): ConfigEdit {
  const table = value === null ? wholeTable(key) : null;
  if (table !== null) return { kind: "unset", keyPath: table };
  const parsed = parseConfigKey(key);
  if (value === null) return { kind: "unset", keyPath: parsed.path };
  return { kind: "set", keyPath: parsed.path, value: parseConfigValue(value, parsed) };
}

export type RequestedEdit =
  /** `value` is read as TOML, or as a plain string if it is not TOML; null unsets the key. */
  | { readonly key: string; readonly value: string | null }
  | { readonly add: NamedList; readonly entry: Readonly<Record<string, string>> }
  | { readonly remove: NamedList | "backends"; readonly name: string };

/** The edit that a request asks for. Rejects with `usage` and `config_key_unknown`, as `configEdit` does. */
export function requestedEdit(request: RequestedEdit): ConfigEdit {
  if ("key" in request) return configEdit(request.key, request.value);
  if ("add" in request) return { kind: "add", list: request.add, entry: request.entry };
  return { kind: "remove", list: request.remove, name: request.name };
}
