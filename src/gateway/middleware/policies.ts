// The policies, compiled: the first that fits decides, else the default; then what is said of destructive tools. What
// does not depend on a call's arguments is decided once for each principal and tool.
import type { AuthorizationConfig, PolicyConfig } from "../../config/snapshot.ts";
import { isRawNumber } from "../../runtime/text/exact-json.ts";
import type { CatalogEntry, EntryKind } from "../catalog/catalog.ts";
import { compileGlobs } from "../catalog/glob.ts";
import { isUnclear, otherSpellings } from "../catalog/uri-template.ts";
import type { Principal } from "../client-port.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import { type RequestTarget, targetLabel } from "./request-target.ts";
import { hasHint, hintsOf, type ToolHints } from "./tool-hints.ts";

export type Effect = "allow" | "ask" | "deny";

/** What is asked to be used; `definition` where it is listed. */
export type PolicyTarget = RequestTarget & { readonly definition?: JsonObject };

/** What is decided before a call's arguments are known. */
export interface Decision {
  /** The first that matches decides. */
  readonly conditional: readonly { readonly effect: Effect; matches(given: unknown): boolean }[];
  readonly otherwise: Effect;
  /** A policy decided `otherwise`, not the default. */
  readonly isExplicit: boolean;
}

export interface Policies {
  /** `target` null: the method is about nothing that has a name. The same object for the same catalog entry. */
  decide(principal: Principal, target: PolicyTarget | null, method: string): Decision;
  /** For a URI that a client made up: no other spelling of it gets around a policy. */
  effectUnlisted(principal: Principal, target: PolicyTarget, method: string): Effect;
  /** Whether there are arguments with which it is not refused. */
  isAllowed(principal: Principal, target: PolicyTarget | null, method: string): boolean;
  /** A tool is seen by who may call it, a prompt by who may get it, a resource or template by who may read it. */
  isVisible(principal: Principal, entry: CatalogEntry): boolean;
  /** Equal for principals that the policies cannot tell apart. */
  rightsKey(principal: Principal): string;
  /** Tools are kept even from the home's owner. */
  readonly hidesFromOwner: boolean;
  /** Whether anything is asked about or refused that the home's owner calls. */
  readonly limitsOwner: boolean;
}

const USED_BY: Readonly<Record<EntryKind, string>> = {
  tool: "tools/call",
  prompt: "prompts/get",
  resource: "resources/read",
  template: "resources/read",
  skill: "resources/read",
};

const QUALIFIED = /^(?:tool|prompt|resource):/;

interface CompiledPolicy {
  readonly effect: Effect;
  hasRole(principal: Principal): boolean;
  isAbout(target: PolicyTarget | null): boolean;
  isMethod(method: string): boolean;
  /** null: whatever they are. */
  readonly hasHints: ((hints: ToolHints) => boolean) | null;
  readonly matches: ((given: unknown) => boolean) | null;
}

