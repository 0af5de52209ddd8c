// `uninstall --purge`: removes everything that Mountaineer has put on this machine, and nothing on a NAS.
import { lstat, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { CLIENT_NAMES, CLIENTS, type ClientName } from "../../clients/client.ts";
import { requireUsual } from "../../clients/connection-plan.ts";
import { readRecord } from "../../clients/connection-record.ts";
import { findHomeContext } from "../../config/home-context.ts";
import { defaultSharesRoot, expandPath, isUsualHome } from "../../config/values/paths.ts";
import { MountaineerError, recoverFrom } from "../../runtime/errors.ts";
import { removeLinkTo } from "../../runtime/files/durable-file.ts";
import { printable } from "../../runtime/text/plain-text.ts";
import { disconnectClient, surroundingsOf } from "../clients/connect-client.ts";
import { loadPurge } from "../in-process/open.ts";
import type { CommandContext, Signals, Target } from "../input/command.ts";
import { confirms } from "../input/confirm.ts";
import { readBundle, VERSION_FOLDER } from "../input/launcher-path.ts";
import { change, show } from "../sessions/control-session.ts";
import { pollUntil } from "../sessions/poll-until.ts";
import { leaveFolder } from "../sessions/step-command.ts";
import { FAILED_EXIT } from "../views/results-view.ts";
import { uninstallService } from "./service-command.ts";

const NAMED_AT_MOST = 5;
/** How long to wait for a program whose mount is gone, ms. */
const PROGRAM_ENDS_WITHIN_MS = 5_000;
/** The unpacked versions of a bundle. */
const OUR_VERSIONS = new RegExp(`^(?:current|\\.new-.+)$|${VERSION_FOLDER.source}`);

const TOOL_REMOVALS: Readonly<Record<string, string>> = {
  dpkg: "apt remove mountaineer",
  rpm: "rpm --erase mountaineer",
  brew: "brew uninstall mountaineer",
};

interface Link {
  readonly path: string;
  readonly target: string;
  /** True for a share's link, whose target is the mount point. */
  readonly isShare: boolean;
}

/** Resolves with the exit code. Rejects with `share_busy` and `unmount_failed` before anything is removed. */
export async function purgeAll(context: CommandContext, yes: boolean): Promise<number> {
  const { home, signal } = context;
  leaveFolder();
  const purge = await loadPurge();
  const { userHome } = findHomeContext(process.env);
  const found = await lstat(home).catch(recoverFrom("ENOENT", null));
  // Any other home may be a folder that is also used for other things.
  const isUsual = isUsualHome({ home, userHome }) && found?.isSymbolicLink() !== true;
  const requireNothingAside = async (): Promise<void> => {
    const aside = await purge.filesNotOnNas(home, isUsual);
    if (aside.length > 0)
      throw notPurged(aside, "they are files of yours that the NAS does not have: move them first");
  };
  await requireNothingAside();
  const { links, config } = await inUse(context);
  const where = printable(home);
  const folder = isUsual
    ? `the log and ${where} with its configuration and secrets`
    : `the log, configuration and secrets; ${where} is not the usual home, so what else is in it stays`;
  const connected: ClientName[] = [];
  for (const client of CLIENT_NAMES) {
    const record = await readRecord(home, client);
    if (record === null) continue;
    requireUsual(CLIENTS[client], record.path, surroundingsOf(context, { file: null }));
    connected.push(client);
  }
  context.print(
    `This unmounts every share, gives clients their files back, and removes the service, keyring entries, links, ${folder}.\nFiles on the NAS stay.\n`,
  );
  if (!yes && !(await confirms(context, "Remove Mountaineer?", "no"))) return FAILED_EXIT;

  await unmountAll(context);
  await requireNothingAside();
  const limits = { withinMs: PROGRAM_ENDS_WITHIN_MS, signal };
  const mounts = await pollUntil(
    limits,
    () => purge.mountsIn(home, isUsual),
    (found) => found.length === 0,
  );
  if (mounts.length > 0)
    throw new MountaineerError("unmount_failed", mounts.map(printable).join("; "), {
      hint: "unmount it and run this again; nothing was removed",
    });
  for (const client of connected) {
    const undo = disconnectClient(context, { client, file: null, yes: true, keepOthers: false });
    await undo.catch((error: unknown) => {
      // An unreadable client file does not stop the purge: the shares are unmounted already.
      if (!(error instanceof MountaineerError) || error.code !== "client_unreadable") throw error;
      context.notify(`${CLIENTS[client].title} is left as it is: ${error.message}`);
    });
  }
  const code = await uninstallService(context, true);
  if (code !== 0) return code;

  await purge.clearKeyring(home, signal);
  for (const link of links) await removeLink(link, purge.removeIfEmpty);
  // Mountaineer made this folder and the one in it, unless the file names others.
  const root = expandPath(defaultSharesRoot({ home, userHome }), userHome);
  for (const path of [join(root, "Links"), root]) await purge.removeIfEmpty(path);
  const left = await purge.removeHome(home, { isUsual, userHome, config });
  // Any other home contains its log.
  if (isUsualHome({ home, userHome })) await purge.removeLog(home, userHome);
  const bundle = readBundle();
  context.print("Mountaineer has left this machine\n");
  if (left.length > 0) {
    const names = `${left.slice(0, NAMED_AT_MOST).map(printable).join(", ")}${left.length > NAMED_AT_MOST ? ", …" : ""}`;
    context.notify(`${where} stays, with what Mountaineer did not make there: ${names}`);
  }
  const tool = bundle?.tool ?? null;
  if (tool !== null) context.notify(`remove the program with ${tool}: ${TOOL_REMOVALS[tool] ?? tool}`);
  else if (bundle?.current != null && isUsual) {
    context.notify("delete the file that you started it with yourself");
    // Removed last, because this program runs from that folder.
    const folder = dirname(bundle.current);
    await purge.removeOurs(folder, (path) => OUR_VERSIONS.test(path.split("/")[0] ?? ""));
    await purge.removeIfEmpty(folder);
  } else if (bundle === null)
    context.notify("its program stays: delete the clone, or npm uninstall -g mountaineerd");
  return 0;
}

function notPurged(what: readonly string[], hint: string): MountaineerError {
  return new MountaineerError("share_busy", what.map(printable).join("; "), {
    hint: `${hint}; nothing was removed`,
  });
}

/** The configuration file, and the links that may be there, also those of shares that are no longer configured. */
async function inUse(context: Target & Signals): Promise<{ links: readonly Link[]; config: string }> {
  const { shares, global } = await show(context, "status", null);
  const { aliases } = await show(context, "aliases", null);
  const { shares_root: root, mount_root: mounts, config_path: config } = global;
  const names = await readdir(root).catch(recoverFrom(["ENOENT", "ENOTDIR", "EACCES"], []));
  const links = [
    ...aliases.map(({ path, target }) => ({ path, target, isShare: false })),
    ...shares.map(({ stable_path: path, mount_path: target }) => ({ path, target, isShare: true })),
    ...names.map((name) => ({ path: join(root, name), target: join(mounts, name), isShare: true })),
  ];
  return { links, config };
}

/** Removes the link if it still has its target; anything else at the path is not Mountaineer's. */
async function removeLink(
  { path, target, isShare }: Link,
  removeIfEmpty: (folder: string) => Promise<void>,
): Promise<void> {
  await removeLinkTo(path, target);
  // Mountaineer made the mount point.
  if (isShare && target.startsWith(`${findHomeContext(process.env).home}/`)) await removeIfEmpty(target);
}

async function unmountAll(context: Target & Signals): Promise<void> {
  const { results } = await change(context, "unmount", { shares: null, force: false });
  const stuck = results.filter(({ result }) => result !== "unmounted" && result !== "skipped");
  if (stuck.length === 0) return;
  const isBusy = stuck.every(({ result }) => result === "busy");
  const names = stuck.map(({ share, detail }) => `${share}: ${detail}`);
  throw new MountaineerError(isBusy ? "share_busy" : "unmount_failed", names.map(printable).join("; "), {
    hint: "nothing was removed; mountaineer mount mounts again what was unmounted",
  });
}
