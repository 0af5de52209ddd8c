// The operations on shares in the management API. Shares work in parallel; each one has its own result.
import type { StepResult, UnsentServer, VerifyFinding } from "../../api/contract/contract.ts";
import { selectShares } from "../../api/operations/name-selection.ts";
import type { Control, InputOf } from "../../api/operations/operations.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";
import { type Clock, isoTime } from "../../runtime/time/clock.ts";
import type { UnsentForServer } from "../../shares/drivers/mount-driver.ts";
import type { FormerUnsent } from "../../shares/drivers/rclone/caches.ts";
import type { ShareView } from "../../shares/engine/share-cycle.ts";
import type { ShareEngine } from "../../shares/engine/share-engine.ts";
import type { UnconfiguredShare } from "../../shares/engine/unconfigured-shares.ts";
import type { Logins } from "../../shares/logins/logins.ts";
import type { RequestOutcome, ShareRequest } from "../../shares/policy/share-request.ts";
import { listShareNames, type ShareNames } from "../../shares/server-proof/share-names.ts";
import { routesOf } from "../../shares/share-spec.ts";
import type { EngineParts } from "../compose/engine-parts.ts";
import { openFileHolders, shareStatus, unmountedReason } from "./share-status.ts";
import { verifyShare } from "./verify.ts";

/** Longest wait for unsent writes, ms: rclone sends them a second after the last close. */
const UNSENT_WAIT_MS = 15_000;

