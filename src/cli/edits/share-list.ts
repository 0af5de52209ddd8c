// The list of shares: each share's settings in the file, and its state if a daemon runs.
import { join } from "node:path";
import type { ShareStatus } from "../../api/contract/contract.ts";
import type { MountaineerConfig, RouteConfig } from "../../config/snapshot.ts";
import { hostText } from "../../config/values/host-text.ts";
import type { Signals, Target } from "../input/command.ts";
import { readMembers } from "../sessions/config-members.ts";
import { requireNamedFile, viewConfig } from "../sessions/config-session.ts";

/**
 * Lists the configured shares. `shares` is the daemon's status of them; empty without a daemon. Touches no
 * mount and no host. Rejects with `config_…`.
 */
export function listShares(context: Target & Signals) {
  return viewConfig(context, async (view) => {
    await requireNamedFile(context, view);
    const config = await readMembers(view);
    const status = view.daemon === null ? null : await view.daemon.call("status", null, context.signal);
    const shares = status?.shares ?? [];
    const favorites = config.shares.map((share) =>
      listedShare(config, share, shares.find(({ name }) => name === share.name) ?? null),
    );
    return { favorites, shares };
  });
}

/** One share in the output of `shares list --json`. */
function listedShare(
  { global, aliases }: MountaineerConfig,
  share: MountaineerConfig["shares"][number],
  known: ShareStatus | null,
) {
  const { name, driver, shareName, username, password, routes } = share;
  return {
    name,
    driver,
    thunderbolt: routeText(routes.tb),
    fallback: routeText(routes.fallback),
    share_name: shareName,
    username,
    guest: password === null,
    stable_path: join(global.sharesRoot, name),
    aliases: aliases.filter((alias) => alias.share === name).map((alias) => alias.name),
    mount_state: known?.mount_state ?? null,
    active_interface: known?.active_interface ?? null,
  };
}

function routeText({ host, port, folder }: RouteConfig): string | null {
  return host === null ? folder : hostText({ host, port });
}
