// The compiled policies: the first that matches a request decides, otherwise the default. The rule for
// destructive tools may then restrict what is allowed. Decisions that do not depend on a call's arguments are
// made once per principal and tool.
import type { AuthorizationConfig, PolicyConfig } from "../../config/snapshot.ts";
import { SUBJECT_PREFIX } from "../../config/values/sign-in-values.ts";
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
import type { Principal, RightsLimits } from "../client-handle.ts";
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
   * `target` is null for methods without a target; `backend` then is the server that the request reaches, if it is known. Returns
   * the same object again for the same catalog entry.
   */
  decide(principal: Principal, target: PolicyTarget | null, method: string, backend?: string): Decision;
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
};

/** The properties of a request that a policy matches, besides the arguments. */
interface Subject {
  readonly target: PolicyTarget | null;
  readonly method: string;
  /** null: the target is not a listed tool. */
  readonly hints: ToolHints | null;
  /** Empty for what the gateway itself offers; undefined: not known. */
  readonly backend: string | undefined;
}

/** How a policy meets a request. */
interface CompiledPolicy extends Ruling {
  /** Whether the policy applies, whatever the arguments are. */
  match(principal: Principal, subject: Subject): RuleMatch;
  /** Whether it is about the user; null: about every user. */
  readonly isUser: ((principal: Principal) => boolean) | null;
  /** False: the policy applies whatever the tool's hints are. */
  readonly hasHints: boolean;
  readonly matches: ((given: unknown) => boolean) | null;
  /** Whether its resources name the target itself, without wildcards. */
  names(target: PolicyTarget): boolean;
}

/**
 * The servers with an account for each user: each with the tools and prompts of the owner, as `accountEntry`, that a user's account
 * has not alike. A user of whose account nothing is known is not in it.
 */
export type SeparateServers = ReadonlyMap<string, ReadonlyMap<string, ReadonlySet<string>>>;

/** `owners`: the servers that the names without wildcards mean. */
export function compilePolicies(
  config: AuthorizationConfig,
  owners: RuleOwners = NO_OWNERS,
  separate: SeparateServers = new Map(),
): Policies {
  const { defaultEffect, destructive = "allow", unannotated = "destructive" } = config;
  const compiled = config.policies.map((policy) => compilePolicy(policy, owners));
  const ofDestructive = destructive === "refuse" ? "deny" : destructive;

  const toolHints = (target: PolicyTarget | null): ToolHints | null =>
    target?.kind === "tool" && target.definition !== undefined
      ? hintsOf(target.definition, unannotated)
      : null;

  const work: Policies["decide"] = (principal, target, method, backend = target?.backend) => {
    const hints = toolHints(target);
    const subject: Subject = { target, method, hints, backend };
    const careful = ({ effect, rule }: Ruling): Ruling =>
      effect === "allow" && hints?.destructive === true && ofDestructive !== "allow"
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
    if (!isWithin(principal.limits, subject)) return decided(BEYOND_LIMITS, true);
    const differing = backend === undefined ? undefined : separate.get(backend);
    if (differing !== undefined) {
      if (principal.user === undefined) return decided(NO_ACCOUNT, true);
      if (target !== null && target.kind !== "tool" && target.kind !== "prompt")
        return decided(OF_OWNER_ONLY, true);
      const entry = target === null ? "" : accountEntry(target.kind, target.originalName ?? target.name);
      if (differing.get(principal.user)?.has(entry) === true) return decided(NOT_ALIKE, true);
    }
    for (const policy of compiled) {
      const match = policy.match(principal, subject);
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
  const decide: Policies["decide"] = (principal, target, method, backend) =>
    target?.definition === undefined || method !== USED_BY[target.kind]
      ? work(principal, target, method, backend)
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
      const { name: published, originalName = published } = target;
      const spelled = [
        ...otherSpellings(published).map((name) => ({ ...target, name })),
        ...(originalName === published ? [] : otherSpellings(originalName)).map((own) => ({
          ...target,
          originalName: own,
        })),
      ];
      const others = spelled
        .map((one) => work(principal, one, method))
        .filter(({ isExplicit }) => isExplicit)
        .map((decision) => rulingWith(decision, undefined));
      const strictest = (["deny", "ask"] as const).map((one) => others.find((other) => other.effect === one));
      return strictest.find((one) => one !== undefined) ?? { effect, rule };
    },
    isNamedAllowed(principal, tool, given) {
      const { backend } = tool;
      const subject: Subject = { target: tool, method: "tools/call", hints: toolHints(tool), backend };
      if (!isWithin(principal.limits, subject)) return false;
      if (separate.has(backend ?? "") && principal.user === undefined) return false;
      const deciding = compiled.find((policy) => {
        const isMet = policy.matches === null || policy.matches(given);
        return isMet && counts(policy.match(principal, subject), policy.effect);
      });
      return deciding?.effect === "allow" && deciding.names(tool);
    },
    isVisible: (principal, entry) => isAllowed(principal, entry, USED_BY[entry.kind]),
    rightsKey(principal) {
      const { kind, roles, limits = null } = principal;
      const ofUser = compiled.flatMap(({ isUser }, index) => (isUser?.(principal) === true ? [index] : []));
      const { user = null } = principal;
      const differs = separate.values().some((differing) => (differing.get(user ?? "")?.size ?? 0) > 0);
      const hasAccount = separate.size > 0 && user !== null && (differs ? user : true);
      return JSON.stringify([kind === "owner", hasAccount, limits, ofUser, ...new Set(roles.toSorted())]);
    },
    hidesFromOwner: destructive === "refuse",
  };
}

