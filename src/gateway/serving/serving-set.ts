// Builds the serving set, the immutable object from which requests are served: catalog, authentication and chain.
import type { AuthorizationConfig } from "../../config/snapshot.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import { calledByPage, hasAppOnlyTools, isAppOnly } from "../catalog/app-pages.ts";
import type { Catalog } from "../catalog/catalog.ts";
import {
  backendsIn,
  type CatalogPart,
  partOfCatalog,
  wholeBackendsIn,
  withoutTools,
} from "../catalog/part-of-catalog.ts";
import { entryOf, resolveTarget } from "../catalog/resolve.ts";
import type { RuleOwners } from "../catalog/rule-names.ts";
import { withArguments } from "../catalog/set-arguments.ts";
import type { Principal } from "../client-handle.ts";
import { errorReply, INVALID_PARAMS, type Reply } from "../json-rpc.ts";
import { countRefused, createLimits } from "../limits/limits.ts";
import type { PrincipalLimiter } from "../limits/principal-limits.ts";
import { type Audit, type AuditOptions, createAudit } from "../middleware/audit.ts";
import {
  createAuthorization,
  forbidden,
  isAllowed,
  isTargetPermitted,
  isTaskPermitted,
} from "../middleware/authorization.ts";
import { composeChain } from "../middleware/chain.ts";
import { createConsentPrompt } from "../middleware/consent.ts";
import type { Authenticator } from "../middleware/incoming-auth.ts";
import type { GatewayRequest, Middleware, ServedClient, ServingSet } from "../middleware/middleware.ts";
import { createOwnerConsent } from "../middleware/owner-consent.ts";
import type { OwnerQuestions } from "../middleware/owner-questions.ts";
import { compilePolicies, type Policies, type SeparateServers } from "../middleware/policies.ts";
import { createRecovery } from "../middleware/recovery.ts";
import { targetAt, targetOf } from "../middleware/request-target.ts";
import { createRouting, findOwner, ownerOfMethod } from "../middleware/routing.ts";
import type { RoutingServices } from "../middleware/routing-services.ts";
import { sanitise } from "../middleware/sanitise.ts";
import type { OwnTools } from "../optimizer/own-tools.ts";
import { declaresApps, WATCH_TASK } from "../protocol.ts";
import type { Scripts } from "../scripts/scripts.ts";
import { createViews } from "./catalog-view.ts";
import type { Selection, Selections } from "./selection.ts";

export interface ServingSetOptions extends RuntimeTools {
  readonly catalog: Catalog;
  readonly authentication: Pick<
    Authenticator,
    "authenticate" | "refresh" | "isWithdrawn" | "resource" | "signed"
  >;
  /** The roles that each scope of a signed token gives. */
  readonly scopes: Readonly<Record<string, readonly string[]>>;
  /** null: off. */
  readonly authorization: AuthorizationConfig | null;
  /** The servers that names in policies mean. */
  readonly ruleOwners: RuleOwners;
  /** Servers with an account for each user. Absent: none. */
  readonly separate?: SeparateServers;
  /** null: the audit is off. The audit's file outlives this serving set. */
  readonly audit: Pick<AuditOptions, "config" | "write" | "writeDenied"> | null;
  readonly services: RoutingServices;
  readonly backends: readonly string[];
  /** Time limit of calls by backend, ms; absent: 60 s. */
  readonly callMs?: ReadonlyMap<string, number>;
  readonly clean: (text: string) => string;
  /** null: off. */
  readonly limiter: PrincipalLimiter | null;
  /** Telemetry's middleware between limits and audit, the outermost first. */
  readonly between: readonly Middleware[];
  readonly selections: Selections;
  /** The gateway's own tools, for clients that search for tools instead of listing them. */
  readonly ownTools: OwnTools;
  /** null or absent: scripts are not allowed. */
  readonly scripts?: Scripts | null;
  /** null or absent: the owner cannot be asked. */
  readonly questions?: OwnerQuestions | null;
  readonly answered: (request: GatewayRequest, reply: Reply) => void;
  /** The set that serves now. */
  readonly current: () => ServingSet;
}

const ABOUT_TASKS: ReadonlySet<string> = new Set(["tasks/get", "tasks/update", "tasks/cancel", WATCH_TASK]);

