// The doctor: runs every check independently, each with a deadline.

import { randomUUID } from "node:crypto";
import { stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { VerifyFinding } from "../api/contract/contract.ts";
import type { Doctor, DoctorArea, DoctorFinding, DoctorReport } from "../api/doctor-report.ts";
import type { WithoutDaemonOptions } from "../api/in-process.ts";
import { findHomeContext, type HomeContext, locateConfig } from "../config/home-context.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import { describeMistakes } from "../config/values/mistakes.ts";
import { loadConfigInChild } from "../config/worker/load-in-child.ts";
import type { StartedApprovals } from "../daemon/approvals/start-approvals.ts";
import { approvedHome } from "../daemon/compose/approved-home.ts";
import { homeSecrets } from "../daemon/compose/stored-secrets.ts";
import { openWithoutDaemon } from "../daemon/without-daemon.ts";
import { createDisposalStack } from "../runtime/disposal.ts";
import { errorText, MountaineerError } from "../runtime/errors.ts";
import { noopLogger } from "../runtime/log/log.ts";
import { sharesAndBackends, shellCommand } from "../runtime/text/plain-text.ts";
import { type Clock, settlesWithin, systemClock } from "../runtime/time/clock.ts";
import { packageVersion } from "../runtime/version.ts";
import { type DoctorContext, findingsOf, startObservingParts } from "./context.ts";
import { examineCredentials, missingPassword } from "./credentials.ts";
import { examineDaemon, findDaemon } from "./daemon.ts";
import { examineFleet } from "./fleet.ts";
import { examineGateway, foreseeGateway, type GatewayContext } from "./gateway.ts";
import { examineHome, examinePrivatePaths } from "./home.ts";
import { checkHosts, examineHosts } from "./hosts.ts";
import { examineMountRoot } from "./macos-mounts.ts";
import { examineReadAhead } from "./read-ahead.ts";
import { reportText } from "./report-text.ts";
import { examineSecretNames } from "./secret-names.ts";
import { runSelfTest } from "./self-test.ts";

/** Deadline of one check, ms; longer than the waits for programs and servers within it. */
const PART_DEADLINE_MS = 25_000;
const VERIFY_DEADLINE_MS = 20_000;

interface DoctorOptions {
  readonly home: string;
  readonly configPath: string | null;
}

export function createDoctor({ home, configPath }: DoctorOptions): Doctor {
  const examine = (signal: AbortSignal): Promise<DoctorReport> => examineAll(home, configPath, signal);
  return {
    examine,
    selfTest: runSelfTest,
    foresee: (snapshot, daemon, signal) => foresee(home, snapshot, daemon, signal),
    reportText: async (options, signal) =>
      reportText({ home, configPath, report: await examine(signal), options, signal }),
  };
}

async function foresee(
  home: string,
  snapshot: ConfigSnapshot,
  daemon: GatewayContext["daemon"],
  signal: AbortSignal,
): Promise<readonly DoctorFinding[]> {
  const environment = process.env;
  const secrets = homeSecrets({ home, environment, clock: systemClock, logger: noopLogger });
  const bound = await secrets.bind(snapshot, signal);
  const found = [
    ...bound.config.shares.flatMap((share) => missingPassword(share, secrets.values)),
    ...(await foreseeGateway({ snapshot: bound, environment, values: secrets.values, daemon, signal })),
  ];
  return found.filter(({ severity }) => severity === "error" || severity === "warning");
}

async function examineAll(
  home: string,
  configPath: string | null,
  signal: AbortSignal,
): Promise<DoctorReport> {
  const clock = systemClock;
  const environment = process.env;
  const homeContext = findHomeContext({ ...environment, MOUNTAINEER_HOME: home });
  const stack = createDisposalStack(() => {});
  try {
    const [config, found, homeFindings] = await Promise.all([
      loadedConfig(homeContext, configPath, signal),
      findDaemon(home),
      part("home", signal, () => examineHome(home)),
    ]);
    // Only approved entries are checked: the doctor tries out nothing that waits for approval.
    const approved =
      config.snapshot === null
        ? null
        : await approvedHome({ homeContext, snapshot: config.snapshot }, signal);
    const snapshot = approved?.snapshot ?? null;
    // A file that does not exist: the checks need no state of the shares.
    const noState = join(tmpdir(), `mountaineer-doctor-${randomUUID()}.json`);
    const parts = await startObservingParts(home, noState, stack);
    const context: DoctorContext = {
      home,
      homeContext,
      environment,
      clock,
      signal,
      snapshot,
      values: approved?.values ?? environment,
      daemon: found.daemon,
      parts,
    };
    const shares = snapshot?.config.shares ?? [];
    const verified = part("shares", signal, () => examineVerified(context, configPath));
    const checks = checkHosts(context);
    const examineLogins = async (): Promise<DoctorFinding[]> => {
      const refused = new Set(
        (await verified).flatMap(({ code, severity, subject }) =>
          // A warning is about a login that is no longer in use. Without a subject it is about several shares.
          code !== "login_refused" || severity !== "error"
            ? []
            : subject === null
              ? shares.map(({ name }) => name)
              : [subject],
        ),
      );
      return examineCredentials(context, await checks, refused);
    };
    const findings = await Promise.all([
      config.findings,
      approved === null ? [] : examineApprovals(approved, approved.snapshot),
      homeFindings,
      part("daemon", signal, async () => [...found.findings, ...(await examineDaemon(context))]),
      part("hosts", signal, async () => examineHosts(await checks, shares)),
      part("credentials", signal, examineLogins),
      part("credentials", signal, async () => examineSecretNames(context)),
      verified,
      part("shares", signal, async () => examineMountRoot(snapshot?.config.global.mountRoot ?? null, shares)),
      part("shares", signal, async () => {
        const root = await parts.prober.realPath(snapshot?.config.global.mountRoot ?? "/", 1_000);
        return examineReadAhead(await parts.mountTable.read(clock.monotonicMs()), root, "/sys/class/bdi");
      }),
      part("home", signal, () => examinePrivatePaths(context)),
      part("gateway", signal, () => examineGateway(context)),
      part("fleet", signal, () => examineFleet(context)),
      part("clock", signal, async () => [await examineClock(home, clock)]),
    ]);
    const all = withoutRepeats(findings.flat());
    const ok = all.every(({ severity }) => severity === "ok" || severity === "info");
    return { ok, version: packageVersion(), findings: all };
  } finally {
    await stack[Symbol.asyncDispose]();
  }
}

/** The findings of one check. A check that fails or hangs becomes a finding; rejects once `signal` has aborted. */
async function part(
  area: DoctorArea,
  signal: AbortSignal,
  examine: () => Promise<readonly DoctorFinding[]>,
): Promise<readonly DoctorFinding[]> {
  const finding = findingsOf(area);
  const work = examine();
  try {
    if (await settlesWithin(systemClock, PART_DEADLINE_MS, work)) return await work;
    return [
      finding("error", "check_late", `the check of ${area} did not end within ${PART_DEADLINE_MS / 1000} s`),
    ];
  } catch (error) {
    return [finding("error", "check_failed", `the check of ${area} failed: ${errorText(error)}`)];
  } finally {
    signal.throwIfAborted();
  }
}

async function loadedConfig(
  homeContext: HomeContext,
  configPath: string | null,
  signal: AbortSignal,
): Promise<{ readonly snapshot: ConfigSnapshot | null; readonly findings: readonly DoctorFinding[] }> {
  const finding = findingsOf("config");
  try {
    const { path, exists } = await locateConfig(homeContext, configPath);
    const request = { path, homeContext, content: exists ? null : "", writeStarter: false };
    const { loaded } = await loadConfigInChild(request, { clock: systemClock, signal });
    if (!loaded.ok) {
      const { mistakes } = loaded;
      const findings = mistakes.map((mistake, index) =>
        finding("error", "config_invalid", describeMistakes([mistake]), {
          subject: mistake.path === "" ? null : mistake.path,
          // Only the last finding has this hint, which is for all errors. Each error's text has a hint of
          // its own.
          hint:
            index === mistakes.length - 1
              ? "correct the file; a running daemon keeps its last valid configuration"
              : null,
        }),
      );
      return { snapshot: null, findings };
    }
    const { snapshot } = loaded;
    const warnings = snapshot.warnings.map(({ path: key, text, hint }) =>
      finding("warning", "config_warning", `${key}: ${text}`, { subject: key, hint }),
    );
    const { shares, backends } = snapshot.config;
    const what = sharesAndBackends(shares.length, backends.length);
    if (!exists) {
      const text = `there is no configuration at ${path}`;
      const hint = configPath === null ? "mountaineer init" : shellCommand`mountaineer init --config ${path}`;
      return { snapshot, findings: [finding("info", "config_absent", text, { hint })] };
    }
    const summary =
      what === null
        ? finding("info", "config_empty", `${path} configures nothing yet`, { hint: "mountaineer init" })
        : finding("ok", "config", `${path} is valid: ${what}`);
    return { snapshot, findings: [summary, ...warnings] };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof MountaineerError)) throw error;
    const findings = [finding("error", error.code, error.message, { hint: error.hint })];
    return { snapshot: null, findings };
  }
}