export function createShareControl(
  engine: ShareEngine,
  clock: Clock,
  { formerShares, logins }: Pick<EngineParts, "formerShares" | "logins">,
  home: string,
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
      unsent: [...outcome.unsent],
    };
  };

  const waitingOf = async (name: string): Promise<readonly UnsentForServer[]> => {
    const { driver, spec } = engine.view(name).subject;
    return (await driver.unsentForOthers?.(spec, true)) ?? [];
  };

  /** Applies a decision about unsent files of another server. Rejects with `usage`. */
  const decideUnsent = async (
    name: string,
    server: string | null,
    what: Exclude<InputOf<"unsent">["what"], "show">,
    signal: AbortSignal,
  ): Promise<void> => {
    const { driver, spec } = engine.view(name).subject;
    const waiting = (await waitingOf(name)).filter(({ inUse }) => !inUse);
    const [one, ...others] = server === null ? waiting : waiting.filter((each) => each.server === server);
    if (one === undefined) throw new MountaineerError("usage", `nothing of ${name} waits for another server`);
    if (others.length > 0) {
      const ids = waiting.map((each) => each.server).join(", ");
      throw new MountaineerError("usage", `files wait for several servers: --server, one of ${ids}`);
    }
    await driver.decideWaiting?.(spec, one.server, what);
    if (what === "set_aside") return;
    // rclone reads its cache of unsent files only when it starts, so the share is unmounted and mounted
    // again.
    const request = {
      kind: "unmount",
      force: false,
      keepUnmounted: false,
      waitUntilMs: waitUntilMs(),
    } as const;
    const { result: ended, detail } = await engine.request(name, request, signal);
    if (ended !== "unmounted" && ended !== "skipped") {
      throw new MountaineerError("usage", `${detail}; they are sent with the next mount`, {
        hint: `Close the open files, then: ${shellCommand`mountaineer unmount --share ${name}; mountaineer mount --share ${name}`}`,
      });
    }
    await engine.request(name, { kind: "mount", waitUntilMs: waitUntilMs() }, signal);
  };

  const waitUntilMs = (): number => clock.monotonicMs() + UNSENT_WAIT_MS;

  const control = {
    async verify({ shares = null, login = false }, signal) {
      const observeAll = () => Promise.all(select(shares).map((name) => engine.observe(name)));
      // With `login`, the shares are observed twice. The first cycle finds the routes for the logins, and the second
      // reports refused logins as conditions of the shares.
      const observed = login ? await observeAll() : [];
      for (const { subject } of observed) logins.requested(subject.spec);
      const failed = await Promise.all(observed.map((view) => logOn(view, { home, logins }, signal)));
      const views = await observeAll();
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
    async unsent({ share = null, server = null, what }, signal) {
      const isFormer = share !== null && !isConfigured(share);
      const former = (share === null || isFormer ? await formerShares.search(engine.names) : []).filter(
        (one) => share === null || one.share === share,
      );
      const ofFormer = former.map((one) => unsentServer(one.share, one.waiting));
      if (isFormer && former.length > 0) {
        if (what !== "show") throw notConfigured(share, former);
        return { servers: ofFormer };
      }
      const names = select(share === null ? null : [share]);
      if (share !== null && what !== "show") await decideUnsent(share, server, what, signal);
      const all = await Promise.all(
        names.map(async (name) => (await waitingOf(name)).map((one) => unsentServer(name, one))),
      );
      return { servers: [...all.flat(), ...ofFormer] };
    },
    mount: ({ shares = null }, signal) =>
      requestAll(shares, { kind: "mount", waitUntilMs: waitUntilMs() }, signal),
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

function notConfigured(share: string, former: readonly FormerUnsent[]): MountaineerError {
  const folders = former.map(({ waiting: { folder } }) => folder).join(", ");
  const text = `${share} is no longer configured, so nothing can be decided about it`;
  return new MountaineerError("usage", text, {
    hint: `Configure it again under its old \`name\` and \`share_name\`, or copy the files yourself from ${folders}`,
  });
}

function unsentServer(
  share: string,
  { server, source, proved, inUse, files, folder }: UnsentForServer,
): UnsentServer {
  const oldestMs = Math.min(...files.map(({ writtenAtMs }) => writtenAtMs));
  return {
    ...{ share, server, source, proved, in_use: inUse, folder },
    oldest: files.length === 0 ? null : isoTime(oldestMs),
    files: files.map(({ path, bytes, writtenAtMs }) => ({ path, bytes, written_at: isoTime(writtenAtMs) })),
  };
}

function removedMeanwhile(share: string): StepResult {
  const detail = "the share was removed from the configuration";
  return { share, result: "failed", active_interface: "none", detail, hint: null, holders: [], unsent: [] };
}

function stepResult(engine: ShareEngine, name: string, before: StepResult["active_interface"]): StepResult {
  const status = shareStatus(engine.view(name));
  const { active_interface, mount_state, override, last_error, tb_recovery_pending } = status;
  const base = { share: name, active_interface, hint: null, holders: [], unsent: [] };
  if (mount_state === "mounted" && last_error === null) {
    if (tb_recovery_pending)
      return { ...base, result: "pending", detail: "Thunderbolt is ready, files are open" };
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

/**
 * Logs in over a route that answers. Resolves with a finding if no login could be attempted, else with null.
 */
async function logOn(
  { subject: { spec }, observed }: ShareView,
  { home, logins }: { readonly home: string; readonly logins: Logins },
  signal: AbortSignal,
): Promise<VerifyFinding | null> {
  const up = routesOf(spec).find((route) => observed?.routes[route].probe.verdict === "answers");
  if (up === undefined || spec.routes[up].host === null || spec.missingVariable !== null) return null;
  const over = { ...spec, routes: { tb: spec.routes[up], fallback: { ...spec.routes[up], host: null } } };
  const names = await logins.attempt<ShareNames>(spec, () => listShareNames(over, home, signal), {
    judge: (names) =>
      names.kind === "listed" ? "accepted" : names.kind === "failed" ? "unknown" : { refused: names.text },
    otherwise: (text) => ({ kind: "refused", text }),
    signal,
  });
  if (names.kind !== "failed") return null;
  const text = `the login could not be tried: ${names.text}`;
  return { share: spec.name, severity: "warning", code: "logon_untried", text, hint: null };
}
