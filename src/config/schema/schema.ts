// The schema of the whole configuration file, in reading order. Validation, the starter, the reference in docs/ and the
// editors' JSON Schema follow from it.
import { parseBackendName } from "../values/backend-names.ts";
import type { KeyPath } from "../values/mistakes.ts";
import { backendDefaultKeys } from "./backend-defaults-schema.ts";
import { groupKeys, optimizerKeys, profileKeys } from "./fewer-tools-schema.ts";
import { fleetKeys } from "./fleet-schema.ts";
import { auditKeys, backendKeys, conflictKeys, serverKeys } from "./gateway-schema.ts";
import { incomingAuthKeys } from "./incoming-auth-schema.ts";
import { limitsKeys } from "./limits-schema.ts";
import { camelCase } from "./normalized.ts";
import { authorizationKeys } from "./policy-schema.ts";
import { choiceKey, type Key, type KeyDoc, numberKey, type OutOf, titled, toggleKey } from "./schema-keys.ts";
import { scriptsKeys } from "./scripts-schema.ts";
import { aliasKeys, globalKeys, nasKeys, shareKeys } from "./share-schema.ts";
import { listOf, type Members, named, optionalTable, orAbsent, type Place, table } from "./tables.ts";
import { telemetryKeys } from "./telemetry-schema.ts";
import { trustKeys } from "./trust-schema.ts";

const DETECTION_CHOICES = ["mtime", "hash", "inotify"] as const;
const ON_FAILURE_CHOICES = ["backoff", "fixed", "stop"] as const;

export const syncKeys = {
  enabled: titled(
    "Watch the file",
    toggleKey(
      "free",
      true,
      "Watch this file. If false, only `mountaineer reload`, SIGHUP and Mountaineer's own edits apply.",
    ),
  ),
  poll_interval: titled(
    "Look every (seconds)",
    numberKey("free", {
      min: 0.05,
      max: 3600,
      absent: 2,
      unit: "seconds",
      meaning: "How often the file is checked.",
    }),
  ),
  debounce: titled(
    "Wait after last save (s)",
    numberKey("free", {
      min: 0.01,
      max: 60,
      absent: 1,
      unit: "seconds",
      meaning: "How long the file must stay unchanged before it is read.",
    }),
  ),
  detection: titled(
    "Notice changes by",
    choiceKey("free", DETECTION_CHOICES, "mtime", {
      meaning:
        "Detect changes by the file's time, its content (network file systems), or the system's events.",
    }),
  ),
  on_failure: titled(
    "After a failed reload",
    choiceKey("free", ON_FAILURE_CHOICES, "backoff", {
      meaning:
        "After a failed reload: retry ever less often, at `poll_interval`, or only at `mountaineer reload`.",
    }),
  ),
};

export const notifyKeys = {
  enabled: toggleKey("free", false, "Show desktop notifications to the user who runs Mountaineer."),
  failover: toggleKey("free", true, "When a share switches to the fallback."),
  tb_ready: toggleKey("free", true, "When the preferred route is back, and a share has not moved back yet."),
  config_rejected: toggleKey("free", true, "When this file has an error."),
  questions: toggleKey("free", true, "When a call waits for your answer."),
};

// A pattern for the JSON Schema, by which editors check the file; `parseBackendName` checks more.
const BACKEND_NAME = { pattern: "^[A-Za-z][A-Za-z0-9_-]{0,63}$" };

