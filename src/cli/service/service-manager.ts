// Picks the service manager of this system: systemd's user manager, or launchd.
import { MountaineerError } from "../../runtime/errors.ts";
import { createLaunchd } from "./service-manager-darwin.ts";
import { createSystemd } from "./service-manager-linux.ts";
import type { ServiceManager, ServiceManagerOptions } from "./service-outcome.ts";

/** Throws `program_unavailable` where no service manager is known. */
export function createServiceManager(
  options: ServiceManagerOptions,
  platform: NodeJS.Platform = process.platform,
): ServiceManager {
  if (platform === "linux") return createSystemd(options);
  if (platform === "darwin") return createLaunchd(options, process.getuid?.() ?? 0);
  throw new MountaineerError("program_unavailable", `no service manager is known on ${platform}`, {
    hint: "start `mountaineer monitor` by whatever starts programs here",
  });
}
