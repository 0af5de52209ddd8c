// Installs an rclone into the home, completely or not at all: the pinned release, or from a file also this project's own
// build, the engine.
import { rm, rmdir } from "node:fs/promises";
import { arch, platform } from "node:os";
import { join } from "node:path";
import { errorText, MountaineerError } from "../runtime/errors.ts";
import { keepPrivateFile, readIfPresent } from "../runtime/files/durable-file.ts";
import { sha256Of } from "../runtime/files/sha256.ts";
import { readZipEntry } from "../runtime/files/zip.ts";
import { runCommand } from "../runtime/process/child-process.ts";
import { systemClock } from "../runtime/time/clock.ts";
import { ARCHIVE_AT_MOST_BYTES, downloadArchive, readArchive } from "./archive.ts";
import { engineIn } from "./engine-file.ts";
import { currentVersionPath, installedProgramPath, rcloneProgram } from "./installed.ts";
import { parseRcloneVersion } from "./rclone-version.ts";
import {
  archiveName,
  ENGINE_RELEASE,
  OFFICIAL_RELEASE,
  type RcloneRelease,
  rclonePlatform,
} from "./releases.ts";

const PROGRAM_AT_MOST_BYTES = 512 * 1024 * 1024;
const DOWNLOADED_WITHIN_MS = 15 * 60_000;
const VERSION_WITHIN_MS = 15_000;
const OWN_PROGRAM = 0o700;
const CHANGED_NOTHING = "nothing was changed";

interface InstallOptions {
  readonly home: string;
  /** A local archive of the release, or a file with an engine; null: download the release. */
  readonly file: string | null;
  readonly signal: AbortSignal;
  /** Only tests set the following options. Default: the pinned release, for this machine. */
  readonly release?: RcloneRelease;
  readonly platform?: string | null;
  readonly atMostBytes?: number;
  readonly withinMs?: number;
}

export interface InstalledRclone {
  readonly version: string;
  readonly program: string;
  /** The installed version that was in use before; null: none was. */
  readonly before: string | null;
  /** The program that mounts use from now on: `program`, unless a newer engine lies beside this build. */
  readonly used: string;
}

/** A program that is not installed yet. */
interface Candidate {
  readonly content: Buffer;
  /** What it has to report; null: it has to report that it is an engine. */
  readonly version: string | null;
}

/**
 * Installs the program beside earlier versions, because running mounts still use those. After a crash at any
 * moment, either the earlier version or the new one is in use. Rejects with `rclone_refused`.
 */
export async function installRclone(options: InstallOptions): Promise<InstalledRclone> {
  const { home, signal } = options;
  const candidate = await candidateOf(options);
  const before = (await readIfPresent(currentVersionPath(home)))?.trim() ?? null;
  const untried = join(home, "rclone", "untried");
  try {
    await keepPrivateFile(join(untried, "rclone"), candidate.content, { mode: OWN_PROGRAM, signal });
    const version = await versionOf(join(untried, "rclone"), candidate, signal);
    const program = installedProgramPath(home, version);
    await keepPrivateFile(program, candidate.content, { mode: OWN_PROGRAM, signal });
    await keepPrivateFile(currentVersionPath(home), `${version}\n`, { signal });
    return { version, program, before, used: await rcloneProgram(home) };
  } finally {
    await rm(join(untried, "rclone"), { force: true });
    await rmdir(untried).catch(() => {});
  }
}

async function candidateOf(options: InstallOptions): Promise<Candidate> {
  const { file, signal, release = ENGINE_RELEASE ?? OFFICIAL_RELEASE } = options;
  const { platform: own = rclonePlatform(platform(), arch()) } = options;
  const { atMostBytes = ARCHIVE_AT_MOST_BYTES, withinMs = DOWNLOADED_WITHIN_MS } = options;
  const limits = { signal, atMostBytes };
  if (own === null)
    throw refused(`no rclone is known for ${platform()} on ${arch()}`, "install your system's package");
  if (file === null) {
    requirePin(release, own);
    const address = addressOf(release, own);
    const { redirectHosts } = release;
    const archive = await downloadArchive(address, { ...limits, withinMs, redirectHosts });
    return await released(archive, own, address, release);
  }
  const content = await readArchive(file, limits);
  const approved = [release, OFFICIAL_RELEASE].find(({ sums }) => sums[own] === sha256Of(content));
  if (approved !== undefined) return await released(content, own, file, approved);
  const engine = await engineIn(content, own, PROGRAM_AT_MOST_BYTES).catch(() => null);
  if (engine !== null) return { content: engine, version: null };
  requirePin(release, own);
  return await released(content, own, file, release);
}

function addressOf({ version, folder }: RcloneRelease, own: string): string {
  return `${folder}/${archiveName(version, own)}.zip`;
}

function requirePin({ version, sums }: RcloneRelease, own: string): void {
  if (sums[own] !== undefined) return;
  const hint = `${CHANGED_NOTHING}; install your system's package, or put rclone from https://rclone.org/downloads first on PATH`;
  const name = `${archiveName(version, own)}.zip`;
  throw refused(`this build of Mountaineer pins no checksum of ${name}, so it installs none`, hint);
}

/** The program in the release's archive. Rejects if the archive is not the pinned one. */
async function released(
  archive: Buffer,
  own: string,
  from: string,
  release: RcloneRelease,
): Promise<Candidate> {
  const { version, sums } = release;
  const found = sha256Of(archive);
  if (found !== sums[own]) {
    const other = Object.keys(sums).find((name) => sums[name] === found);
    const what = other === undefined ? "" : `, which is that of ${archiveName(version, other)}.zip`;
    throw refused(
      `${from} is not the release of rclone ${version} for ${own}: found SHA-256 ${found}${what}, expected ${sums[own]}`,
      `${CHANGED_NOTHING}; take ${addressOf(release, own)}, or the program that \`npm run engine\` builds in a clone on such a machine`,
    );
  }
  const entry = `${archiveName(version, own)}/rclone`;
  let content: Buffer | null;
  try {
    content = await readZipEntry(archive, entry, PROGRAM_AT_MOST_BYTES);
  } catch (error) {
    throw refused(`the archive cannot be unpacked: ${errorText(error)}`, CHANGED_NOTHING);
  }
  if (content === null) throw refused(`the archive has no ${entry}`, CHANGED_NOTHING);
  return { content, version };
}

/** Starts the program. Rejects unless it runs here and reports the version that it should. */
async function versionOf(program: string, { version }: Candidate, signal: AbortSignal): Promise<string> {
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
  const reported = /^rclone v(\d[\w.-]*)$/.exec(output.trim())?.[1] ?? "";
  const isEngine = (parseRcloneVersion(reported)?.engine ?? null) !== null;
  if (version === null ? isEngine : reported === version) return reported;
  const expected = version === null ? "the version of Mountaineer's own" : `"rclone v${version}"`;
  throw refused(`rclone does not run here: found "${output}", expected ${expected}`, CHANGED_NOTHING);
}

function refused(message: string, hint: string): MountaineerError {
  return new MountaineerError("rclone_refused", message, { hint });
}