export const BEYOND_LIMITS: Ruling = { effect: "deny", rule: "limits of the program" };

/** Of servers with an account for each user. Their resources are read with the owner's account. */
export const NO_ACCOUNT: Ruling = { effect: "deny", rule: "accounts of users only" };
export const OF_OWNER_ONLY: Ruling = { effect: "deny", rule: "resources of the owner only" };
export const NOT_ALIKE: Ruling = { effect: "deny", rule: "other at the user's account" };

export function accountEntry(kind: EntryKind, originalName: string): string {
  return `${kind} ${originalName}`;
}

/** Whether a client to which a user gave access may do it, if the user may. */
function isWithin(limits: RightsLimits | undefined, { target, hints, backend }: Subject): boolean {
  if (limits === undefined) return true;
  const { backends, isReadOnly } = limits;
  if (backends !== null && (backend === undefined || !backends.includes(backend))) return false;
  return !isReadOnly || (target !== null && (target.kind !== "tool" || hints?.read_only === true));
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
  const { users = null, backends = null } = policy;
  const isRole = roles === null ? null : compileGlobs(roles);
  const isMethod = methods === null ? null : compileGlobs(methods);
  const isBackend = backends === null ? null : compileGlobs(backends);
  const isUser = users === null ? null : compileUsers(users);
  const matchTarget = resources === null ? null : compilePatterns(resources, owners);
  return {
    effect,
    rule: JSON.stringify(policy),
    isUser,
    match(principal, { target, method, hints, backend }) {
      if (isRole !== null && !principal.roles.some(isRole)) return "none";
      if (isUser !== null && !isUser(principal)) return "none";
      if (isMethod !== null && !isMethod(method)) return "none";
      if (annotations !== null && (hints === null || !annotations.every((hint) => hints[hint])))
        return "none";
      if (isBackend !== null && backend !== undefined && (backend === "" || !isBackend(backend)))
        return "none";
      const match = matchTarget === null ? "meant" : target === null ? "none" : matchTarget(target);
      // Which server is asked is not known: the policy may restrict, and never opens.
      return isBackend !== null && backend === undefined && match === "meant" ? "namesake" : match;
    },
    hasHints: annotations !== null,
    matches: patterns === null ? null : compileArguments(patterns, effect === "allow"),
    names: (target) => exactNames(resources ?? []).some((one) => matchRule(one, owners, target) === "meant"),
  };
}

/** Users of the file by name, people of an issuer by `sub:` and their subject, never by a name that they chose. */
function compileUsers(users: readonly string[]): (principal: Principal) => boolean {
  const names = new Set(users.filter((user) => !user.startsWith(SUBJECT_PREFIX)));
  const subjects = new Set(users);
  return ({ user, subject }) =>
    user === undefined
      ? subject !== undefined && subjects.has(`${SUBJECT_PREFIX}${subject}`)
      : names.has(user);
}
