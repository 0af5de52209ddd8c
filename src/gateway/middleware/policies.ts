// The compiled policies: the first that matches a request decides, otherwise the default. The rule for
// destructive tools may then restrict what is allowed. Decisions that do not depend on a call's arguments are
// made once per principal and tool.
import type { AuthorizationConfig, PolicyConfig } from "../../config/snapshot.ts";
import { memoized } from "../../runtime/memo.ts";
import type { CatalogEntry, EntryKind } from "../catalog/catalog.ts";
import { compileGlobs } from "../catalog/glob.ts";
import {
  compilePatterns,
  exactNames,
  matchRule,
  NO_OWNERS,
  type RuleMatch,
  type RuleOwners,
} from "../catalog/rule-names.ts";
import { isUnclear, otherSpellings } from "../catalog/uri-template.ts";
import type { Principal } from "../client-handle.ts";
import type { JsonObject } from "../json-rpc.ts";
import { compileArguments } from "./policy-arguments.ts";
import type { RequestTarget } from "./request-target.ts";
import { hintsOf, type ToolHints } from "./tool-hints.ts";

export type Effect = "allow" | "ask" | "deny";

/** The target of a request; `definition` if it is listed. */
export type PolicyTarget = RequestTarget & { readonly definition?: JsonObject };

/** `rule`: the same text for the same rule, also in another configuration. */
export interface Ruling {
  readonly effect: Effect;
  readonly rule: string;
}

interface Condition extends Ruling {
  /** The policy names another server's tool of this name: it turns an allowed call into a question, and decides nothing. */
  readonly isCaution: boolean;
  matches(given: unknown): boolean;
}

/** The decision before a call's arguments are known. */
export interface Decision {
  /** Policies whose match depends on the arguments, and cautions, in order. */
  readonly conditional: readonly Condition[];
  readonly otherwise: Effect;
  /** The rule that `otherwise` comes from. */
  readonly rule: string;
  /** True if a policy sets `otherwise`, false if it is the default. */
  readonly isExplicit: boolean;
}

export interface Policies {
  /**
   * `target` is null for methods without a target. Returns the same object again for the same catalog entry.
   */
  decide(principal: Principal, target: PolicyTarget | null, method: string): Decision;
  /**
   * Returns the effect for a URI that is in no list: the strictest effect of all spellings of the URI, so that no
   * spelling circumvents a policy.
   */
  effectUnlisted(principal: Principal, target: PolicyTarget, method: string): Ruling;
  /** Whether the policies allow the target with at least some arguments. */
  isAllowed(principal: Principal, target: PolicyTarget | null, method: string): boolean;
  /** Whether the policy that decides this call allows it and has the tool's name, without wildcards, in `resources`. */
  isNamedAllowed(principal: Principal, tool: PolicyTarget, given: unknown): boolean;
  /** True for tools that the principal may call, prompts that it may get and resources that it may read. */
  isVisible(principal: Principal, entry: CatalogEntry): boolean;
  rightsKey(principal: Principal): string;
  /** Whether some tools are hidden even from the home's owner. */
  readonly hidesFromOwner: boolean;
}

const USED_BY: Readonly<Record<EntryKind, string>> = {
  tool: "tools/call",
  prompt: "prompts/get",
  resource: "resources/read",
  template: "resources/read",
  skill: "resources/read",
};

/** How a policy meets a request. */
interface CompiledPolicy extends Ruling {
  /** Whether the policy applies, whatever the arguments are. `hints`: null for targets that are not listed tools. */
  match(
    principal: Principal,
    target: PolicyTarget | null,
    method: string,
    hints: ToolHints | null,
  ): RuleMatch;
  /** False: the policy applies whatever the tool's hints are. */
  readonly hasHints: boolean;
  readonly matches: ((given: unknown) => boolean) | null;
  /** Whether its resources name the target itself, without wildcards. */
  names(target: PolicyTarget): boolean;
}

