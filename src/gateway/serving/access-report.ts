// The rights of one principal on each server, and the rules that decide them. Pure.
import type { AuthorizationConfig } from "../../config/snapshot.ts";
import type { ServerAccess } from "../authorization-server/consent-pages.ts";
import type { Catalog, CatalogEntry } from "../catalog/catalog.ts";
import type { RuleOwners } from "../catalog/rule-names.ts";
import type { Principal } from "../client-handle.ts";
import {
  BEYOND_LIMITS,
  compilePolicies,
  type Effect,
  NO_ACCOUNT,
  NOT_ALIKE,
  OF_OWNER_ONLY,
  type Ruling,
  rulingWith,
  type SeparateServers,
} from "../middleware/policies.ts";

/** Without `[authorization]`, everybody who may connect may use everything. */
export const OPEN: AuthorizationConfig = { defaultEffect: "allow", policies: [] };

/** `arguments`: it depends on the arguments of the call. */
export type AccessEffect = Effect | "arguments";

export interface EntryAccess {
  readonly kind: CatalogEntry["kind"];
  readonly name: string;
  readonly effect: AccessEffect;
  /** The rule that decides, in words. */
  readonly rule: string;
  /** The arguments that the configuration sets in each call. */
  readonly setArguments?: CatalogEntry["setArguments"];
}

export interface AccessReport {
  readonly servers: readonly { readonly backend: string; readonly entries: readonly EntryAccess[] }[];
}

interface AccessParts {
  readonly principal: Principal;
  readonly catalog: Catalog;
  readonly authorization: AuthorizationConfig | null;
  readonly owners: RuleOwners;
  readonly backends: readonly string[];
  /** Servers with an account for each user. */
  readonly separate: SeparateServers;
}

const METHODS: Readonly<Record<CatalogEntry["kind"], string>> = {
  tool: "tools/call",
  prompt: "prompts/get",
  resource: "resources/read",
  template: "resources/read",
};

export function accessReport({
  principal,
  catalog,
  authorization,
  owners,
  backends,
  separate,
}: AccessParts): AccessReport {
  const policies = compilePolicies(authorization ?? OPEN, owners, separate);
  const usable = catalog.entries.filter(({ status }) => status === "listed" || status === "away");
  const byBackend = Map.groupBy(usable, ({ backend }) => backend);
  const accessTo = (entry: CatalogEntry): EntryAccess => {
    const decision = policies.decide(principal, entry, METHODS[entry.kind]);
    const [first] = decision.conditional.filter(({ isCaution }) => !isCaution);
    const { kind, name, setArguments } = entry;
    const of = { kind, name, ...(setArguments !== undefined && { setArguments }) };
    if (first !== undefined) return { ...of, effect: "arguments", rule: ruleText(first, authorization) };
    const ruling = rulingWith(decision, undefined);
    return { ...of, effect: ruling.effect, rule: ruleText(ruling, authorization) };
  };
  return {
    servers: backends.map((backend) => ({ backend, entries: (byBackend.get(backend) ?? []).map(accessTo) })),
  };
}

function ruleText({ rule }: Ruling, authorization: AuthorizationConfig | null): string {
  if (rule === BEYOND_LIMITS.rule) return "the limits of its access";
  if (rule === NO_ACCOUNT.rule) return 'accounts = "each": for users of the file only';
  if (rule === OF_OWNER_ONLY.rule) return 'accounts = "each": the lists are the owner\'s';
  if (rule === NOT_ALIKE.rule) return 'accounts = "each": it differs, or is missing, at the user\'s account';
  if (authorization === null) return "default, without [authorization]";
  if (rule === "destructive") return `destructive = "${authorization.destructive}"`;
  const index = authorization.policies.findIndex((policy) => JSON.stringify(policy) === rule);
  return index < 0 ? `default_effect = "${authorization.defaultEffect}"` : `policy ${index + 1}`;
}

/** Ends the instructions of a client whose user may use nothing. */
export const MAY_USE_NOTHING =
  "No server here allows this user anything, so every list is empty. Its owner sees why with `mountaineer access`, and can allow servers in [authorization].";

const SUMMED = ["tool", "prompt", "resource"] as const;

/** For each server, how much is allowed, in words. Servers of which nothing is allowed are left out. */
export function accessSummary({ servers }: AccessReport): readonly ServerAccess[] {
  return servers.flatMap(({ backend: name, entries }) => {
    const parts = SUMMED.flatMap((kind) => {
      const allowed = entries.filter((entry) => entry.kind === kind && entry.effect !== "deny");
      const prompting = allowed.filter(({ effect }) => effect === "ask").length;
      const first = prompting === 0 ? "" : `, ${prompting} of them ask first`;
      return allowed.length === 0
        ? []
        : [`${allowed.length} ${kind}${allowed.length === 1 ? "" : "s"}${first}`];
    });
    return parts.length === 0 ? [] : [{ name, allows: parts.join("; ") }];
  });
}
