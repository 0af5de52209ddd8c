// An SMB server that this machine found on the network or has mounted. Announced names and addresses are not verified.
import { choice, count, list, nullable, number, object, type TypeOf, text } from "../runtime/shape.ts";

export const foundServerShape = object({
  /** The value for a share's host: an address, or a host name if no address is known. */
  address: text,
  port: count,
  /** The server's own name; null: not known. */
  name: nullable(text),
  /** Its host name, such as `nas.local`. */
  host: nullable(text),
  /** The interface it was found on; null: not known. */
  interface: nullable(text),
  link: object({
    kind: choice("thunderbolt", "wired", "wifi", "unknown"),
    /** For people: "Thunderbolt bridge, 40 Gbit/s". */
    text,
    /** Mbit/s; null: not known. */
    speed: nullable(number),
  }),
  by: list(choice("dns-sd", "ws-discovery", "neighbour", "mounted", "fstab")),
  /** Its shares that are mounted here, or in /etc/fstab. */
  mounts: list(object({ share: text, user: nullable(text), path: text })),
});
export type FoundServer = TypeOf<typeof foundServerShape>;