/** The whole file, in the order in which people read it. */
export const configFile = table("", {
  global: table("Settings for all shares.", globalKeys),
  sync: table(
    'How changes of this file are noticed and applied. `init` and `import` write `detection = "inotify"` and `debounce = 0.1`.',
    syncKeys,
  ),
  notify: optionalTable("Which events show a desktop notification.", notifyKeys),
  shares: listOf("shares", table("One block per share; optional.", shareKeys)),
  nas: named(
    "NAS",
    parseBackendName,
    table('What all shares of one NAS have in common. A share says `nas = "NAME"`.', nasKeys),
    BACKEND_NAME,
  ),
  aliases: listOf("aliases", table("One block per alias: a link to a folder inside a share.", aliasKeys)),
  server: orAbsent(
    table(
      "Where the gateway listens for MCP clients. It starts if servers or this section are configured.",
      serverKeys,
    ),
  ),
  backends: named(
    "backends",
    parseBackendName,
    table("One block per MCP server, with `command` or `url`.", backendKeys),
    BACKEND_NAME,
  ),
  backend_defaults: optionalTable(
    "What servers have that do not set the key themselves.",
    backendDefaultKeys,
  ),
  conflict_resolution: optionalTable("What happens when two servers offer the same name.", conflictKeys),
  optimizer: optionalTable(
    "A shorter tool list, for clients that load all of it into every conversation.",
    optimizerKeys,
  ),
  scripts: optionalTable("Scripts that call many tools in one call.", scriptsKeys),
  groups: named(
    "groups",
    parseBackendName,
    table(
      "One block per subset of tools, at `/mcp/NAME` and `mountaineer mcp --group NAME`. Both keys must match.",
      groupKeys,
    ),
    BACKEND_NAME,
  ),
  profiles: listOf(
    "profiles",
    table("One block per kind of client with its own list; the first match counts.", profileKeys),
  ),
  incoming_auth: optionalTable("How clients prove who they are.", incomingAuthKeys),
  authorization: orAbsent(
    table("Rights of users. Without it, everybody who may connect may use everything.", authorizationKeys),
  ),
  limits: optionalTable(
    "Limits for each principal: a user, everybody without a token, the owner.",
    limitsKeys,
  ),
  audit: orAbsent(table("A log of who called what, and who was refused, as JSON lines.", auditKeys)),
  trust: optionalTable("How far to trust servers, and changes of this file.", trustKeys),
  telemetry: orAbsent(table("Traces and metrics, for OpenTelemetry and Prometheus.", telemetryKeys)),
  fleet: orAbsent(table("Connects several machines, over NATS with JetStream.", fleetKeys)),
});

/** A valid file's content, in the file's spelling, with defaults filled in. */
export type ConfigFile = OutOf<typeof configFile>;
export type BackendFile = ConfigFile["backends"][string];

/** In a pattern, any name that people choose. */
export const ANY_NAME = "*";
/** In a pattern, any index in a list. */
export const ANY_INDEX = "#";

/** One table of the file: its purpose, how its header is written, and its keys. */
export interface SectionDoc {
  /** The table's path with dots, without chosen names and indexes: `global`, `backends.timeouts`. */
  readonly name: string;
  /** The table's path, with ANY_NAME for chosen names and ANY_PLACE for indexes. */
  readonly pattern: readonly string[];
  readonly header: string;
  readonly meaning: string;
  /** The word for several members of the list or table; null for a table that exists once. */
  readonly members: string | null;
  /** The names of the section's keys; empty if people choose them (`isOpen`), or if all members are tables. */
  readonly keys: readonly string[];
  readonly tables: readonly string[];
  /** True: users choose the names of the keys, and all keys have the same meaning. */
  readonly isOpen: boolean;
  /** The effective configuration shows the table only if the file has it. */
  readonly isOptional: boolean;
  key(name: string): Key<unknown>;
  keyDoc(name: string): KeyDoc;
}

/** The header of the pattern, as it would be written: `[backends.NAME]`, `[[shares]]`. */
function headerOf(pattern: readonly string[]): string {
  const names = pattern.filter((segment) => segment !== ANY_INDEX);
  const placeholder = pattern[0] === "backends" ? ["NAME", "TOOL"] : [];
  const dotted = names.map((name) => (name === ANY_NAME ? (placeholder.shift() ?? "NAME") : name)).join(".");
  return pattern.at(-1) === ANY_INDEX ? `[[${dotted}]]` : `[${dotted}]`;
}

