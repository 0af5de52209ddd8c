// Adds and removes a share: first in the configuration, then its mount, its link and its aliases.
import { join } from "node:path";
import type { StepResult } from "../../api/contract/contract.ts";
import type { ConfigEditWire } from "../../api/operations/requests.ts";
import { editConfig } from "../../config/edit/edit.ts";
import { parseConfig } from "../../config/read/load.ts";
import { secretUses } from "../../config/read/secret-uses.ts";
import { nasOf, type ShareConfig } from "../../config/snapshot.ts";
import { nameKey } from "../../config/values/names.ts";
import { MountaineerError, recoverFrom } from "../../runtime/errors.ts";
import { entryExists, removeLinkTo } from "../../runtime/files/durable-file.ts";
import { printable, shellCommand } from "../../runtime/text/plain-text.ts";
import { closestWord } from "../../runtime/text/suggest.ts";
import { openMeeting, openSecrets } from "../in-process/open.ts";
import type { CommandContext, Signals, Target, Terminal } from "../input/command.ts";
import { editMembers, findShare, readMembers } from "../sessions/config-members.ts";
import { refuseToBeginAfresh, viewConfig } from "../sessions/config-session.ts";
import { change, show } from "../sessions/control-session.ts";
import { leaveFolder } from "../sessions/step-command.ts";
import { asMounted } from "../views/results-view.ts";

/** The keys of the new share, in the file's spelling. */
export type NewShare = Readonly<Record<string, string>> & { readonly name: string };

/**
 * Saves and mounts the share; `share` is null if the file is saved but could not be applied. Rejects with `usage` and
 * `config_…`; without `anyway` also for a share that its server denies.
 */
export async function addShare(
  context: CommandContext,
  entry: NewShare,
  onlyOn: readonly string[],
  anyway: boolean,
) {
  if (!anyway && context.remote === null) await refuseDenied(context, entry);
  const { changed, runs } = await editMembers(context, ({ shares, nas }) => {
    const twin = shares.find((share) => nameKey(share.name) === nameKey(entry.name));
    if (twin !== undefined) {
      throw new MountaineerError("usage", `there is a share called ${twin.name}`, {
        hint: `choose another name, or: ${shellCommand`mountaineer shares remove --share ${twin.name}`}`,
      });
    }
    const key = `shares.${JSON.stringify(entry.name)}.only_on`;
    const networks = onlyOn.length === 0 ? [] : [{ key, value: JSON.stringify(onlyOn) }];
    return [{ add: "shares", entry: onOnlyNas(entry, Object.keys(nas ?? {})) }, ...networks];
  });
  if (!runs) return { changed, share: null };
  const name = entry.name.normalize("NFC");
  const [share = null] = (await change(context, "mount", { shares: [name] })).results;
  return { changed, share: share === null ? null : asMounted(share) };
}

/** Rejects with `usage` if the server says that it has no such share. */
async function refuseDenied(context: Target & Signals, entry: NewShare): Promise<void> {
  const snapshot = await viewConfig(context, async (view) => {
    const { read, path, homeContext, format } = view;
    const { nas } = await readMembers(view);
    const added = { kind: "add", list: "shares", entry: onOnlyNas(entry, Object.keys(nas ?? {})) } as const;
    const edited = await editConfig({ bytes: (await read()) ?? new Uint8Array(), format, edits: [added] });
    const loaded = await parseConfig(edited.bytes, path, homeContext);
    // The save reports what is wrong.
    return loaded.ok ? loaded.snapshot : null;
  });
  const name = entry.name.normalize("NFC");
  const share = snapshot?.config.shares.find((one) => one.name === name);
  if (snapshot === null || share === undefined || share.driver === "local") return;
  await using meeting = await openMeeting(context);
  const names = await meeting.sharesInstead(snapshot, name, context.signal);
  if (names === null) return;
  const near = closestWord(share.shareName, names);
  const has = names.length === 0 ? "" : `; it has ${names.slice(0, NAMED_AT_MOST).join(", ")}`;
  throw new MountaineerError(
    "usage",
    `${nasOf(snapshot.config, name) ?? preferredHost(share)} has no share called ${share.shareName}${has}`,
    {
      hint: `${near === null ? "nothing was written" : `did you mean ${near}? Nothing was written`}; --anyway saves it as it is`,
    },
  );
}

function preferredHost({ routes }: ShareConfig): string {
  return routes.tb.host ?? routes.fallback.host ?? "the server";
}

const NAMED_AT_MOST = 12;

/** A share needs at least one of these keys, so that it can be reached. */
const LOCATION_KEYS = ["nas", "thunderbolt_host", "fallback_host", "thunderbolt_path", "fallback_path"];

