// Turns a file's bytes into a checked snapshot, or into the list of everything wrong with it.

import { join } from "node:path";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { routeKeys, routesOf } from "../backend-routes.ts";
import { configFormat, type HomeContext } from "../home-context.ts";
import { accessWarnings } from "../reachable-paths.ts";
import { type ConfigFile, configFile, memberSection, sectionAt } from "../schema/schema.ts";
import type { Issue } from "../schema/schema-keys.ts";
import {
  type ConfigFormat,
  type ConfigSnapshot,
  type ConfigWarning,
  deepFreeze,
  type MountaineerConfig,
} from "../snapshot.ts";
import {
  type ConfigMistake,
  type Finding,
  type KeyPath,
  MISSING,
  MISTAKE_LIMIT,
  pathText,
} from "../values/mistakes.ts";
import { isWithin } from "../values/paths.ts";
import { define, emptyTable } from "../values/table.ts";
import { configWarnings, engineConfig } from "./normalize.ts";
import { ruleFindings } from "./rules.ts";
import { decodeText, type ParsedText, textPositions } from "./source-text.ts";
import { asTable } from "./tables.ts";
import { parseToml } from "./toml-text.ts";
import { valueFindings } from "./value-findings.ts";
import { parseYaml } from "./yaml-text.ts";

export type LoadedConfig =
  | { readonly ok: true; readonly snapshot: ConfigSnapshot }
  /** The errors, sorted by place; at least one, at most MISTAKE_LIMIT. */
  | { readonly ok: false; readonly mistakes: readonly ConfigMistake[] };

function mayContainTables(path: KeyPath): boolean {
  if (path.length === 0 || memberSection(path) !== null) return true;
  return (sectionAt(path)?.tables.length ?? 0) > 0;
}

/**
 * True for a table or list that may be absent. False for a member of a list or table, such as a backend: it
 * exists even if it is empty.
 */
function mayBeAbsent(path: KeyPath): boolean {
  const section = sectionAt(path);
  return section === null ? memberSection(path) !== null : section.members === null;
}

/** The value without empty YAML sections, tables and lists (`global:` with no line below), which count as absent. */
function withoutEmptySections(value: unknown, path: KeyPath = []): unknown {
  const table = asTable(value);
  if (table === null || !mayContainTables(path)) return value;
  const filled = emptyTable();
  for (const [key, part] of Object.entries(table)) {
    const at = [...path, key];
    if (part === null && mayBeAbsent(at)) continue;
    define(filled, key, withoutEmptySections(part, at));
  }
  return filled;
}

function firstOfEachKey(findings: readonly Finding[]): Finding[] {
  const visited = new Set<string>();
  return findings.filter(({ path }) => {
    const key = JSON.stringify(path);
    return visited.has(key) ? false : visited.add(key) !== undefined;
  });
}

interface FoundInText {
  /** The name of the text in messages. */
  readonly path: string;
  readonly text: string;
  readonly parsed: ParsedText;
  readonly findings: readonly Finding[];
}

/** The errors with their lines and columns, in the order of the text, up to the limit. */
async function locateMistakes({ path, text, parsed, findings }: FoundInText): Promise<ConfigMistake[]> {
  const positions = textPositions(text);
  const placedAt = (
    offset: number,
    keys: KeyPath,
    texts: Pick<ConfigMistake, "found" | "expected" | "hint">,
  ): { readonly offset: number; readonly mistake: ConfigMistake } => ({
    offset,
    mistake: { file: path, ...positions.positionAt(offset), path: pathText(keys), ...texts },
  });
  const placed = parsed.syntax.map(({ offset, path: keys, found, expected, hint }) =>
    placedAt(offset, keys, { found, expected, hint }),
  );
  if (findings.length > 0) {
    const offsetOf = await parsed.locate();
    for (const { path: keys, at, conflictsWith, expected, hint, ...finding } of findings) {
      const offset = offsetOf(keys, at);
      const other =
        conflictsWith === undefined
          ? ""
          : ` in line ${positions.positionAt(offsetOf(conflictsWith, "key")).line}`;
      const found = `${finding.found}${other}`;
      placed.push(placedAt(offset, keys, { found, expected, hint }));
    }
  }
  const mistakes = placed.toSorted((one, other) => one.offset - other.offset).map(({ mistake }) => mistake);
  if (mistakes.length <= MISTAKE_LIMIT) return mistakes;
  const listed = mistakes.slice(0, MISTAKE_LIMIT - 1);
  const last = listed.at(-1);
  const position = { file: path, line: last?.line ?? 1, column: last?.column ?? 1, path: "" };
  listed.push({
    ...position,
    found: "more errors than are listed",
    expected: "a configuration",
    hint: "correct these errors first",
  });
  return listed;
}

