// A server of SMB shares that this machine has heard of, met, or mounted from. What is heard is a claim: nothing is proved.
import { choice, count, list, nullable, number, object, type TypeOf, text } from "../runtime/shape.ts";

export const foundServerShape = object({
  /** What a share of it is configured with: an address, or a host's name where that is all that is known. */
  address: text,
  port: count,
  /** As it calls itself; null: it told none. */
  name: nullable(text),
  /** Its name in the network, such as `nas.local`. */
  host: nullable(text),
  /** The interface that it was heard on; null: not known. */
  interface: nullable(text),
  link: object({
    kind: choice("thunderbolt", "wired", "wifi", "unknown"),
    /** For people: "Thunderbolt bridge, 40 Gbit/s". */
    text,
    /** Megabits in a second; null: not told. */
    speed: nullable(number),
  }),
  by: list(choice("dns-sd", "ws-discovery", "neighbour", "mounted", "fstab")),
  /** What is mounted from it here, or stands in /etc/fstab. */
  mounts: list(object({ share: text, user: nullable(text), path: text })),
});
export type FoundServer = TypeOf<typeof foundServerShape>;
