// An SMB server that this machine found on the network or has mounted. Announced names and addresses are not verified.

import { choice, count, list, nullable, number, object, type TypeOf, text } from "../../runtime/shape.ts";
import { deviceKinds } from "../contract/contract.ts";

export const foundServerShape = object({
  /** The value for a share's host: an address, or a host name if no address is known. */
  address: text,
  port: count,
  /** The server's own name; null: not known. */
  name: nullable(text),
  /** The server's host name, such as `nas.local`; null: not known. */
  host: nullable(text),
  /** The interface on which the server was found; null: not known. */
  interface: nullable(text),
  link: object({
    kind: deviceKinds,
    /** For people: "Thunderbolt bridge, 40 Gbit/s". */
    text,
    /** Mbit/s; null: not known. */
    speed: nullable(number),
  }),
  by: list(choice("dns-sd", "ws-discovery", "neighbour", "mounted", "fstab")),
  /** The server's shares that are mounted here, or listed in /etc/fstab. */
  mounts: list(object({ share: text, user: nullable(text), path: text })),
});
export type FoundServer = TypeOf<typeof foundServerShape>;