/** The findings of `verify`, in the daemon or in this process; the configuration and the fleet have separate checks. */
async function examineVerified(
  { home, daemon, snapshot, signal }: DoctorContext,
  configPath: string | null,
): Promise<DoctorFinding[]> {
  const finding = findingsOf("shares");
  const here = { home, configPath, intent: "look", command: "doctor", signal } as const;
  const findings = await verifiedBy(daemon, snapshot === null ? null : here, signal);
  if (findings === null) return [];
  if (daemon !== null && findings.length === 0)
    return [finding("ok", "verify", "the daemon found no problem")];
  return (
    findings
      .filter(({ code }) => !/^(config[_:]|fleet_|gateway_not_running)/.test(code))
      // A share that nothing but a missing daemon keeps unmounted; that finding is the daemon's.
      .filter(({ code, text }) => daemon !== null || code !== "not_mounted" || text !== "not mounted")
      .map(({ severity, code, share, text, hint }) =>
        finding(severity, code, share === null ? text : `${share}: ${text}`, { subject: share, hint }),
      )
  );
}

/**
 * `here` null: the file has an error, so only a daemon, which runs its last good configuration, can verify. Returns
 * null without one.
 */
async function verifiedBy(
  daemon: DoctorContext["daemon"],
  here: WithoutDaemonOptions | null,
  signal: AbortSignal,
): Promise<readonly VerifyFinding[] | null> {
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(VERIFY_DEADLINE_MS)]);
    if (daemon !== null) return (await daemon.call("verify", { shares: null }, limit)).findings;
  } catch (error) {
    signal.throwIfAborted();
    // A daemon that does not answer has a separate finding.
    if (!(error instanceof MountaineerError)) throw error;
  }
  if (here === null) return null;
  await using engine = await openWithoutDaemon(here);
  return (await engine.call("verify", { shares: null }, signal)).findings;
}

