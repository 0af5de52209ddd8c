// Recognizes a mount of the kernel's SMB client: its share and route, whether it is ours, and whether it is relayed.

import type { FstabEntry } from "../../mounts/fstab.ts";
import { preferredRoute, ROUTE_NAMES, type RouteName, type ShareSpec } from "../../share-spec.ts";
import { isShareNamed, RELAY_ADDRESS, sourceOf } from "../../smb-source.ts";
import type { AddressesOf, FoundMount } from "../mount-driver.ts";
import { isReadable, routeOfSource, type SmbMount } from "../smb-mounts.ts";
import { type CifsRecord, isRecorded } from "./mount-record.ts";

/** Facts that are known without touching the mount. */
interface CifsSigns {
  /** The share's path, as the mount table spells it. */
  readonly path: string;
  readonly record: CifsRecord | null;
  readonly fstab: readonly FstabEntry[];
  readonly addressesOf: AddressesOf;
  readonly userId: number;
}

interface Through {
  /** null: unknown. */
  readonly port: number | null;
  /** The host for which the share was mounted; null: unknown. */
  readonly host: string | null;
}

export function foundCifs(share: ShareSpec, mount: SmbMount, signs: CifsSigns): FoundMount {
  const { entry, source } = mount;
  const ours = isRecorded(entry, signs.record) ? signs.record : null;
  const through = throughOf(share, mount, signs);
  const isElsewhere = entry.path !== signs.path;
  const isNamed = source !== null && isShareNamed(source, share.shareName);
  return {
    id: entry.id,
    // The path is spelled as in the configuration, which may reach mount_root through a link.
    path: isElsewhere ? entry.path : share.mountPath,
    source: sourceShown(share, mount, ours, through),
    sameShare: isReadable(entry, signs.userId) && (isNamed || (ours !== null && isElsewhere)),
    route: routeBy(share, mount, ours, through, signs.addressesOf),
    processGone: false,
    madeByDriver: ours !== null,
    relayPort: through?.port ?? null,
  };
}

/**
 * True if the mount's source is this machine: the mount may then be relayed. Only the share's note, or its line in
 * fstab, can confirm that.
 */
export function namesThisMachine({ source }: Pick<SmbMount, "source">): boolean {
  return source?.host === RELAY_ADDRESS;
}

/**
 * The port at which the relay serves the mount, and the host for which the share was mounted. A mount whose
 * source is this machine counts as relayed, unless a route's server is this machine (through a tunnel, for
 * instance). null: it is not relayed.
 */
function throughOf(share: ShareSpec, mount: SmbMount, signs: CifsSigns): Through | null {
  const { entry } = mount;
  if (!namesThisMachine(mount)) return null;
  if (isRecorded(entry, signs.record)) return signs.record.carried;
  const hosts = ROUTE_NAMES.flatMap((name) => share.routes[name].host ?? []);
  const isHere = (host: string): boolean => /^(localhost|127\.[\d.]+)$/i.test(host);
  if (hosts.some((host) => [host, ...signs.addressesOf(host)].some(isHere))) return null;
  // Our line in fstab says nothing about a mount at another path: such a mount may be another server's share with the
  // same name.
  if (entry.path !== signs.path) return { port: null, host: null };
  const line = signs.fstab.find((one) => one.path === entry.path || one.path === share.mountPath);
  if (line?.source.replaceAll("\\", "/") !== entry.source) return { port: null, host: null };
  return { port: line.relayPort, host: preferredRoute(share).host };
}

/** The source as people see it: with the server's host, not with the relay's address. */
function sourceShown(
  share: ShareSpec,
  { entry, source }: SmbMount,
  ours: CifsRecord | null,
  through: Through | null,
): string {
  if (through !== null && through.host !== null) {
    const port = ours?.port ?? preferredRoute(share).port;
    return sourceOf({ host: through.host, port }, share.shareName);
  }
  if (ours === null || source === null) return entry.source;
  return sourceOf({ host: source.host, port: ours.port }, share.shareName);
}

/**
 * Finds a mount's route by the mount's host and port. A relayed mount keeps the host for which it was made, even if
 * its bytes now take the other route.
 */
function routeBy(
  share: ShareSpec,
  mount: SmbMount,
  ours: CifsRecord | null,
  through: Through | null,
  addressesOf: AddressesOf,
): RouteName | null {
  if (mount.source === null) return null;
  const port = ours?.port ?? (through === null ? null : preferredRoute(share).port);
  const host = through === null ? mount.source.host : through.host;
  // Without a host, nothing shows where the port leads.
  if (host === null) return null;
  // Options that do not tell where the mount leads: the port, and for a relayed mount also the address, which is this
  // machine's.
  const misleading = through === null ? /^port=/ : /^(addr|ip|port)=/;
  const shown = mount.entry.options.filter((one) => !misleading.test(one));
  const options = port === null ? mount.entry.options : [...shown, `port=${port}`];
  return routeOfSource(
    share,
    { source: { ...mount.source, host }, entry: { ...mount.entry, options } },
    addressesOf,
  );
}
