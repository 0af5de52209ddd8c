// Whether the mount that talks through a port is still there.
import { isRunning } from "../../runtime/process/process-identity.ts";
import type { CarriedMount } from "../carrier.ts";
import { isMountedDarwin } from "./mount-presence-darwin.ts";
import { isMountedLinux } from "./mount-presence-linux.ts";

type MountPresence = (mount: CarriedMount) => Promise<boolean>;

const isMounted: MountPresence = process.platform === "darwin" ? isMountedDarwin : isMountedLinux;

/** False only when neither the mount nor the process that serves it is left. Rejects when that cannot be found out. */
export async function isPresent(mount: CarriedMount): Promise<boolean> {
  if (await isMounted(mount)) return true;
  return mount.process !== null && (await isRunning(mount.process));
}
