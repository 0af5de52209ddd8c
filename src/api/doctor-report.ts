// The JSON report of `mountaineer doctor`.
import type { ConfigSnapshot } from "../config/snapshot.ts";
import type { CallOperation } from "./operations/operations.ts";

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
  /** The kind of finding; stable across versions. */
  readonly code: string;
  /** The share, backend or host that the finding is about; null: the machine or the home. */
  readonly subject: string | null;
  readonly text: string;
  readonly hint: string | null;
}

export interface DoctorReport {
  /** No warning and no error. */
  readonly ok: boolean;
  readonly version: string;
  readonly findings: readonly DoctorFinding[];
}

export interface SelfTestResult {
  readonly adapter: string;
  /** null: the check does not apply to this system. */
  readonly passed: boolean | null;
  readonly detail: string;
  readonly took_ms: number;
}

export interface SelfTestReport {
  /** True if no check failed. */
  readonly ok: boolean;
  readonly platform: string;
  readonly version: string;
  readonly results: readonly SelfTestResult[];
}

export interface ReportOptions {
  /** True: the report keeps the names of users and hosts, and addresses. */
  readonly withNames: boolean;
}

export interface Doctor {
  /** Runs all checks; changes nothing. Rejects only with the signal's reason. */
  examine(signal: AbortSignal): Promise<DoctorReport>;
  /** Errors and warnings that a start with this configuration would meet. Sends nothing to a network. */
  foresee(
    snapshot: ConfigSnapshot,
    daemon: { readonly call: CallOperation<"status"> } | null,
    signal: AbortSignal,
  ): Promise<readonly DoctorFinding[]>;
  /** Runs each adapter to the system once, in temporary folders. */
  selfTest(signal: AbortSignal): Promise<SelfTestReport>;
  /** The file to attach to a bug report: findings, versions, configuration, state, end of the log. Contains no secrets. */
  reportText(options: ReportOptions, signal: AbortSignal): Promise<string>;
}