type ReadText =
  | { readonly ok: true; readonly text: string; readonly parsed: ParsedText; readonly value: unknown }
  | { readonly ok: false; readonly mistakes: readonly ConfigMistake[] };

/** The tables of a text, not validated; `path`: the name of the text in messages. */
export async function readTables(bytes: Uint8Array, path: string, format: ConfigFormat): Promise<ReadText> {
  const decoded = decodeText(bytes);
  if (!decoded.ok) {
    const { before, found, expected, hint } = decoded;
    const position = textPositions(before).positionAt(before.length);
    return { ok: false, mistakes: [{ file: path, ...position, path: "", found, expected, hint }] };
  }
  const { text } = decoded;
  const parsed = format === "toml" ? parseToml(text) : await parseYaml(text);
  return { ok: true, text, parsed, value: withoutEmptySections(parsed.value) };
}

/** `file`: the typed content, null if the tables do not match the schema. `findings`: at most one for each key. */
function checkTables(value: unknown, homeContext: HomeContext) {
  const issues: Issue[] = [];
  const file = configFile.read(value, [], issues);
  const ofValues = valueFindings(value, issues, 5 * MISTAKE_LIMIT);
  const findings = firstOfEachKey([...ofValues, ...ruleFindings(value, homeContext)]);
  return { file: issues.length === 0 ? file : null, findings };
}

function engineOf(
  file: ConfigFile,
  path: string,
  homeContext: HomeContext,
): Pick<ConfigSnapshot, "config" | "warnings"> {
  const config = engineConfig(file, homeContext);
  const guarded = { homes: [homeContext.home], configs: [path], userHome: homeContext.userHome };
  const warnings = [
    ...configWarnings(file, config),
    ...accessWarnings(config.backends, guarded),
    ...unstatedShareWarnings(config),
  ];
  return { config, warnings };
}

/**
 * Checks a configuration's bytes. Pure: equal input gives an equal result. Errors are a result; rejects
 * with `config_unreadable` if no format is given, and `path` ends in neither .toml, .yaml nor .yml.
 */
export async function parseConfig(
  bytes: Uint8Array,
  path: string,
  homeContext: HomeContext,
  format: ConfigFormat = configFormat(path),
): Promise<LoadedConfig> {
  const read = await readTables(bytes, path, format);
  if (!read.ok) return read;
  const { text, parsed } = read;
  const checked = checkTables(read.value, homeContext);
  // If a part of the text could not be read, errors about missing keys are dropped: the keys may be in that
  // part.
  const findings = checked.findings.filter(({ found, restsOnAbsence }) => {
    return !(parsed.incomplete && (found === MISSING || restsOnAbsence === true));
  });
  if (checked.file !== null && findings.length === 0 && parsed.syntax.length === 0) {
    const { config, warnings } = engineOf(checked.file, path, homeContext);
    const snapshot = { path, sha256: sha256Of(bytes), format, config, warnings };
    return { ok: true, snapshot: deepFreeze(snapshot) };
  }
  return { ok: false, mistakes: await locateMistakes({ path, text, parsed, findings }) };
}

/**
 * One warning for each enabled backend that works in a share's folder without listing the share in
 * `requires`.
 */
function unstatedShareWarnings(config: MountaineerConfig): ConfigWarning[] {
  const folders = foldersOf(config);
  return config.backends.flatMap((backend): ConfigWarning[] => {
    const { name, enabled, requires } = backend;
    const given = routesOf(backend).flatMap(({ connection }, route) => {
      if (!enabled || connection.type !== "stdio") return [];
      const keys = routeKeys(backend, route);
      const args = connection.args.map((path, index) => [path, [...keys, "args", index]] as const);
      return [[connection.cwd, [...keys, "cwd"]] as const, ...args];
    });
    for (const [path, at] of given) {
      const share = folders.find(([folder]) => path.startsWith("/") && isWithin(path, folder))?.[1];
      if (share === undefined || requires.some((one) => one.share === share)) continue;
      return [
        {
          path: pathText(["backends", name, ...at]),
          text: `${path} is on share ${share}, which may not be there when the server is started`,
          hint: `say \`requires = ["${share}"]\`: it then waits for the share, and its tools leave and return with it`,
        },
      ];
    }
    return [];
  });
}

/** The folders that lead to shares, each with the name of its share. */
function foldersOf({ global, shares, aliases }: MountaineerConfig): readonly (readonly [string, string])[] {
  return [
    ...shares.flatMap(({ name, shareName }) => [
      [join(global.sharesRoot, name), name] as const,
      [join(global.mountRoot, name), name] as const,
      [join(global.mountRoot, shareName), name] as const,
    ]),
    ...aliases.map(({ path, share }) => [path, share] as const),
  ];
}
