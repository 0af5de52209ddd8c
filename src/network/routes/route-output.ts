// Reads routes as `ip` and `route` print them. Pure.

export type RouteLookup =
  | {
      readonly kind: "found";
      readonly interfaceName: string;
      /** null: the address is on the interface's own network. */
      readonly gateway: string | null;
    }
  /** There is no way to it. */
  | { readonly kind: "none" }
  | { readonly kind: "unknown"; readonly why: string };

/** A command that prints a route, and how its output is read. */
export interface RouteCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly parse: (stdout: string) => RouteLookup;
  /** What the command's complaint looks like when there is no route. */
  readonly saysNone: RegExp;
}

/** Of `ip -json route get ADDRESS`. */
export function parseIpRoute(stdout: string): RouteLookup {
  try {
    const value: unknown = JSON.parse(stdout);
    const first: unknown = Array.isArray(value) ? value[0] : null;
    if (typeof first === "object" && first !== null && "dev" in first && typeof first.dev === "string") {
      const gateway = "gateway" in first && typeof first.gateway === "string" ? first.gateway : null;
      return { kind: "found", interfaceName: first.dev, gateway };
    }
  } catch {
    // Reported below.
  }
  return { kind: "unknown", why: "ip printed something else than a route" };
}

/** Of macOS's `route -n get ADDRESS`. */
export function parseRouteGet(stdout: string): RouteLookup {
  const field = (name: string): string | null =>
    new RegExp(`^\\s*${name}: (\\S+)`, "m").exec(stdout)?.[1] ?? null;
  const interfaceName = field("interface");
  if (interfaceName === null) return { kind: "unknown", why: "route printed no interface" };
  const gateway = field("gateway");
  // On-link, the "gateway" may be the interface's own link.
  const isLink =
    gateway === null || gateway.startsWith("link#") || /^([0-9a-f]+[:.])+[0-9a-f]+$/i.test(gateway) === false;
  const isDefault = field("destination") === "default";
  return { kind: "found", interfaceName, gateway: isLink && !isDefault ? null : gateway };
}
