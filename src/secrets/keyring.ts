// Picks the system's keyring.
import { createKeychain } from "./keyring-darwin.ts";
import { createSecretService } from "./keyring-linux.ts";
import type { Keyring, KeyringOptions } from "./system-keyring.ts";

/** null: Mountaineer supports no keyring on this system. */
export function createKeyring(
  options: KeyringOptions,
  platform: NodeJS.Platform = process.platform,
): Keyring | null {
  if (platform === "linux") return createSecretService(options);
  return platform === "darwin" ? createKeychain(options) : null;
}