/** Returns the sections of the table at `pattern` and of all tables below it. */
function sectionsAt(pattern: readonly string[], place: Place, members: string | null = null): SectionDoc[] {
  switch (place.kind) {
    case "key":
      return [];
    case "list":
    case "named":
      return sectionsAt([...pattern, place.kind === "list" ? ANY_INDEX : ANY_NAME], place.table, place.noun);
  }
  const below: Members = place.kind === "table" ? place.keys : {};
  const name = pattern.filter((segment) => segment !== ANY_NAME && segment !== ANY_INDEX).join(".");
  const keyNamed = (wanted: string): Key<unknown> => {
    const key = place.kind === "open" ? place.key : below[wanted];
    if (key?.kind !== "key") throw new TypeError(`${name} has no key ${wanted}`);
    return key;
  };
  const [keys, tables] = [true, false].map((isKey) =>
    Object.keys(below).filter((key) => (below[key]?.kind === "key") === isKey),
  );
  const section = {
    name,
    pattern,
    header: headerOf(pattern),
    meaning: place.meaning,
    members,
    keys: keys ?? [],
    tables: tables ?? [],
    isOpen: place.kind === "open",
    isOptional: place.isOptional,
    key: keyNamed,
    keyDoc: (key: string) => keyNamed(key).doc,
  };
  return [section, ...Object.entries(below).flatMap(([key, one]) => sectionsAt([...pattern, key], one))];
}

/** All sections, in the order in which people read them; a table's own tables follow it. */
export const SECTIONS: readonly SectionDoc[] = Object.entries(configFile.keys).flatMap(([name, place]) =>
  sectionsAt([name], place),
);

/** The names that tables have in the engine in which people choose the keys. */
export const OPEN_TABLES: ReadonlySet<string> = new Set(
  SECTIONS.filter(({ isOpen }) => isOpen).map(({ name }) => camelCase(name.split(".").at(-1) ?? "")),
);

function fits(pattern: readonly string[], path: KeyPath, isPerson: boolean): boolean {
  return pattern.every((expected, index) => {
    const segment = path[index];
    if (expected === ANY_INDEX)
      return typeof segment === "number" || (isPerson && typeof segment === "string");
    if (expected === ANY_NAME) return typeof segment === "string";
    return segment === expected;
  });
}

export function sectionAt(path: KeyPath): SectionDoc | null {
  return SECTIONS.find(({ pattern }) => pattern.length === path.length && fits(pattern, path, false)) ?? null;
}

/**
 * Returns the section for the table at a path that a person typed; null if there is no such table. In the path, a
 * member of a list may have its name instead of its index.
 */
export function sectionNamed(path: KeyPath): SectionDoc | null {
  return SECTIONS.find(({ pattern }) => pattern.length === path.length && fits(pattern, path, true)) ?? null;
}

/** The section of the table at `path`, else of the innermost table around it. */
export function sectionAround(path: KeyPath): SectionDoc | null {
  for (let length = path.length; length > 0; length -= 1) {
    const section = sectionAt(path.slice(0, length));
    if (section !== null) return section;
  }
  return null;
}

/** The section that documents the members of the list or table at `path`; null if it has no members. */
export function memberSection(path: KeyPath): SectionDoc | null {
  return (
    SECTIONS.find(({ pattern, members }) => {
      return (
        members !== null && pattern.length === path.length + 1 && fits(pattern.slice(0, -1), path, false)
      );
    }) ?? null
  );
}

export function knownKeys(section: SectionDoc): readonly string[] {
  return [...section.keys, ...section.tables];
}

/** The names of the tables at the top of the file. */
export const TOP_NAMES: readonly string[] = [...new Set(SECTIONS.map(({ pattern }) => pattern[0] ?? ""))];

/** JSON Schema (draft 2020-12) of the file, with every key's meaning. */
export function configJsonSchema(): Readonly<Record<string, unknown>> {
  const $schema = "https://json-schema.org/draft/2020-12/schema";
  return { $schema, ...configFile.json(), title: "Mountaineer configuration" };
}
