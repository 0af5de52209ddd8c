// Installs rclone's official release into the home: only the pinned archive, and completely or not at all.
import { rm } from "node:fs/promises";
import { arch, platform } from "node:os";
import { dirname } from "node:path";
import { errorText, MountaineerError } from "../runtime/errors.ts";
import { keepPrivateFile, readIfPresent } from "../runtime/files/durable-file.ts";
import { sha256Of } from "../runtime/files/sha256.ts";
import { runCommand } from "../runtime/process/child-process.ts";
import { systemClock } from "../runtime/time/clock.ts";
import { ARCHIVE_AT_MOST_BYTES, downloadArchive, readArchive, readZipEntry } from "./archive.ts";
import { currentVersionPath, installedProgramPath } from "./installed.ts";
import { archiveName, OFFICIAL_BASE, PINNED, type RcloneRelease, rclonePlatform } from "./releases.ts";

const PROGRAM_AT_MOST_BYTES = 512 * 1024 * 1024;
const DOWNLOADED_WITHIN_MS = 15 * 60_000;
const VERSION_WITHIN_MS = 15_000;
const OWN_PROGRAM = 0o700;
const CHANGED_NOTHING = "nothing was changed";

interface InstallOptions {
  readonly home: string;
  /** A local archive; null: download the official one. */
  readonly file: string | null;
  readonly signal: AbortSignal;
  /** Only tests set the following options. Default: the official release, for this machine. */
  readonly release?: RcloneRelease;
  readonly base?: string;
  readonly platform?: string | null;
  readonly atMostBytes?: number;
  readonly withinMs?: number;
}

export interface InstalledRclone {
  readonly version: string;
  readonly program: string;
  /** The installed version that was in use before; null: none was. */
  readonly before: string | null;
}

/**
 * Installs the release beside earlier versions, because running mounts still use those. After a crash at any
 * moment, either the earlier version or the new one is in use. Rejects with `rclone_refused`.
 */
export async function installRclone(options: InstallOptions): Promise<InstalledRclone> {
  const { home, file, signal, release = PINNED } = options;
  const { platform: own = rclonePlatform(platform(), arch()), base = OFFICIAL_BASE } = options;
  const { atMostBytes = ARCHIVE_AT_MOST_BYTES, withinMs = DOWNLOADED_WITHIN_MS } = options;
  const { version, sums } = release;
  if (own === null) {
    throw refused(`no rclone is known for ${platform()} on ${arch()}`, "install your system's package");
  }
  const expected = sums[own];
  const name = archiveName(version, own);
  if (expected === undefined) {
    const hint = `${CHANGED_NOTHING}; install your system's package, or put rclone from https://rclone.org/downloads first on PATH`;
    throw refused(`this build of Mountaineer pins no checksum of ${name}.zip, so it installs none`, hint);
  }
  const limits = { signal, atMostBytes };
  const address = `${base}/v${version}/${name}.zip`;
  const archive =
    file === null ? await downloadArchive(address, { ...limits, withinMs }) : await readArchive(file, limits);
  requireSum(archive, own, file ?? address, release);
  const content = await unpacked(archive, `${name}/rclone`);

  const program = installedProgramPath(home, version);
  const before = (await readIfPresent(currentVersionPath(home)))?.trim() ?? null;
  await keepPrivateFile(program, content, { mode: OWN_PROGRAM, signal });
  try {
    await requireVersion(program, version, signal);
  } catch (error) {
    if (before !== version) await rm(dirname(program), { recursive: true, force: true });
    throw error;
  }
  await keepPrivateFile(currentVersionPath(home), `${version}\n`, { signal });
  return { version, program, before };
}

function requireSum(archive: Buffer, own: string, from: string, { version, sums }: RcloneRelease): void {
  const found = sha256Of(archive);
  if (found === sums[own]) return;
  const other = Object.keys(sums).find((name) => sums[name] === found);
  const what = other === undefined ? "" : `, which is that of ${archiveName(version, other)}.zip`;
  throw refused(
    `${from} is not the release of rclone ${version} for ${own}: found SHA-256 ${found}${what}, expected ${sums[own]}`,
    `${CHANGED_NOTHING}; take ${archiveName(version, own)}.zip from ${OFFICIAL_BASE}/v${version}`,
  );
}

async function unpacked(archive: Buffer, entry: string): Promise<Buffer> {
  let content: Buffer | null;
  try {
    content = await readZipEntry(archive, entry, PROGRAM_AT_MOST_BYTES);
  } catch (error) {
    throw refused(`the archive cannot be unpacked: ${errorText(error)}`, CHANGED_NOTHING);
  }
  if (content === null) throw refused(`the archive has no ${entry}`, CHANGED_NOTHING);
  return content;
}

/** Rejects unless the program runs here and reports this version. */
async function requireVersion(program: string, version: string, signal: AbortSignal): Promise<void> {
  const expected = `rclone v${version}`;
  const output = await runCommand(program, ["version"], {
    clock: systemClock,
    deadlineMs: VERSION_WITHIN_MS,
    signal,
  })
    .then(({ stdout, stderr }) => `${stdout}\n${stderr}`.trim().split("\n")[0] ?? "")
    .catch((error: unknown) => {
      signal.throwIfAborted();
      return errorText(error);
    });
  if (output.trim() === expected) return;
  throw refused(`rclone does not run here: found "${output}", expected "${expected}"`, CHANGED_NOTHING);
}

function refused(message: string, hint: string): MountaineerError {
  return new MountaineerError("rclone_refused", message, { hint });
}
