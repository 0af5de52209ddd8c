// The packet that wakes a machine (Wake-on-LAN), broadcast on the link where the machine was last seen.
import { createSocket } from "node:dgram";
import { containsAddress, readInterfaces } from "../interfaces.ts";
import { formatIp, parseIp } from "../ip-address.ts";

/** The discard port: only the network card reads the packet. */
const PORT = 9;

export function magicPacket(mac: string): Buffer {
  const address = Buffer.from(mac.replaceAll(":", ""), "hex");
  return Buffer.concat([Buffer.alloc(6, 0xff), ...Array.from({ length: 16 }, () => address)]);
}

/**
 * Sends the packet to `known`, such as `aa:bb:cc:dd:ee:ff@10.0.0.2`. Sends nothing if no link holds that
 * address.
 */
export function sendMagicPacket(known: string): void {
  const [mac = "", address = ""] = known.split("@");
  const ip = parseIp(address);
  if (ip?.family !== 4) return;
  const own = readInterfaces(0).addresses.find((one) => containsAddress(one, ip));
  if (own === undefined) return;
  const broadcast = own.bytes.map(
    (byte, index) => byte | (0xff >> Math.min(8, Math.max(0, own.prefixLength - index * 8))),
  );
  const socket = createSocket("udp4");
  socket.on("error", () => socket.close());
  socket.bind(0, own.text, () => {
    socket.setBroadcast(true);
    socket.send(magicPacket(mac), PORT, formatIp(broadcast), () => socket.close());
  });
}
