// The entries of a configuration, which a person approves one by one. An entry consists of parts; the kind of
// a part decides whether a change of it needs an approval. Pure.
import { isDeepStrictEqual } from "node:util";
import { isReference } from "../../secrets/reference.ts";
import { declaredOf } from "../backend-defaults.ts";
import { isReordered } from "../diff.ts";
import { backendDefaultKeys } from "../schema/backend-defaults-schema.ts";
import { backendKeys, serverKeys } from "../schema/gateway-schema.ts";
import { approvalsIn } from "../schema/normalized.ts";
import { configFile, OPEN_TABLES } from "../schema/schema.ts";
import type { Approval, EntryKind } from "../schema/schema-keys.ts";
import { aliasKeys, globalKeys, shareKeys } from "../schema/share-schema.ts";
import { trustKeys } from "../schema/trust-schema.ts";
import { type MountaineerConfig, SERVER_DEFAULT, snakeCase } from "../snapshot.ts";
import { BACKEND_ORDER, orderOf } from "./backend-order.ts";

/** A plain value; references to secrets stay references. */
export type EntryValue =
  | string
  | number
  | boolean
  | null
  | readonly EntryValue[]
  | { readonly [key: string]: EntryValue };

export type Fields = Readonly<Record<string, EntryValue>>;

interface EntryPart {
  readonly kind: EntryKind;
  readonly value: EntryValue;
}

export type EntryParts = Readonly<Record<string, EntryPart>>;

export type EntryGroup = "backends" | "shares" | "aliases" | "sections";

export interface Entry {
  /** `backends.files`, `shares.CORE`, `incoming_auth`. */
  readonly id: string;
  readonly group: EntryGroup;
  /** For example `files`, `CORE` or `incoming_auth`. */
  readonly name: string;
  /** The entry as the engine has it, with the fields that need no approval. */
  readonly whole: Fields;
  /** The fields that need an approval in some mode; an absent one is null. */
  readonly parts: EntryParts;
}

/** The id of the section of what backends have in common. */
export const BACKEND_DEFAULTS = "backend_defaults";

/** The kinds of fields, by name. `partsOf` treats an undeclared field as one that decides what runs. */
type Kinds = Readonly<Record<string, Approval>>;

const BACKEND_FIELDS: Kinds = {
  ...approvalsIn(backendKeys),
  name: "free",
  // A disabled backend is not an entry; enabling a backend adds an entry.
  enabled: "free",
};
const SHARE_FIELDS: Kinds = { ...approvalsIn(shareKeys), routes: "sends" };

const SECTION_KINDS = approvalsIn(configFile.keys);
/** Sections that are not one entry with one part: each has members, or parts of several kinds, or no part. */
const DIVIDED = [
  ...["global", "server", "backends", "backendDefaults", "incomingAuth", "trust", "shares", "aliases"],
  // Shares have what it gives them.
  "nas",
];
/** Sections of one part. */
const WHOLE_KINDS = Object.entries(SECTION_KINDS).filter(
  ([name, kind]) => !DIVIDED.includes(name) && kind !== "free",
);
// The assertion holds: the engine has these sections under the file's names.
const WHOLE_SECTIONS = WHOLE_KINDS.map(([name]) => name) as readonly (keyof MountaineerConfig)[];

/**
 * The fields of the sections that are entries, by id. The sign-in and `[server]` are one entry, because a listening
 * address beyond this machine is valid only with a sign-in.
 */
const SECTIONS: Readonly<Record<string, Kinds>> = {
  global: approvalsIn(globalKeys),
  incoming_auth: { ...approvalsIn(serverKeys), incomingAuth: "access", isListed: "free" },
  trust: approvalsIn(trustKeys),
  [BACKEND_DEFAULTS]: approvalsIn(backendDefaultKeys),
  ...Object.fromEntries(WHOLE_KINDS.map(([key, kind]) => [snakeCase(key), { [key]: kind }])),
};

/** The entries of a configuration. A backend that is off is not an entry. */
export function entriesOf(config: MountaineerConfig): ReadonlyMap<string, Entry> {
  const { backends, backendDefaults, shares, aliases, global, incomingAuth, server, trust } = config;
  const isListed = server !== null;
  const entries = [
    ...backends.filter(({ enabled }) => enabled).map((one) => entryOf("backends", one.name, declaredOf(one))),
    ...shares.map((one) => entryOf("shares", one.name, one)),
    ...aliases.map((one) => entryOf("aliases", one.name, one)),
    entryOf("sections", "global", global),
    entryOf("sections", "incoming_auth", { ...(server ?? SERVER_DEFAULT), isListed, incomingAuth }),
    entryOf("sections", "trust", trust),
    entryOf("sections", BACKEND_DEFAULTS, backendDefaults),
    ...WHOLE_SECTIONS.map((key) => entryOf("sections", snakeCase(key), { [key]: config[key] })),
  ];
  return new Map(entries.map((entry) => [entry.id, entry]));
}

