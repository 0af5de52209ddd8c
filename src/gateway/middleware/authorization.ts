// Authorization: the first policy that matches decides, else the default. Lists are filtered by the same rule
// (`isAllowed`), and what a client may not use is answered as if it did not exist.

import type { AuthorizationConfig, PolicyConfig } from "../../config/snapshot.ts";
import type { Catalog, CatalogEntry, EntryKind } from "../catalog/catalog.ts";
import { compileGlobs } from "../catalog/glob.ts";
import { resolveServed } from "../catalog/resolve.ts";
import { isUnclear, otherSpellings } from "../catalog/uri-spelling.ts";
import type { Principal } from "../client-port.ts";
import type { Reply } from "../json-rpc.ts";
import type { GatewayRequest, Middleware } from "./middleware.ts";
import { type RequestTarget, targetLabel, targetOf, unknownMethod, unknownTarget } from "./request-target.ts";

export interface Policies {
  /** `target` null: the method is about nothing that has a name. */
  isAllowed(principal: Principal, target: RequestTarget | null, method: string): boolean;
  /** As `isAllowed`, for a URI that a client made up: no other spelling of it gets around a policy. */
  isAllowedUnlisted(principal: Principal, target: RequestTarget, method: string): boolean;
  /** A tool is seen by who may call it, a prompt by who may get it, a resource or template by who may read it. */
  isVisible(principal: Principal, entry: CatalogEntry): boolean;
  /** Equal for principals that the policies cannot tell apart. */
  rightsKey(principal: Principal): string;
}

/** What these give is filtered, or concerns nobody but who asks (a task is known only to the session that began it). */
const ALWAYS_ALLOWED: ReadonlySet<string> = new Set([
  "initialize",
  "ping",
  "logging/setLevel",
  "tools/list",
  "prompts/list",
  "resources/list",
  "resources/templates/list",
  "tasks/get",
  "tasks/result",
  "tasks/cancel",
  "tasks/list",
]);

const USED_BY: Readonly<Record<EntryKind, string>> = {
  tool: "tools/call",
  prompt: "prompts/get",
  resource: "resources/read",
  template: "resources/read",
};

const QUALIFIED = /^(?:tool|prompt|resource):/;

interface CompiledPolicy {
  readonly allows: boolean;
  hasRole(principal: Principal): boolean;
  isAbout(target: RequestTarget | null): boolean;
  isMethod(method: string): boolean;
}

export function compilePolicies({ defaultEffect, policies }: AuthorizationConfig): Policies {
  const compiled = policies.map(compilePolicy);
  const byDefault = defaultEffect === "allow";
  /** Null: no policy matches. */
  const effect = (principal: Principal, target: RequestTarget | null, method: string): boolean | null => {
    for (const policy of compiled) {
      if (policy.hasRole(principal) && policy.isMethod(method) && policy.isAbout(target))
        return policy.allows;
    }
    return null;
  };
  const isAllowed: Policies["isAllowed"] = (principal, target, method) =>
    principal.kind === "owner" || (effect(principal, target, method) ?? byDefault);
  return {
    isAllowed,
    isAllowedUnlisted(principal, target, method) {
      if (principal.kind === "owner") return true;
      if (!isAllowed(principal, target, method) || isUnclear(target.name)) return false;
      return otherSpellings(target.name).every(
        (name) => effect(principal, { ...target, name }, method) !== false,
      );
    },
    isVisible: (principal, entry) => isAllowed(principal, entry, USED_BY[entry.kind]),
    rightsKey: ({ kind, roles }) => JSON.stringify([kind === "owner", ...new Set(roles.toSorted())]),
  };
}

function compilePolicy({ effect, roles, resources, methods }: PolicyConfig): CompiledPolicy {
  const isRole = roles === null ? null : compileGlobs(roles);
  return {
    allows: effect === "allow",
    hasRole: (principal) => isRole === null || principal.roles.some(isRole),
    isAbout: compileResources(resources),
    isMethod: methods === null ? () => true : compileGlobs(methods),
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
    const { kind, name, fullName = name } = target;
    return isNamed(target) || (fullName !== name && isNamed({ kind, name: fullName }));
  };
}

/** Answers what is forbidden itself; `denied` is called, since requests are recorded further in. */
export function createAuthorization(
  policies: Policies,
  denied: (request: GatewayRequest, reply: Reply) => void,
): Middleware {
  return (next) => (request) => {
    const { method, params, served, port } = request;
    if (ALWAYS_ALLOWED.has(method) || port.client.principal.kind === "owner") return next(request);
    const target = targetOf(method, params);
    // What does not exist is told as such further on, in the words used here; and no glob meets a text of any length.
    if (target !== null && resolveServed(served, target) === null) return next(request);
    const { principal } = port.client;
    const isPermitted =
      target === null
        ? policies.isAllowed(principal, target, method)
        : isTargetPermitted(policies, served.catalog, principal, target, method);
    if (isPermitted) return next(request);
    const reply = target === null ? unknownMethod(method) : unknownTarget(target);
    denied(request, reply);
    return Promise.resolve(reply);
  };
}

/** For what is listed and for what a client made up. */
export function isTargetPermitted(
  policies: Policies,
  catalog: Catalog,
  principal: Principal,
  target: RequestTarget,
  method: string,
): boolean {
  return isListed(catalog, target)
    ? policies.isAllowed(principal, catalogued(catalog, target), method)
    : policies.isAllowedUnlisted(principal, target, method);
}

/** With the name that a policy may have been written for. */
function catalogued({ tools }: Catalog, target: RequestTarget): RequestTarget {
  return (target.kind === "tool" ? tools.get(target.name) : undefined) ?? target;
}

function isListed({ resources, templates }: Catalog, { kind, name }: RequestTarget): boolean {
  return (
    kind === "tool" ||
    kind === "prompt" ||
    resources.has(name) ||
    (kind === "template" && templates.has(name))
  );
}
