// The operations on shares in the management API. Shares work in parallel; each one has its own result.
import type { StepResult, VerifyFinding } from "../../api/contract/contract.ts";
import { selectShares } from "../../api/operations/name-selection.ts";
import type { Control } from "../../api/operations/operations.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { endpointsOf } from "../../shares/engine/observe-moving.ts";
import type { ShareView } from "../../shares/engine/share-cycle.ts";
import type { ShareEngine } from "../../shares/engine/share-engine.ts";
import type { UnconfiguredShare } from "../../shares/engine/unconfigured-shares.ts";
import type { RequestOutcome, ShareRequest } from "../../shares/policy/share-request.ts";
import { isKeychainLogin, routesOf } from "../../shares/share-spec.ts";
import type { EngineParts } from "../compose/engine-parts.ts";
import { checkLogin } from "./login-check.ts";
import { openFileHolders, shareStatus, unmountedReason } from "./share-status.ts";
import { verifyShare } from "./verify.ts";

/** How long a request may wait for what it needs, ms. */
const REQUEST_WAIT_MS = 15_000;

export function createShareControl(
  engine: ShareEngine,
  clock: Clock,
  { commands }: Pick<EngineParts, "commands">,
) {
  const select = (shares: readonly string[] | null): readonly string[] => selectShares(shares, engine.names);

  const requestAll = async (
    shares: readonly string[] | null,
    request: ShareRequest,
    signal: AbortSignal,
    left: readonly UnconfiguredShare[] = [],
  ) => ({
    results: await Promise.all(
      selectShares(shares, [...engine.names, ...left.map(({ spec }) => spec.name)]).map(async (name) =>
        result(name, await engine.request(name, { ...request }, signal)),
      ),
    ),
  });

  const isConfigured = (name: string): boolean => engine.names.includes(name);

  const result = (name: string, outcome: RequestOutcome): StepResult => {
    // A reload may have removed the share since.
    const status = isConfigured(name) ? shareStatus(engine.view(name)) : null;
    const standing = outcome.result === "failed" && status !== null ? unmountedReason(status) : null;
    return {
      share: name,
      result: outcome.result,
      active_interface: status?.active_interface ?? "none",
      detail: outcome.detail,
      hint: outcome.hint ?? standing?.hint ?? null,
      holders: openFileHolders(outcome.holders),
    };
  };

  const waitUntilMs = (): number => clock.monotonicMs() + REQUEST_WAIT_MS;

  const control = {
    async verify({ shares = null, login = false }, signal) {
      const views = await Promise.all(select(shares).map((name) => engine.observe(name)));
      const failed = login
        ? await Promise.all(views.map((view) => logIn(view, engine, commands, signal)))
        : [];
      signal.throwIfAborted();
      const findings = [...views.flatMap(verifyShare), ...failed.filter((one) => one !== null)];
      const checked = { shares: views.length, backends: 0 };
      return { ok: findings.every(({ severity }) => severity !== "error"), findings, checked };
    },
    async reconcile({ shares = null }, signal) {
      const results = select(shares).map(async (name) => {
        const before = engine.view(name).memory.activeInterface;
        engine.trigger(name, "user");
        await engine.untilIdle(name, signal);
        return isConfigured(name) ? stepResult(engine, name, before) : removedMeanwhile(name);
      });
      return { results: await Promise.all(results) };
    },
    mount: ({ shares = null, new_server: newServer = false }, signal) =>
      requestAll(shares, { kind: "mount", newServer, waitUntilMs: waitUntilMs() }, signal),
    wake: ({ shares = null }, signal) =>
      requestAll(shares, { kind: "wake", waitUntilMs: waitUntilMs() }, signal),
    async unmount({ shares = null, force = false }, signal) {
      const request = { kind: "unmount", force, keepUnmounted: true, waitUntilMs: waitUntilMs() } as const;
      return requestAll(shares, request, signal, await engine.findUnconfigured());
    },
    switchRoute({ shares = null, to, force = false, wait = false }, signal) {
      const untilMs = wait ? Number.POSITIVE_INFINITY : waitUntilMs();
      return requestAll(shares, { kind: "switch", to, force, wait, waitUntilMs: untilMs }, signal);
    },
  } satisfies Partial<Control>;
  return {
    control,
    /** Unmounts all shares. They are not kept unmounted: the next daemon mounts them again. */
    unmountAtExit: (signal: AbortSignal) =>
      requestAll(
        null,
        { kind: "unmount", force: false, keepUnmounted: false, waitUntilMs: waitUntilMs() },
        signal,
      ),
  };
}

function removedMeanwhile(share: string): StepResult {
  const detail = "the share was removed from the configuration";
  return { share, result: "failed", active_interface: "none", detail, hint: null, holders: [] };
}

function stepResult(engine: ShareEngine, name: string, before: StepResult["active_interface"]): StepResult {
  const status = shareStatus(engine.view(name));
  const { active_interface, mount_state, override, last_error, tb_recovery_pending } = status;
  const base = { share: name, active_interface, hint: null, holders: [] };
  if (mount_state === "mounted" && last_error === null) {
    if (tb_recovery_pending)
      return { ...base, result: "pending", detail: "the preferred route is ready, files are open" };
    const changed = active_interface !== before;
    return {
      ...base,
      result: changed ? "mounted" : "skipped",
      detail: changed ? "mounted" : "nothing to do",
    };
  }
  if (override === "unmounted") return { ...base, result: "skipped", detail: "held unmounted" };
  const standing = unmountedReason(status);
  if (standing !== null) return { ...base, result: "failed", detail: standing.title, hint: standing.hint };
  return { ...base, result: "failed", detail: last_error ?? "not mounted" };
}

/** Logs in over a route that answers. Resolves with a finding if the server does not let the login in, else with null. */
async function logIn(
  { subject: { spec }, observed }: ShareView,
  engine: ShareEngine,
  commands: EngineParts["commands"],
  signal: AbortSignal,
): Promise<VerifyFinding | null> {
  const route = routesOf(spec).find((one) => observed?.routes[one].probe.verdict === "answers");
  const endpoint = observed && route && endpointsOf(spec, observed.routes)[route];
  if (!route || !endpoint || spec.missingVariable !== null || isKeychainLogin(spec)) return null;
  const signIn = (await engine.contact(spec.name)).signIn({ [route]: endpoint });
  if (signIn === null) return null;
  const host = spec.routes[route].host ?? route;
  const found = await checkLogin(commands, spec, { host, signIn, logInNow: true }, signal);
  if (found.severity === "ok") return null;
  return { ...found, share: spec.name, severity: found.severity === "info" ? "warning" : "error" };
}