function withoutRepeats(findings: readonly DoctorFinding[]): DoctorFinding[] {
  return [...Map.groupBy(findings, ({ code, text }) => `${code} ${text}`).values()].flatMap(
    ([first]) => first ?? [],
  );
}

/** A clock that shows an earlier time is wrong: the first version of Mountaineer is newer. */
const EARLIEST_MS = Date.UTC(2026, 0, 1);
const BEHIND_MS = 60_000;

const finding = findingsOf("clock");

/**
 * Checks that the clock is neither before EARLIEST_MS nor more than a minute before the last write of
 * state.json.
 */
export async function examineClock(home: string, clock: Clock): Promise<DoctorFinding> {
  const now = clock.wallMs();
  const hint = "set it, or switch on the network's time: servers and tokens refuse a clock that is far off";
  if (now < EARLIEST_MS) {
    return finding("error", "clock_wrong", `the clock says ${new Date(now).toISOString()}`, { hint });
  }
  const written = await stat(join(home, "state.json")).catch(() => null);
  if (written !== null && written.mtimeMs - now > BEHIND_MS) {
    const text = `the clock says ${new Date(now).toISOString()}, and state.json was written at ${written.mtime.toISOString()}`;
    return finding("warning", "clock_behind", text, { hint });
  }
  return finding("ok", "clock", `the clock says ${new Date(now).toISOString()}`);
}

/** What approvals rest on; entries that wait are findings of `verify`. */
export function examineApprovals(
  { approvalStore, keyStorage }: Pick<StartedApprovals, "approvalStore" | "keyStorage">,
  { config }: ConfigSnapshot,
): readonly DoctorFinding[] {
  const finding = findingsOf("config");
  if (config.backends.length === 0 && approvalStore.mode === "none") return [];
  if (approvalStore.mode === "none") {
    const text = "changes to the configuration apply without your approval";
    const hint = "fine while only you can write to the file; otherwise: mountaineer approve --mode commands";
    return [finding("info", "approvals_off", text, { hint })];
  }
  const what = approvalStore.mode === "all" ? "changes of what is trusted wait" : "changes of what runs wait";
  const summary = finding("ok", "approvals", `${what} for \`mountaineer approve\``);
  if (keyStorage !== "file") return [summary];
  const text = "the key of the approvals is in the home, as no keyring answers here";
  const hint =
    "any program that can write all files of the home can forge approvals: docs/reference/security.md";
  return [summary, finding("info", "approvals_key_in_home", text, { hint })];
}
