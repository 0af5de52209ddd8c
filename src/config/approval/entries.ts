// The entries of a configuration, which a person approves one by one. An entry consists of parts; the kind of
// a part decides whether a change of it needs an approval. Pure.
import { isDeepStrictEqual } from "node:util";
import { isReference } from "../../secrets/reference.ts";
import { routesOf } from "../backend-routes.ts";
import { isReordered } from "../diff.ts";
import { backendKeys, serverKeys } from "../schema/gateway-schema.ts";
import { configFile } from "../schema/schema.ts";
import type { Approval, EntryKind } from "../schema/schema-keys.ts";
import { approvalsIn } from "../schema/settled.ts";
import { aliasKeys, globalKeys, shareKeys } from "../schema/share-schema.ts";
import { trustKeys } from "../schema/trust-schema.ts";
import {
  type BackendConfig,
  MANAGEMENT_DEFAULT,
  type MountaineerConfig,
  SERVER_DEFAULT,
  type ServerConfig,
  snakeCase,
} from "../snapshot.ts";
import { BACKEND_ORDER, orderOf } from "./backend-order.ts";

/** A plain value; references to secrets stay references. */
export type EntryValue =
  | string
  | number
  | boolean
  | null
  | readonly EntryValue[]
  | { readonly [key: string]: EntryValue };

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
  readonly parts: EntryParts;
}

/** The kinds of fields, by name. `partsOf` treats an undeclared field as one that decides what runs. */
type Kinds = Readonly<Record<string, Approval>>;

const BACKEND_FIELDS: Kinds = {
  ...approvalsIn(backendKeys),
  name: "free",
  // A disabled backend is no entry; enabling a backend adds an entry.
  enabled: "free",
};
const SHARE_FIELDS: Kinds = { ...approvalsIn(shareKeys), routes: "sends", access: "access" };
/** `management` is `free` here, because `entriesOf` adds the part of this key with `managementPart`. */
const SERVER_FIELDS: Kinds = { ...approvalsIn(serverKeys), management: "free" };

const SECTION_KINDS = approvalsIn(configFile.keys);
/** Sections that are not approved as one entry: each has members, or parts of several kinds. */
const DIVIDED = ["global", "server", "backends", "incomingAuth", "trust", "shares", "aliases"];

/** Sections that are one entry as a whole. The names are the keys of `MountaineerConfig`. */
export const WHOLE_SECTIONS = Object.keys(SECTION_KINDS).filter(
  (name) => !DIVIDED.includes(name) && SECTION_KINDS[name] !== "free",
) as readonly (keyof MountaineerConfig)[];

export function entriesOf(config: MountaineerConfig): ReadonlyMap<string, Entry> {
  const entries: Entry[] = [
    ...config.backends.filter(({ enabled }) => enabled).map(backendEntry),
    ...config.shares.map((share) => member("shares", share.name, partsOf(share, SHARE_FIELDS))),
    ...config.aliases.map((alias) => member("aliases", alias.name, partsOf(alias, approvalsIn(aliasKeys)))),
    section("global", partsOf(config.global, approvalsIn(globalKeys))),
    // One entry for the sign-in and `[server]`, because a listening address beyond this machine is valid only
    // with a sign-in.
    section("incoming_auth", {
      incomingAuth: { kind: "access", value: plain(config.incomingAuth) },
      ...partsOf(config.server ?? SERVER_DEFAULT, SERVER_FIELDS),
      management: managementPart(config.server),
    }),
    section("trust", partsOf(config.trust, approvalsIn(trustKeys))),
    ...WHOLE_SECTIONS.map((key) => section(snakeCase(key), partsOf({ [key]: config[key] }, SECTION_KINDS))),
  ];
  return new Map(entries.map((entry) => [entry.id, entry]));
}

/**
 * Returns the part of an entry for the keys of `management`. Its value is null if all these keys have their defaults,
 * so that approvals from before these keys existed stay valid.
 */
function managementPart(server: ServerConfig | null): EntryPart {
  const { management = MANAGEMENT_DEFAULT } = server ?? {};
  const isDefault = isDeepStrictEqual(management, MANAGEMENT_DEFAULT);
  return { kind: "runs", value: isDefault ? null : plain(management) };
}

function backendEntry(backend: BackendConfig): Entry {
  const { connection, routes, ...parts } = partsOf(withoutProtocol(backend), BACKEND_FIELDS);
  // `connection` is a copy of the first route's connection. Both get the same kind, so that both need an approval or
  // neither does.
  const kind = routesOf(backend).some((route) => route.connection.type === "stdio") ? "runs" : "sends";
  return member("backends", backend.name, {
    ...(connection === undefined ? {} : { connection: { ...connection, kind } }),
    ...(routes === undefined ? {} : { routes: { ...routes, kind } }),
    ...parts,
  });
}

/** The backend without its MCP version, which affects neither the program nor the destination of requests. */
function withoutProtocol(backend: BackendConfig): BackendConfig {
  const unspoken = ({ protocol: _protocol, ...connection }: BackendConfig["connection"]) => connection;
  const routes = backend.routes?.map((route) => ({ ...route, connection: unspoken(route.connection) }));
  return { ...backend, connection: unspoken(backend.connection), ...(routes && { routes }) };
}

function member(group: EntryGroup, name: string, parts: EntryParts): Entry {
  return { id: `${group}.${name}`, group, name, parts };
}

function section(name: string, parts: EntryParts): Entry {
  return { id: name, group: "sections", name, parts };
}

function partsOf<T extends object>(one: T, kinds: Kinds): EntryParts {
  const parts: Record<string, EntryPart> = {};
  for (const [field, value] of Object.entries(one)) {
    const kind = kinds[field] ?? "runs";
    if (kind !== "free") parts[field] = { kind, value: plain(value) };
  }
  return parts;
}

/**
 * Converts a value to plain data, without the revisions of secrets: a new value of a secret needs no
 * approval.
 */
function plain(value: unknown): EntryValue {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "object" && value !== null) {
    const isStamped = isReference(value);
    const entries = Object.entries(value).filter(([key]) => !(isStamped && key === "revision"));
    return Object.fromEntries(entries.map(([key, part]) => [key, plain(part)]));
  }
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  return null;
}

/**
 * Whether two values mean the same. An absent key equals null, so that a key of a later version is no
 * difference.
 */
export function isSameMeaning(one: EntryValue | undefined, other: EntryValue | undefined): boolean {
  if (JSON.stringify(one) === JSON.stringify(other)) return true;
  return isDeepStrictEqual(withoutNulls(one ?? null), withoutNulls(other ?? null));
}

/**
 * Keys that a comparison ignores: `cwdGiven` only tells whether the file has `cwd`, and `stored` lists references in
 * `url` and `args`. Those keys are compared themselves.
 */
const SAID_ALREADY: ReadonlySet<string> = new Set(["cwdGiven", "stored"]);

function withoutNulls(value: EntryValue): EntryValue {
  if (isList(value)) return value.map(withoutNulls);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([key, part]) => part !== null && !SAID_ALREADY.has(key));
  return Object.fromEntries(entries.map(([key, part]) => [key, withoutNulls(part)]));
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
