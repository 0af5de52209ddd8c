// Adds and removes an alias: in the configuration first, then its link.
import { isAbsolute, resolve } from "node:path";
import type { AliasStatus } from "../../api/contract/contract.ts";
import { nameKey, parseAliasName, parseSubpath, type TextReading } from "../../config/values/names.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";
import type { CommandContext, Signals, Target } from "../input/command.ts";
import { editMembers, findAlias, findShare, readMembers } from "../sessions/config-members.ts";
import { refuseToBeginAfresh, viewConfig } from "../sessions/config-session.ts";
import { change, show } from "../sessions/control-session.ts";

interface NewAlias {
  readonly name: string;
  readonly share: string;
  readonly targetSubpath: string;
  /** The typed path; null for the default. */
  readonly path: string | null;
}

interface RemovedAlias {
  readonly name: string;
  readonly path: string;
  /** True: something at the path is not Mountaineer's link, and was not removed. */
  readonly kept: boolean;
}

function read(option: string, text: string, reader: (text: string) => TextReading): string {
  const reading = reader(text);
  if (reading.ok) return reading.value;
  const { expected, hint } = reading;
  const message = `${option} ${JSON.stringify(text)} cannot be that: expected ${expected}`;
  throw new MountaineerError("usage", message, { hint });
}

/**
 * Adds the alias; an equal existing alias is not an error. `alias` is null if the file is saved but could not be
 * applied. Rejects with `usage`, `share_unknown`, `config_…`.
 */
export async function addAlias(context: CommandContext, wanted: NewAlias) {
  const name = read("--name", wanted.name, parseAliasName);
  const targetSubpath = read("--target-subpath", wanted.targetSubpath, parseSubpath);
  const isTyped = wanted.path !== null && !isAbsolute(wanted.path) && !wanted.path.startsWith("~");
  // Makes a typed path absolute here: it is relative to this process's working folder, which the daemon does
  // not know. Another machine has no such folder, and refuses it.
  const isHere = context.remote === null;
  const path = wanted.path !== null && isTyped && isHere ? resolve(wanted.path) : wanted.path;
  const { changed, runs } = await editMembers(context, (config) => {
    const share = findShare(config, wanted.share).name;
    const twin = config.aliases.find((alias) => nameKey(alias.name) === nameKey(name));
    if (twin === undefined) {
      const entry = { name, share, target_subpath: targetSubpath, ...(path === null ? {} : { path }) };
      return [{ add: "aliases", entry }];
    }
    if (twin.share === share && twin.targetSubpath === targetSubpath && path === null) return [];
    const message = `there is an alias called ${twin.name}: ${twin.share}/${twin.targetSubpath}`;
    const hint = `choose another name, or: ${shellCommand`mountaineer alias remove --name ${twin.name}`}`;
    throw new MountaineerError("usage", message, { hint });
  });
  if (!runs) return { changed, alias: null };
  const aliases = await reconcileAliases(context);
  const alias = aliases.find((known) => nameKey(known.name) === nameKey(name)) ?? null;
  return { changed, alias };
}

/** Removes the alias and its link. Rejects with `alias_unknown`, `config_…`. */
export async function removeAlias(context: CommandContext, wanted: string): Promise<RemovedAlias | null> {
  const before = await show(context, "aliases", null);
  const { name, path } = await viewConfig(context, async (view) => {
    await refuseToBeginAfresh(context, view);
    return findAlias(await readMembers(view), wanted);
  });
  const { runs } = await editMembers(context, () => [{ remove: "aliases", name }]);
  if (!runs) return null;
  await reconcileAliases(context);
  const was = before.aliases.find((alias) => alias.name === name);
  return { name, path, kept: was?.link === "taken" };
}

async function reconcileAliases(context: Target & Signals): Promise<readonly AliasStatus[]> {
  return (await change(context, "reconcileAliases", null)).aliases;
}
