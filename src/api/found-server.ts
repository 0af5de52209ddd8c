// A server of SMB shares that this machine has heard of, met, or mounted from. What is heard is a claim: nothing is proved.

export interface FoundServer {
  /** What a share of it is configured with: an address, or a host's name where that is all that is known. */
  readonly address: string;
  readonly port: number;
  /** As it calls itself; null: it told none. */
  readonly name: string | null;
  /** Its name in the network, such as `nas.local`. */
  readonly host: string | null;
  /** The interface that it was heard on; null: not known. */
  readonly interfaceName: string | null;
  readonly link: {
    readonly kind: "thunderbolt" | "wired" | "wifi" | "unknown";
    /** For people: "Thunderbolt bridge, 40 Gbit/s". */
    readonly text: string;
    /** Megabits in a second; null: not told. */
    readonly speed: number | null;
  };
  readonly by: readonly ("dns-sd" | "ws-discovery" | "neighbour" | "mounted" | "fstab")[];
  /** What is mounted from it here, or stands in /etc/fstab. */
  readonly mounts: readonly { readonly share: string; readonly user: string | null; readonly path: string }[];
}