/** The configuration with the sections of these entries. */
export function withSections(
  config: MountaineerConfig,
  entries: readonly (readonly [id: string, whole: Fields])[],
): MountaineerConfig {
  const sections = entries.map(([id, whole]) => {
    if (id === "global" || id === "trust") return { [id]: whole };
    if (id === BACKEND_DEFAULTS) return { backendDefaults: whole };
    if (id !== "incoming_auth") return whole;
    const { incomingAuth, isListed, ...server } = whole;
    return { incomingAuth, server: isListed === true ? server : null };
  });
  // The values have their sections' types: they were copied from a configuration, and the sealed file of approvals
  // detects changes.
  return { ...config, ...(Object.assign({}, ...sections) as Partial<MountaineerConfig>) };
}

/** The entry of the fields, which may have been approved by an earlier version. */
export function entryOf(group: EntryGroup, name: string, fields: object): Entry {
  const whole = Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [key, plain(value, OPEN_TABLES.has(key))]),
  );
  const id = group === "sections" ? name : `${group}.${name}`;
  return { id, group, name, whole, parts: PARTS[group](whole, name) };
}

const PARTS: Readonly<Record<EntryGroup, (whole: Fields, name: string) => EntryParts>> = {
  backends: backendParts,
  shares: (whole) => partsOf(whole, SHARE_FIELDS),
  aliases: (whole) => partsOf(whole, approvalsIn(aliasKeys)),
  sections: (whole, name) => partsOf(whole, SECTIONS[name] ?? {}),
};

function backendParts(whole: Fields): EntryParts {
  const { connection = null, routes = null, ...others } = whole;
  const connections = isList(routes)
    ? routes.map((route) => membersOf(route)["connection"] ?? null)
    : [connection];
  // `connection` is a copy of the first route's connection. Both get the same kind, so that both need an approval or
  // neither does.
  const kind = connections.some((one) => membersOf(one)["type"] === "stdio") ? "runs" : "sends";
  return {
    connection: { kind, value: guarded(connection) },
    routes: { kind, value: isList(routes) ? routes.map(guardedRoute) : null },
    ...partsOf(others, BACKEND_FIELDS),
  };
}

/**
 * Keys of a connection that change neither the program nor the destination of requests: the MCP version; `cwdGiven`, which only
 * tells whether the file has `cwd`; and `stored`, which lists references in `url` and `args`.
 */
const UNGUARDED: ReadonlySet<string> = new Set(["protocol", "cwdGiven", "stored"]);

function guarded(connection: EntryValue): EntryValue {
  if (connection === null) return null;
  return Object.fromEntries(Object.entries(membersOf(connection)).filter(([key]) => !UNGUARDED.has(key)));
}

function guardedRoute(route: EntryValue): EntryValue {
  const { connection = null, ...others } = membersOf(route);
  return { ...others, connection: guarded(connection) };
}

function partsOf(whole: Fields, kinds: Kinds): EntryParts {
  const parts: Record<string, EntryPart> = {};
  for (const [field, value] of Object.entries(whole)) {
    const kind = kinds[field] ?? "runs";
    if (kind !== "free") parts[field] = { kind, value };
  }
  return parts;
}

/**
 * Converts a value to plain data, without the revisions of secrets: a new value of a secret needs no
 * approval. `isOpen`: the keys are names that people chose.
 */
export function plain(value: unknown, isOpen = false): EntryValue {
  if (Array.isArray(value)) return value.map((one) => plain(one));
  if (typeof value === "object" && value !== null) {
    const isStamped = !isOpen && isReference(value);
    const entries = Object.entries(value).filter(([key]) => !(isStamped && key === "revision"));
    return Object.fromEntries(
      entries.map(([key, part]) => [key, plain(part, !isOpen && OPEN_TABLES.has(key))]),
    );
  }
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  return null;
}

/**
 * Whether two values mean the same. An absent key equals null, so that a key of a later version makes no difference.
 */
export function isSameMeaning(one: EntryValue | undefined, other: EntryValue | undefined): boolean {
  if (JSON.stringify(one) === JSON.stringify(other)) return true;
  return isDeepStrictEqual(withoutNulls(one ?? null), withoutNulls(other ?? null));
}

function withoutNulls(value: EntryValue): EntryValue {
  if (isList(value)) return value.map(withoutNulls);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, part]) => part !== null);
  return Object.fromEntries(entries.map(([key, part]) => [key, withoutNulls(part)]));
}

type Members = { readonly [key: string]: EntryValue };

/** The members of a table; none for other values. */
export function membersOf(value: EntryValue): Members {
  return typeof value === "object" && value !== null && !isList(value) ? value : {};
}

/** `Array.isArray`, with a type that also narrows read-only lists. */
export function isList(value: EntryValue): value is readonly EntryValue[] {
  return Array.isArray(value);
}

export function isSameParts(one: EntryParts, other: EntryParts): boolean {
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...names].every((name) => isSameMeaning(one[name]?.value, other[name]?.value));
}

/**
 * The ids of the entries that an edit adds or changes, and BACKEND_ORDER if it moves backends. Removed entries do not
 * count, as they run and send nothing.
 */
export function guardedChanges(before: MountaineerConfig, after: MountaineerConfig): readonly string[] {
  const was = entriesOf(before);
  const is = entriesOf(after);
  const changed = [...is.values()].flatMap(({ id, parts }) => {
    return isSameParts(was.get(id)?.parts ?? {}, parts) ? [] : [id];
  });
  // If two backends have a tool of the same name, the first backend wins, so the order matters.
  return isReordered(orderOf(before), orderOf(after)) ? [...changed, BACKEND_ORDER] : changed;
}
