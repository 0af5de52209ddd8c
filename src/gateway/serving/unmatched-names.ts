// Names and patterns of the configuration that match nothing of the servers whose lists are known: a rule that says more than it
// does. Addresses are left out, as servers also answer addresses that they do not list. Pure.
import { REDACTED } from "../../config/schema/gateway-schema.ts";
import { machineOf } from "../../config/values/backend-names.ts";
import { type KeyPath, pathText } from "../../config/values/mistakes.ts";
import { memoized } from "../../runtime/memo.ts";
import { objectOf } from "../../runtime/text/json-object.ts";
import type { Catalog, CatalogEntry, CatalogSource } from "../catalog/catalog.ts";
import { compileGlobs, literalOf } from "../catalog/glob.ts";
import { compilePatterns, exactNames, type RuleOwners, serverIn } from "../catalog/rule-names.ts";
import { CALL_TOOL, FIND_TOOL, RUN_SCRIPT, type ServingSet } from "../middleware/middleware.ts";
import { METHODS } from "../middleware/own-answers.ts";
import { isOfSpecification } from "../middleware/routing.ts";
import type { GatewayConfig } from "./gateway-contract.ts";
import { narrowedNames } from "./rule-bindings.ts";

export interface UnmatchedName {
  /** The key that has it: `authorization.policies[0].resources`. */
  readonly location: string;
  readonly written: string;
}

type Kind = "tool" | "prompt";

interface Known {
  readonly config: Pick<
    GatewayConfig,
    "authorization" | "incomingAuth" | "groups" | "backends" | "optimizer" | "audit" | "importsBackends"
  >;
  readonly owners: RuleOwners;
  readonly catalog: Catalog;
  /** The enabled servers. */
  readonly servers: readonly string[];
  /** Names that are reported already, as they mean one server's. */
  readonly narrowed: ReadonlySet<string>;
  readonly passesTo: ServingSet["passesTo"];
  /** Whether these servers' lists of these kinds were read; false if there are no such servers. */
  areRead(servers: readonly string[], ...kinds: readonly Kind[]): boolean;
  /** Notes the patterns at a key for which `isMatched` is false. */
  check(
    at: KeyPath,
    patterns: readonly string[] | null | undefined,
    isMatched: (pattern: string) => boolean,
  ): void;
}

