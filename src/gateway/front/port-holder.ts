// Owns finding out which process listens at a port; it picks the platform's way.
import { findPortHolderLinux } from "./port-holder-linux.ts";

export interface PortHolder {
  readonly pid: number;
  /** Its program's name, without arguments: those may hold secrets. */
  readonly command: string;
}

/** Null: not to be found out here, or not readable by us. Never rejects. */
export function findPortHolder(port: number): Promise<PortHolder | null> {
  return process.platform === "linux" ? findPortHolderLinux(port) : Promise.resolve(null);
}
