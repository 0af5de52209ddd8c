// What a release's signature says: the text that is signed, and reading it back.
import { createPublicKey, verify } from "node:crypto";
import { MountaineerError } from "../../runtime/errors.ts";

export interface Release {
  readonly version: string;
  /** As Node says it: "linux-x64". */
  readonly platform: string;
  /** Of the whole file. */
  readonly sha256: string;
}

/** With its newline at the end. */
export function signedRelease({ version, platform, sha256 }: Release): string {
  return `name mountaineer\nversion ${version}\nplatform ${platform}\nsha256 ${sha256}\n`;
}

const SIGNATURE =
  /^name mountaineer\nversion (\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)\nplatform ([a-z]+-[a-z0-9]+)\nsha256 ([0-9a-f]{64})\ned25519 ([A-Za-z0-9+/]{86}==)\n$/;
/** What stands before the 32 bytes of an Ed25519 key in SPKI. */
const SPKI = Buffer.from("302a300506032b6570032100", "hex");

/** `key` is raw, in base64. Rejects what the key has not signed with `upgrade_refused`. */
export function verifiedRelease(text: string, key: string): Release {
  const [, version, platform, sha256, signature] = SIGNATURE.exec(text) ?? [];
  if (version === undefined || platform === undefined || sha256 === undefined || signature === undefined)
    throw refused("the signature is not one of a Mountaineer release");
  const release = { version, platform, sha256 };
  const publicKey = createPublicKey({
    key: Buffer.concat([SPKI, Buffer.from(key, "base64")]),
    format: "der",
    type: "spki",
  });
  if (!verify(null, Buffer.from(signedRelease(release)), publicKey, Buffer.from(signature, "base64")))
    throw refused("the signature was not made with the key that this Mountaineer trusts");
  return release;
}

/** Negative: `a` is older. A pre-release comes before its release. */
export function compareVersions(a: string, b: string): number {
  const [[left, before], [right, after]] = [parts(a), parts(b)];
  const numeric = left.localeCompare(right, "en", { numeric: true });
  if (numeric !== 0 || before === after) return numeric;
  if (before === "" || after === "") return before === "" ? 1 : -1;
  return before.localeCompare(after, "en", { numeric: true });
}

function parts(version: string): readonly [string, string] {
  const dash = version.indexOf("-");
  return dash === -1 ? [version, ""] : [version.slice(0, dash), version.slice(dash + 1)];
}

export function refused(message: string, hint = "nothing was changed"): MountaineerError {
  return new MountaineerError("upgrade_refused", message, { hint });
}