/** More are not looked for, and not reported. */
const MOST_UNMATCHED = 20;
/** Parts of tools' schemas that are read for names of arguments. */
const MOST_PARTS = 50_000;
const OWN_TOOLS = [FIND_TOOL, CALL_TOOL, RUN_SCRIPT].map((name) => ({ kind: "tool", name }) as const);
const OF_KIND = /^(tool|prompt):(?!\/\/)(.*)$/s;
/** What begins like an address, or with a wildcard that may stand for such a beginning. */
const MAY_BE_URI = /^(?:[a-z][a-z\d+.-]*)?[:*?[\\]/i;

export function unmatchedNames(
  config: Known["config"],
  owners: RuleOwners,
  { catalog, passesTo }: Pick<ServingSet, "catalog" | "passesTo">,
  sources: readonly CatalogSource[],
): readonly UnmatchedName[] {
  const found: UnmatchedName[] = [];
  const lists = new Map(sources.map(({ backend, freshness = {} }) => [backend, freshness]));
  const known: Known = {
    ...{ config, owners, catalog, passesTo },
    servers: config.backends.filter(({ enabled }) => enabled).map(({ name }) => name),
    narrowed: new Set(narrowedNames(config, owners, catalog).map(({ written }) => written)),
    areRead: (servers, ...kinds) =>
      servers.length > 0 &&
      servers.every((server) => kinds.every((kind) => `${kind}s` in (lists.get(server) ?? {}))),
    check(at, patterns, isMatched) {
      for (const written of patterns ?? [])
        if (found.length < MOST_UNMATCHED && !isMatched(written))
          found.push({ location: pathText(at), written });
    },
  };
  checkPolicies(known);
  checkGroups(known);
  checkServers(known);
  checkTools(known);
  return found;
}

function checkPolicies(known: Known): void {
  const { config, owners, catalog, servers, narrowed, passesTo, areRead, check } = known;
  const { incomingAuth: auth } = config;
  const users = "users" in auth ? auth.users : [];
  // Issuers give any role. Names without wildcards are compared with the users' roles when the file is read.
  const given = ["anonymous", "fleet", "owner", ...users.flatMap(({ roles }) => roles)];
  const isRole = (pattern: string): boolean =>
    "tokens" in auth ||
    ("users" in auth && literalOf(pattern) !== null) ||
    given.some(compileGlobs([pattern]));
  const isMethod = (pattern: string): boolean =>
    [...METHODS].some(compileGlobs([pattern])) ||
    (!isOfSpecification(pattern.toLowerCase()) && passesTo(pattern) !== null);
  const configured = config.backends.map(({ name }) => name);
  for (const [index, policy] of (config.authorization?.policies ?? []).entries()) {
    const { effect, resources, backends, methods, roles, arguments: values } = policy;
    const at = ["authorization", "policies", index];
    check([...at, "roles"], roles, isRole);
    if (areRead(servers, "tool")) check([...at, "methods"], methods, isMethod);
    const isMeant = compileGlobs(backends ?? ["*"]);
    // Names without wildcards are compared when the file is read. Another machine's servers may come at any time.
    const isThere = (pattern: string): boolean =>
      literalOf(pattern) !== null ||
      config.importsBackends === true ||
      configured.some(compileGlobs([pattern]));
    check([...at, "backends"], backends, isThere);
    if (areRead(servers.filter(isMeant), "tool", "prompt"))
      check([...at, "arguments"], Object.keys(values ?? {}), (key) =>
        argumentsOf(catalog).includes(key.slice(key.lastIndexOf(".") + 1).toLowerCase()),
      );
    check([...at, "resources"], resources, (pattern) => {
      const [, kind, name = pattern] = OF_KIND.exec(pattern) ?? [];
      if (narrowed.has(pattern) || (kind === undefined && MAY_BE_URI.test(pattern))) return true;
      const [server = ""] = name.split("/");
      if (machineOf(server) !== null && !configured.some(compileGlobs([server]))) return true;
      const only = serverIn(name)?.backend ?? "";
      const reachable = servers.filter((one) => isMeant(one) && (!configured.includes(only) || one === only));
      if (kind !== "prompt" && !areRead(reachable, "tool")) return true;
      if (kind !== "tool" && !areRead(reachable, "prompt")) return true;
      const matchOf = compilePatterns([pattern], owners);
      const isMatched = (target: Parameters<typeof matchOf>[0]): boolean => {
        const match = matchOf(target);
        return match === "meant" || (match === "namesake" && effect !== "allow");
      };
      return (
        OWN_TOOLS.some(isMatched) ||
        catalog.entries.some((entry) => reachable.includes(entry.backend) && isMatched(entry))
      );
    });
  }
}

function checkGroups({ config, owners, catalog, servers, narrowed, areRead, check }: Known): void {
  for (const { name, tools, backends } of config.groups) {
    const reachable = servers.filter((one) => backends?.includes(one) !== false);
    if (!areRead(reachable, "tool")) continue;
    check(["groups", name, "tools"], tools, (pattern) => {
      const matchOf = compilePatterns([pattern], owners, exactNames([pattern], "tool", backends));
      const isIn = (entry: CatalogEntry): boolean =>
        entry.kind === "tool" && reachable.includes(entry.backend) && matchOf(entry) === "meant";
      return narrowed.has(pattern) || catalog.entries.some(isIn);
    });
  }
}

/** Filters and overrides, which have the names that tools have at their server. */
function checkServers({ config, catalog, areRead, check }: Known): void {
  for (const { name, filters, toolOverrides } of config.backends) {
    for (const kind of ["tool", "prompt"] as const) {
      if (!areRead([name], kind)) continue;
      const own = catalog.entries.filter((entry) => entry.kind === kind && entry.backend === name);
      const names = own.map(({ originalName }) => originalName);
      const isMatched = (pattern: string): boolean => names.some(compileGlobs([pattern]));
      const list = `${kind}s` as const;
      const at = ["backends", name];
      check([...at, "filters", list, "allow"], filters[list].allow, isMatched);
      check([...at, "filters", list, "deny"], filters[list].deny, isMatched);
      const overridden = kind === "tool" ? Object.keys(toolOverrides) : null;
      check([...at, "tool_overrides"], overridden, (tool) => names.includes(tool));
    }
  }
}

/** Keys about the tools of all servers. */
function checkTools({ config: { optimizer, audit }, catalog, servers, areRead, check }: Known): void {
  if (!areRead(servers, "tool")) return;
  const patterns = optimizer.enabled ? optimizer.keepTools : null;
  const names = [...catalog.tools.keys()];
  check(["optimizer", "keep_tools"], patterns, (pattern) => names.some(compileGlobs([pattern])));
  if (!areRead(servers, "prompt")) return;
  // The usual names are there for servers to come.
  const redacted =
    audit?.includeArguments === true ? audit.redact.filter((one) => !REDACTED.includes(one)) : [];
  const given = redacted.length === 0 ? [] : argumentsOf(catalog);
  check(["audit", "redact"], redacted, (pattern) => given.some(compileGlobs([pattern.toLowerCase()])));
}

/** The names of the arguments of tools and prompts in lower case, each also as a path. */
const argumentsOf = memoized(({ tools, prompts }: Catalog): readonly string[] => {
  const names = [...prompts.values()].flatMap(({ definition: { arguments: given } }) =>
    Array.isArray(given) ? given.map((one: unknown) => String(objectOf(one)["name"]).toLowerCase()) : [],
  );
  const left: { readonly part: unknown; readonly path: string }[] = [...tools.values()].map(
    ({ definition }) => ({ part: definition["inputSchema"], path: "" }),
  );
  for (let parts = 0; parts < MOST_PARTS; parts++) {
    const { part, path } = left.pop() ?? { part: null, path: "" };
    if (typeof part !== "object" || part === null) continue;
    for (const [key, inner] of Object.entries<unknown>({ ...part })) {
      if (key !== "properties" || typeof inner !== "object") {
        left.push({ part: inner, path });
        continue;
      }
      for (const [name, schema] of Object.entries<unknown>({ ...inner })) {
        const bare = name.toLowerCase();
        const whole = path === "" ? bare : `${path}.${bare}`;
        names.push(bare, whole);
        left.push({ part: schema, path: whole });
      }
    }
  }
  return names;
});
