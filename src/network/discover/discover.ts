// Finds SMB servers on the links of this machine, by multicast queries and the system's neighbours. Nothing is scanned.
// Answers are not trusted: a link's answers count only from senders on the link, about addresses of its subnet.
import { createSocket, type Socket } from "node:dgram";
import { printable } from "../../runtime/text/plain-text.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { containsAddress, type InterfaceSnapshot, readInterfaces } from "../interfaces.ts";
import { parseIp } from "../ip-address.ts";
import type { LinkKind } from "../link-kind.ts";
import { createDnsSd } from "./dns-sd.ts";
import type { Claim, LinkProtocol } from "./link-protocol.ts";
import { readLinks } from "./links.ts";
import { createWsDiscovery } from "./ws-discovery.ts";

export interface HeardServer {
  readonly address: string;
  readonly port: number;
  /** The server's own name, without control characters; null: unknown. */
  readonly name: string | null;
  /** The server's name in the network, such as `nas.local`; null: unknown. */
  readonly host: string | null;
  readonly interfaceName: string;
  readonly link: LinkKind;
  readonly by: readonly HeardBy[];
}

export type HeardBy = "dns-sd" | "ws-discovery" | "neighbour";

type OwnAddress = InterfaceSnapshot["addresses"][number];

/** How long to listen for answers, ms: they come within 0.5 s, and a second query makes up for a lost one. */
const LISTEN_MS = 1_600;
const REPEAT_MS = 700;
/**
 * Maximum number of listed servers, divided among the links. The same limit applies to neighbours that answered
 * nothing.
 */
const SERVERS_AT_MOST = 64;
/** Each link may list at least this many servers, even if many links share the limit. */
const OF_ONE_LINK_AT_LEAST = 8;
const LINKS_AT_MOST = 16;
/** Maximum number of messages of one protocol on one link; further messages are ignored. */
const MESSAGES_AT_MOST = 512;
const MESSAGE_BYTES_AT_MOST = 9_000;
const NAME_LENGTH_AT_MOST = 64;
const SMB_PORT = 445;

/**
 * Resolves after 1.6 s, with the servers in the order of their first answers. Rejects only with the signal's
 * reason.
 */
export async function discoverServers(clock: Clock, signal: AbortSignal): Promise<readonly HeardServer[]> {
  const links = readLinks(signal);
  const own = readInterfaces(clock.monotonicMs())
    .addresses.filter(({ family, bytes }) => family === 4 && bytes[0] !== 127)
    .slice(0, LINKS_AT_MOST);
  const heard = createHeard(own);
  const protocols = [
    ["dns-sd", createDnsSd],
    ["ws-discovery", createWsDiscovery],
  ] as const;
  const sockets: ReturnType<typeof openSocket>[] = [];
  try {
    for (const link of own)
      for (const [by, create] of protocols)
        sockets.push(openSocket(link, heard.listener(link, by, create())));
    await Promise.all(sockets.map((socket) => socket.send()));
    await clock.sleep(REPEAT_MS, signal);
    await Promise.all(sockets.map((socket) => socket.send()));
    await clock.sleep(LISTEN_MS - REPEAT_MS, signal);
  } finally {
    for (const socket of sockets) socket.close();
  }
  for (const { address, interfaceName } of await links.neighbours()) {
    const link = own.find((one) => one.interfaceName === interfaceName && isIn(one, address));
    const claim = { address, port: SMB_PORT, name: null, host: null, byItself: false };
    if (link !== undefined) heard.add(link, "neighbour", claim);
  }
  return Promise.all(
    heard.all().map(async (server) => ({ ...server, link: await links.of(server.interfaceName) })),
  );
}

function isIn(link: OwnAddress, address: string): boolean {
  const ip = parseIp(address);
  return ip !== null && containsAddress(link, ip);
}

/**
 * Collects claims about servers. A server's name and host are from the newest claim that came from its own address;
 * without one, from the first claim. Exported for its test.
 */
export function createHeard(own: readonly OwnAddress[]) {
  const found = new Map<string, Omit<HeardServer, "link">>();
  const links = new Set(own.map(({ interfaceName }) => interfaceName)).size;
  const ofOneLink = Math.max(OF_ONE_LINK_AT_LEAST, Math.floor(SERVERS_AT_MOST / links));
  // The limit applies to each link, and separately to neighbours, so that invented servers on one link displace no
  // other servers.
  const isFull = (link: OwnAddress, by: HeardBy): boolean =>
    [...found.values()].filter(
      (one) =>
        one.interfaceName === link.interfaceName && (one.by[0] === "neighbour") === (by === "neighbour"),
    ).length >= ofOneLink;
  const shortened = (text: string | null): string | null =>
    text === null || text === "" ? null : [...printable(text)].slice(0, NAME_LENGTH_AT_MOST).join("");
  const add = (link: OwnAddress, by: HeardBy, claim: Claim): void => {
    const { address, port } = claim;
    if (!isIn(link, address) || port === 0 || own.some(({ text }) => text === address)) return;
    const known = found.get(`${address} ${port}`);
    if (known === undefined && isFull(link, by)) return;
    const names = { name: shortened(claim.name), host: shortened(claim.host) };
    const isBetter = claim.byItself && names.name !== null;
    found.set(`${address} ${port}`, {
      ...{ address, port, interfaceName: link.interfaceName },
      name: isBetter ? names.name : (known?.name ?? names.name),
      host: isBetter ? names.host : (known?.host ?? names.host),
      by: [...new Set([...(known?.by ?? []), by])],
    });
  };
  return {
    add,
    all: () => [...found.values()],
    /** `take` returns the next query; null: none. */
    listener(link: OwnAddress, by: HeardBy, protocol: LinkProtocol): Listener {
      let left = MESSAGES_AT_MOST;
      return {
        protocol,
        take(message, sender) {
          left--;
          if (left < 0 || message.length > MESSAGE_BYTES_AT_MOST || !isIn(link, sender)) return null;
          const { claims, question } = protocol.take(message, sender);
          for (const claim of claims) add(link, by, claim);
          return question;
        },
      };
    },
  };
}

interface Listener {
  readonly protocol: LinkProtocol;
  take(message: Buffer, sender: string): Buffer | null;
}

/** Opens a socket on one link. Errors are ignored: the link then has no answers. */
function openSocket({ text: address }: OwnAddress, { protocol, take }: Listener) {
  const socket = createSocket({ type: "udp4" });
  const send = (message: Buffer): void => {
    socket.send(message, protocol.port, protocol.group, () => {});
  };
  socket.on("error", () => {});
  socket.on("message", (message, { address: sender }) => {
    const next = take(message, sender);
    if (next !== null) send(next);
  });
  const bound = bind(socket, address);
  return {
    async send(): Promise<void> {
      if (await bound) send(protocol.question());
    },
    close: () => void socket.close(),
  };
}

/**
 * Binds the socket so that it sends and receives only on that address's interface. Resolves with whether that
 * succeeded.
 */
function bind(socket: Socket, address: string): Promise<boolean> {
  return new Promise((resolve) => {
    socket.once("error", () => resolve(false));
    socket.bind({ address, port: 0 }, () => {
      try {
        socket.setMulticastInterface(address);
        socket.setMulticastTTL(1);
        resolve(true);
      } catch {
        resolve(false);
      }
    });
  });
}
