// Which part of everything a client is served, and whether its tools are listed: by the group at whose address it came
// in, and by the first profile that fits it.
import { isDeepStrictEqual } from "node:util";
import type { GroupConfig, ProfileConfig } from "../../config/snapshot.ts";
import { compileGlobs } from "../catalog/glob.ts";
import type { CatalogPart } from "../catalog/part-of-catalog.ts";
import type { Principal } from "../client-port.ts";
import type { ServedClient } from "../middleware/middleware.ts";
import type { GatewayConfig } from "./gateway-contract.ts";

export interface Selection {
  /** Equal for clients that are served the same. */
  readonly key: string;
  /** What it is served must be in each of these, and there in one; none: it is served everything. */
  readonly parts: readonly (readonly CatalogPart[])[];
  /** Its tools are not all listed. */
  readonly isOptimized: boolean;
}

export type Selections = ReturnType<typeof createSelections>;

type SelectionConfig = Pick<GatewayConfig, "optimizer" | "groups" | "profiles" | "exports">;

export function isSameSelection(one: SelectionConfig, other: SelectionConfig): boolean {
  const parts = ({ optimizer, groups, profiles, exports = [] }: SelectionConfig): unknown => [
    [optimizer, groups, profiles],
    exports,
  ];
  return isDeepStrictEqual(parts(one), parts(other));
}

/** Whether tools are found instead of listed for any client. */
export function mayOptimize({
  optimizer,
  profiles,
}: Pick<SelectionConfig, "optimizer" | "profiles">): boolean {
  return optimizer.enabled || profiles.some(({ optimizer: on }) => on === true);
}

/** What another machine is served of one exported backend: no group of the file can have such a name. */
export function exportGroup(backend: string): string {
  return `fleet/${backend}`;
}

export function createSelections({ optimizer, groups, profiles, exports = [] }: SelectionConfig) {
  const exported = exports.map((name) => ({ name: exportGroup(name), tools: null, backends: [name] }));
  const parts = new Map([...groups, ...exported].map((group) => [group.name, partOf(group)]));
  const compiled = profiles.map(compileProfile);
  const isPlain = !optimizer.enabled && compiled.length === 0;
  const ofNames = (names: readonly string[]): readonly CatalogPart[] =>
    names.flatMap((name) => parts.get(name) ?? []);
  const make = (group: string | null, wanted: readonly string[] | null, isOptimized: boolean): Selection => ({
    key: JSON.stringify([group, wanted, isOptimized]),
    parts: [...(group === null ? [] : [ofNames([group])]), ...(wanted === null ? [] : [ofNames(wanted)])],
    isOptimized,
  });
  /** Of each group that there is, where no profile fits: each request of another machine asks for one. */
  const ofGroups = new Map([...parts.keys()].map((group) => [group, make(group, null, false)]));
  return {
    /** Any client may find tools instead of listing them. */
    mayOptimize: mayOptimize({ optimizer, profiles }),
    keeps: compileGlobs(optimizer.keepTools),
    hasGroup: (name: string): boolean => groups.some((group) => group.name === name),
    /** Null: everything, as it is. */
    of({ principal, group, clientInfo }: ServedClient): Selection | null {
      // A person who names a tool on the command line means that one.
      if (principal.isPerson === true || (group === null && isPlain)) return null;
      const place = compiled.findIndex((profile) => profile.fits(principal, clientInfo["name"]));
      const profile = profiles[place];
      // A machine publishes all of it anew.
      const isOptimized = principal.kind !== "machine" && (profile?.optimizer ?? optimizer.enabled);
      const wanted = profile?.groups ?? null;
      if (group === null && wanted === null && !isOptimized) return null;
      const known = wanted === null && !isOptimized && group !== null ? ofGroups.get(group) : undefined;
      return known ?? make(group, wanted, isOptimized);
    },
  };
}

function partOf({ tools, backends }: GroupConfig): CatalogPart {
  const names = backends === null ? null : new Set(backends);
  const isTool = tools === null ? null : compileGlobs(tools);
  return {
    hasTool: ({ name, fullName, plainName = name, backend }) =>
      (names === null || names.has(backend)) &&
      (isTool === null || [name, fullName, plainName].some((each) => isTool(each))),
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
