// `shares swap`: exchanges the addresses of the two routes of a NAS or a share, in one edit.
import type { ConfigEditWire } from "../../api/operations/requests.ts";
import { type MountaineerConfig, nasOf, type RouteConfig, type ShareConfig } from "../../config/snapshot.ts";
import { hostText } from "../../config/values/host-text.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { printable, shellCommand } from "../../runtime/text/plain-text.ts";
import type { CommandContext } from "../input/command.ts";
import { editMembers, findShare } from "../sessions/config-members.ts";

export interface RoutesOwner {
  readonly share: string | null;
  readonly nas: string | null;
}

/** Rejects with `usage`, `share_unknown` and `config_…`; nothing is written then. */
export async function swapRoutes(context: CommandContext, owner: RoutesOwner) {
  let preferred = "";
  const { changed, runs } = await editMembers(context, (config) => {
    const { section, share } = ownerIn(config, owner);
    const { tb, fallback } = share.routes;
    const addresses = [hostOf(tb), hostOf(fallback)] as const;
    preferred = addresses[1] ?? fallback.folder ?? "";
    return [
      ...exchange(section, "host", ...addresses),
      ...exchange(section, "interface", tb.interfaceName, fallback.interfaceName),
      ...exchange(section, "path", tb.folder, fallback.folder),
    ];
  });
  return { changed, runs, preferred };
}

/** The section that has the addresses, and a share that uses them. */
function ownerIn(
  config: MountaineerConfig,
  { share, nas }: RoutesOwner,
): { readonly section: string; readonly share: ShareConfig } {
  if (nas !== null) {
    const [first] = config.nas?.[nas] ?? [];
    if (first === undefined)
      throw new MountaineerError("usage", `no share is on a NAS called ${printable(nas)}`, {
        hint: `these are known: ${
          Object.keys(config.nas ?? {})
            .map(printable)
            .join(", ") || "none"
        }`,
      });
    return { section: `nas.${JSON.stringify(nas)}`, share: findShare(config, first) };
  }
  const found = findShare(config, share ?? "");
  const its = nasOf(config, found.name);
  if (its === null) return { section: `shares.${JSON.stringify(found.name)}`, share: found };
  throw new MountaineerError("usage", `${printable(found.name)} has the addresses of its NAS`, {
    hint: `exchange them for every share on it: ${shellCommand`mountaineer shares swap --nas ${its}`}`,
  });
}

function hostOf({ host, port }: RouteConfig): string | null {
  return host === null ? null : hostText({ host, port });
}

/** A value that one route lacks leaves the other. */
function exchange(
  section: string,
  kind: string,
  tb: string | null,
  fallback: string | null,
): ConfigEditWire[] {
  if (tb === fallback) return [];
  return [
    { key: `${section}.thunderbolt_${kind}`, value: fallback },
    { key: `${section}.fallback_${kind}`, value: tb },
  ];
}
