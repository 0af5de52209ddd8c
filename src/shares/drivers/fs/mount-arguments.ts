// How mountaineer-fs is started for a mount: its files and arguments, and why it could not mount.
import { join } from "node:path";
import type { MountOptions } from "../../../config/snapshot.ts";
import { errorIn } from "../../../mount-program/program-connection.ts";
import { accountArguments, loginsFolder, routeArguments } from "../../program/arguments.ts";
import { preferredRoute, ROUTE_NAMES, type RouteName, type ShareSpec } from "../../share-spec.ts";
import { sourceOf } from "../../smb-source.ts";
import type { MountPlan } from "../mount-driver.ts";
import { type Failed, failedByProgram } from "../mount-failure.ts";
import { LOG_NAME } from "../program-logs.ts";
import { type ShareFiles, shareFilesIn } from "../share-files.ts";

/** How long programs wait for a server while the mount stays on its route, ms. */
const STAYING_PATIENCE_MS = 3_000;

export interface FsFiles extends ShareFiles {
  readonly log: string;
  /** What the running program says of itself. */
  readonly program: string;
}

/** `folder`: the folder of one share. */
export function fsFilesIn(folder: string): FsFiles {
  return { ...shareFilesIn(folder), log: join(folder, LOG_NAME), program: join(folder, "program.json") };
}

/** The type of its mounts in the mount table. */
export const FS_TYPE = "fuse.mountaineer-fs";

interface FsMount {
  readonly share: ShareSpec;
  readonly route: RouteName;
  readonly plan: MountPlan;
  readonly files: FsFiles;
  readonly home: string;
  readonly mountPath: string;
}

/** Nothing secret is among them: the password goes to standard input. */
export function fsArguments({ share, route, plan, files, home, mountPath }: FsMount): string[] {
  const { moves, allowed, patienceMs, signIn } = plan;
  const routes = moves ? ROUTE_NAMES : [route];
  // A mount that moves shows the preferred host on every route, so that its source never changes.
  const source = sourceOf(moves ? preferredRoute(share) : share.routes[route], share.shareName);
  return [
    "mount",
    ...routes.flatMap((name) => routeArguments(name, signIn.endpoints[name])),
    ...accountArguments(signIn),
    ...["-share", share.shareName, "-state", files.folder, "-logons", loginsFolder(home)],
    ...(moves ? ["-wanted", route, "-allowed", allowed.join()] : []),
    ...(moves && plan.onlyOn ? ["-only-on"] : []),
    ...["-patience", `${moves ? patienceMs : STAYING_PATIENCE_MS}ms`],
    ...(plan.logInNow ? ["-login-now"] : []),
    ...(plan.newPassword ? ["-new-password"] : []),
    ...(plan.newServer ? ["-new-server"] : []),
    ...["-uid", `${process.getuid?.() ?? 0}`, "-gid", `${process.getgid?.() ?? 0}`],
    ...optionArguments(share),
    ...["-fsname", source, mountPath],
  ];
}

/** The arguments for each option; none for the program's own default. */
const OPTIONS: { readonly [Key in keyof MountOptions]: (value: MountOptions[Key]) => readonly string[] } = {
  fileMode: (mode) => ["-file-mode", mode],
  folderMode: (mode) => ["-dir-mode", mode],
  symlinks: (shown) => (shown === "inside" ? [] : ["-symlinks", `${shown}`]),
  locks: (where) => (where === "server" ? [] : ["-locks", where]),
  watch: (folders) => folders.flatMap((folder) => ["-watch", folder]),
  readOnly: (is) => (is ? ["-read-only"] : []),
  allowOther: (is) => (is ? ["-allow-other"] : []),
};
// The assertion holds: the object has no other keys.
const OPTION_KEYS = Object.keys(OPTIONS) as readonly (keyof MountOptions)[];

function optionArguments(share: MountOptions): readonly string[] {
  const argumentsOf = <Key extends keyof MountOptions>(key: Key) => OPTIONS[key](share[key]);
  return OPTION_KEYS.flatMap((key) => argumentsOf(key));
}

/**
 * What decides how a mount appears and behaves, in one line: a mount that was made with another one is outdated. `program`: the
 * program's path, which is another one for another version.
 */
export function fsOptions(share: ShareSpec, moves: boolean, program: string): string {
  return [
    moves ? MOVES : "remount",
    ...accountArguments({ ...share, isGuest: share.password === null }),
    ...optionArguments(share),
    program,
  ].join(" ");
}

const MOVES = "move";

/** Whether a mount that was made with these options moves. If they are not known, it may. */
export function movesBy(options: string | null): boolean {
  return options === null || options.startsWith(MOVES);
}

/** The failure that the newest line with one tells; null: the log has none. */
export function fsFailure(log: string): Failed | null {
  const error = errorIn(log);
  return error && failedByProgram({ code: error.code, text: error.message });
}
