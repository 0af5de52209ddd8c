// Where applications keep their files on a Mac.
import { join } from "node:path";
import type { ClientSurroundings } from "./client.ts";

export function applicationFolder({ userHome }: ClientSurroundings): string {
  return join(userHome, "Library", "Application Support");
}
