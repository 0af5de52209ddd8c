// The pinned releases of rclone, and the checksums of their archives.

export interface RcloneRelease {
  readonly version: string;
  /** The address of the folder with its archives. */
  readonly folder: string;
  /** Other hosts to which the folder's host may redirect. */
  readonly redirectHosts: readonly string[];
  /** SHA-256 of the archive by rclone's name of the platform: "linux-amd64". Other platforms cannot be installed. */
  readonly sums: Readonly<Record<string, string>>;
}

/**
 * Signed by rclone in https://downloads.rclone.org/v1.75.1/SHA256SUMS (https://rclone.org/release_signing, key
 * FBF737ECE9F8AB18604BD2AC93935E02FF3B54FA). Taken on 23 November 2026 from copies: ten unrelated public projects pin these
 * sums, and two of them state that they verified the signature. Verify another version in the same way before pinning it.
 */
export const OFFICIAL_RELEASE: RcloneRelease = {
  version: "1.75.1",
  folder: "https://downloads.rclone.org/v1.75.1",
  redirectHosts: [],
  sums: {
    "linux-amd64": "982b5aa772841168f8e380f139e9e787b2a105403e32b94da8676a0e1c0a13ab",
    "linux-arm64": "03f2504174034b6d004152ed7369251c9a9ec1f7e0836eda420f5c7a5ec0dff9",
    "osx-amd64": "29253d0288b8fbbac46baad6e5f6add6cb01d462c79f10805bbd4631c4cdf82c",
    "osx-arm64": "c61d7a371c62bcbbe882c3423aa4b8bf63485c248dd0f692997b8f0c3f6d0c6f",
  },
};

/** The engine, once this project has published one: installed in place of the official release. null: not yet. */
export const ENGINE_RELEASE: RcloneRelease | null = null;

const SYSTEMS: Readonly<Record<string, string>> = { linux: "linux", darwin: "osx", freebsd: "freebsd" };
const PROCESSORS: Readonly<Record<string, string>> = {
  x64: "amd64",
  arm64: "arm64",
  arm: "arm-v7",
  ia32: "386",
};

/** rclone's name for Node's `platform()` and `arch()`; null: none is known. */
export function rclonePlatform(system: string, processor: string): string | null {
  const [left, right] = [SYSTEMS[system], PROCESSORS[processor]];
  return left === undefined || right === undefined ? null : `${left}-${right}`;
}

/** The archive's name without `.zip`, which is also the name of the folder in it. */
export function archiveName(version: string, platform: string): string {
  return `rclone-v${version}-${platform}`;
}
