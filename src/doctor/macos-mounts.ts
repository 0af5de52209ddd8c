// Checks two risks of mounts that macOS makes (driver `netfs`): SMB multichannel may move a mount to another interface than
// its route's, while the mount table still names the old host; and outside /Volumes macOS asks before it mounts.
import { join } from "node:path";
import type { DoctorFinding } from "../api/doctor-report.ts";
import type { ShareConfig } from "../config/snapshot.ts";
import { errorText } from "../runtime/errors.ts";
import { readIfPresent } from "../runtime/files/durable-file.ts";
import { shellCommand } from "../runtime/text/plain-text.ts";
import { findingsOf } from "./context.ts";

const finding = findingsOf("shares");

interface MultichannelFiles {
  /** /etc/nsmb.conf, which overrides the user's file (nsmb.conf(5)). */
  readonly global: string;
  readonly user: string;
}

export function multichannelFiles(userHome: string): MultichannelFiles {
  return { global: "/etc/nsmb.conf", user: join(userHome, "Library/Preferences/nsmb.conf") };
}

export async function examineMultichannel(
  shares: readonly Pick<ShareConfig, "driver">[],
  files: MultichannelFiles,
): Promise<DoctorFinding[]> {
  if (!shares.some(({ driver }) => driver === "netfs")) return [];
  const settings = new Map<string, string>();
  const unread: DoctorFinding[] = [];
  for (const path of [files.user, files.global]) {
    try {
      for (const [key, value] of defaultsOf((await readIfPresent(path)) ?? "")) settings.set(key, value);
    } catch (error) {
      unread.push(
        finding("info", "multichannel_unread", `${path} cannot be read: ${errorText(error)}`, {
          hint: `see who may read it: ${shellCommand`ls -l ${path}`}`,
        }),
      );
    }
  }
  return [...unread, multichannelFinding(settings, files)];
}

function multichannelFinding(
  settings: ReadonlyMap<string, string>,
  { global }: MultichannelFiles,
): DoctorFinding {
  // Multichannel is on by default since macOS 11.3 (Apple's support article 102010).
  if (isNo(settings.get("mc_on"))) {
    return finding("ok", "multichannel_off", "SMB multichannel is off: a mount stays on its route");
  }
  const advice = "smbutil multichannel -m MOUNT shows where a mount's traffic really goes";
  if (isYes(settings.get("mc_prefer_wired"))) {
    const text = "SMB multichannel is on and prefers wired interfaces: it may move a mount to another one";
    return finding("info", "multichannel_wired", text, { hint: advice });
  }
  const text = "SMB multichannel is on: macOS itself may move a mount to another interface than its route's";
  const hint = `${advice}; in [default] of ${global}, mc_prefer_wired=yes keeps to wired ones where there are any, and may be all you need; mc_on=no keeps each mount on its route`;
  return finding("info", "multichannel_on", text, { hint });
}

/** The keys of `[default]` in lower case; other sections cannot have multichannel keys. */
function defaultsOf(text: string): Map<string, string> {
  const found = new Map<string, string>();
  let section = "";
  for (const line of text.split(/\r?\n/)) {
    const header = /^\s*\[([^\]]*)\]/.exec(line);
    const pair = /^\s*(\w+)\s*=(.*)$/.exec(line);
    if (header !== null) section = (header[1] ?? "").trim().toLowerCase();
    else if (pair !== null && section === "default")
      found.set((pair[1] ?? "").toLowerCase(), (pair[2] ?? "").trim());
  }
  return found;
}

const isYes = (value: string | undefined): boolean => /^(yes|true|1)$/i.test(value ?? "");
const isNo = (value: string | undefined): boolean => /^(no|false|0)$/i.test(value ?? "");

/** Where macOS makes mount folders without asking. */
const VOLUMES = "/Volumes";

/**
 * Checks the folder in which shares are mounted, for driver `netfs` only. `mountRoot` null: there is no
 * configuration.
 */
export function examineMountRoot(
  mountRoot: string | null,
  shares: readonly Pick<ShareConfig, "driver" | "shareName">[],
): DoctorFinding[] {
  const names = shares.filter(({ driver }) => driver === "netfs").map(({ shareName }) => shareName);
  if (mountRoot === null || mountRoot === VOLUMES || names.length === 0) return [];
  // Two shares of the same name cannot both be mounted in /Volumes, so they need another mount root.
  const isNeeded = new Set(names).size < names.length;
  const text = `shares are mounted in ${mountRoot}: since macOS 15 the system may ask you about each mount outside ${VOLUMES}, and the share waits for your answer`;
  const hint = isNeeded
    ? "allow each mount when you are asked; two of your shares have one name on their servers, which needs a folder of yours"
    : `leave mount_root out, or set it to "${VOLUMES}"`;
  const severity = isNeeded ? "info" : "warning";
  return [finding(severity, "mount_root_outside_volumes", text, { subject: "global.mount_root", hint })];
}
