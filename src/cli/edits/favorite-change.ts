// Adds and removes a share: first in the configuration, then its mount, its link and its aliases.
import { lstat, readlink, unlink } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { StepResult } from "../../api/contract.ts";
import type { ConfigEditWire } from "../../api/requests.ts";
import { secretUses } from "../../config/read/secret-uses.ts";
import { nameKey } from "../../config/values/names.ts";
import { MountaineerError, systemErrorCode } from "../../runtime/errors.ts";
import { openEngine, openSecrets } from "../in-process/open.ts";
import type { CommandContext } from "../input/command.ts";
import { editMembers, findShare, readMembers } from "../sessions/config-members.ts";
import { refuseToBeginAfresh, viewConfig } from "../sessions/config-session.ts";
import { askEngine, onceOpened, withAsk, withDaemonOr } from "../sessions/control-session.ts";
import { leaveFolder } from "../sessions/step-command.ts";

/**
 * After this pause, ms, the link is removed once more, because a running cycle of the daemon may have made the link
 * again.
 */
const LOOK_AGAIN_MS = 300;

/** The keys of the new share, in the file's spelling. */
export type NewFavorite = Readonly<Record<string, string>> & { readonly name: string };

/** Saves and mounts the share; `share` is null if the file is saved but could not be applied. Rejects with `usage` and `config_…`. */
export async function addFavorite(context: CommandContext, entry: NewFavorite, onlyOn: readonly string[]) {
  const { changed, runs } = await editMembers(context, ({ shares }) => {
    const twin = shares.find((share) => nameKey(share.name) === nameKey(entry.name));
    if (twin !== undefined) {
      throw new MountaineerError("usage", `there is a share called ${twin.name}`, {
        hint: `choose another name, or: mountaineer shares remove --share ${twin.name}`,
      });
    }
    const key = `shares.${JSON.stringify(entry.name)}.only_on`;
    const networks = onlyOn.length === 0 ? [] : [{ key, value: JSON.stringify(onlyOn) }];
    return [{ add: "shares", entry }, ...networks];
  });
  if (!runs) return { changed, share: null };
  const name = entry.name.normalize("NFC");
  const [share = null] = (await askEngine(context, "change", "mount", { shares: [name] })).results;
  return { changed, share: share === null ? null : asMounted(share) };
}

/**
 * Reports the share as mounted if its mount was skipped because a cycle of the daemon had mounted it already.
 */
function asMounted(share: StepResult): StepResult {
  const isMounted = share.result === "skipped" && share.active_interface !== "none";
  return isMounted ? { ...share, result: "mounted" } : share;
}

interface Removal {
  readonly share: string;
  readonly withAliases: boolean;
  readonly cleanup: boolean;
  readonly force: boolean;
}

/** The outcome, which is also the `--json` output. */
export type RemovedFavorite = Awaited<ReturnType<typeof removeFavorite>>;

/**
 * Removes the share from the file; without `cleanup` the mount stays. Rejects with `share_unknown`, `usage`
 * (aliases lead into it) and `config_…`.
 */
export async function removeFavorite(context: CommandContext, wanted: Removal) {
  const { withAliases, cleanup, force } = wanted;
  const planned = await viewConfig(context, async (view) => {
    await refuseToBeginAfresh(context, view);
    const config = await readMembers(view);
    const { name } = findShare(config, wanted.share);
    const aliases = config.aliases.filter(({ share }) => share === name).map((alias) => alias.name);
    if (aliases.length > 0 && !withAliases) throw dependents(name, aliases);
    const { sharesRoot, mountRoot } = config.global;
    const secrets = secretUses(config).flatMap(({ reference, usedBy }) =>
      reference.kind === "stored" && usedBy === `share ${name}` ? [reference.name] : [],
    );
    return { name, aliases, secrets, link: join(sharesRoot, name), mountPath: join(mountRoot, name) };
  });
  const { name, aliases, link } = planned;
  const targets = new Set([planned.mountPath]);
  let unmount: StepResult | null = null;
  if (cleanup) {
    leaveFolder();
    unmount = await withAsk(context, "change", openEngine, async (ask) => {
      const { shares } = await ask("status", null, context.signal);
      for (const known of shares) if (known.name === name) targets.add(known.mount_path);
      const { results } = await ask("unmount", { shares: [name], force }, context.signal);
      return results[0] ?? null;
    });
    const isGone = unmount?.result === "unmounted" || unmount?.result === "skipped";
    if (!isGone) return { removed: false, runs: true, share: name, aliases: [], unmount, link: null };
  }
  const edits: ConfigEditWire[] = [
    ...aliases.map((alias) => ({ remove: "aliases" as const, name: alias })),
    { remove: "shares", name },
  ];
  const { runs } = await editMembers(context, () => edits);
  // Does not remove the link: the daemon could not apply the file, so it still runs the share and would make
  // the link again.
  if (!runs) return { removed: true, runs, share: name, aliases, unmount, link: null };
  await clearAfter(context, name);
  if (planned.secrets.length > 0) await noteUnused(context, planned.secrets);
  return {
    /** `removed` is false if the share could not be unmounted; nothing was changed then. */
    removed: true,
    /** False: the file no longer has the share, but the daemon could not apply the file. */
    runs,
    share: name,
    aliases,
    /** null without `--cleanup`. */
    unmount,
    /** null without `--cleanup`. */
    link: cleanup ? await dropLink(link, targets) : null,
  };
}

/**
 * Removes the links of the share's aliases. Without a daemon, also forgets the share; a daemon forgets it by
 * itself.
 */
async function clearAfter(context: CommandContext, name: string): Promise<void> {
  const { signal } = context;
  await withDaemonOr(
    context,
    "change",
    async ({ ask }) => void (await ask("reconcileAliases", null, signal)),
    () =>
      onceOpened(openEngine({ ...context, intent: "change" }), async ({ ask, forget }) => {
        await forget(name);
        await ask("reconcileAliases", null, signal);
      }),
  );
}

/** Prints on stderr the names of the kept secrets that nothing uses after the share's removal. */
async function noteUnused(context: CommandContext, names: readonly string[]): Promise<void> {
  const { secrets, config_error: unknown } = await (await openSecrets(context)).list();
  if (unknown !== null) return;
  for (const { name, kept, used_by: users } of secrets) {
    if (names.includes(name) && kept !== null && users.length === 0)
      context.note(`nothing uses the secret ${name} any more; mountaineer secret remove ${name} removes it`);
  }
}

function dependents(name: string, aliases: readonly string[]): MountaineerError {
  const what = aliases.length === 1 ? `alias ${aliases[0]} leads` : `aliases ${aliases.join(", ")} lead`;
  return new MountaineerError("usage", `${what} into ${name}; nothing was changed`, {
    hint: "--with-aliases removes them too",
  });
}

/** Removes the share's link if it leads to the share's mount; anything else stays. */
async function dropLink(path: string, targets: ReadonlySet<string>): Promise<"removed" | "missing" | "kept"> {
  const first = await dropOnce(path, targets);
  await pause(LOOK_AGAIN_MS);
  const second = await dropOnce(path, targets);
  return second === "missing" ? first : second;
}

async function dropOnce(path: string, targets: ReadonlySet<string>): Promise<"removed" | "missing" | "kept"> {
  try {
    if (!(await lstat(path)).isSymbolicLink() || !targets.has(await readlink(path))) return "kept";
    await unlink(path);
    return "removed";
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") return "missing";
    throw error;
  }
}
