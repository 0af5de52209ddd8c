// The effective value of every key, and its source: the file or a default.
import { trimEnd } from "../../runtime/text/trim-end.ts";
import type { HomeContext } from "../home-context.ts";
import { fileText, textValues } from "../read/file-values.ts";
import { defaultAuditPath } from "../read/normalize-gateway.ts";
import { ANY_INDEX, ANY_NAME, SECTIONS, type SectionDoc } from "../schema/schema.ts";
import { nasKeys } from "../schema/share-schema.ts";
import type { ConfigFormat } from "../snapshot.ts";
import { type KeyPath, pathText } from "../values/mistakes.ts";
import { RESERVED_SHARE_NAME } from "../values/names.ts";
import { defaultSharesRoot } from "../values/paths.ts";
import { define, isTable, valueAt } from "../values/table.ts";
import { indexedPath } from "./edit-meaning.ts";
import { type ConfigTable, type ConfigValue, plain } from "./edit-value.ts";
import type { ConfigKey } from "./key-path.ts";
import { shownOfKey } from "./shown-key.ts";
import { tomlDottedKey, tomlKey, tomlValue } from "./toml-value.ts";

export interface ConfigSource {
  readonly bytes: Uint8Array;
  readonly format: ConfigFormat;
  readonly homeContext: HomeContext;
}

export type KeyValue =
  | { readonly source: "file" | "default"; readonly value: ConfigValue }
  /** The key is in the section `from`, which several tables have it from: `[backend_defaults]`, `[nas.home]`. */
  | { readonly source: "section"; readonly from: string; readonly value: ConfigValue }
  /** The key is absent and has no default value; `rule` says in words what applies. */
  | { readonly source: "absent"; readonly rule: string | null };

/** The default of a key, if it depends on the machine or on other keys of the same table; else null. */
function effectiveDefault(
  file: unknown,
  section: SectionDoc,
  key: string,
  table: unknown,
  homeContext: HomeContext,
): ConfigValue | null {
  const isHttp = valueAt(table, ["command"]) === undefined && valueAt(table, ["url"]) !== undefined;
  switch (`${section.name}.${key}`) {
    case "global.shares_root":
      return defaultSharesRoot(homeContext);
    case "global.mount_root":
      return homeContext.defaultMountRoot;
    case "shares.username":
    case "nas.username":
      return homeContext.userName;
    case "shares.share_name":
      return plain(valueAt(table, ["name"]));
    case "aliases.path":
      return aliasPath(file, table, homeContext);
    case "backends.type":
      return isHttp ? "streamable-http" : "stdio";
    case "backends.cwd":
      return isHttp || valueAt(table, ["type"]) === "streamable-http" ? null : homeContext.userHome;
    case "fleet.name":
      return homeContext.machineName ?? null;
    case "audit.path":
      return defaultAuditPath(homeContext);
    default:
      return null;
  }
}

/** The keys that mean nothing for a server at an address. */
const OF_PROGRAMS: ReadonlySet<string> = new Set(["start", "stop_when_idle"]);

/** The table of another section whose keys apply in the table at `at`; empty: there is none. */
function commonAt(file: unknown, at: KeyPath): Readonly<Record<string, unknown>> {
  const [section, name, ...within] = at;
  if (section === "shares") {
    const nas = valueAt(file, nasPath(file, at));
    return isTable(nas) ? nas : {};
  }
  if (section !== "backends" || name === undefined) return {};
  const isRoute = within[0] === "routes" && within.length > 1;
  const table = isRoute ? within.slice(2) : within;
  // Routes have their variables in common, and nothing else.
  if (isRoute && table[0] !== "env") return {};
  const common = valueAt(file, ["backend_defaults", ...table]);
  if (!isTable(common)) return {};
  const routes = valueAt(file, ["backends", name, "routes"]);
  const isOnly = isRoute || !Array.isArray(routes);
  const tables = isOnly ? [valueAt(file, at.slice(0, isRoute ? 4 : 2))] : routes;
  const runsHere = tables.some((table) => valueAt(table, ["command"]) !== undefined);
  if (table[0] === "env") return isOnly && runsHere ? common : {};
  if (runsHere) return common;
  return Object.fromEntries(Object.entries(common).filter(([key]) => !OF_PROGRAMS.has(key)));
}

