// Decides by the client's group address, and by the first profile that fits the client, which part of the catalog the
// client is served and whether it lists all tools.
import { isDeepStrictEqual } from "node:util";
import type { GroupConfig, ProfileConfig } from "../../config/snapshot.ts";
import { compileGlobs } from "../catalog/glob.ts";
import type { CatalogPart } from "../catalog/part-of-catalog.ts";
import { compilePatterns, exactNames, NO_OWNERS, type RuleOwners } from "../catalog/rule-names.ts";
import type { Principal } from "../client-handle.ts";
import type { ServedClient } from "../middleware/middleware.ts";
import type { GatewayConfig } from "./gateway-contract.ts";

export interface Selection {
  /** Equal for clients with the same selection. */
  readonly key: string;
  /** An entry is served if each of these lists has a part that contains it. Empty: all entries. */
  readonly parts: readonly (readonly CatalogPart[])[];
  /** The client searches tools instead of listing them. */
  readonly isOptimized: boolean;
  /** The client may run scripts. */
  readonly hasScripts: boolean;
}

export type Selections = ReturnType<typeof createSelections>;

type SelectionConfig = Pick<GatewayConfig, "optimizer" | "groups" | "profiles" | "exports"> &
  Partial<Pick<GatewayConfig, "scripts">>;

export function isSameSelection(one: SelectionConfig, other: SelectionConfig): boolean {
  const parts = ({ optimizer, scripts, groups, profiles, exports = [] }: SelectionConfig): unknown => [
    [optimizer, scripts?.enabled, groups, profiles],
    exports,
  ];
  return isDeepStrictEqual(parts(one), parts(other));
}

export function mayOptimize({
  optimizer,
  profiles,
}: Pick<SelectionConfig, "optimizer" | "profiles">): boolean {
  return optimizer.enabled || profiles.some(({ optimizer: on }) => on === true);
}

/** Whether any client may run scripts. */
export function mayRunScripts({ scripts, profiles }: Pick<GatewayConfig, "scripts" | "profiles">): boolean {
  return scripts.enabled || profiles.some(({ scripts: on }) => on === true);
}

/** The group through which another machine uses an exported backend. No configured group can have this name. */
export function exportGroup(backend: string): string {
  return `fleet/${backend}`;
}

export function createSelections(
  { optimizer, scripts, groups, profiles, exports = [] }: SelectionConfig,
  owners: RuleOwners = NO_OWNERS,
) {
  const exported = exports.map((name) => ({ name: exportGroup(name), tools: null, backends: [name] }));
  const parts = new Map([...groups, ...exported].map((group) => [group.name, partOf(group, owners)]));
  const compiled = profiles.map(compileProfile);
  const runsScripts = scripts?.enabled === true;
  const isPlain = !optimizer.enabled && !runsScripts && compiled.length === 0;
  const ofNames = (names: readonly string[]): readonly CatalogPart[] =>
    names.flatMap((name) => parts.get(name) ?? []);
  const make = (
    group: string | null,
    wanted: readonly string[] | null,
    { isOptimized, hasScripts }: Pick<Selection, "isOptimized" | "hasScripts">,
  ): Selection => ({
    key: JSON.stringify([group, wanted, isOptimized, hasScripts]),
    parts: [...(group === null ? [] : [ofNames([group])]), ...(wanted === null ? [] : [ofNames(wanted)])],
    isOptimized,
    hasScripts,
  });
  const plain = { isOptimized: false, hasScripts: false };
  const ofGroups = new Map([...parts.keys()].map((group) => [group, make(group, null, plain)]));
  return {
    mayOptimize: mayOptimize({ optimizer, profiles }),
    keeps: compileGlobs(optimizer.keepTools),
    hasGroup: (name: string): boolean => groups.some((group) => group.name === name),
    /** null: the whole catalog, with all tools listed. */
    of({ principal, group, clientInfo }: ServedClient): Selection | null {
      // `mountaineer call` may use every tool.
      if (principal.isPerson === true && !runsScripts) return null;
      if (principal.isPerson === true) return make(null, null, { isOptimized: false, hasScripts: true });
      if (group === null && isPlain) return null;
      const matching = compiled.findIndex((profile) => profile.fits(principal, clientInfo["name"]));
      const profile = profiles[matching];
      // The client is a machine that borrows backends: it lists all tools, because it publishes them itself.
      const isOptimized = principal.kind !== "machine" && (profile?.optimizer ?? optimizer.enabled);
      const hasScripts = principal.kind !== "machine" && (profile?.scripts ?? runsScripts);
      const wanted = profile?.groups ?? null;
      const isWhole = wanted === null && !isOptimized && !hasScripts;
      if (group === null) return isWhole ? null : make(null, wanted, { isOptimized, hasScripts });
      const known = isWhole ? ofGroups.get(group) : undefined;
      return known ?? make(group, wanted, { isOptimized, hasScripts });
    },
  };
}

function partOf({ tools, backends }: GroupConfig, owners: RuleOwners): CatalogPart {
  const names = backends === null ? null : new Set(backends);
  const matchOf = tools === null ? null : compilePatterns(tools, owners, exactNames(tools, "tool", backends));
  return {
    hasTool: (tool) =>
      (names === null || names.has(tool.backend)) && (matchOf === null || matchOf(tool) === "meant"),
    hasBackend: names === null ? null : (backend) => names.has(backend),
  };
}

function compileProfile({ users, clients }: ProfileConfig) {
  const isUser = users === null ? null : compileGlobs(users);
  const isClient = clients === null ? null : compileGlobs(clients);
  return {
    fits: ({ name, subject }: Principal, client: unknown): boolean => {
      if (isUser !== null && !isUser(name) && (subject === undefined || !isUser(subject))) return false;
      return isClient === null || (typeof client === "string" && isClient(client));
    },
  };
}
