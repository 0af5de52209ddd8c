// The rules of `[fleet]` that concern several values.
import { closestWord } from "../../runtime/text/suggest.ts";
import {
  EXPORT_EXPECTED,
  MACHINE_NAME_EXPECTED,
  MOST_FLEET_NAMES,
  MOST_FLEET_SERVERS,
  parseExport,
} from "../values/fleet-values.ts";
import { type Finding, quoted } from "../values/mistakes.ts";
import { expandPath } from "../values/paths.ts";
import {
  asTable,
  invalidValue,
  isOnShare,
  listIn,
  missingKey,
  type RuleContext,
  type Table,
} from "./tables.ts";

/**
 * The errors of `[fleet]`: lists that are too long, entries for an unknown backend or for this machine
 * itself, a missing address of a server, and a CA file on a share.
 */
export function fleetFindings(file: Table, context: RuleContext): Finding[] {
  const fleet = asTable(file["fleet"]) ?? {};
  const findings: Finding[] = [];
  const refuse = (
    path: Finding["path"],
    ...mistake: [found: string, expected: string, hint?: string | null]
  ) => findings.push(invalidValue(["fleet", ...path], ...mistake));
  const { name, servers, tls_ca: authority } = fleet;
  if (file["fleet"] !== undefined && name === undefined && context.machineName === undefined) {
    findings.push(missingKey(["fleet", "name"], MACHINE_NAME_EXPECTED));
  }
  const own = Object.keys(asTable(file["backends"]) ?? {});
  for (const key of ["export", "import"] as const) {
    const list = listIn(fleet, key);
    if (list.length > MOST_FLEET_NAMES) {
      refuse([key, MOST_FLEET_NAMES], "one more", `at most ${MOST_FLEET_NAMES} names`);
    }
    for (const [at, entry] of list.slice(0, MOST_FLEET_NAMES).entries()) {
      if (typeof entry !== "string" || entry === "*") continue;
      if (key === "export" && parseExport(entry).ok && !own.includes(entry)) {
        const meant = closestWord(entry, own);
        const hint = meant === null ? null : `did you mean ${quoted(meant)}?`;
        refuse([key, at], quoted(entry), EXPORT_EXPECTED, hint);
      }
      if (key !== "export" && entry.split("/")[0] === name) {
        refuse([key, at], "this machine itself", "another machine");
      }
    }
  }
  if (Array.isArray(servers)) {
    if (servers.length === 0) refuse(["servers"], "an empty list", "the address of a NATS server");
    if (servers.length > MOST_FLEET_SERVERS) {
      refuse(["servers", MOST_FLEET_SERVERS], "one more", `at most ${MOST_FLEET_SERVERS} addresses`);
    }
  }
  if (typeof authority === "string" && isOnShare(expandPath(authority, context.userHome), file, context)) {
    refuse(["tls_ca"], "a file on a share", "a file that is not on a share");
  }
  return findings;
}