const DEFAULT_CALL_MS = 60_000;

/**
 * Takes little time: views and digests are computed on first use, and each selection's middleware is built only once.
 */
export function buildServingSet(options: ServingSetOptions): ServingSet {
  const { authorization, ruleOwners, audit, clock, clean, selections, catalog } = options;
  const compiled: Compiled = {
    policies: authorization === null ? null : compilePolicies(authorization, ruleOwners, options.separate),
    audited: audit === null ? null : createAudit({ ...audit, clock, clean }),
  };
  const made = new Map<string, ServingSet>();
  const forClient: ServingSet["forClient"] = (client) => {
    const chosen = selections.of(client);
    const selection = showsAppTools(client, catalog) ? chosen : forModel(chosen);
    if (selection === null) return whole;
    let set = made.get(selection.key);
    if (set === undefined) {
      set = oneSet(partOf(options, selection), compiled, forClient);
      made.set(selection.key, set);
    }
    return set;
  };
  const sole = soleOf(options.backends, () => true);
  const whole: ServingSet = oneSet(
    { ...options, isPart: false, own: null, isOptimized: false, scripts: null, sole },
    compiled,
    forClient,
  );
  return whole;
}

/** Another machine chooses for its own clients; a person on the command line may call every tool. */
function showsAppTools({ principal, capabilities }: ServedClient, catalog: Catalog): boolean {
  const isExempt = principal.kind === "machine" || principal.isPerson === true;
  return isExempt || !hasAppOnlyTools(catalog) || declaresApps(capabilities);
}

/** All but the tools that only pages of MCP Apps call. */
const OF_MODEL: CatalogPart = {
  hasTool: ({ definition }) => !isAppOnly(definition),
  hasBackend: () => true,
};

/** The selection for a client without pages. */
const forModel = (chosen: Selection | null): Selection => ({
  ...(chosen ?? { isOptimized: false, hasScripts: false }),
  key: `model ${chosen?.key ?? ""}`,
  parts: [...(chosen?.parts ?? []), [OF_MODEL]],
});

interface Compiled {
  readonly policies: Policies | null;
  readonly audited: Audit | null;
}

interface PartOptions extends ServingSetOptions {
  /** True if the catalog holds only a part of the published entries. */
  readonly isPart: boolean;
  /** Null: the client lists all tools, and nothing of the gateway's own. */
  readonly own: OwnTools | null;
  readonly isOptimized: boolean;
  readonly scripts: Scripts | null;
  /** The only backend of this part, if the part has all entries of that backend; else null. */
  readonly sole: string | null;
}

function soleOf(backends: readonly string[], isWhole: (backend: string) => boolean): string | null {
  const [only = null, ...others] = backends;
  return only !== null && others.length === 0 && isWhole(only) ? only : null;
}

function partOf(options: ServingSetOptions, { parts, isOptimized, hasScripts }: Selection): PartOptions {
  const { catalog, services, backends, ownTools } = options;
  const scripts = hasScripts ? (options.scripts ?? null) : null;
  const found = isOptimized ? ownTools : null;
  const own = scripts === null ? found : scripts.addTo(found);
  const cut = (whole: Catalog): Catalog => {
    const part = partOfCatalog(whole, parts);
    return own === null ? part : withoutTools(part, own.isOwn);
  };
  const isIn = backendsIn(catalog, parts);
  const isWhole = wholeBackendsIn(parts);
  const served = backends.filter(isIn);
  return {
    ...options,
    catalog: cut(catalog),
    services: {
      ...services,
      catalog: () => cut(services.catalog()),
      taskBackends: () => services.taskBackends().filter(isIn),
      extensionBackends: () =>
        new Map([...services.extensionBackends()].filter(([, backend]) => isIn(backend) && isWhole(backend))),
    },
    backends: served,
    isPart: parts.length > 0,
    own,
    isOptimized,
    scripts,
    sole: soleOf(served, isWhole),
  };
}

