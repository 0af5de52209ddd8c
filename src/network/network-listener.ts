// Owns what a network listener tells, and picks the one for this system.

export type NetworkDelta =
  | { readonly kind: "link"; readonly interfaceName: string; readonly change: "up" | "down" | "added" | "removed" }
  | { readonly kind: "address"; readonly interfaceName: string; readonly change: "added" | "removed"; readonly address: string }
  | { readonly kind: "route"; readonly interfaceName: string | null; readonly change: "added" | "removed"; readonly destination: string }
  /** Something changed, and it is not known what (a buffer overflowed, configd restarted). */
  | { readonly kind: "unknown"; readonly detail: string };

export interface NetworkListener extends AsyncDisposable {
  /** How changes are learnt now; "polling" is the fallback and may be seconds late. */
  readonly source: "rtnetlink" | "scdynamicstore" | "scutil" | "polling";
}
