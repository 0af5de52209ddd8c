// Configurations, snapshots and subjects for tests of the daemon's parts.
import { createHash } from "node:crypto";
import { type ConfigDiff, diffConfigs } from "../../src/config/diff.ts";
import type { HomeContext } from "../../src/config/home-context.ts";
import { parseConfig } from "../../src/config/read/load.ts";
import type { ConfigSnapshot, MountaineerConfig } from "../../src/config/snapshot.ts";
import type { ConfigChange } from "../../src/daemon/reload/reload-transaction.ts";

export const PLACE: HomeContext = {
  home: "/home/ada/.mountaineer",
  userHome: "/home/ada",
  userName: "ada",
  defaultMountRoot: "/home/ada/.mountaineer/volumes",
};

export const PATH = "/home/ada/.mountaineer/config.toml";

/** The snapshot of a valid text. */
export async function snapshotOf(text: string): Promise<ConfigSnapshot> {
  const loaded = await parseConfig(Buffer.from(text), PATH, PLACE);
  if (!loaded.ok) throw new TypeError(`not a valid configuration: ${JSON.stringify(loaded.mistakes)}`);
  return loaded.snapshot;
}

export async function configOf(text: string): Promise<MountaineerConfig> {
  return (await snapshotOf(text)).config;
}

export async function changeOf(before: string, after: string): Promise<ConfigChange> {
  const [one, other] = [await configOf(before), await configOf(after)];
  return { before: one, after: other, diff: diffConfigs(one, other) };
}

export async function diffOf(before: string, after: string): Promise<ConfigDiff> {
  return (await changeOf(before, after)).diff;
}

export function sha256(text: string | Uint8Array): string {
  return createHash("sha256").update(text).digest("hex");
}

/** A section with a share of SMB. */
export function smbShare(name: string, lines: readonly string[] = []): string {
  const number = [...name].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % 200;
  return [
    "[[shares]]",
    `name = "${name}"`,
    `thunderbolt_host = "10.0.1.${number}"`,
    `fallback_host = "10.0.2.${number}"`,
    ...lines,
    "",
  ].join("\n");
}
