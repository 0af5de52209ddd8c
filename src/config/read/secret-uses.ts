// Finds all references to secrets in a configuration.
import { isReference, type SecretReference } from "../../secrets/reference.ts";
import { routesOf } from "../backend-routes.ts";
import { OPEN_TABLES } from "../schema/schema.ts";
import { type ConfigSnapshot, deepFreeze, type MountaineerConfig, snakeCase } from "../snapshot.ts";

interface SecretUse {
  readonly reference: SecretReference;
  /** For example "share CORE", "backend files (env TOKEN)" or "user ann". */
  readonly usedBy: string;
}

type Path = readonly string[];

/** `isOpen`: the keys are names that people chose, such as `kind` and `name`. */
function positionsIn(
  value: unknown,
  path: Path = [],
  isOpen = false,
): readonly (readonly [Path, SecretReference])[] {
  if (typeof value !== "object" || value === null) return [];
  if (!isOpen && isReference(value)) return [[path, value]];
  return Object.entries(value).flatMap(([key, part]) =>
    positionsIn(part, [...path, key], !isOpen && OPEN_TABLES.has(key)),
  );
}

function usesIn(value: unknown, usedBy: (path: Path) => string): readonly SecretUse[] {
  return positionsIn(value).map(([path, reference]) => ({ reference, usedBy: usedBy(path) }));
}

/** The key as text, such as `env TOKEN` or `client_secret`. */
function keyText(path: Path): string {
  const chosen = path.findIndex((key) => key === "env" || key === "headers");
  const own = path.findLast((key) => !/^\d+$/.test(key)) ?? "";
  return chosen === -1 ? snakeCase(own) : `${path[chosen]} ${path[chosen + 1]}`;
}

/** All uses of secrets, in the order of shares, backends, users, and the rest. */
export function secretUses(config: MountaineerConfig): readonly SecretUse[] {
  // What the defaults refer to is in the backends that get it.
  const { shares, backends, backendDefaults: _, incomingAuth, fleet, ...others } = config;
  const users = incomingAuth.type === "anonymous" ? [] : incomingAuth.users;
  return [
    ...shares.flatMap((share) => usesIn(share, () => `share ${share.name}`)),
    ...backends.flatMap((backend) =>
      usesIn(
        { ...backend, connection: null, routes: routesOf(backend) },
        (path) => `server ${backend.name} (${keyText(path)})`,
      ),
    ),
    ...users.flatMap((user) => usesIn(user, () => `user ${user.name}`)),
    ...usesIn({ ...others, incomingAuth: { ...incomingAuth, users: [] } }, (path) => {
      return `${snakeCase(path[0] ?? "")} (${keyText(path)})`;
    }),
    ...usesIn(fleet, () => "fleet"),
  ];
}

/** The names of the stored secrets that a configuration refers to, each once. */
export function storedSecretNames(config: MountaineerConfig): readonly string[] {
  const references = secretUses(config).map(({ reference }) => reference);
  return [...new Set(references.flatMap((one) => (one.kind === "stored" ? [one.name] : [])))];
}

/**
 * Adds revisions to the references in a value. A part without references stays the same object, because
 * comparisons treat a new object as a change.
 */
function stamped<T>(value: T, revisionOf: (name: string) => number, isOpen = false): T {
  if (typeof value !== "object" || value === null) return value;
  if (!isOpen && isReference(value)) {
    return value.kind === "stored" ? { ...value, revision: revisionOf(value.name) } : value;
  }
  const before: readonly (readonly [string, unknown])[] = Object.entries(value);
  const parts = before.map(
    ([key, part]) => [key, stamped(part, revisionOf, !isOpen && OPEN_TABLES.has(key))] as const,
  );
  if (parts.every(([, part], index) => part === before[index]?.[1])) return value;
  const made = Array.isArray(value) ? parts.map(([, part]) => part) : Object.fromEntries(parts);
  // The assertion holds: the result differs from `value` only in the revisions of references.
  return made as T;
}

/**
 * Returns the same configuration, in which each reference to a stored secret has the secret's revision; the very same
 * object if there are no stored secrets.
 */
export function withRevisions(
  snapshot: ConfigSnapshot,
  revisionOf: (name: string) => number,
): ConfigSnapshot {
  const config = stamped(snapshot.config, revisionOf);
  return config === snapshot.config ? snapshot : deepFreeze({ ...snapshot, config });
}
