// The JSON report of `mountaineer doctor`.
import type { ConfigSnapshot } from "../config/snapshot.ts";
import type { Ask } from "./operations.ts";

export type DoctorSeverity = "ok" | "info" | "warning" | "error";

export type DoctorArea =
  | "config"
  | "home"
  | "daemon"
  | "tools"
  | "hosts"
  | "credentials"
  | "shares"
  | "gateway"
  | "fleet"
  | "clock";

export interface DoctorFinding {
  readonly area: DoctorArea;
  readonly severity: DoctorSeverity;
  /** Stays the same from version to version. */
  readonly code: string;
  /** The share, backend or host that it is about; null: the machine or the home. */
  readonly subject: string | null;
  readonly text: string;
  /** What to do about it. */
  readonly hint: string | null;
}

export interface DoctorReport {
  /** No warning and no error. */
  readonly ok: boolean;
  readonly version: string;
  readonly findings: readonly DoctorFinding[];
}

/** One adapter to the system, run once. */
export interface SelfTestResult {
  readonly adapter: string;
  /** null: there is nothing of the kind on this system. */
  readonly passed: boolean | null;
  /** How it went, in one line. */
  readonly detail: string;
  readonly took_ms: number;
}

export interface SelfTestReport {
  /** None failed. */
  readonly ok: boolean;
  readonly platform: string;
  readonly version: string;
  readonly results: readonly SelfTestResult[];
}

export interface ReportOptions {
  /** Names of users and hosts, and addresses, stay in it. */
  readonly withNames: boolean;
}

export interface Doctor {
  /** Looks at everything; changes nothing. Rejects with the signal's reason alone. */
  examine(signal: AbortSignal): Promise<DoctorReport>;
  /** What a start with this configuration would stumble over, as errors and warnings; no packet leaves this machine. */
  foresee(
    snapshot: ConfigSnapshot,
    daemon: { readonly ask: Ask<"status"> } | null,
    signal: AbortSignal,
  ): Promise<readonly DoctorFinding[]>;
  /** Runs each adapter to the system once, in folders of its own that it removes. */
  selfTest(signal: AbortSignal): Promise<SelfTestReport>;
  /** The text of a file to attach to a report: findings, versions, configuration, state, the log's end. No secrets. */
  reportText(options: ReportOptions, signal: AbortSignal): Promise<string>;
}
