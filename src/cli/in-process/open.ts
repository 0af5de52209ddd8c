// Loads, on demand, the code of the daemon and of the doctor that commands run in their own process.
import type { WithoutDaemonOptions } from "../../api/in-process.ts";
import type { ConfigSnapshot, MountaineerConfig } from "../../config/snapshot.ts";
import type { Signals, Target } from "../input/command.ts";

/**
 * Opens the home in this process if no daemon runs. Rejects with `config_…`, `lock_held`, `already_running`, `state_newer`,
 * `home_unwritable`.
 */
export const openWithoutDaemon = async (options: WithoutDaemonOptions) =>
  (await import("../../daemon/without-daemon.ts")).openWithoutDaemon(options);

/** Approves the changes of an edit; resolves with the number of waiting entries. The caller holds the home's lock. */
export const approveEdit = async (
  home: string,
  before: MountaineerConfig,
  after: ConfigSnapshot,
  signal: AbortSignal,
): Promise<number> =>
  (await import("../../daemon/approve-edited.ts")).approveEdited(home, before, after, signal);

export const openDoctor = async ({ home, configPath }: Target) =>
  (await import("../../doctor/doctor.ts")).createDoctor({ home, configPath });

export const openSecrets = async ({ home, configPath }: Target) =>
  (await import("../../daemon/compose/home-secrets.ts")).openHomeSecrets({ home, configPath });

export const openUserSecrets = async ({ home, configPath }: Target) =>
  (await import("../../daemon/compose/home-secrets.ts")).openUserSecrets({ home, configPath });

export const openUserChanges = async (
  parts: Omit<Parameters<typeof import("../../daemon/control/user-changes.ts").openUserChanges>[0], "signIn">,
) => {
  const { openUserChanges: open } = await import("../../daemon/control/user-changes.ts");
  return open({ ...parts, signIn: await openSignIn(parts) });
};

export const openSignIn = async ({ home, configPath }: Pick<Target, "home" | "configPath">) =>
  (await import("../../daemon/backend-sign-in.ts")).openBackendSignIn({ home, configPath });

/** SMB shares that this machine has mounted, or remembers, without Mountaineer. */
export const findMountedShares = async () =>
  (await import("../../daemon/compose/found-shares.ts")).foundShares();

/** SMB servers that answer on this machine's network links, or that this machine knows. Takes two seconds. */
export const findServers = async (signal: AbortSignal) =>
  (await import("../../daemon/compose/found-servers.ts")).foundServers(signal);

/** Loads the code with which `init` and `shares add` ask a server about its shares. */
export const openMeeting = async ({ home, signal }: Target & Signals) =>
  (await import("../../daemon/control/first-contact.ts")).openFirstContact(home, signal);

/** Loads the removals of `uninstall --purge`; called before the program's own files are removed. */
export const loadPurge = () => import("../../daemon/purge.ts");

/** Loads backups and restores. */
export const loadBackup = () => import("../../daemon/backup/backup-home.ts");

/** Loads the records of a home about its backups. */
export const loadBackupRecords = () => import("../../daemon/compose/backup-records.ts");

/** Undoes or completes a restore that was killed. Resolves true if the home before is back. */
export const endRestore = async (home: string): Promise<boolean> =>
  (await import("../../daemon/backup/home-swap.ts")).endSwap(home);

export const daemonLogPath = async (home: string, userHome: string): Promise<string> =>
  (await import("../../daemon/compose/log-settings.ts")).logFilePath({
    home,
    userHome,
    environment: process.env,
  });
