// The rules between keys. They read the file's unchecked values, so that their errors are reported together
// with those of single values.

import { HOST_EXPECTED, hostKey, parseHost } from "../values/host.ts";
import { type HostAddress, hostText } from "../values/host-text.ts";
import {
  describeServerShare,
  describeValue,
  type Finding,
  type KeyPath,
  pathText,
  quoted,
} from "../values/mistakes.ts";
import { nameKey, parseServerShareName, parseShareName } from "../values/names.ts";
import { isWithin, PATH_EXPECTED } from "../values/paths.ts";
import { aliasFindings, requiresFindings } from "./alias-rules.ts";
import { fleetFindings } from "./fleet-rules.ts";
import { gatewayFindings } from "./gateway-rules.ts";
import { atNas, nasFindings, withNas } from "./nas-rules.ts";
import {
  asTable,
  indexedTables,
  invalidValue,
  listIn,
  missingKey,
  pathOf,
  type RuleContext,
  repeatFindings,
  rootsOf,
  type Table,
} from "./tables.ts";

type RouteKeys = { readonly host: string; readonly path: string };

const ROUTES: readonly RouteKeys[] = [
  { host: "thunderbolt_host", path: "thunderbolt_path" },
  { host: "fallback_host", path: "fallback_path" },
];

function readHost(value: unknown): HostAddress | null {
  const reading = typeof value === "string" ? parseHost(value) : null;
  return reading?.ok === true ? reading.address : null;
}

/** Missing keys that the driver needs. */
function driverFindings(share: Table, at: KeyPath): Finding[] {
  const has = (key: string): boolean => share[key] !== undefined;
  const findings: Finding[] = [];
  const hosts = ROUTES.filter(({ host }) => has(host)).length;
  const paths = ROUTES.filter(({ path }) => has(path)).length;
  const isLocal = share["driver"] === "local" || paths > 0;
  if (!isLocal && hosts === 0 && !has("nas")) {
    const hint = "one address is enough; `thunderbolt_host` is the one over a faster cable";
    findings.push(missingKey([...at, "fallback_host"], HOST_EXPECTED, hint));
  }
  for (const { host, path } of ROUTES) {
    if (isLocal && hosts === 1 && !has(host))
      findings.push(missingKey([...at, host], HOST_EXPECTED, "give both hosts, or none"));
    if (isLocal && !has(path))
      findings.push(missingKey([...at, path], PATH_EXPECTED, "driver `local` needs both paths"));
  }
  return findings;
}

/** The two routes of one share, or of a NAS, must differ. */
function routeFindings(share: Table, at: KeyPath, context: RuleContext): Finding[] {
  const findings: Finding[] = [];
  const tb = readHost(share["thunderbolt_host"]);
  const fallback = readHost(share["fallback_host"]);
  if (tb !== null && fallback !== null && hostKey(tb) === hostKey(fallback)) {
    const found = `the same host and port as \`thunderbolt_host\` (${hostText(tb)})`;
    const hint = "each route has its own address on the server; `mountaineer shares swap` exchanges the two";
    findings.push(invalidValue([...at, "fallback_host"], found, "another host or port", hint));
  }
  const tbPath = pathOf(share["thunderbolt_path"], context);
  if (tbPath !== null && tbPath === pathOf(share["fallback_path"], context)) {
    const found = "the same folder as `thunderbolt_path`";
    findings.push(invalidValue([...at, "fallback_path"], found, "another folder"));
  }
  return findings;
}

function serverNameFindings(share: Table, at: KeyPath): Finding[] {
  const { name } = share;
  if (share["share_name"] !== undefined || typeof name !== "string" || !parseShareName(name).ok) return [];
  const reading = parseServerShareName(name);
  if (reading.ok) return [];
  const hint = "give `share_name`: without it, `name` is also what the server is asked for";
  return [invalidValue([...at, "name"], describeServerShare(name), reading.expected, hint)];
}

type Shares = readonly (readonly [index: number, share: Table])[];