function oneSet(
  options: PartOptions,
  { policies, audited }: Compiled,
  forClient: ServingSet["forClient"],
): ServingSet {
  const { catalog, authentication, services, backends, callMs, clock, logger, clean } = options;
  const { limiter, own, isOptimized, scripts, authorization, selections, isPart, sole, answered } = options;
  const { questions = null } = options;
  const passesTo: ServingSet["passesTo"] = (method) =>
    sole ?? ownerOfMethod(method, services.extensionBackends());
  const routing = createRouting(services, passesTo);
  const ownerOf: ServingSet["ownerOf"] = (principal, target) =>
    findOwner(services, catalog, principal, target);
  const prompting = createConsentPrompt({
    clock,
    clean,
    callMs: (backend) => callMs?.get(backend) ?? DEFAULT_CALL_MS,
    fromOwner: createOwnerConsent({ questions, setting: authorization?.ask, clean }),
  });
  const requestConsent = scripts?.inTurn(prompting) ?? prompting;
  const denied = (request: GatewayRequest, rule = ""): void => audited?.denied(request, rule);
  const admission = {
    requestConsent,
    countRefused: (request: GatewayRequest) => (limiter === null ? null : countRefused(limiter, request)),
  };
  const admit = policies === null ? null : createAuthorization({ ...admission, policies, denied }).admit;
  const ofPage = ({ method, params, through, handle: { client } }: GatewayRequest) =>
    method !== "tools/call" || through !== undefined || !declaresApps(client.capabilities)
      ? []
      : calledByPage(catalog, String(params?.["name"]));
  const composed = composeChain({
    policies,
    ...admission,
    scripts: scripts?.consent({ policies, requestConsent, denied }, authorization?.unannotated) ?? null,
    limits: limiter === null ? null : createLimits(limiter),
    between: options.between,
    audit: audited,
    recovery: createRecovery({ logger, clean }),
    routing: (request) =>
      ofPage(request).length > 1
        ? Promise.resolve(severalOfPage(request))
        : (own?.answered(request) ?? routing(request)),
  });
  const unwrappedParams: ServingSet["unwrappedParams"] = (method, params) =>
    own === null ? params : own.unwrappedParams(method, params);
  const refusalOf: ServingSet["forbidden"] = (request, principal) =>
    policies === null ? null : forbidden(policies, request, principal);
  const missingScope = createStepUp(options, policies);
  const viewFor = createViews({
    catalog,
    rights: policies,
    isPart,
    listed:
      own === null
        ? null
        : {
            own: own.definitions,
            guarded: scripts?.entry ?? null,
            keeps: isOptimized ? selections.keeps : () => true,
          },
  });
  const goOn: ServingSet["goOn"] = (request) =>
    own === null ? composed(request) : composed(request).then((given) => own.explained(request, given));
  return {
    forClient,
    current: options.current,
    goOn,
    serves: (backend) => backends.includes(backend),
    sole,
    extensions: () => services.extensionBackends(),
    passesTo,
    introduction: own?.introduction ?? null,
    mayRunScripts: (principal) =>
      scripts !== null && policies?.isAllowed(principal, scripts.entry, "tools/call") !== false,
    finalRequest(request) {
      const unwrapped = own?.unwrapCallTool(request) ?? request;
      const [tool, ...others] = ofPage(unwrapped);
      const isClear = tool !== undefined && others.length === 0;
      const call = isClear ? { ...unwrapped, params: { ...unwrapped.params, name: tool.name } } : unwrapped;
      const target = targetOf(call.method, call.params);
      const set = target === null ? undefined : entryOf(catalog, target)?.setArguments;
      return set === undefined ? call : { ...call, params: withArguments(call.params, set) };
    },
    unwrappedParams,
    catalog,
    unavailableBackend(principal, name) {
      const entry = catalog.unavailable.size === 0 ? null : entryOf(catalog, { kind: "tool", name });
      if (entry?.status !== "away") return null;
      // Without permission the tool counts as unknown, because a call that waits would reveal that the tool exists.
      return policies?.isAllowed(principal, entry, "tools/call") === false ? null : entry.backend;
    },
    authenticate: (headers, address) => authentication.authenticate(headers, address),
    refresh: (principal) => authentication.refresh(principal),
    isWithdrawn: (principal) => authentication.isWithdrawn(principal),
    resource: authentication.resource,
    missingScope: (principal, method, params) =>
      missingScope(principal, method, unwrappedParams(method, params)),
    viewFor,
    ownerOf,
    mayRead: (principal, target) =>
      policies === null || isTargetPermitted(policies, catalog, principal, target, "resources/read"),
    admit: (request, target, next) => (admit === null ? next(request) : admit(request, target, next)),
    mayOffer(principal, target, method) {
      const { backend } = target;
      if (!backends.includes(backend)) return false;
      if (policies === null || viewFor(principal).sees(backend)) return true;
      return isTargetPermitted(policies, catalog, principal, target, method);
    },
    mayBeNotified(principal, uri) {
      // The client cannot read these resources, so it gets no notices about them.
      if (catalog.isElsewhere?.(uri) === true) return false;
      const isKnown =
        catalog.appPages.has(uri) || catalog.resourceAccess.some((access) => access.permits(uri));
      if (!isKnown) return false;
      if (policies === null) return true;
      const known = authentication.refresh(principal);
      const target = { kind: "resource", name: uri } as const;
      const owned = targetAt(target, ownerOf(principal, target));
      return known !== null && isTargetPermitted(policies, catalog, known, owned, "resources/subscribe");
    },
    taskOrigin(client, params) {
      const taskId = params?.["taskId"];
      return typeof taskId === "string" ? services.tasks.originOf(client, taskId) : null;
    },
    taskOf: (principal, method, params) =>
      ABOUT_TASKS.has(method) ? services.taskIds.open(params?.["taskId"], principal) : null,
    mayFollow(principal, task) {
      if (policies === null) return true;
      const known = authentication.refresh(principal);
      return known !== null && isTaskPermitted(policies, catalog, known, task);
    },
    handle(request) {
      return goOn(request).then((explained) => {
        answered(request, explained);
        return explained;
      });
    },
    stopped(request) {
      const refusal = limiter?.count(request.handle.client.principal) ?? null;
      if (refusal !== null) return { reply: refusal, isOver: false };
      const reply = refusalOf(request);
      return reply === null ? null : { reply, isOver: true };
    },
    forbidden: refusalOf,
    allows: (request) => policies === null || isAllowed(policies, request),
    denied,
  };
}

