// The command that shows a route on Linux: `ip`.
import { parseIpRoute, type RouteCommand } from "./route-output.ts";

export function routeCommandLinux(address: string): RouteCommand {
  const [plain = address] = address.split("%");
  return {
    program: "ip",
    args: ["-json", "route", "get", plain],
    parse: parseIpRoute,
    saysNone: /unreachable|No route/i,
  };
}
