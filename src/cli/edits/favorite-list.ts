// Owns the list of favorites: what the file says of each share, and how the daemon, if one runs, says it is.
import { join } from "node:path";
import type { ShareStatus } from "../../api/contract.ts";
import { hostText } from "../../config/host.ts";
import type { MountaineerConfig, RouteConfig } from "../../config/snapshot.ts";
import type { CommandContext } from "../input/command.ts";
import { readMembers } from "../sessions/config-members.ts";
import { requireNamedFile, viewConfig } from "../sessions/config-session.ts";

/** One share, as `shares list --json` has it. */
export interface Favorite {
  readonly name: string;
  readonly driver: "rclone" | "netfs" | "cifs" | "local";
  /** Host and port as they are configured, or the folder of driver `local`. */
  readonly thunderbolt: string | null;
  readonly fallback: string | null;
  readonly share_name: string;
  readonly username: string;
  readonly guest: boolean;
  readonly stable_path: string;
  /** Names of the aliases that lead into it. */
  readonly aliases: readonly string[];
  /** null: no daemon runs, or it does not have the share yet. */
  readonly mount_state: ShareStatus["mount_state"] | null;
  readonly active_interface: ShareStatus["active_interface"] | null;
}

/** Looks at no mount and no host. Rejects with `config_…`. */
export function listFavorites(context: CommandContext): Promise<Favorite[]> {
  return viewConfig(context, async (view) => {
    await requireNamedFile(context, view);
    const config = await readMembers(view);
    const status = view.daemon === null ? null : await view.daemon.status(context.signal);
    return config.shares.map((share) => {
      const known = status?.shares.find(({ name }) => name === share.name);
      return favorite(config, share, known ?? null);
    });
  });
}

function favorite(
  { global, aliases }: MountaineerConfig,
  share: MountaineerConfig["shares"][number],
  known: ShareStatus | null,
): Favorite {
  const { name, driver, shareName, username, password, routes } = share;
  return {
    name,
    driver,
    thunderbolt: placeText(routes.tb),
    fallback: placeText(routes.fallback),
    share_name: shareName,
    username,
    guest: password === null,
    stable_path: join(global.sharesRoot, name),
    aliases: aliases.filter((alias) => alias.share === name).map((alias) => alias.name),
    mount_state: known?.mount_state ?? null,
    active_interface: known?.active_interface ?? null,
  };
}

function placeText({ host, port, folder }: RouteConfig): string | null {
  return host === null ? folder : hostText({ host, port });
}
