// The files and arguments of a share's rclone: config, write cache, log, and a record of the process that serves the mount.

import { basename, dirname, join } from "node:path";
import { DEFAULT_ACCESS } from "../../../config/values/mount-access.ts";
import { isEngine, type RcloneVersion } from "../../../rclone-release/rclone-version.ts";
import { readIfPresent } from "../../../runtime/files/durable-file.ts";
import { reader } from "../../../runtime/shape.ts";
import { isObject, jsonObject } from "../../../runtime/text/json-object.ts";
import { preferredRoute, type RouteSpec, type ShareSpec } from "../../share-spec.ts";
import { sourceOf } from "../../smb-source.ts";
import type { RelayAddress } from "../mount-driver.ts";
import { LOG_NAMES } from "../program-logs.ts";
import type { ServedFiles, ServedMountPaths, ServedShare, ServingProgram } from "../serving-processes.ts";
import {
  type CaseFolding,
  FIRST_SERVER,
  foldingShape,
  isServerId,
  serverFolder,
  shareFiles,
  shareFilesIn,
  UNKNOWN_CASE_FOLDING,
} from "../share-files.ts";
import { rcloneCan } from "./version.ts";

/** A mount of another `server` has another cache. */
export interface RcloneFiles extends ServedFiles {
  readonly config: string;
  readonly cache: string;
  /** Facts about the files in `setAside`: at the same paths, each with `.json` added. */
  readonly setAsideRecords: string;
  /** The file with port and password of the process's own remote control. */
  readonly control: string;
}

export type RcloneMountPaths = ServedMountPaths<RcloneFiles>;
export type RcloneShare = ServedShare<RcloneFiles>;

/** Never change it: rclone keeps unsent writes under this name, and finds them again only by it. */
export const REMOTE_NAME = "share";
/**
 * The characters that rclone encodes in names. `Dot` is left out: with it, rclone 1.60 leaves an empty folder
 * in the share's root.
 */
const ENCODING = "Slash,LtGt,DoubleQuote,Colon,Question,Asterisk,Pipe,BackSlash,Ctl,RightSpace,InvalidUtf8";
/** Without this, a server shows a name with a dot at its end as an 8.3 name. */
const WITH_DOTS = `${ENCODING},RightPeriod`;

/**
 * The process's environment. With GOGC at 200 instead of its default of 100, reading a GB took 10 to 28 % less CPU in
 * each of five runs, and 10 to 35 MB more memory. The runs do not agree on whether reading is also faster
 * (bench/history.md): most of a stock rclone's CPU (71 %) is AES-CMAC, a byte at a time, which the engine does faster.
 *
 * No option of rclone is here for speed: --buffer-size, --max-read-ahead and --vfs-read-chunk-size brought less than
 * the spread of the measurement, and --vfs-read-chunk-streams (1.68 and newer) must not be set: a program that reads
 * hangs when a connection breaks (rclone#9901), and reads at random places in a large file take many times as long.
 */
export const MOUNT_ENVIRONMENT: Readonly<Record<string, string>> = { GOGC: "200" };

const CACHE = "cache";

export function rcloneFiles(stateFolder: string, shareName: string, server = FIRST_SERVER): RcloneFiles {
  return rcloneFilesIn(shareFiles(stateFolder, shareName).folder, server);
}

/** `folder`: the folder of one share. */
export function rcloneFilesIn(folder: string, server = FIRST_SERVER): RcloneFiles {
  return {
    ...shareFilesIn(folder),
    config: join(folder, "rclone.conf"),
    server,
    cache: join(server === FIRST_SERVER ? folder : serverFolder(folder, server), CACHE),
    log: join(folder, LOG_NAMES.rclone),
    process: join(folder, "process.json"),
    setAsideRecords: join(folder, "set-aside-notes"),
    control: join(folder, "control.json"),
  };
}