function severalOfPage({ params }: GatewayRequest): Reply {
  const text = `Several servers have a tool ${sanitise(String(params?.["name"]))}, and a page's call does not say which is its own. Connect the client to the address of a group with only that server`;
  return errorReply(INVALID_PARAMS, text);
}

// Step-up authorization: which scope a token lacks for a request that the policies forbid.

const SCOPE_ROLE = /^scope:([^*?[\]{}]+)$/;
const MISSING_SCOPE = "the token lacks a scope that is needed for this";

function createStepUp(
  { authentication: { signed }, authorization, catalog, scopes }: ServingSetOptions,
  policies: Policies | null,
): ServingSet["missingScope"] {
  if (signed === null || authorization === null || policies === null) return () => null;
  const known = new Set([...Object.keys(scopes), ...scopesInPolicies(authorization)]);
  return (principal, method, params) => {
    const own = signed.scopesOf(principal);
    const target = own === null ? null : targetOf(method, params);
    const found = target === null ? null : resolveTarget(catalog, target);
    if (own === null || target === null || found === null || found.status === "unapproved") return null;
    const isPermitted = (candidate: Principal): boolean =>
      isTargetPermitted(policies, catalog, candidate, targetAt(target, found), method);
    if (isPermitted(principal)) return null;
    for (const scope of known) {
      const given = Object.hasOwn(scopes, scope) ? (scopes[scope] ?? []) : [];
      const roles = [...principal.roles, `scope:${scope}`, ...given];
      if (own.includes(scope) || !isPermitted({ ...principal, roles })) continue;
      // The new token also needs the scopes that the client has now.
      const scopesNeeded = [...own.filter((one) => known.has(one)), scope].join(" ");
      return {
        ok: false,
        status: 403,
        error: "insufficient_scope",
        reason: MISSING_SCOPE,
        scope: scopesNeeded,
      };
    }
    return null;
  };
}

function scopesInPolicies({ policies }: AuthorizationConfig): string[] {
  return policies.flatMap(({ roles }) => (roles ?? []).flatMap((role) => SCOPE_ROLE.exec(role)?.[1] ?? []));
}
