// Where applications keep their files on Linux.
import { join } from "node:path";
import type { ClientSurroundings } from "./client.ts";

export function applicationFolder({ userHome, environment }: ClientSurroundings): string {
  return environment["XDG_CONFIG_HOME"] || join(userHome, ".config");
}
