// The names of the shares or aliases in the configuration file, read before a command adds or removes one.
import type { EditReport } from "../../api/contract.ts";
import { nameUnknown } from "../../api/name-selection.ts";
import { parseConfig } from "../../config/read/load.ts";
import type { AliasConfig, MountaineerConfig, ShareConfig } from "../../config/snapshot.ts";
import { mistakesError, refusalError } from "../../config/values/mistakes.ts";
import { nameKey } from "../../config/values/names.ts";
import type { CommandContext } from "../input/command.ts";
import type { ConfigView } from "./config-session.ts";

/** The configuration that the file holds now; an absent file is an empty one. Rejects with `config_invalid`. */
export async function readMembers({ read, path, place }: ConfigView): Promise<MountaineerConfig> {
  const loaded = await parseConfig((await read()) ?? new Uint8Array(), path, place);
  if (!loaded.ok) throw mistakesError(loaded.mistakes);
  return loaded.snapshot.config;
}

/** The share of that name, whatever its letter case. Throws `share_unknown`, with what may have been meant. */
export function findShare({ shares }: MountaineerConfig, name: string): ShareConfig {
  const found = shares.find((share) => nameKey(share.name) === nameKey(name));
  if (found !== undefined) return found;
  throw nameUnknown(
    name,
    shares.map((share) => share.name),
    { code: "share_unknown", noun: "share", known: "configured", none: "no share is configured yet" },
  );
}

/** The alias of that name, likewise. Throws `alias_unknown`. */
export function findAlias({ aliases }: MountaineerConfig, name: string): AliasConfig {
  const found = aliases.find((alias) => nameKey(alias.name) === nameKey(name));
  if (found !== undefined) return found;
  throw nameUnknown(
    name,
    aliases.map((alias) => alias.name),
    { code: "alias_unknown", noun: "alias", known: "configured", none: "no alias is configured yet" },
  );
}

/**
 * False when the file holds it but it does not run: then says so. Throws `config_invalid` when the result would not be
 * a configuration; nothing was written then.
 */
export function tellSaved({ note }: CommandContext, { errors, reload }: EditReport): boolean {
  if (errors.length > 0) throw refusalError(errors);
  if (reload === null) return true;
  if (reload.errors.length > 0) throw mistakesError(reload.errors);
  if (reload.failure === null) return true;
  note(`it is saved, but does not run: ${reload.failure}`);
  return false;
}
