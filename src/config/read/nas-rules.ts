// The rules of `[nas.NAME]`, and of the shares that have their hosts and login from one.
import { nasKeys } from "../schema/share-schema.ts";
import { HOST_EXPECTED } from "../values/host.ts";
import { type Finding, type KeyPath, namesHint, pathText, quoted } from "../values/mistakes.ts";
import { valueAt } from "../values/table.ts";
import { asTable, indexedTables, listIn, missingKey, type Table, unmatched } from "./tables.ts";

const KEYS = Object.keys(nasKeys);

/** The path of the NAS that a share names; null: it names none. */
function nasOf(share: Table): readonly ["nas", string] | null {
  const { nas } = share;
  return typeof nas === "string" ? ["nas", nas] : null;
}

/** The share with the keys of its NAS, as the file has them. */
export function withNas(share: Table, file: Table): Table {
  const nas = asTable(valueAt(file, nasOf(share) ?? ["nas", ""])) ?? {};
  return { ...share, ...Object.fromEntries(Object.entries(nas).filter(([key]) => KEYS.includes(key))) };
}

/** An error in a key that the share has from its NAS, at the share's `nas`. */
export function atNas(finding: Finding, file: Table): Finding {
  const [list, index, key] = finding.path;
  const share = asTable(listIn(file, "shares")[Number(index)]) ?? {};
  if (list !== "shares" || nasOf(share) === null || !KEYS.includes(String(key)) || key === undefined)
    return finding;
  return { ...finding, path: [list, Number(index), "nas"], found: `${finding.found} (\`${key}\`)` };
}

/** All errors of NAS, and of shares in their keys about it. `routeFindings`: those in the hosts of one. */
export function nasFindings(
  file: Table,
  routeFindings: (nas: Table, at: KeyPath) => readonly Finding[],
): Finding[] {
  const known = Object.entries(asTable(file["nas"]) ?? {});
  const names = known.map(([name]) => name);
  const ofNas = known.flatMap(([name, value]) => {
    const nas = asTable(value);
    if (nas === null) return [];
    const at = ["nas", name];
    const hint = "one address is enough; `thunderbolt_host` is the one over a faster cable";
    const hasHost = nas["thunderbolt_host"] !== undefined || nas["fallback_host"] !== undefined;
    return hasHost ? routeFindings(nas, at) : [missingKey([...at, "fallback_host"], HOST_EXPECTED, hint)];
  });
  const ofShares = indexedTables(listIn(file, "shares")).flatMap(([index, share]) => {
    const path = nasOf(share);
    if (path === null) return [];
    const at = ["shares", index];
    const own = KEYS.filter((key) => share[key] !== undefined).map((key) => nasConflict([...at, key], path));
    return names.includes(path[1]) ? own : [...own, unknownFinding(share, [...at, "nas"], path[1], names)];
  });
  return [...ofNas, ...ofShares];
}

function nasConflict(path: KeyPath, nas: KeyPath): Finding {
  const key = String(path.at(-1));
  return {
    path,
    at: "key",
    found: `\`${key}\` beside \`nas\``,
    conflictsWith: [...path.slice(0, -1), "nas"],
    expected: `no \`${key}\``,
    hint: `\`${pathText([...nas, key])}\` is where it is written for all shares of that NAS`,
  };
}

function unknownFinding(share: Table, path: KeyPath, nas: string, names: readonly string[]): Finding {
  const { name } = share;
  const whose = typeof name === "string" ? `, the NAS of share ${quoted(name)}` : "";
  const hint = namesHint(
    nas,
    names,
    "the file has no NAS: add `[nas.NAME]`, or give the share its own hosts",
  );
  return unmatched(
    path,
    `${quoted(nas)}${whose}, which is not in this file`,
    "the name of a `[nas.NAME]` of this file",
    hint,
  );
}
