// `mountaineer upgrade FILE`: unpacks a signed version beside the running one, makes it current, and has the daemon hand
// over to the new version.
import { createHash, createPublicKey, verify } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdtemp, readlink, rename, rm, symlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { readIfPresent } from "../../runtime/files/durable-file.ts";
import { runCommand } from "../../runtime/process/child-process.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import type { CommandContext } from "../input/command.ts";
import { howToUpgrade } from "../input/how-to-upgrade.ts";
import { type Bundle, readBundle } from "../input/launcher-path.ts";

const UNPACKED_WITHIN_MS = 10 * 60_000;

interface UpgradeOptions {
  readonly file: string;
  /** True: an older version is also accepted. */
  readonly allowsDowngrade: boolean;
  /** Makes a running daemon hand over; does nothing if none runs. Rejects if the old daemon stays in charge. */
  readonly handOver: () => Promise<void>;
  /** The bundle to upgrade; default: the bundle of this program. */
  readonly bundle?: Bundle | null;
}

/** After any failure the old version stays current. Rejects with `upgrade_refused`, and as `handOver` does. */
export async function upgrade(
  { signal }: Pick<CommandContext, "signal">,
  { file, allowsDowngrade, handOver, bundle = readBundle() }: UpgradeOptions,
) {
  const { current, own } = upgradable(bundle);
  const release = await releaseOf(file, own);
  const order = compareVersions(release.version, own.version);
  if (order < 0 && !allowsDowngrade)
    throw refused(
      `${release.version} is older than ${own.version}, which runs`,
      "--older installs it anyway",
    );
  if (release.platform !== own.platform)
    throw refused(`the file is for ${release.platform}, and this machine is ${own.platform}`);
  const folder = await unpacked(file, release, dirname(current), signal);
  const before = await readlink(current);
  await point(current, basename(folder));
  try {
    await handOver();
  } catch (error) {
    await point(current, before);
    throw error;
  }
  return { from: own.version, to: release.version, folder };
}

function upgradable(bundle: Bundle | null): {
  readonly current: string;
  readonly own: Bundle & { key: string };
} {
  const { by, command } = howToUpgrade(bundle);
  if (bundle === null || by !== null) throw refused(`${by} installed this Mountaineer`, command);
  const { current, key } = bundle;
  if (current === null) throw refused("this folder was unpacked by hand", command);
  if (key === null) throw refused("this build knows no key that a release could be signed with");
  return { current, own: { ...bundle, key } };
}

async function releaseOf(file: string, { key }: { readonly key: string }): Promise<Release> {
  const text = await readIfPresent(`${file}.sig`).catch((error: unknown) => {
    throw refused(`${file}.sig cannot be read: ${errorText(error)}`);
  });
  if (text === null)
    throw refused(`there is no signature at ${file}.sig`, "it is published next to the file");
  return verifiedRelease(text, key);
}

/** Copies the file, checks the copy's digest, and runs the copy, which cannot be exchanged in between. */
async function unpacked(
  file: string,
  { sha256 }: Release,
  base: string,
  signal: AbortSignal,
): Promise<string> {
  const own = await mkdtemp(join(base, ".new-"));
  try {
    const copy = join(own, "mountaineer");
    const hash = createHash("sha256");
    try {
      await pipeline(
        createReadStream(file),
        async function* (chunks) {
          for await (const chunk of chunks) {
            hash.update(chunk);
            yield chunk;
          }
        },
        createWriteStream(copy, { mode: 0o700 }),
        { signal },
      );
    } catch (error) {
      signal.throwIfAborted();
      throw refused(`${file} cannot be copied: ${errorText(error)}`);
    }
    const found = hash.digest("hex");
    if (found !== sha256)
      throw refused(`${file} is not what was signed: its digest is ${found}, not ${sha256}`);
    const { exitCode, stdout, stderr } = await runCommand("/bin/sh", [copy], {
      clock: systemClock,
      deadlineMs: UNPACKED_WITHIN_MS,
      signal,
      env: { MOUNTAINEER_UNPACK: "only", HOME: process.env["HOME"] ?? "", XDG_DATA_HOME: dirname(base) },
    });
    if (exitCode !== 0) throw refused(`it cannot be unpacked: ${stderr.trim()}`);
    return stdout.trim();
  } finally {
    await rm(own, { recursive: true, force: true });
  }
}

/** Replaces the link in one step, so that it always leads to a version. */
async function point(link: string, target: string): Promise<void> {
  const made = `${link}.${process.pid}`;
  await symlink(target, made);
  await rename(made, link);
}

// The text that a release's signature covers, and the check of that signature.

interface Release {
  readonly version: string;
  /** Platform and architecture in Node's words: "linux-x64". */
  readonly platform: string;
  /** The digest of the whole file. */
  readonly sha256: string;
}

/** The text that is signed, with its newline at the end. */
export function signedRelease({ version, platform, sha256 }: Release): string {
  return `name mountaineer\nversion ${version}\nplatform ${platform}\nsha256 ${sha256}\n`;
}

const SIGNATURE =
  /^name mountaineer\nversion (\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)\nplatform ([a-z]+-[a-z0-9]+)\nsha256 ([0-9a-f]{64})\ned25519 ([A-Za-z0-9+/]{86}==)\n$/;
/** The SPKI header before the 32 bytes of an Ed25519 key. */
const SPKI = Buffer.from("302a300506032b6570032100", "hex");

/**
 * Reads a signed text. `key`: raw, in base64. Throws `upgrade_refused` for a text that the key has not
 * signed.
 */
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

/** Negative if `a` is older than `b`. A pre-release is older than its release. */
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

function refused(message: string, hint = "nothing was changed"): MountaineerError {
  return new MountaineerError("upgrade_refused", message, { hint });
}
