// The fleet's layer: the configuration that its machines share, and the keys that it must not have. Pure.
import { literalSecrets } from "../literal-secrets.ts";
import { asTable, listIn, wrong } from "../read/tables.ts";
import type { BackendConfig } from "../snapshot.ts";
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

const OWN_SECTIONS: Readonly<Record<string, string>> = {
  server: "where a machine listens is its own",
  fleet: "in which fleet a machine is, and as whom, is its own",
  trust: "what a machine believes, and what waits for approval there, is its own",
};
/** The paths where Mountaineer writes: the fleet must not choose where files and links are made. */
const OWN_PATHS: readonly (readonly [section: string, key: string])[] = [
  ["global", "shares_root"],
  ["global", "mount_root"],
  ["audit", "path"],
];
const SHARE_PLACES = ["thunderbolt_host", "fallback_host", "thunderbolt_path", "fallback_path"] as const;
const EXPECTED = "no such key in a fleet's configuration";
/** A reference anywhere in a text: the fleet may not use a machine's secrets. */
const REFERENCE = /^secret:|\$\{/;

/** The mistakes of a layer: keys that only a machine's own file may have, and references to secrets. */
export function forbiddenFindings(layer: unknown): Finding[] {
  const table = asTable(layer) ?? {};
  const findings: Finding[] = [];
  const refuse = (path: KeyPath, found: string, hint: string): void => {
    findings.push({ path, at: "key", found, expected: EXPECTED, hint });
  };
  for (const [name, why] of Object.entries(OWN_SECTIONS)) {
    if (Object.hasOwn(table, name)) refuse([name], `\`[${name}]\``, why);
  }
  for (const [section, key] of OWN_PATHS) {
    if (asTable(table[section])?.[key] === undefined) continue;
    refuse([section, key], "a path", PATH_HINT);
  }
  for (const [index, alias] of listIn(table, "aliases").entries()) {
    if (asTable(alias)?.["path"] !== undefined) refuse(["aliases", index, "path"], "a path", PATH_HINT);
  }
  for (const [index, share] of listIn(table, "shares").entries()) {
    for (const key of SHARE_PLACES) {
      if (asTable(share)?.[key] === undefined) continue;
      refuse(["shares", index, key], "a place of a share", "where shares are is in each machine's own file");
    }
  }
  for (const [name, backend] of Object.entries(asTable(table["backends"]) ?? {})) {
    if (asTable(backend)?.["pin"] === undefined) continue;
    refuse(["backends", name, "pin"], "`pin`", OWN_SECTIONS["trust"] ?? "");
  }
  return [...findings, ...referenceFindings(table, [])];
}

const PATH_HINT = "where files are on a machine is its own";

function referenceFindings(value: unknown, path: KeyPath): Finding[] {
  if (typeof value === "string") {
    return REFERENCE.test(value) ? [secretFinding(path, "a reference to a secret")] : [];
  }
  if (Array.isArray(value)) return value.flatMap((part, index) => referenceFindings(part, [...path, index]));
  const table = asTable(value);
  if (table === null) return [];
  return Object.entries(table).flatMap(([key, part]) => referenceFindings(part, [...path, key]));
}

/** Mistakes of a layer: literal secrets, as far as they can be recognized. */
export function secretFindings(backends: readonly BackendConfig[]): Finding[] {
  return literalSecrets(backends).map(({ path }) => secretFinding(path, "what looks like a secret"));
}

function secretFinding(path: KeyPath, found: string): Finding {
  const hint = "write what needs the secret into each machine's own file; the secret is stored there, too";
  return wrong(path, found, "no secret in a fleet's configuration", hint);
}
