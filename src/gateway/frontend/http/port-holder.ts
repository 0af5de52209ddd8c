// Finds the process that listens at a port, in the platform's way.
import { findPortHolderLinux, type PortHolder } from "./port-holder-linux.ts";

/** Null: no process found, or not supported on this platform. Never rejects. */
export function findPortHolder(port: number): Promise<PortHolder | null> {
  return process.platform === "linux" ? findPortHolderLinux(port) : Promise.resolve(null);
}