/** Puts a share without an address on the only NAS. Rejects with `usage` if there are several. */
function onOnlyNas(entry: NewShare, all: readonly string[]): NewShare {
  const [nas, ...others] = all;
  if (nas === undefined || LOCATION_KEYS.some((key) => entry[key] !== undefined)) return entry;
  const { name, ...rest } = entry;
  if (others.length === 0) return { name, nas, ...rest };
  throw new MountaineerError("usage", `there are several NAS: ${all.map(printable).join(", ")}`, {
    hint: `say which one: ${shellCommand`mountaineer shares add --share ${entry.name} --nas ${nas}`}`,
  });
}

interface Removal {
  readonly share: string;
  readonly withAliases: boolean;
  readonly cleanup: boolean;
  readonly force: boolean;
}

/** The outcome, which is also the `--json` output. */
export type RemovedShare = Awaited<ReturnType<typeof removeShare>>;

/**
 * Removes the share from the file, and its mount and link, if nothing is open. If something is, the mount
 * stays; with `cleanup`, nothing is changed then. Rejects with `share_unknown`, `usage` (aliases lead into it) and
 * `config_…`.
 */
export async function removeShare(context: CommandContext, wanted: Removal) {
  const { withAliases, cleanup, force } = wanted;
  const planned = await viewConfig(context, async (view) => {
    await refuseToBeginAfresh(context, view);
    const config = await readMembers(view);
    const { name } = findShare(config, wanted.share);
    const aliases = config.aliases.filter(({ share }) => share === name).map((alias) => alias.name);
    if (aliases.length > 0 && !withAliases) throw dependents(name, aliases);
    const secrets = secretUses(config).flatMap(({ reference, usedBy }) =>
      reference.kind === "stored" && usedBy === `share ${name}` ? [reference.name] : [],
    );
    return { name, aliases, secrets, link: join(config.global.sharesRoot, name) };
  });
  const { name, aliases, link } = planned;
  leaveFolder();
  const { shares } = await show(context, "status", null);
  const known = shares.find((share) => share.name === name);
  const isHere = context.remote === null;
  const hasLink = async () => isHere && (await entryExists(link).catch(recoverFrom("ENOTDIR", false)));
  const hadLink = await hasLink();
  const unmountIt = async (): Promise<StepResult | null> => {
    const { results } = await change(context, "unmount", { shares: [name], force });
    return results[0] ?? null;
  };
  const before = cleanup ? await unmountIt() : null;
  if (before !== null && !isUnmounted(before))
    return { removed: false, runs: true, share: name, aliases: [], unmount: before, link: null };
  const edits: ConfigEditWire[] = [
    ...aliases.map((alias) => ({ remove: "aliases" as const, name: alias })),
    { remove: "shares", name },
  ];
  const { runs } = await editMembers(context, () => edits);
  // If the daemon could not apply the file, it still runs the share.
  if (!runs) return { removed: true, runs, share: name, aliases, unmount: before, link: null };
  // A share that is neither configured nor mounted is unknown.
  const after = await unmountIt().catch(recoverFrom("share_unknown", null));
  const isMounted = after !== null && !isUnmounted(after);
  if (!isMounted && known !== undefined && isHere) await removeLinkTo(link, known.mount_path);
  for (const { code, title } of known?.conditions ?? [])
    if (code === "files_set_aside") context.notify(printable(title));
  await change(context, "reconcileAliases", null);
  if (planned.secrets.length > 0 && isHere) await notifyUnused(context, planned.secrets);
  const linkNow = (await hasLink()) ? "kept" : hadLink ? "removed" : "missing";
  return {
    /** `removed` is false if the share could not be unmounted, and `cleanup` was asked for; nothing was changed then. */
    removed: true,
    /** False: the file no longer has the share, but the daemon could not apply the file. */
    runs,
    share: name,
    aliases,
    /** null: it was not mounted. */
    unmount: after ?? before,
    /** null: the share stays mounted, or is of another machine. */
    link: isMounted || !isHere ? null : linkNow,
  } as const;
}

export function isUnmounted({ result }: StepResult): boolean {
  return result === "unmounted" || result === "skipped";
}

/** Prints on stderr the names of the kept secrets that nothing uses after the share's removal. */
async function notifyUnused(context: Terminal & Target, names: readonly string[]): Promise<void> {
  const { secrets, config_error: unknown } = await (await openSecrets(context)).list();
  if (unknown !== null) return;
  for (const { name, kept, used_by: users } of secrets) {
    if (names.includes(name) && kept !== null && users.length === 0)
      context.notify(
        `the secret ${name} is no longer used; ${shellCommand`mountaineer secret remove ${name}`} removes it`,
      );
  }
}

function dependents(name: string, aliases: readonly string[]): MountaineerError {
  const what = aliases.length === 1 ? `alias ${aliases[0]} leads` : `aliases ${aliases.join(", ")} lead`;
  return new MountaineerError("usage", `${what} into ${name}; nothing was changed`, {
    hint: "--with-aliases removes them too",
  });
}
