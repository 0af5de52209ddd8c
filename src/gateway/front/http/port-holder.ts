// Finds the process that listens at a port, in the platform's way.
import { findPortHolderLinux, type PortHolder } from "./port-holder-linux.ts";

/** Null: not to be found out here, or not readable by us. Never rejects. */
export function findPortHolder(port: number): Promise<PortHolder | null> {
  return process.platform === "linux" ? findPortHolderLinux(port) : Promise.resolve(null);
}
