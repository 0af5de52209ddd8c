// The fleet's layer: the configuration that its machines share, and the keys that it must not have. Pure.
import { declaredOf } from "../backend-defaults.ts";
import { literalSecrets, literalVariables } from "../literal-secrets.ts";
import { asTable, invalidValue } from "../read/tables.ts";
import type { BackendConfig, BackendDefaults } from "../snapshot.ts";
import type { Finding, KeyPath } from "../values/mistakes.ts";

/** The largest size of a layer's text, in bytes of UTF-8. */
export const LARGEST_LAYER_BYTES = 128 * 1024;

/** A layer whose operator's signature the caller has verified. */
export interface ConfigLayer {
  /** The configuration as TOML. */
  readonly text: string;
  /** The number of the revision, from 1; the operator signs each revision once. */
  readonly revision: number;
  /** The operator's public key (`U…`): the layer applies only under files that name it. */
  readonly operator: string;
}

/** The name of the layer in messages. */
export function layerName({ revision }: Pick<ConfigLayer, "revision">): string {
  return `fleet revision ${revision}`;
}

/** In a pattern: any name or index. */
const ANY = "*";
const PATH_HINT = "each machine's own file says where files are on that machine";
const SHARE_HINT = "each machine's own file says where its shares are";
const TRUST_HINT = "each machine's own file says what it trusts, and which changes wait for approval there";

/**
 * The keys that only a machine's own file may have. Some of them hold paths at which Mountaineer writes files and
 * links, so no other machine may choose these paths.
 */
const FORBIDDEN: readonly (readonly [pattern: KeyPath, found: string, hint: string])[] = [
  [["server"], "`[server]`", "each machine's own file says where it listens"],
  [["fleet"], "`[fleet]`", "each machine's own file says in which fleet it is, and under which name"],
  [["trust"], "`[trust]`", TRUST_HINT],
  [["backends", ANY, "pin"], "`pin`", TRUST_HINT],
  [["global", "shares_root"], "a path", PATH_HINT],
  [["global", "mount_root"], "a path", PATH_HINT],
  [["audit", "path"], "a path", PATH_HINT],
  [["aliases", ANY, "path"], "a path", PATH_HINT],
  [["nas"], "`[nas]`", SHARE_HINT],
  [["shares", ANY, "nas"], "a place of a share", SHARE_HINT],
  [["shares", ANY, "thunderbolt_host"], "a place of a share", SHARE_HINT],
  [["shares", ANY, "fallback_host"], "a place of a share", SHARE_HINT],
  [["shares", ANY, "thunderbolt_path"], "a place of a share", SHARE_HINT],
  [["shares", ANY, "fallback_path"], "a place of a share", SHARE_HINT],
];
/**
 * A reference to a secret, anywhere in a text. A layer must not have any, because the fleet may not use a
 * machine's secrets.
 */
const REFERENCE = /^secret:|\$\{/;

/** The mistakes of a layer: keys that only a machine's own file may have, and references to secrets. */
export function forbiddenFindings(layer: unknown): Finding[] {
  const expected = "no such key in a fleet's configuration";
  const forbidden = FORBIDDEN.flatMap(([pattern, found, hint]) =>
    pathsAt(layer, pattern, []).map((path): Finding => ({ path, at: "key", found, expected, hint })),
  );
  return [...forbidden, ...referenceFindings(layer, [])];
}

/** The paths of all values that a pattern leads to. */
function pathsAt(value: unknown, [segment, ...rest]: KeyPath, path: KeyPath): KeyPath[] {
  if (segment === undefined) return [path];
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(asTable(value) ?? {});
  const matching = entries.filter(([key]) => segment === ANY || key === segment);
  return matching.flatMap(([key, part]) => pathsAt(part, rest, [...path, key]));
}

function referenceFindings(value: unknown, path: KeyPath): Finding[] {
  if (typeof value === "string") {
    return REFERENCE.test(value) ? [secretFinding(path, "a reference to a secret")] : [];
  }
  if (Array.isArray(value)) return value.flatMap((part, index) => referenceFindings(part, [...path, index]));
  const table = asTable(value);
  if (table === null) return [];
  return Object.entries(table).flatMap(([key, part]) => referenceFindings(part, [...path, key]));
}

/** Mistakes of a layer's backends and defaults: literal secrets, as far as they can be recognized. */
export function secretFindings(
  backends: readonly BackendConfig[],
  defaults: BackendDefaults | null,
): Finding[] {
  const ofDefaults = literalVariables(defaults?.env ?? {}).map((name) => ["backend_defaults", "env", name]);
  const ofBackends = literalSecrets(backends.map(declaredOf)).map(({ path }) => path);
  return [...ofBackends, ...ofDefaults].map((path) => secretFinding(path, "what looks like a secret"));
}

function secretFinding(path: KeyPath, found: string): Finding {
  const hint = "write what needs the secret into each machine's own file; the secret is stored there, too";
  return invalidValue(path, found, "no secret in a fleet's configuration", hint);
}
