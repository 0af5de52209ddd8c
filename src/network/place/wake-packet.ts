// The packet that wakes a machine (Wake-on-LAN), sent to all on the link that it was last seen on.
import { createSocket } from "node:dgram";
import { readInterfaces } from "../interfaces.ts";
import { formatIp, inPrefix, parseIp } from "../ip-address.ts";

/** Discard: nobody reads it but the network card. */
const PORT = 9;

export function magicPacket(mac: string): Buffer {
  const address = Buffer.from(mac.replaceAll(":", ""), "hex");
  return Buffer.concat([Buffer.alloc(6, 0xff), ...Array.from({ length: 16 }, () => address)]);
}

/** `known`: `aa:bb:cc:dd:ee:ff@10.0.0.2`. Nothing is sent where no link holds that address. */
export function sendMagicPacket(known: string): void {
  const [mac = "", address = ""] = known.split("@");
  const ip = parseIp(address);
  const own = readInterfaces(0).addresses.find(
    ({ family, bytes, prefixLength }) =>
      family === 4 && ip?.family === 4 && inPrefix(ip.bytes, bytes, prefixLength),
  );
  if (own === undefined) return;
  const all = own.bytes.map(
    (byte, index) => byte | (0xff >> Math.min(8, Math.max(0, own.prefixLength - index * 8))),
  );
  const socket = createSocket("udp4");
  socket.on("error", () => socket.close());
  socket.bind(0, own.text, () => {
    socket.setBroadcast(true);
    socket.send(magicPacket(mac), PORT, formatIp(all), () => socket.close());
  });
}
