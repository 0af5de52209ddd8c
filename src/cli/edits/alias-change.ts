// Adds and removes an alias: in the configuration first, then its link.
import { isAbsolute, resolve } from "node:path";
import type { AliasStatus } from "../../api/contract.ts";
import { nameKey, parseAliasName, parseSubpath, type TextReading } from "../../config/values/names.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import type { CommandContext } from "../input/command.ts";
import { findAlias, findShare, readMembers, tellSaved } from "../sessions/config-members.ts";
import { askEdits, changeConfig } from "../sessions/config-session.ts";
import { askEngine } from "../sessions/control-session.ts";
import { refuseToBeginAfresh } from "./config-key-change.ts";

interface NewAlias {
  readonly name: string;
  readonly share: string;
  readonly targetSubpath: string;
  /** As typed; null: the default. */
  readonly path: string | null;
}

interface RemovedAlias {
  readonly name: string;
  readonly path: string;
  /** What stands at the path is not a link that we made, and stays. */
  readonly kept: boolean;
}

function read(option: string, text: string, reader: (text: string) => TextReading): string {
  const reading = reader(text);
  if (reading.ok) return reading.value;
  const { expected, hint } = reading;
  const message = `${option} ${JSON.stringify(text)} cannot be that: expected ${expected}`;
  throw new MountaineerError("usage", message, hint === null ? {} : { hint });
}

/** The same alias again is no mistake; `alias` null: it is saved and does not run. Rejects with `usage`, `share_unknown`, `config_…`. */
export async function addAlias(context: CommandContext, wanted: NewAlias) {
  const name = read("--name", wanted.name, parseAliasName);
  const targetSubpath = read("--target-subpath", wanted.targetSubpath, parseSubpath);
  const isTyped = wanted.path !== null && !isAbsolute(wanted.path) && !wanted.path.startsWith("~");
  // What a person types is relative to where they stand; a daemon stands elsewhere.
  const path = wanted.path !== null && isTyped ? resolve(wanted.path) : wanted.path;
  const edited = await changeConfig(context, async (ask, view) => {
    await refuseToBeginAfresh(context, view);
    const config = await readMembers(view);
    const share = findShare(config, wanted.share).name;
    const twin = config.aliases.find((alias) => nameKey(alias.name) === nameKey(name));
    if (twin !== undefined && twin.share === share && twin.targetSubpath === targetSubpath && path === null)
      return { changed: false, runs: true };
    if (twin !== undefined) {
      throw new MountaineerError(
        "usage",
        `there is an alias called ${twin.name}: ${twin.share}/${twin.targetSubpath}`,
        {
          hint: `choose another name, or: mountaineer alias remove --name ${twin.name}`,
        },
      );
    }
    const entry = { name, share, target_subpath: targetSubpath, ...(path === null ? {} : { path }) };
    const report = await askEdits(context, ask, [{ add: "aliases", entry }]);
    return { changed: report.changed, runs: tellSaved(context, report) };
  });
  if (!edited.runs) return { changed: edited.changed, alias: null };
  const aliases = await reconcileAliases(context);
  const alias = aliases.find((known) => nameKey(known.name) === nameKey(name)) ?? null;
  return { changed: edited.changed, alias };
}

/** Rejects with `alias_unknown`, `config_…`. */
export async function removeAlias(context: CommandContext, wanted: string): Promise<RemovedAlias | null> {
  const before = await askEngine(context, "look", "aliases", null);
  const edited = await changeConfig(context, async (ask, view) => {
    await refuseToBeginAfresh(context, view);
    const { name, path } = findAlias(await readMembers(view), wanted);
    const report = await askEdits(context, ask, [{ remove: "aliases", name }]);
    return { name, path, runs: tellSaved(context, report) };
  });
  if (!edited.runs) return null;
  await reconcileAliases(context);
  const { name, path } = edited;
  const was = before.aliases.find((alias) => alias.name === name);
  return { name, path, kept: was?.link === "taken" };
}

export async function reconcileAliases(context: CommandContext): Promise<readonly AliasStatus[]> {
  return (await askEngine(context, "change", "reconcileAliases", null)).aliases;
}
