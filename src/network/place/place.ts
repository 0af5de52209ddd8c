// On which networks this machine is, and whether a share is away from its own.
import { createSocket } from "node:dgram";
import type { Clock } from "../../runtime/time/clock.ts";
import type { Links } from "../discover/link-kind.ts";
import { type InterfaceSnapshot, readInterfaces } from "../interfaces.ts";
import { formatIp, inPrefix, parseIp } from "../ip-address.ts";
import { createSingleFlight } from "../probe/single-flight.ts";

export type Place = ReturnType<typeof createPlace>;

/** What is known of the networks at one moment. */
export interface Here {
  /** `gateway:aa:bb:cc:dd:ee:ff` for each gateway, `subnet:10.0.0.0/24` for each link without one; with its interface. */
  readonly marks: ReadonlyMap<string, string>;
  readonly gateways: readonly { readonly address: string; readonly mac: string | null }[];
  readonly interfaces: InterfaceSnapshot;
}

/** How long a reading serves while nothing changes, ms; on macOS it costs two commands. */
const KEPT_MS = 10_000;
/** How long a new network has to show its gateway, ms: a link is up before it has a route. */
const SETTLES_MS = 1_000;
const AGAIN_MS = 50;
/** A NAS hardly ever gets another network card. */
const NEIGHBOURS_KEPT_MS = 600_000;

interface PlaceOptions {
  readonly clock: Clock;
  readonly links: Pick<Links, "neighbours" | "gateways">;
  /** For tests. */
  readonly interfaces?: (nowMs: number) => InterfaceSnapshot;
  readonly ask?: (gateway: string) => void;
}

export function createPlace(options: PlaceOptions) {
  const { clock, links, interfaces = readInterfaces, ask = askGateway } = options;
  const readings = createSingleFlight<Here>(clock);
  /** A gateway that restarts is still the same as long as the network is. */
  const macs = new Map<string, string>();
  let [changedAtMs, changes] = [clock.monotonicMs(), 0];

  const here = (notBeforeMs: number): Promise<Here> =>
    readings.ask(String(changes), notBeforeMs, async (goesOut) => {
      goesOut();
      const asOf = changes;
      const [gateways, neighbours] = await Promise.all([links.gateways(), links.neighbours()]);
      const read = hereFrom(interfaces(clock.monotonicMs()), gateways, neighbours, macs);
      if (asOf === changes) for (const { address, mac } of read.gateways) if (mac) macs.set(address, mac);
      return read;
    });

  const met = createSingleFlight<Awaited<ReturnType<Links["neighbours"]>>>(clock);
  const neighbours = (notBeforeMs: number) =>
    met.ask("", notBeforeMs, (goesOut) => {
      goesOut();
      return links.neighbours();
    });

  return {
    /**
     * Why nothing may be sent to a share's `hosts` (names count where no address is among them); null: it may. `onlyOn`: the marks of
     * its networks. Never rejects.
     */
    async awayFrom(
      onlyOn: readonly string[],
      hosts: readonly string[],
      notBeforeMs: number,
    ): Promise<string | null> {
      if (onlyOn.length === 0) return null;
      for (let sinceMs = notBeforeMs - KEPT_MS; ; ) {
        const now = await here(sinceMs);
        const away = awayText(now, onlyOn, hosts);
        const unknown = now.gateways.filter(({ mac }) => mac === null);
        if (away === null || (now.gateways.length > 0 && unknown.length === 0)) return away;
        // An address of the NAS is no gateway to ask.
        for (const { address } of unknown) if (!hosts.includes(address)) ask(address);
        if (clock.monotonicMs() - changedAtMs >= SETTLES_MS) return away;
        await clock.sleep(AGAIN_MS);
        sinceMs = clock.monotonicMs();
      }
    },
    /** The hardware address of a neighbour; null: it is not known. */
    async macOf(address: string): Promise<string | null> {
      const among = async (notBeforeMs: number): Promise<string | null> => {
        const known = await neighbours(notBeforeMs);
        return known.find((one) => one.address === address)?.mac.toLowerCase() ?? null;
      };
      const nowMs = clock.monotonicMs();
      return (await among(nowMs - NEIGHBOURS_KEPT_MS)) ?? (await among(nowMs - KEPT_MS));
    },
    /** Call on a network change. */
    networkChanged(): void {
      changedAtMs = clock.monotonicMs();
      changes += 1;
      macs.clear();
    },
  };
}

