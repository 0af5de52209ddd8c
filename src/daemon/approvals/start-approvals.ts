// Decides at a start which entries of a configuration may run: all except those that wait for approval.
import type { HomeContext } from "../../config/home-context.ts";
import { emptyConfig } from "../../config/read/normalize.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import type { KeyringOptions } from "../../secrets/system-keyring.ts";
import { type ApprovalStoreOptions, createApprovalStore } from "./approval-store.ts";
import { openApprovalsFile } from "./approvals-file.ts";

/** `writes`: false for commands that only read, or that run backends once. */
interface StartOptions extends Omit<ApprovalStoreOptions, "file" | "loaded" | "protectedPaths" | "blank"> {
  readonly homeContext: HomeContext;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly snapshot: ConfigSnapshot;
  /** The approvals, if opening them began while the configuration was read. */
  readonly opened?: Promise<OpenedApprovals> | undefined;
}

export type StartedApprovals = Awaited<ReturnType<typeof startApprovals>>;

/**
 * Judges the snapshot of a start. Resolves with its approved part. `keyStorage` is null if there is no sealing key
 * yet, or it was not found. Rejects only with the signal's reason.
 */
export async function startApprovals(options: StartOptions, signal: AbortSignal) {
  const { homeContext, environment, snapshot, clock, logger, publish, writes, onGrant } = options;
  const { home } = homeContext;
  const opened = await (options.opened ?? openApprovals({ home, clock, environment }, signal));
  const ground = groundOf(homeContext, snapshot.path);
  const approvalStore = createApprovalStore({
    ...opened,
    ...ground,
    clock,
    logger,
    publish,
    writes,
    onGrant,
  });
  if (approvalStore.lostBecause !== null)
    logger.error("approvals are lost", { reason: approvalStore.lostBecause });
  const judged = await approvalStore.judge(snapshot, null);
  approvalStore.applied(judged);
  return { approvalStore, snapshot: judged.effective, keyStorage: opened.file.keyStorage };
}

/** What a configuration of this machine is judged by. */
export function groundOf(
  homeContext: HomeContext,
  configPath: string,
): Pick<ApprovalStoreOptions, "protectedPaths" | "blank"> {
  const { home, userHome } = homeContext;
  return {
    protectedPaths: { homes: [home], configs: [configPath], userHome },
    blank: emptyConfig(homeContext),
  };
}

export type OpenedApprovals = Awaited<ReturnType<typeof openApprovals>>;

/**
 * Opens the home's approvals; asks the keyring, if there is one, for at most 4 s. Rejects only with the
 * signal's reason.
 */
export async function openApprovals(options: KeyringOptions, signal: AbortSignal) {
  const { openSealedFile } = await import("../../secrets/sealed-file.ts");
  const file = openApprovalsFile(openSealedFile({ ...options, name: "approvals" }));
  return { file, loaded: await file.read(signal) };
}
