// The ways from the command line into the daemon's and the doctor's code, which is loaded when it is needed.
import type { BackendSignIn } from "../../api/backend-sign-in.ts";
import type { Doctor } from "../../api/doctor-report.ts";
import type { FirstMeeting } from "../../api/first-meeting.ts";
import type { FoundServer } from "../../api/found-server.ts";
import type { FoundShare } from "../../api/found-share.ts";
import type {
  InProcessApprovals,
  InProcessEngine,
  InProcessGateway,
  InProcessOptions,
} from "../../api/in-process.ts";
import type { KernelLine } from "../../api/kernel-line.ts";
import type { SecretKeeper } from "../../api/secret-keeper.ts";
import type { ConfigSnapshot, MountaineerConfig, ShareConfig } from "../../config/snapshot.ts";
import type { CommandContext } from "../input/command.ts";

/**
 * The engine run once inside the command, when no daemon runs. Rejects with what keeps it from starting: `config_…`,
 * `lock_held`, `already_running`, `state_newer`, `home_unwritable`.
 */
export async function openEngine(options: InProcessOptions): Promise<InProcessEngine> {
  const { openInProcess } = await import("../../daemon/in-process-control.ts");
  return openInProcess(options);
}

/** The gateway likewise. Rejects with `config_…` and `gateway_off`. */
export async function openGateway(options: InProcessOptions): Promise<InProcessGateway> {
  const { openGatewayInProcess } = await import("../../daemon/in-process-gateway.ts");
  return openGatewayInProcess(options);
}

/** Approvals likewise. Rejects with `config_…` and `lock_held`. */
export async function openApprovals(options: InProcessOptions): Promise<InProcessApprovals> {
  const { openApprovalsInProcess } = await import("../../daemon/in-process-approvals.ts");
  return openApprovalsInProcess(options);
}

/** Approves what an edit of the file changed; resolves with how many entries wait. The home's lock must be held. */
export async function approveEdit(
  home: string,
  before: MountaineerConfig,
  after: ConfigSnapshot,
  signal: AbortSignal,
): Promise<number> {
  const { approveEdited } = await import("../../daemon/in-process-approvals.ts");
  return approveEdited(home, before, after, signal);
}

export async function openDoctor({ home, configPath }: CommandContext): Promise<Doctor> {
  const { createDoctor } = await import("../../doctor/doctor.ts");
  return createDoctor({ home, configPath });
}

export async function openSecrets({ home, configPath }: CommandContext): Promise<SecretKeeper> {
  const { openSecretKeeper } = await import("../../daemon/compose/secret-keeper.ts");
  return openSecretKeeper({ home, configPath });
}

export async function openSignIn({ home, configPath }: CommandContext): Promise<BackendSignIn> {
  const { openBackendSignIn } = await import("../../daemon/in-process-sign-in.ts");
  return openBackendSignIn({ home, configPath });
}

/** Resolves once it is loaded, with what gives the names of those that are kept and rejects with `secret_unavailable`. */
export async function loadSecretNames(): Promise<(home: string) => Promise<readonly string[]>> {
  const { keptSecretNames } = await import("../../daemon/compose/stored-secrets.ts");
  return keptSecretNames;
}

/** The SMB shares that this machine has mounted, or knows, without Mountaineer. */
export async function findMountedShares(): Promise<readonly FoundShare[]> {
  const { foundShares } = await import("../../daemon/compose/found-shares.ts");
  return foundShares();
}

/** The line by which the kernel's client mounts the share, as it is to be written or removed. Rejects as that says. */
export async function openKernelLine(
  home: string,
  config: MountaineerConfig,
  share: ShareConfig,
  isWanted: boolean,
): Promise<KernelLine> {
  const { kernelLine } = await import("../../daemon/compose/kernel-line.ts");
  return kernelLine(home, config, share, isWanted);
}

/** Servers of SMB shares that are heard on this machine's links, or known to it. Takes two seconds. */
export async function findServers(signal: AbortSignal): Promise<readonly FoundServer[]> {
  const { foundServers } = await import("../../daemon/compose/found-servers.ts");
  return foundServers(signal);
}

/** What a server is asked that no share is configured for yet. */
export async function openMeeting({ home, signal }: CommandContext): Promise<FirstMeeting> {
  const { openFirstMeeting } = await import("../../daemon/control/first-meeting.ts");
  return openFirstMeeting(home, signal);
}

/** What `uninstall --purge` does to this machine; loaded before the program's own files go. */
export async function loadPurge() {
  return import("../../daemon/purge.ts");
}

/** Where the daemon of this home writes its log; absolute. */
export async function daemonLogPath(home: string, userHome: string): Promise<string> {
  const { logFilePath } = await import("../../daemon/compose/log-settings.ts");
  return logFilePath({ home, userHome, environment: process.env });
}