/** `macs`: of gateways that have answered on this network before. */
export function hereFrom(
  interfaces: InterfaceSnapshot,
  gateways: Awaited<ReturnType<Links["gateways"]>>,
  neighbours: Awaited<ReturnType<Links["neighbours"]>>,
  macs: ReadonlyMap<string, string> = new Map(),
): Here {
  const there = gateways.filter(({ interfaceName }) => interfaces.names.has(interfaceName));
  const known = there.map(({ address, interfaceName }) => {
    const found = neighbours.find((one) => one.address === address && one.interfaceName === interfaceName);
    return { address, interfaceName, mac: found?.mac.toLowerCase() ?? macs.get(address) ?? null };
  });
  const alone = interfaces.addresses.filter(
    ({ family, bytes, prefixLength, interfaceName }) =>
      family === 4 &&
      bytes[0] !== 127 &&
      prefixLength < 32 &&
      !there.some((gateway) => gateway.interfaceName === interfaceName),
  );
  return {
    marks: new Map([
      ...known.flatMap(({ mac, interfaceName }) =>
        mac === null ? [] : [[`gateway:${mac}`, interfaceName] as const],
      ),
      ...alone.map(
        ({ bytes, prefixLength, interfaceName }) =>
          [`subnet:${networkOf(bytes, prefixLength)}/${prefixLength}`, interfaceName] as const,
      ),
    ]),
    gateways: known,
    interfaces,
  };
}

/**
 * Away is where something that is sent to the hosts could arrive, on a network that is not the share's own. Without any
 * network its programs wait as usual, because a cable that was pulled is soon back.
 */
export function awayText(
  { marks, gateways, interfaces }: Here,
  onlyOn: readonly string[],
  hosts: readonly string[],
): string | null {
  if (onlyOn.some((mark) => marks.has(mark))) return null;
  if (gateways.length > 0) {
    const shown = gateways.map(({ address, mac }) => `${address} (${mac ?? "its address is not known"})`);
    return `the gateway here is ${shown.join(", ")}, which is none of its networks`;
  }
  const links = interfaces.addresses.filter(({ family, bytes }) => family === 6 || bytes[0] !== 127);
  // Whoever answers to a name on this link would be asked to log on; nothing that is in use waits for it.
  if (links.some(({ text }) => text !== "::1") && !hosts.some((host) => parseIp(host) !== null))
    return "its host is known by name alone, and this is none of its networks";
  const isHere = hosts.some((host) => {
    const ip = parseIp(host);
    return (
      ip !== null &&
      interfaces.addresses.some(
        (own) => own.family === ip.family && inPrefix(ip.bytes, own.bytes, own.prefixLength),
      )
    );
  });
  return isHere ? "this network has its address, but is none of its networks" : null;
}

/** The marks of the networks that these hosts are on; null: one of them is on no link, or its network has no mark. */
export function marksOf({ marks, interfaces }: Here, hosts: readonly string[]): readonly string[] | null {
  const found = hosts.map((host) => {
    const ip = parseIp(host);
    const links = interfaces.addresses.filter(
      (own) => own.family === ip?.family && inPrefix(ip.bytes, own.bytes, own.prefixLength),
    );
    const [mark = null] =
      [...marks].find(([, name]) => links.some((own) => own.interfaceName === name)) ?? [];
    return mark;
  });
  return found.includes(null) ? null : [...new Set(found.filter((mark) => mark !== null))];
}

function networkOf(bytes: Uint8Array, prefixLength: number): string {
  const masked = bytes.map((byte, index) => {
    const bits = Math.min(8, Math.max(0, prefixLength - index * 8));
    return byte & (0xff << (8 - bits));
  });
  return formatIp(masked);
}

/** An empty datagram to its discard port makes the system learn its hardware address. */
function askGateway(address: string): void {
  const socket = createSocket("udp4");
  socket.on("error", () => {});
  socket.send("", 9, address, () => socket.close());
}