/** The config file for one route. `obscured` is the password as rclone wants it, null for a guest. */
export function configText(
  share: ShareSpec,
  route: RouteSpec,
  obscured: string | null,
  encoding = WITH_DOTS,
): string {
  const { user, domain } = account(share.username);
  const host = route.host ?? "";
  const lines = [
    `[${REMOTE_NAME}]`,
    "type = smb",
    `host = ${host.includes(":") ? `[${host}]` : host}`,
    `port = ${route.port}`,
    `user = ${quoted(obscured === null ? "guest" : user)}`,
    ...(domain === null ? [] : [`domain = ${quoted(domain)}`]),
    ...(obscured === null ? [] : [`pass = ${obscured}`]),
    `encoding = ${encoding}`,
    // Ends idle connections before `--timeout` (5 min) does; not much earlier, because rclone 1.60 logs off and leaves the
    // socket open. In the config file: as an argument this option would change the remote's name in the cache.
    "idle_timeout = 4m",
  ];
  return `${lines.join("\n")}\n`;
}

/**
 * An option for relayed mounts: how often rclone 1.71 and newer tries to connect. With one try, a planned move could
 * make a program fail; each further try in vain lengthens the pause before any program's next connect. Mounts without
 * the relay lack the option, because each try with a wrong password would be another refused login.
 */
export const RELAYED_CONNECTS = "override.low_level_retries = 3\n";

/** The share as rclone names it: the remote and the share's name on the server. */
export function remoteOf(shareName: string): string {
  return `${REMOTE_NAME}:${shareName}`;
}

const MOUNT_VERBS: readonly string[] = ["mount", "mount2"];

/** Reads with `mount2` cost less CPU. Only the engine's has inode numbers and answers that programs can use. */
function mountVerb(version: RcloneVersion | null): string {
  return isEngine(version) ? "mount2" : "mount";
}

/** The folder where a process with these arguments mounts (`rclone mount REMOTE PATH`); undefined: it does not. */
export function mountPathOf(args: readonly string[]): string | undefined {
  const verb = args.findIndex((one) => MOUNT_VERBS.includes(one));
  return verb === -1 ? undefined : args[verb + 2];
}

/** Arguments of `rclone`; nothing secret is among them. */
export function mountArguments(
  share: ShareSpec,
  route: RouteSpec,
  path: string,
  files: RcloneFiles,
  through: RelayAddress | null = null,
  version: RcloneVersion | null = null,
  folding = UNKNOWN_CASE_FOLDING,
): string[] {
  return [
    // Files that programs wrote into the folder just before are set aside after mounting; without this flag they would
    // keep rclone from mounting.
    ...[mountVerb(version), remoteOf(share.shareName), path, "--allow-non-empty"],
    ...["--config", files.config],
    ...["--cache-dir", files.cache],
    // A relayed mount shows the preferred host on every route, so that its source never changes.
    ...[
      "--devname",
      sourceOf(through === null || through.guarded ? route : preferredRoute(share), share.shareName),
    ],
    ...(through === null ? [] : [...RELAY_FLAG, `${through.port}`, ...CONTROL_ARGUMENTS]),
    // `--timeout` also ends idle connections, and the next use of such a connection gets EIO. rclone keeps as many
    // connections as were in use at once, and uses them in turn: if only the daemon checks the mount, once in two
    // seconds, each of 100 connections idles for more than three minutes. Requests that a silent server holds up are
    // ended by the engine. The connections of a relayed mount are reset whenever the route moves, and rclone repeats
    // the requests on them.
    ...[
      "--contimeout",
      "2s",
      "--timeout",
      "5m",
      "--low-level-retries",
      `${through === null ? 1 : retriesRelayed(version)}`,
    ],
    ...["--dir-cache-time", "1s"],
    ...changeableArguments(share, folding),
    // Without a write cache, files cannot be opened for appending, or for both reading and writing.
    ...["--vfs-cache-mode", "writes", "--vfs-write-back", writeBack(version), "--vfs-cache-max-age", "5m"],
    // By default, rclone closes a cached file 5 s late. If the file has been replaced by then, rclone marks
    // the note of the new file as sent, and a crash would lose the new file.
    ...(rcloneCan(version, "keepsFilesOpen") ? ["--vfs-handle-caching", "0s"] : []),
    ...["--log-file", files.log],
  ];
}