/** `owners`: the servers that the names without wildcards mean. */
export function compilePolicies(config: AuthorizationConfig, owners: RuleOwners = NO_OWNERS): Policies {
  const { defaultEffect, destructive = "allow", unannotated = "destructive" } = config;
  const compiled = config.policies.map((policy) => compilePolicy(policy, owners));
  const ofDestructive = destructive === "refuse" ? "deny" : destructive;

  const toolHints = (target: PolicyTarget | null): ToolHints | null =>
    target?.kind === "tool" && target.definition !== undefined
      ? hintsOf(target.definition, unannotated)
      : null;

  const work = (principal: Principal, target: PolicyTarget | null, method: string): Decision => {
    const hints = toolHints(target);
    const careful = ({ effect, rule }: Ruling): Ruling =>
      effect === "allow" && hints?.destructive === true
        ? { effect: ofDestructive, rule: "destructive" }
        : { effect, rule };
    const decided = ({ effect, rule }: Ruling, isExplicit: boolean): Decision => ({
      ...{ conditional, otherwise: effect, rule, isExplicit },
    });
    const conditional: Condition[] = [];
    if (principal.kind === "owner") {
      const owner: Ruling = { effect: "allow", rule: "owner" };
      return decided(principal.isPerson === true ? owner : careful(owner), true);
    }
    for (const policy of compiled) {
      const match = policy.match(principal, target, method, hints);
      if (!counts(match, policy.effect)) continue;
      const { effect, rule } = policy.hasHints ? policy : careful(policy);
      const isCaution = match === "namesake" && effect === "ask";
      if (policy.matches === null && !isCaution) return decided({ effect, rule }, true);
      conditional.push({ effect, rule, isCaution, matches: policy.matches ?? (() => true) });
    }
    return decided(careful({ effect: defaultEffect, rule: "default_effect" }), false);
  };

  const usesOf = memoized((principal: Principal) =>
    memoized((target: PolicyTarget) => work(principal, target, USED_BY[target.kind])),
  );
  const decide: Policies["decide"] = (principal, target, method) =>
    target?.definition === undefined || method !== USED_BY[target.kind]
      ? work(principal, target, method)
      : usesOf(principal)(target);

  const isAllowed: Policies["isAllowed"] = (principal, target, method) => {
    const { conditional, otherwise } = decide(principal, target, method);
    return (
      otherwise !== "deny" || conditional.some(({ effect, isCaution }) => effect !== "deny" && !isCaution)
    );
  };

  return {
    decide,
    isAllowed,
    effectUnlisted(principal, target, method) {
      const { effect, rule } = rulingWith(decide(principal, target, method), undefined);
      if (principal.kind === "owner" || effect === "deny") return { effect, rule };
      if (isUnclear(target.name)) return { effect: "deny", rule };
      const others = otherSpellings(target.name)
        .map((name) => work(principal, { ...target, name }, method))
        .filter(({ isExplicit }) => isExplicit)
        .map((decision) => rulingWith(decision, undefined));
      const strictest = (["deny", "ask"] as const).map((one) => others.find((other) => other.effect === one));
      return strictest.find((one) => one !== undefined) ?? { effect, rule };
    },
    isNamedAllowed(principal, tool, given) {
      const hints = toolHints(tool);
      const deciding = compiled.find((policy) => {
        const isMet = policy.matches === null || policy.matches(given);
        return isMet && counts(policy.match(principal, tool, "tools/call", hints), policy.effect);
      });
      return deciding?.effect === "allow" && deciding.names(tool);
    },
    isVisible: (principal, entry) => isAllowed(principal, entry, USED_BY[entry.kind]),
    rightsKey: ({ kind, roles }) => JSON.stringify([kind === "owner", ...new Set(roles.toSorted())]),
    hidesFromOwner: destructive === "refuse",
  };
}

/** The name of another server's entry may restrict this one, and never opens it. */
function counts(match: RuleMatch, effect: Effect): boolean {
  return match === "meant" || (match === "namesake" && effect !== "allow");
}

/** The first condition that matches decides; a caution before it turns an allowed request into a question. */
export function rulingWith({ conditional, otherwise, rule }: Decision, given: unknown): Ruling {
  let caution: Ruling | null = null;
  const decided = (found: Ruling): Ruling => (found.effect === "allow" && caution !== null ? caution : found);
  for (const condition of conditional) {
    if (!condition.matches(given)) continue;
    if (!condition.isCaution) return decided(condition);
    caution ??= condition;
  }
  return decided({ effect: otherwise, rule });
}

function compilePolicy(policy: PolicyConfig, owners: RuleOwners): CompiledPolicy {
  const { effect, roles, resources, methods, annotations = null, arguments: patterns = null } = policy;
  const isRole = roles === null ? null : compileGlobs(roles);
  const isMethod = methods === null ? null : compileGlobs(methods);
  const matchTarget = resources === null ? null : compilePatterns(resources, owners);
  return {
    effect,
    rule: JSON.stringify(policy),
    match(principal, target, method, hints) {
      if (isRole !== null && !principal.roles.some(isRole)) return "none";
      if (isMethod !== null && !isMethod(method)) return "none";
      if (annotations !== null && (hints === null || !annotations.every((hint) => hints[hint])))
        return "none";
      if (matchTarget === null) return "meant";
      return target === null ? "none" : matchTarget(target);
    },
    hasHints: annotations !== null,
    matches: patterns === null ? null : compileArguments(patterns, effect === "allow"),
    names: (target) => exactNames(resources ?? []).some((one) => matchRule(one, owners, target) === "meant"),
  };
}
