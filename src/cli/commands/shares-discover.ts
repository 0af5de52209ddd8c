// The command `mountaineer shares discover`.
import { command } from "../input/command.ts";
import { JSON_OPTION, showResult } from "../input/options.ts";

export const sharesDiscoverCommand = command({
  name: "shares discover",
  summary: "show which servers of SMB shares there are",
  description:
    "Asks the links of this machine for two seconds (DNS-SD over multicast, WS-Discovery), and adds whom it has met on them and " +
    "what is mounted already. Nothing is scanned, and no password is sent. What a server says of itself is not proved.",
  examples: { "mountaineer shares discover": "see the addresses of your NAS" },
  exits: { 0: "it could look" },
  takes: JSON_OPTION,
  async run(context) {
    const { findServers } = await import("../in-process/open.ts");
    const { renderServers } = await import("../views/server-view.ts");
    const servers = await findServers(context.signal);
    const report = servers.map(({ interfaceName, ...server }) => ({ ...server, interface: interfaceName }));
    showResult(context, { servers: report }, () => renderServers(servers, context.stdoutStyle));
    if (servers.length === 0)
      context.note("nobody answered; mountaineer init takes an address that you type");
    return 0;
  },
});
