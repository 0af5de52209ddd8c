// Which server each name without wildcards in the rules means: kept with the names, and reported where others have the name too.
import { machineOf } from "../../config/values/backend-names.ts";
import { firstNames } from "../../runtime/text/plain-text.ts";
import type { Catalog, CatalogSource } from "../catalog/catalog.ts";
import {
  bindNames,
  exactNames,
  matchRule,
  namesOf,
  type RuleName,
  type RuleOwners,
  ruleKey,
  serverIn,
} from "../catalog/rule-names.ts";
import { RUN_SCRIPT } from "../middleware/middleware.ts";
import type { GatewayConfig } from "./gateway-contract.ts";

type RulesConfig = Pick<GatewayConfig, "authorization" | "groups">;

interface LocatedName extends RuleName {
  readonly location: string;
  /** As the rule has it. */
  readonly written: string;
}

/** The bare names of rules that admit or ask. `run_script` is the gateway's own. */
function bareNames({ authorization, groups }: RulesConfig): readonly LocatedName[] {
  const ofPolicies = (authorization?.policies ?? []).flatMap(({ effect, resources }, at) =>
    (effect === "deny" ? [] : (resources ?? [])).flatMap((written) =>
      exactNames([written]).map((rule) => ({ ...rule, written, location: `policy ${at + 1}` })),
    ),
  );
  const ofGroups = groups.flatMap(({ name: group, tools, backends }) =>
    exactNames(tools ?? [], "tool", backends).map((rule) => ({
      ...rule,
      written: rule.name,
      location: `group ${group}`,
    })),
  );
  return [...ofPolicies, ...ofGroups].filter(({ name }) => name !== RUN_SCRIPT && serverIn(name) === null);
}

const LIST_OF = { tool: "tools", prompt: "prompts", resource: "resources" } as const;

export function boundNames(
  config: RulesConfig & Pick<GatewayConfig, "backends" | "conflictResolution">,
  known: RuleOwners,
  catalog: Catalog,
  sources: readonly CatalogSource[],
): RuleOwners {
  const wanted = bareNames(config);
  if (wanted.length === 0) return known.size === 0 ? known : new Map();
  const byName = new Map(sources.map((source) => [source.backend, source]));
  const hasPrefixes = config.conflictResolution.strategy === "prefix";
  return bindNames(wanted, known, {
    catalog,
    backends: config.backends.filter(({ enabled }) => enabled).map(({ name }) => name),
    isKnown(backend, kind) {
      const source = byName.get(backend);
      // A list that could not be read has no freshness. Of a server that has not run yet, the pins tell the tools.
      return (
        source !== undefined &&
        (source.freshness === undefined ? kind === "tool" : LIST_OF[kind] in source.freshness)
      );
    },
    prefixOf(backend) {
      const prefix = machineOf(backend) ?? (hasPrefixes ? backend : null);
      return prefix === null ? null : `${prefix}_`;
    },
  });
}

export interface NarrowedName {
  /** The rule's name as it is written, and where. */
  readonly written: string;
  readonly locations: string;
  /** The backend that the name means; null: none yet. */
  readonly owner: string | null;
  /** How a rule says which entry of that name it means, the owner's first. */
  readonly lines: readonly string[];
}

/** The names in rules that entries of other servers also have. */
export function narrowedNames(
  config: RulesConfig,
  owners: RuleOwners,
  { entries }: Pick<Catalog, "entries">,
): readonly NarrowedName[] {
  const bare = bareNames(config);
  const names = new Set(bare.map(({ name }) => name));
  const same =
    names.size === 0 ? [] : entries.filter((entry) => namesOf(entry).some((name) => names.has(name)));
  return [...Map.groupBy(bare, ruleKey)].flatMap(([key, located]) => {
    const [first] = located;
    if (first === undefined) return [];
    const { written, kind, name, among } = first;
    const owner = owners.get(key) ?? null;
    const lineOf = (backend: string, own: string): string =>
      `${written.startsWith(`${kind}:`) ? `${kind}:` : ""}${backend}/${own.replace(/[*?[\\]/g, "\\$&")}`;
    const others = same.filter((entry) => {
      const isUsable = entry.status !== "filtered" && entry.status !== "collided";
      return (
        isUsable && among?.includes(entry.backend) !== false && matchRule(first, owners, entry) === "namesake"
      );
    });
    if (others.length === 0) return [];
    const lines = others.map(({ backend, fullName, plainName = fullName }) => lineOf(backend, plainName));
    const locations = firstNames(located, ({ location }) => location);
    return [{ written, locations, owner, lines: owner === null ? lines : [lineOf(owner, name), ...lines] }];
  });
}
