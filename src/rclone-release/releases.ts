// The release of rclone that is installed, and the checksums of its archives: the one place that says what is trusted.

export interface RcloneRelease {
  readonly version: string;
  /** SHA-256 of the archive, by platform as rclone spells it: "linux-amd64". One that is not here is not installed. */
  readonly sums: Readonly<Record<string, string>>;
}

/**
 * The version: newest by `go list -m -versions github.com/rclone/rclone`, read on 23 November 2026.
 * The sums: none is pinned yet. Filled by whoever makes a release of Mountaineer, from the file `SHA256SUMS` beside the
 * archives (https://downloads.rclone.org/v1.76.0/SHA256SUMS), once its signature holds (https://rclone.org/release_signing).
 */
export const PINNED: RcloneRelease = { version: "1.76.0", sums: {} };

export const OFFICIAL_BASE = "https://downloads.rclone.org";

const SYSTEMS: Readonly<Record<string, string>> = { linux: "linux", darwin: "osx", freebsd: "freebsd" };
const PROCESSORS: Readonly<Record<string, string>> = {
  x64: "amd64",
  arm64: "arm64",
  arm: "arm-v7",
  ia32: "386",
};

/** By Node's words for them; null: rclone publishes none that is known here. */
export function rclonePlatform(system: string, processor: string): string | null {
  const [left, right] = [SYSTEMS[system], PROCESSORS[processor]];
  return left === undefined || right === undefined ? null : `${left}-${right}`;
}

/** Of the archive without `.zip`, and of the one folder in it. */
export function archiveName(version: string, platform: string): string {
  return `rclone-v${version}-${platform}`;
}
