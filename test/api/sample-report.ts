// Sample reports and controls for tests of the API and the command line.
import type {
  AliasStatus,
  GlobalStatus,
  MovesStatus,
  ShareStatus,
  StatusReport,
  StepResult,
  VerifyReport,
} from "../../src/api/contract/contract.ts";
import { selectShares } from "../../src/api/operations/name-selection.ts";
import type { Control } from "../../src/api/operations/operations.ts";
import { globalKeys } from "../../src/config/schema/share-schema.ts";
import type { SectionSettings } from "../../src/config/section-settings.ts";

export const SAMPLE_NOW = Date.UTC(2026, 0, 2, 12, 0, 0);

/** ISO time of so many seconds before SAMPLE_NOW. */
export function secondsAgo(seconds: number): string {
  return new Date(SAMPLE_NOW - seconds * 1000).toISOString();
}

/** `[global]`, with its defaults. */
const SETTINGS = {
  ...Object.fromEntries(Object.entries(globalKeys).map(([name, { fallback }]) => [name, fallback])),
  shares_root: "/home/ada/Shares",
  mount_root: "/home/ada/.mountaineer/volumes",
} as SectionSettings<typeof globalKeys>;

export function sampleGlobal(changes: Partial<GlobalStatus> = {}): GlobalStatus {
  return {
    version: "0.1.0",
    pid: 4211,
    started_at: secondsAgo(11_520),
    config_path: "/home/ada/.mountaineer/config.toml",
    home: "/home/ada/.mountaineer",
    ...SETTINGS,
    network_events: "rtnetlink",
    conditions: [],
    ...changes,
  };
}

/** A share that is well, over Thunderbolt. */
/** What a share that moves reports when nothing is the matter. */
export const SAMPLE_MOVES: MovesStatus = {
  ...{ phase: "serving", count: 0, connections: 1, connections_in_all: 1, open_files: 0 },
  ...{ bytes_to_server: 0, bytes_from_server: 0, longest_wait_ms: 0 },
};

export function sampleShare(changes: Partial<ShareStatus> = {}): ShareStatus {
  const name = changes.name ?? "CORE";
  return {
    name,
    active_interface: "tb",
    mount_state: "mounted",
    mount_path: `/home/ada/.mountaineer/volumes/${name}`,
    stable_path: `/home/ada/Shares/${name}`,
    tb_host: "10.0.0.2",
    fb_host: "192.168.1.20",
    tb_link: { device: "tb0", kind: "thunderbolt", text: "Thunderbolt, 40 Gbit/s", speed: 40_000 },
    fb_link: { device: "eth0", kind: "wired", text: "Ethernet, 1 Gbit/s", speed: 1_000 },
    tb_reachable: true,
    fb_reachable: true,
    mount_alive: true,
    tb_recovery_pending: false,
    override: null,
    last_error: null,
    last_switch_at: secondsAgo(7_500),
    tb_reachable_since: secondsAgo(9_000),
    tb_healthy_since: secondsAgo(9_000),
    conditions: [],
    ...changes,
  };
}

export function sampleAlias(changes: Partial<AliasStatus> = {}): AliasStatus {
  const name = changes.name ?? "docs";
  return {
    name,
    share: "CORE",
    target_subpath: "Projects/docs",
    path: `/home/ada/Shares/Links/${name}`,
    target: "/home/ada/Shares/CORE/Projects/docs",
    link: "right",
    detail: null,
    ...changes,
  };
}

export function sampleReport(
  shares: ShareStatus[] = [sampleShare()],
  changes: Partial<GlobalStatus> = {},
): StatusReport {
  return { global: sampleGlobal(changes), shares };
}

export function sampleResult(changes: Partial<StepResult> = {}): StepResult {
  return {
    share: "CORE",
    result: "mounted",
    active_interface: "tb",
    detail: "mounted over Thunderbolt (//10.0.0.2/CORE)",
    hint: null,
    holders: [],
    ...changes,
  };
}

export interface Call {
  readonly name: string;
  readonly selection: readonly string[] | null;
  readonly options: object;
  readonly signal: AbortSignal;
}

interface Request {
  readonly shares?: readonly string[] | null;
}

type ShareControl = Pick<Control, "verify" | "reconcile" | "mount" | "unmount" | "switchRoute">;

export interface ScriptedControl extends ShareControl {
  status(): StatusReport;
  readonly calls: Call[];
}

/** A control that notes every call, and answers for each of its shares what `answer` says. */
export function scriptedControl(
  report: StatusReport = sampleReport(),
  answer: (share: string, call: Call) => StepResult | Promise<StepResult> = (share) =>
    sampleResult({ share }),
  verify: VerifyReport = { ok: true, findings: [], checked: { shares: 1, backends: 0 } },
): ScriptedControl {
  const calls: Call[] = [];
  const note = (name: string, request: Request, signal: AbortSignal): [Call, readonly string[]] => {
    const { shares: selection = null, ...options } = request;
    const call = { name, selection, options, signal };
    calls.push(call);
    const names = report.shares.map(({ name }) => name);
    return [call, selectShares(selection, names)];
  };
  const step = (name: string) => async (request: Request, signal: AbortSignal) => {
    const [call, shares] = note(name, request, signal);
    return { results: await Promise.all(shares.map((share) => answer(share, call))) };
  };
  return {
    calls,
    status: () => report,
    async verify(request, signal) {
      note("verify", request, signal);
      return verify;
    },
    reconcile: step("reconcile"),
    mount: step("mount"),
    unmount: step("unmount"),
    switchRoute: step("switch"),
  };
}
