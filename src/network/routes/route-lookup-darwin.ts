// The command that shows a route on macOS: `route`.
import { parseRouteGet, type RouteCommand } from "./route-output.ts";

export function routeCommandDarwin(address: string): RouteCommand {
  const family = address.includes(":") ? ["-inet6"] : [];
  return {
    program: "/sbin/route",
    args: ["-n", "get", ...family, address],
    parse: parseRouteGet,
    saysNone: /not in table/i,
  };
}
