// The program mountaineer-fs: its files, its arguments, and what it says when it cannot mount.
import { join } from "node:path";
import { DEFAULT_ACCESS } from "../../../config/values/mount-access.ts";
import { isObject, jsonObject } from "../../../runtime/text/json-object.ts";
import { preferredRoute, type RouteSpec, type ShareSpec } from "../../share-spec.ts";
import { RELAY_ADDRESS, sourceOf } from "../../smb-source.ts";
import type { MountFailure, RelayAddress } from "../mount-driver.ts";
import { type Failed, failed } from "../mount-failure.ts";
import { LOG_NAMES } from "../program-logs.ts";
import { account } from "../rclone/files.ts";
import type { ServedFiles, ServingProgram } from "../serving-processes.ts";
import { FIRST_SERVER, shareFilesIn } from "../share-files.ts";

/** How long programs wait for a server while the mount stays on its route, ms. */
const GUARDED_PATIENCE_MS = 3_000;

/** `folder`: the folder of one share. */
export function fsFilesIn(folder: string): ServedFiles {
  return {
    ...shareFilesIn(folder),
    server: FIRST_SERVER,
    log: join(folder, LOG_NAMES.fs),
    process: join(folder, "mountaineer-fs.json"),
  };
}

export const FS_PROGRAM: ServingProgram = {
  name: "mountaineer-fs",
  type: "fuse.mountaineer-fs",
  shortName: /^mountaineer-fs/,
  isOwn: ({ environment }, { folder }) => environment.includes(`${FOLDER_VARIABLE}=${folder}`),
  // The text of /proc ends in a NUL.
  mountPathOf: (args) => args.at(-2),
  relayPortOf: (args) =>
    Number(/^127\.0\.0\.1:(\d+)$/.exec(argumentAfter(args, "-address"))?.[1] ?? 0) || null,
  serverOf: () => FIRST_SERVER,
};

const FOLDER_VARIABLE = "MOUNTAINEER_SHARE_FOLDER";

/** Tells whose process it is if its note was never written. */
export function fsEnvironment({ folder }: ServedFiles): Readonly<Record<string, string>> {
  return { [FOLDER_VARIABLE]: folder };
}

/** Nothing secret is among them: the password goes to standard input. */
export function fsArguments(
  share: ShareSpec,
  route: RouteSpec,
  path: string,
  through: RelayAddress | null,
): string[] {
  const host = through === null ? (route.host ?? "") : RELAY_ADDRESS;
  const port = through?.port ?? route.port;
  const { user, domain } = account(share.username);
  // A relayed mount shows the preferred host on every route, so that its source never changes.
  const isMoved = through !== null && through.guarded !== true;
  const source = sourceOf(isMoved ? preferredRoute(share) : route, share.shareName);
  return [
    ...["-address", host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`, "-share", share.shareName],
    ...(share.password === null ? ["-guest"] : ["-user", user, "-sign"]),
    ...(share.password === null || domain === null ? [] : ["-domain", domain]),
    ...["-patience", `${isMoved ? through.patienceMs : GUARDED_PATIENCE_MS}ms`],
    ...["-uid", `${process.getuid?.() ?? 0}`, "-gid", `${process.getgid?.() ?? 0}`],
    ...fsOptions(share),
    ...["-fsname", source, path],
  ];
}

/** What decides how a mount appears: a mount with other options is outdated. */
export function fsOptions({ access }: ShareSpec): string[] {
  const { allowOther, fileMode, folderMode } = access ?? DEFAULT_ACCESS;
  return ["-file-mode", fileMode, "-dir-mode", folderMode, ...(allowOther ? ["-allow-other"] : [])];
}

/** By the program's codes; any other one is `other`. */
const REASONS = new Map<unknown, MountFailure>([
  ["logon_failure", "wrong_credentials"],
  ["no_share", "no_such_share"],
  ["no_answer", "unreachable"],
  ["access_denied", "permission_denied"],
  ["fuse", "driver_unavailable"],
]);

/** The failure that the newest line with one tells; null: the log has none. */
export function fsFailure(log: string): Failed | null {
  for (const line of log.split("\n").reverse()) {
    const error = jsonObject(line)?.["error"];
    if (!isObject(error)) continue;
    const { code, message } = error;
    return failed(REASONS.get(code) ?? "other", String(message).slice(0, 300));
  }
  return null;
}

function argumentAfter(args: readonly string[], flag: string): string {
  return args[args.indexOf(flag) + 1] ?? "";
}