/** The arguments that depend on the share's settings, and on how its server treats names. */
function changeableArguments({ access }: ShareSpec, folding: CaseFolding): string[] {
  const { allowOther, fileMode, folderMode } = access ?? DEFAULT_ACCESS;
  return [
    // On a server that folds names, an exclusive create of another spelling would replace the existing file. So a
    // server is assumed to fold names until it has shown otherwise.
    ...(folding.case === false ? [] : ["--vfs-case-insensitive"]),
    // rclone 1.66 and newer finds a file by another Unicode form of its name, which may be another file's own.
    ...(folding.form === false ? ["--no-unicode-normalization"] : []),
    // Without a pause, because the kernel would keep using another spelling for a file that has since been renamed or
    // removed: a write under that spelling would replace the renamed file.
    ...["--attr-timeout", folding.case === false && folding.form === false ? "1s" : "0s"],
    ...["--umask", "0", "--file-perms", fileMode, "--dir-perms", folderMode],
    // Without the kernel's checks, every user of this machine could write.
    ...(allowOther ? ["--allow-other", "--default-permissions"] : []),
  ];
}

/** The encoding of names for a mount. */
export function encodingFor(version: RcloneVersion | null): string {
  return rcloneCan(version, "encodesDots") ? WITH_DOTS : ENCODING;
}

/** The options for names and access. A mount whose options differ from these is outdated. */
export function optionsOf(share: ShareSpec, folding: CaseFolding, version: RcloneVersion | null): string {
  return [encodingFor(version), ...changeableArguments(share, folding)].join(" ");
}

/** How the server of these files folds names, as recorded by its proof. */
export async function foldingOf({ folder, server }: RcloneFiles): Promise<CaseFolding> {
  const { witness } =
    jsonObject((await readIfPresent(join(serverFolder(folder, server), "server.json"))) ?? "") ?? {};
  return storedFolding(isObject(witness) ? witness["folding"] : null) ?? UNKNOWN_CASE_FOLDING;
}

/**
 * The time from a file's last close until rclone sends it. At three seconds, 351 git commits in a row succeeded.
 */
export function writeBack(version: RcloneVersion | null): string {
  return rcloneCan(version, "opensWhileSending") ? "1s" : "3s";
}

/**
 * Number of times that rclone repeats a read whose connection was lost. In a long outage, each repetition makes
 * programs wait longer for their error, so the number is low. Newer versions of rclone may take another dead
 * connection, so they need more repetitions. The engine repeats without this option.
 */
function retriesRelayed(version: RcloneVersion | null): number {
  return !isEngine(version) && rcloneCan(version, "keepsDeadConnections") ? 10 : 1;
}

/**
 * Marks the mount as relayed, in case the record of the mount was never written. The argument has no effect on SMB.
 */
const RELAY_FLAG = ["--user-agent"] as const;

/** rclone's remote control, on a port that the system picks, with the password in rclone's environment. */
const CONTROL_ARGUMENTS = ["--rc", "--rc-addr", "127.0.0.1:0"] as const;

/** The server whose cache a process with these arguments uses. `folder`: the folder of the share. */
function serverOfArguments(args: readonly string[], folder: string): string {
  const cache = args[args.indexOf("--cache-dir") + 1] ?? "";
  const id = cache === join(folder, CACHE) ? FIRST_SERVER : basename(dirname(cache));
  return isServerId(id) ? id : FIRST_SERVER;
}

/** Returns the relay's port that a process with these arguments talks to; null if the mount is not relayed. */
export function relayPortOf(args: readonly string[]): number | null {
  const port = Number(args[args.indexOf(RELAY_FLAG[0]) + 1] ?? "");
  return args.includes(RELAY_FLAG[0]) && Number.isInteger(port) && port > 0 ? port : null;
}

/** Where rclone connects to: the relay's port, or the route's own host. */
export function connectsTo(route: RouteSpec, through: RelayAddress | null): RouteSpec {
  return through === null ? route : { ...route, host: "127.0.0.1", port: through.port };
}

const storedFolding = reader(foldingShape);

export const RCLONE_PROGRAM: ServingProgram<RcloneFiles> = {
  name: "rclone",
  type: "fuse.rclone",
  shortName: /^(mount\.)?rclone/,
  isOwn: ({ arguments: args }, { config }) => args.includes(config),
  mountPathOf,
  relayPortOf,
  serverOf: serverOfArguments,
};

/** Splits `DOMAIN\user` or `DOMAIN;user`, as people write them. */
export function account(username: string): { user: string; domain: string | null } {
  const match = /^([^\\;]+)[\\;](.+)$/s.exec(username);
  return { user: match?.[2] ?? username, domain: match?.[1] ?? null };
}

/**
 * rclone's config format keeps text between three double quotes as it is; other text it trims and interprets.
 */
function quoted(value: string): string {
  return `"""${value}"""`;
}