export function compilePolicies(config: AuthorizationConfig): Policies {
  const { defaultEffect, destructive = "allow", unannotated = "destructive" } = config;
  const compiled = config.policies.map(compilePolicy);
  const ofDestructive = destructive === "refuse" ? "deny" : destructive;

  /** Null: it is no tool that is listed. */
  const toolHints = (target: PolicyTarget | null): ToolHints | null =>
    target?.kind === "tool" && target.definition !== undefined
      ? hintsOf(target.definition, unannotated)
      : null;

  const work = (principal: Principal, target: PolicyTarget | null, method: string): Decision => {
    const hints = toolHints(target);
    const careful = (effect: Effect): Effect =>
      effect === "allow" && hints?.destructive === true ? ofDestructive : effect;
    const conditional: Decision["conditional"][number][] = [];
    if (principal.kind === "owner") {
      return {
        conditional,
        otherwise: principal.isPerson === true ? "allow" : careful("allow"),
        isExplicit: true,
      };
    }
    for (const policy of compiled) {
      if (!policy.hasRole(principal) || !policy.isMethod(method) || !policy.isAbout(target)) continue;
      if (policy.hasHints !== null && (hints === null || !policy.hasHints(hints))) continue;
      const effect = policy.hasHints === null ? careful(policy.effect) : policy.effect;
      if (policy.matches === null) return { conditional, otherwise: effect, isExplicit: true };
      conditional.push({ effect, matches: policy.matches });
    }
    return { conditional, otherwise: careful(defaultEffect), isExplicit: false };
  };

  // Entries are one catalog's, and principals one configuration's: both end with what they belong to.
  const known = new WeakMap<Principal, WeakMap<PolicyTarget, Decision>>();
  const decide: Policies["decide"] = (principal, target, method) => {
    if (target?.definition === undefined || method !== USED_BY[target.kind])
      return work(principal, target, method);
    let mine = known.get(principal);
    if (mine === undefined) {
      mine = new WeakMap();
      known.set(principal, mine);
    }
    let decision = mine.get(target);
    if (decision === undefined) {
      decision = work(principal, target, method);
      mine.set(target, decision);
    }
    return decision;
  };

  const isAllowed: Policies["isAllowed"] = (principal, target, method) => {
    const { conditional, otherwise } = decide(principal, target, method);
    return otherwise !== "deny" || conditional.some(({ effect }) => effect !== "deny");
  };

  return {
    decide,
    isAllowed,
    effectUnlisted(principal, target, method) {
      const { otherwise } = decide(principal, target, method);
      if (principal.kind === "owner" || otherwise === "deny") return otherwise;
      if (isUnclear(target.name)) return "deny";
      const others = otherSpellings(target.name)
        .map((name) => work(principal, { ...target, name }, method))
        .filter(({ isExplicit }) => isExplicit)
        .map((decision) => decision.otherwise);
      return others.includes("deny") ? "deny" : others.includes("ask") ? "ask" : otherwise;
    },
    isVisible: (principal, entry) => isAllowed(principal, entry, USED_BY[entry.kind]),
    rightsKey: ({ kind, roles }) => JSON.stringify([kind === "owner", ...new Set(roles.toSorted())]),
    hidesFromOwner: destructive === "refuse",
    limitsOwner: destructive !== "allow",
  };
}

/** The effect with these arguments of a call. */
export function effectWith({ conditional, otherwise }: Decision, given: unknown): Effect {
  return conditional.find(({ matches }) => matches(given))?.effect ?? otherwise;
}

function compilePolicy(policy: PolicyConfig): CompiledPolicy {
  const { effect, roles, resources, methods, annotations = null, arguments: patterns = null } = policy;
  const isRole = roles === null ? null : compileGlobs(roles);
  return {
    effect,
    hasRole: (principal) => isRole === null || principal.roles.some(isRole),
    isAbout: compileResources(resources),
    isMethod: methods === null ? () => true : compileGlobs(methods),
    hasHints: annotations === null ? null : (hints) => annotations.every((hint) => hasHint(hints, hint)),
    matches: patterns === null ? null : compileArguments(patterns, effect === "allow"),
  };
}

/** A glob that names a kind is over that kind alone: `tool:x` is not the prompt that calls itself "tool:x". */
function compileResources(resources: readonly string[] | null): CompiledPolicy["isAbout"] {
  if (resources === null) return () => true;
  const matchesLabel = compileGlobs(resources);
  const matchesName = compileGlobs(resources.filter((glob) => !QUALIFIED.test(glob)));
  const isNamed = (target: RequestTarget): boolean =>
    matchesLabel(targetLabel(target)) || matchesName(target.name);
  return (target) => {
    if (target === null) return false;
    const { kind, name, fullName = name, plainName = name } = target;
    const isOther = (other: string): boolean => other !== name && isNamed({ kind, name: other });
    return isNamed(target) || isOther(fullName) || isOther(plainName);
  };
}

// Patterns over the arguments of a call. What allows must hold for all of a value, however it is read; what forbids, or
// asks, for any part and any reading of it.

/** Of one list: more are not looked at, and so allow nothing and forbid what they might be. */
const MOST_VALUES = 1_000;
const LONGEST_VALUE = 16 * 1024;

/** Tells the arguments of a call that fit; `allows`: whether the policy's effect is to allow. */
export function compileArguments(
  patterns: NonNullable<PolicyConfig["arguments"]>,
  allows: boolean,
): (given: unknown) => boolean {
  const each = Object.entries(patterns).map(([name, globs]) => ({ name, fits: compileValue(globs, allows) }));
  return (given) => {
    // No server should take it; whoever does reads it in a way of its own.
    if (given !== undefined && given !== null && !isJsonObject(given)) return !allows;
    return each.every(({ name, fits }) => {
      const values = valuesOf(given, name, !allows);
      return allows ? values.length > 0 && values.every(fits) : values.some(fits);
    });
  };
}

/**
 * All that the name may mean, as nobody here knows which of them the server reads: an argument of that very name, and
 * where its steps lead; `intoLists`: also through the members of lists.
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
