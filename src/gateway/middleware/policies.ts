// The compiled policies: the first that matches a request decides, otherwise the default. The rule for
// destructive tools may then restrict what is allowed. Decisions that do not depend on a call's arguments are
// made once per principal and tool.
import type { AuthorizationConfig, PolicyConfig } from "../../config/snapshot.ts";
import { memoized } from "../../runtime/memo.ts";
import { isRawNumber } from "../../runtime/text/exact-json.ts";
import type { CatalogEntry, EntryKind } from "../catalog/catalog.ts";
import { compileGlobs } from "../catalog/glob.ts";
import { isUnclear, otherSpellings } from "../catalog/uri-template.ts";
import type { Principal } from "../client-handle.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import { type RequestTarget, targetLabel } from "./request-target.ts";
import { hintsOf, type ToolHints } from "./tool-hints.ts";

export type Effect = "allow" | "ask" | "deny";

/** The target of a request; `definition` if it is listed. */
export type PolicyTarget = RequestTarget & { readonly definition?: JsonObject };

/** `rule`: the same text for the same rule, also in another configuration. */
export interface Ruling {
  readonly effect: Effect;
  readonly rule: string;
}

/** The decision before a call's arguments are known. */
export interface Decision {
  /** Policies whose match depends on the arguments, in order; the first that matches decides. */
  readonly conditional: readonly (Ruling & { matches(given: unknown): boolean })[];
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

const QUALIFIED = /^(?:tool|prompt|resource):/;

interface CompiledPolicy extends Ruling {
  hasRole(principal: Principal): boolean;
  isAbout(target: PolicyTarget | null): boolean;
  isMethod(method: string): boolean;
  /** null: the policy applies whatever the tool's hints are. */
  readonly hasHints: ((hints: ToolHints) => boolean) | null;
  readonly matches: ((given: unknown) => boolean) | null;
  /** Whether its resources name the target itself. */
  names(target: PolicyTarget): boolean;
}

export function compilePolicies(config: AuthorizationConfig): Policies {
  const { defaultEffect, destructive = "allow", unannotated = "destructive" } = config;
  const compiled = config.policies.map(compilePolicy);
  const ofDestructive = destructive === "refuse" ? "deny" : destructive;

  /** null for targets that are not listed tools. */
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
    const conditional: Decision["conditional"][number][] = [];
    if (principal.kind === "owner") {
      const owner: Ruling = { effect: "allow", rule: "owner" };
      return decided(principal.isPerson === true ? owner : careful(owner), true);
    }
    for (const policy of compiled) {
      if (!policy.hasRole(principal) || !policy.isMethod(method) || !policy.isAbout(target)) continue;
      if (policy.hasHints !== null && (hints === null || !policy.hasHints(hints))) continue;
      const { effect, rule } = policy.hasHints === null ? careful(policy) : policy;
      if (policy.matches === null) return decided({ effect, rule }, true);
      conditional.push({ effect, rule, matches: policy.matches });
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
    return otherwise !== "deny" || conditional.some(({ effect }) => effect !== "deny");
  };

  return {
    decide,
    isAllowed,
    effectUnlisted(principal, target, method) {
      const { otherwise: effect, rule } = decide(principal, target, method);
      if (principal.kind === "owner" || effect === "deny") return { effect, rule };
      if (isUnclear(target.name)) return { effect: "deny", rule };
      const others = otherSpellings(target.name)
        .map((name) => work(principal, { ...target, name }, method))
        .filter(({ isExplicit }) => isExplicit)
        .map((decision): Ruling => ({ effect: decision.otherwise, rule: decision.rule }));
      const strictest = (["deny", "ask"] as const).map((one) => others.find((other) => other.effect === one));
      return strictest.find((one) => one !== undefined) ?? { effect, rule };
    },
    isNamedAllowed(principal, tool, given) {
      const hints = toolHints(tool);
      const deciding = compiled.find(
        ({ hasRole, isMethod, isAbout, hasHints, matches }) =>
          hasRole(principal) &&
          isMethod("tools/call") &&
          isAbout(tool) &&
          (hasHints === null || (hints !== null && hasHints(hints))) &&
          (matches === null || matches(given)),
      );
      return deciding?.effect === "allow" && deciding.names(tool);
    },
    isVisible: (principal, entry) => isAllowed(principal, entry, USED_BY[entry.kind]),
    rightsKey: ({ kind, roles }) => JSON.stringify([kind === "owner", ...new Set(roles.toSorted())]),
    hidesFromOwner: destructive === "refuse",
  };
}

export function rulingWith({ conditional, otherwise, rule }: Decision, given: unknown): Ruling {
  return conditional.find(({ matches }) => matches(given)) ?? { effect: otherwise, rule };
}

function compilePolicy(policy: PolicyConfig): CompiledPolicy {
  const { effect, roles, resources, methods, annotations = null, arguments: patterns = null } = policy;
  const isRole = roles === null ? null : compileGlobs(roles);
  return {
    effect,
    rule: JSON.stringify(policy),
    hasRole: (principal) => isRole === null || principal.roles.some(isRole),
    isAbout: compileResources(resources),
    isMethod: methods === null ? () => true : compileGlobs(methods),
    hasHints: annotations === null ? null : (hints) => annotations.every((hint) => hints[hint]),
    matches: patterns === null ? null : compileArguments(patterns, effect === "allow"),
    // Not the server's own name for it, which another server's tool may also have.
    names: ({ kind, name, fullName = name }) =>
      [name, fullName].some(
        (each) =>
          resources?.includes(each) === true ||
          resources?.includes(targetLabel({ kind, name: each })) === true,
      ),
  };
}

/** A glob with a kind matches that kind only: `tool:x` does not match a prompt whose name is "tool:x". */
function compileResources(resources: readonly string[] | null): CompiledPolicy["isAbout"] {
  if (resources === null) return () => true;
  const matchesLabel = compileGlobs(resources);
  const matchesName = compileGlobs(resources.filter((glob) => !QUALIFIED.test(glob)));
  return (target) => {
    if (target === null) return false;
    const { kind, name, fullName = name, plainName = name } = target;
    const names = new Set([name, fullName, plainName]);
    return [...names].some((each) => matchesLabel(targetLabel({ kind, name: each })) || matchesName(each));
  };
}

// Patterns for the arguments of a call. A policy that allows must match the whole value in every spelling; a policy
// that forbids or asks applies if any part of the value matches in any spelling.

/**
 * Longer lists are not examined: they never match an allowing policy, and they always match one that forbids or asks.
 */
const MOST_VALUES = 1_000;
const LONGEST_VALUE = 16 * 1024;

/** `allows`: the policy's effect is to allow. */
export function compileArguments(
  patterns: NonNullable<PolicyConfig["arguments"]>,
  allows: boolean,
): (given: unknown) => boolean {
  const each = Object.entries(patterns).map(([name, globs]) => ({ name, fits: compileValue(globs, allows) }));
  return (given) => {
    // Arguments that are not an object are invalid, and a server may read them in any way.
    if (given !== undefined && given !== null && !isJsonObject(given)) return !allows;
    return each.every(({ name, fits }) => {
      const values = valuesOf(given, name, !allows);
      return allows ? values.length > 0 && values.every(fits) : values.some(fits);
    });
  };
}

/**
 * All values that a server may read for `name`: the argument of exactly this name, and for `a.b` also the
 * member `b` of the argument `a`. `intoLists`: also in members of lists.
 */
function valuesOf(given: unknown, name: string, intoLists: boolean): readonly unknown[] {
  if (!isJsonObject(given)) return [];
  const steps = name.split(".");
  const within = steps.length === 1 ? [] : valuesWithin(given, steps, intoLists);
  return Object.hasOwn(given, name) ? [given[name], ...within] : within;
}

function valuesWithin(value: unknown, steps: readonly string[], intoLists: boolean): readonly unknown[] {
  const [step, ...further] = steps;
  if (step === undefined) return [value];
  if (Array.isArray(value)) {
    const members: readonly unknown[] = intoLists ? value.filter(isJsonObject) : [];
    return members.flatMap((member) => valuesWithin(member, steps, intoLists));
  }
  if (!isJsonObject(value) || !Object.hasOwn(value, step)) return [];
  return valuesWithin(value[step], further, intoLists);
}

function compileValue(globs: readonly string[], allows: boolean): (value: unknown) => boolean {
  const matches = compileGlobs(globs);
  const isPath = globs.some((glob) => /[/\\]/.test(glob));
  const isAnything = globs.includes("*");
  const fitsText = (text: string): boolean => {
    if (isAnything) return true;
    if (text.length > LONGEST_VALUE) return !allows;
    if (!isPath) return matches(text);
    if (isUnclear(text)) return !allows;
    const readings = [text, ...otherSpellings(text)];
    return allows ? readings.every(matches) : readings.some(matches);
  };
  const fits = (value: unknown): boolean => {
    if (value === undefined) return false;
    if (typeof value === "string") return fitsText(value);
    if (value === null || typeof value === "number" || typeof value === "boolean")
      return fitsText(String(value));
    if (isRawNumber(value)) return fitsText(value.rawJSON);
    if (!Array.isArray(value)) return isAnything || !allows;
    if (value.length > MOST_VALUES) return isAnything || !allows;
    return allows ? value.length > 0 && value.every(fits) : value.some(fits);
  };
  return fits;
}
