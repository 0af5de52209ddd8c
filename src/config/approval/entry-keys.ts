// The parts of an entry with the file's keys and units. Pure.

import { camelCase, normalizedName, unitSize } from "../schema/normalized.ts";
import { ANY_NAME, SECTIONS } from "../schema/schema.ts";
import { hostText } from "../values/host-text.ts";
import { type EntryValue, type Fields, isList, membersOf } from "./entries.ts";

/** Names of tables in which people choose the keys. */
export const CHOSEN_BELOW: ReadonlySet<string> = new Set(
  SECTIONS.filter(({ pattern, isOpen }) => isOpen || pattern.at(-1) === ANY_NAME).map(({ pattern }) =>
    camelCase(pattern.findLast((segment) => segment !== ANY_NAME) ?? ""),
  ),
);

/**
 * For each key of the snapshot whose unit differs in the file: the key in the file, and the factor between the units.
 */
const UNITS = new Map(
  SECTIONS.flatMap(({ keys, key }) =>
    keys.flatMap((name) => {
      const size = unitSize(key(name));
      return size === 1 ? [] : [[normalizedName(name, key(name)), [name, size]] as const];
    }),
  ),
);
const SHARE_ROUTES = { tb: "thunderbolt", fallback: "fallback" } as const;

export function asInFile(parts: Fields): Fields {
  // The listening address is a part of the entry `incoming_auth`.
  const {
    host = null,
    port = null,
    publicUrl = null,
    allowedOrigins = null,
    sessionKey = null,
    management = null,
    ...others
  } = parts;
  return { ...respelled(others), server: { host, port, publicUrl, allowedOrigins, sessionKey, management } };
}

function respelled(members: Fields): Fields {
  return Object.fromEntries(Object.entries(members).flatMap(([key, value]) => inFile(key, value)));
}

function inFile(key: string, value: EntryValue): readonly (readonly [string, EntryValue])[] {
  const unit = UNITS.get(key);
  if (unit !== undefined && typeof value === "number") return [[unit[0], value / unit[1]]];
  if (key === "groups") return [[key, groupsInFile(value)]];
  if (CHOSEN_BELOW.has(key)) return [[key, value]];
  switch (key) {
    case "includeArguments":
      return [["arguments", value]];
    case "tokens":
      return Object.entries(respelled(membersOf(value)));
    case "keys": {
      const { url = null, path = url } = membersOf(value);
      return [["jwks", path]];
    }
    case "users":
      return usersInFile(value);
    case "routes":
      if (!isList(value)) return shareRoutes(membersOf(value));
  }
  if (isList(value)) return [[key, value.map((part) => nested(part))]];
  return [[key, nested(value)]];
}

function nested(value: EntryValue): EntryValue {
  return typeof value === "object" && value !== null && !isList(value) ? respelled(value) : value;
}

/**
 * The users as keys and values of `[incoming_auth]`: a first user `local` with the role `local` comes from
 * the key `token`, and has no name in the file.
 */
function usersInFile(users: EntryValue): readonly (readonly [string, EntryValue])[] {
  const [first = null, ...others] = isList(users) ? users : [];
  const { name, roles, token = null } = membersOf(first);
  const isUnnamed = name === "local" && JSON.stringify(roles) === '["local"]';
  return isUnnamed
    ? [
        ["token", token],
        ["users", others],
      ]
    : [["users", users]];
}

/**
 * Converts groups to the form in the file: a table of groups by name. A profile lists only names of groups; these
 * stay unchanged.
 */
function groupsInFile(groups: EntryValue): EntryValue {
  if (!isList(groups) || groups.some((group) => typeof group === "string")) return groups;
  return Object.fromEntries(
    groups.map((group) => {
      const { name = null, ...members } = membersOf(group);
      return [String(name), members];
    }),
  );
}

function shareRoutes(routes: Fields): readonly (readonly [string, EntryValue])[] {
  return Object.entries(SHARE_ROUTES).flatMap(([route, label]) => {
    const {
      host = null,
      port = null,
      interfaceName = null,
      folder = null,
    } = membersOf(routes[route] ?? null);
    const address = typeof host === "string" && typeof port === "number" ? hostText({ host, port }) : host;
    return [
      [`${label}_host`, address],
      [`${label}_interface`, interfaceName],
      [`${label}_path`, folder],
    ] as const;
  });
}