/** The errors of shares that have the name of an earlier share. */
function nameFindings(shares: Shares): Finding[] {
  return repeatFindings(
    shares,
    ([, { name }]) => (typeof name === "string" ? nameKey(name) : null),
    ([index], [first]) => {
      const found = `the name of ${pathText(["shares", first])} (letter case does not count)`;
      return invalidValue(["shares", index, "name"], found, "a unique name");
    },
  );
}

/**
 * One error for each configured share that mounts the same share of the same server as an earlier configured share,
 * over any route.
 */
function sourceFindings(shares: Shares): Finding[] {
  const sources = new Map<string, number>();
  return shares.flatMap(([index, share]) => {
    const serverName = share["share_name"] ?? share["name"];
    if (typeof serverName !== "string") return [];
    const repeated = ROUTES.flatMap(({ host }) => {
      const address = readHost(share[host]);
      if (address === null) return [];
      // Compares the addresses of all routes with each other. Two shares that mount one share of a server, even over
      // different routes, would each take the other's mount for its own.
      const source = `${hostKey(address)} ${nameKey(serverName)}`;
      const first = sources.get(source) ?? index;
      sources.set(source, first);
      if (first === index) return [];
      const name = /[@:]/.test(serverName) ? "the same share" : `the share ${quoted(serverName)}`;
      const found = `${name} on ${hostText(address)}, as in ${pathText(["shares", first])}`;
      const hint = "one share of a server is mounted once; another `share_name` may be meant";
      return [invalidValue(["shares", index, host], found, "another host or `share_name`", hint)];
    });
    return repeated.slice(0, 1);
  });
}

/** Links and mounts must not be inside each other. */
function rootFindings(file: Table, shares: Shares, context: RuleContext): Finding[] {
  const { sharesRoot, mountRoot } = rootsOf(file, context);
  if (sharesRoot === null || mountRoot === null) return [];
  if (sharesRoot === mountRoot) {
    const key = asTable(file["global"])?.["mount_root"] === undefined ? "shares_root" : "mount_root";
    const found = `the folder of \`${key === "mount_root" ? "shares_root" : "mount_root"}\``;
    const hint = "one holds the mounts, the other the links to them";
    return [invalidValue(["global", key], found, "a separate folder", hint)];
  }
  const findings: Finding[] = [];
  for (const [index, { name }] of shares) {
    if (typeof name !== "string" || !parseShareName(name).ok) continue;
    const link = `${sharesRoot}/${name}`;
    const mount = `${mountRoot}/${name}`;
    if (!isWithin(mountRoot, link) && !isWithin(sharesRoot, mount)) continue;
    const found = `${describeValue(name)}, whose place holds ${isWithin(mountRoot, link) ? "`mount_root`" : "`shares_root`"}`;
    findings.push(invalidValue(["shares", index, "name"], found, "another name"));
  }
  return findings;
}

/**
 * Returns all errors in how keys are combined. `file`: the parser's values; empty sections and values of wrong
 * types are skipped.
 */
export function ruleFindings(file: unknown, context: RuleContext): Finding[] {
  const table = asTable(file) ?? {};
  const shares = indexedTables(listIn(table, "shares"));
  const whole = shares.map(([index, share]) => [index, withNas(share, table)] as const);
  const ofWhole = [
    ...whole.flatMap(([index, share]) => driverFindings(share, ["shares", index])),
    ...sourceFindings(whole),
  ];
  return [
    ...rootFindings(table, shares, context),
    ...shares.flatMap(([index, share]) => {
      const at: KeyPath = ["shares", index];
      return [...routeFindings(share, at, context), ...serverNameFindings(share, at)];
    }),
    ...nameFindings(shares),
    ...ofWhole.map((finding) => atNas(finding, table)),
    ...nasFindings(table, (nas, at) => routeFindings(nas, at, context)),
    ...aliasFindings(table, context),
    ...gatewayFindings(table, context),
    ...fleetFindings(table, context),
    ...requiresFindings(table),
  ];
}