/** The path of the NAS that the share at `at` names. */
function nasPath(file: unknown, at: KeyPath): readonly ["nas", string] {
  const nas = valueAt(file, [...at, "nas"]);
  return ["nas", typeof nas === "string" ? nas : ""];
}

/** The default path of an alias' link, as the file would spell it. */
function aliasPath(file: unknown, alias: unknown, homeContext: HomeContext): string | null {
  const name = valueAt(alias, ["name"]);
  const root = valueAt(file, ["global", "shares_root"]) ?? defaultSharesRoot(homeContext);
  if (typeof name !== "string" || typeof root !== "string") return null;
  return `${trimEnd(root, "/")}/${RESERVED_SHARE_NAME}/${name}`;
}

function keyValue(
  file: unknown,
  at: KeyPath,
  section: SectionDoc,
  key: string,
  homeContext: HomeContext,
): KeyValue {
  const table = valueAt(file, at);
  const command = valueAt(table, ["command"]);
  const shown = (value: ConfigValue): ConfigValue =>
    shownOfKey(section.keyDoc(key), key, value, command, "log");
  const written = plain(valueAt(table, [key]));
  if (written !== null) return { source: "file", value: shown(written) };
  const common = plain(commonAt(file, at)[key]);
  if (common !== null) {
    const from = at[0] === "shares" ? `[${pathText(nasPath(file, at))}]` : "[backend_defaults]";
    return { source: "section", from, value: shown(common) };
  }
  if (section.isOpen) return { source: "absent", rule: "not set" };
  const { fallback, doc } = section.key(key);
  const value = effectiveDefault(file, section, key, table, homeContext) ?? plain(fallback);
  if (value !== null) return { source: "default", value };
  return { source: "absent", rule: doc.absent };
}

/**
 * The effective value of one key: from the file, else the default. Rejects with `config_invalid` (a syntax error)
 * and `share_unknown`. Does not check the value.
 */
export async function getConfigValue(
  source: ConfigSource,
  { path, section, key }: ConfigKey,
): Promise<KeyValue> {
  const file = await textValues(fileText(source.bytes), source.format);
  return keyValue(file, indexedPath(file, path).slice(0, -1), section, key, source.homeContext);
}

interface EffectiveBlock {
  readonly section: SectionDoc;
  readonly path: KeyPath;
  readonly keys: readonly (readonly [key: string, value: KeyValue])[];
}

/**
 * The paths of a section's tables. Includes a table that the file does not have, if its defaults apply even
 * then.
 */
function pathsOf(file: unknown, { pattern, isOptional, isOpen }: SectionDoc): KeyPath[] {
  let paths: KeyPath[] = [[]];
  for (const segment of pattern) {
    paths = paths.flatMap((path) => {
      const actual = valueAt(file, path);
      if (segment === ANY_INDEX)
        return Array.isArray(actual) ? actual.map((_, index) => [...path, index]) : [];
      if (segment === ANY_NAME) return tableKeys(actual).map((name) => [...path, name]);
      return [[...path, segment]];
    });
  }
  const isBare = (path: KeyPath): boolean =>
    (valueAt(file, path) ?? null) === null && !(isOpen && Object.keys(commonAt(file, path)).length > 0);
  return isOptional || isOpen ? paths.filter((path) => !isBare(path)) : paths;
}

function tableKeys(value: unknown): string[] {
  return isTable(value) ? Object.keys(value) : [];
}

