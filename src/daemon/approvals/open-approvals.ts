// Opens the approvals of a home.
import type { Clock } from "../../runtime/time/clock.ts";
import { type ApprovalsFile, type LoadedApprovals, openApprovalsFile } from "./approvals-file.ts";

export interface OpenedApprovals {
  readonly file: ApprovalsFile;
  readonly loaded: LoadedApprovals;
}

interface OpenOptions {
  readonly home: string;
  readonly clock: Clock;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Asks the keyring, where there is one, within 4 s. Rejects with the signal's reason alone. */
export async function openApprovals(options: OpenOptions, signal: AbortSignal): Promise<OpenedApprovals> {
  const { openSealedFile } = await import("../../secrets/sealed-file.ts");
  const file = openApprovalsFile(openSealedFile({ ...options, name: "approvals" }));
  return { file, loaded: await file.read(signal) };
}