async function blocksOf({ bytes, format, homeContext }: ConfigSource): Promise<EffectiveBlock[]> {
  const file = await textValues(fileText(bytes), format);
  const blocks: EffectiveBlock[] = [];
  for (const section of SECTIONS) {
    for (const path of pathsOf(file, section)) {
      const own = tableKeys(valueAt(file, path));
      const names = section.isOpen
        ? [...new Set([...own, ...Object.keys(commonAt(file, path))])]
        : section.keys;
      const keys = names.map((key) => [key, keyValue(file, path, section, key, homeContext)] as const);
      if (keys.length > 0) blocks.push({ section, path, keys });
    }
  }
  return inTableOrder(blocks);
}

/**
 * Puts the tables of a named entry directly behind the entry. In TOML, a table inside a member of a list belongs to
 * the last member above the table.
 */
function inTableOrder(blocks: readonly EffectiveBlock[]): EffectiveBlock[] {
  const groups = Map.groupBy(blocks, ({ path }) => JSON.stringify(path.slice(0, 2)));
  const isNamed = ({ section }: EffectiveBlock): boolean => section.pattern[1] === ANY_NAME;
  return blocks.flatMap((block) => {
    if (!isNamed(block)) return [block];
    const group = groups.get(JSON.stringify(block.path.slice(0, 2))) ?? [];
    return group[0] === block ? group : [];
  });
}

function blockHeader({ section, path }: EffectiveBlock): string {
  const name = tomlDottedKey(path.filter((segment) => typeof segment === "string"));
  return section.pattern.at(-1) === ANY_INDEX ? `[[${name}]]` : `[${name}]`;
}

/** The whole effective configuration as TOML; defaults are marked. Rejects with `config_invalid`. */
export async function effectiveText(source: ConfigSource): Promise<string> {
  const blocks = await blocksOf(source);
  const texts = blocks.map((block) => {
    const isOnNas =
      block.section.name === "shares" &&
      block.keys.some(([key, { source }]) => key === "nas" && source === "file");
    const lines = block.keys.flatMap(([key, value]) => {
      if (value.source === "absent") return value.rule === null ? [] : [`# ${tomlKey(key)}: ${value.rule}`];
      // A `cwd` in the file counts as chosen by a person (see `reach.ts`), so a default `cwd` is only written
      // as a comment.
      // Beside `nas`, a share may not have the keys of its NAS.
      const isOther = isOnNas && value.source !== "file" && Object.hasOwn(nasKeys, key);
      const mark = isOther || (value.source === "default" && key === "cwd") ? "# " : "";
      const from = value.source === "section" ? `from ${value.from}` : "default";
      const end = value.source === "file" ? "" : `  # ${from}`;
      return [`${mark}${tomlKey(key)} = ${tomlValue(value.value)}${end}`];
    });
    return `${[blockHeader(block), ...lines].join("\n")}\n`;
  });
  return texts.join("\n");
}

/** The effective settings as plain data, nested as in the file: `{ global: {…}, shares: [{…}], backends: { … } }`. */
export async function effectiveData(source: ConfigSource): Promise<ConfigTable> {
  const data: Record<string, unknown> = {};
  for (const { path, keys } of await blocksOf(source)) {
    const target = tableIn(data, path);
    for (const [key, actual] of keys) if (actual.source !== "absent") define(target, key, actual.value);
  }
  // The assertion holds: `data` contains only plain values.
  return { shares: [], ...data } as ConfigTable;
}

/**
 * The table or list at `path`. Missing ones are created: a list if the next segment is an index, else a
 * table.
 */
function tableIn(root: object, path: KeyPath): object {
  let table = root;
  for (const [depth, segment] of path.entries()) {
    const actual: unknown = Object.hasOwn(table, segment) ? Reflect.get(table, segment) : undefined;
    const next =
      typeof actual === "object" && actual !== null ? actual : typeof path[depth + 1] === "number" ? [] : {};
    if (next !== actual) define(table, segment, next);
    table = next;
  }
  return table;
}
